//! Choosing customer, server, method, tool and era; what the server offers.

use super::{Asked, Console, Offers, Pane, Stop};
use crate::model::call::Era;
use crate::model::message::Level;
use crate::model::{Answer, Query, Refusal, ServerId, TenantId};
use crate::ui::app::Cx;
use crate::ui::console::methods::{self, METHODS, Offer, PROMPTS_GET, RESOURCES_READ, TOOLS_CALL};
use crate::ui::layer::pick::Item;

/// What stands before the value of an item, so that one list can hold tools, prompts, resources and methods.
const TOOL: &str = "tool ";
const PROMPT: &str = "prompt ";
const RESOURCE: &str = "resource ";
const TEMPLATE: &str = "template ";
const METHOD: &str = "method ";
const OTHER: &str = "other";
const OTHER_TOOL: &str = "other tool";

impl Console {
    pub(super) fn pick_tenant(&mut self, cx: &mut Cx) {
        let items = cx.snap.tenants.iter().map(|row| {
            let note = format!("{} {}", row.def.id, row.def.environment.name());
            Item::new(row.def.id.as_str(), row.def.name.as_str()).with_note(note)
        });
        let token = cx.pick("Call as", items.collect());
        self.expect(token, Asked::Tenant);
    }

    pub(super) fn pick_server(&mut self, cx: &mut Cx) {
        let Some(tenant) = self.request.tenant.as_ref().and_then(|t| cx.snap.tenant(t.as_str())) else {
            return self.pick_tenant(cx);
        };
        let mut items: Vec<Item> = Vec::new();
        let mut others: Vec<Item> = Vec::new();
        for row in &cx.snap.servers {
            let cell = tenant.cell(&row.def.id).filter(|cell| cell.enabled);
            let state = cell.map_or("not enabled", |cell| cell.state.map_or("unknown", |s| s.name()));
            let item = Item::new(row.def.id.as_str(), row.def.id.as_str())
                .with_note(format!("{state}  {}", row.def.description));
            if cell.is_some() { &mut items } else { &mut others }.push(item);
        }
        items.append(&mut others);
        let token = cx.pick(&format!("Server of {}", tenant.def.name), items);
        self.expect(token, Asked::Server);
    }

    pub(super) fn pick_method(&mut self, cx: &mut Cx) {
        let methods = METHODS.iter().map(|m| Item::new(m.name, m.name).with_note(m.doc));
        let other = Item::new(OTHER, "another method").with_note("type its name");
        let token = cx.pick("Method", methods.chain([other]).collect());
        self.expect(token, Asked::Method);
    }

    pub(super) fn pick_offer(&mut self, cx: &mut Cx) {
        if self.request.tenant.is_none() {
            return self.pick_tenant(cx);
        }
        if self.request.server.is_none() {
            return self.pick_server(cx);
        }
        let Some(offers) = self.offers() else {
            self.ask_catalog(cx);
            self.waits_for_offers = true;
            return cx.notice(Level::Info, "asking the server what it offers (this starts it if it sleeps)");
        };
        let mut items: Vec<Item> = offers.tools.iter().map(|tool| item(TOOL, tool)).collect();
        items.extend(offers.prompts.iter().map(|prompt| item(PROMPT, prompt)));
        items.extend(offers.resources.iter().map(|resource| item(RESOURCE, resource)));
        items.extend(offers.templates.iter().map(|template| item(TEMPLATE, template)));
        if let Some(error) = &offers.error {
            cx.notice(Level::Warn, format!("the list is not complete: {error}"));
        }
        let plain = METHODS.iter().filter(|m| !matches!(m.name, TOOLS_CALL | PROMPTS_GET));
        items.extend(plain.map(|m| Item::new(format!("{METHOD}{}", m.name), m.name).with_note(m.doc)));
        items.push(Item::new(OTHER_TOOL, "another tool").with_note("type its name, listed or not"));
        items.push(Item::new(OTHER, "another method").with_note("type its name"));
        let token = cx.pick("Tool, prompt, resource or method", items);
        self.expect(token, Asked::Offer);
    }

    pub(super) fn pick_era(&mut self, cx: &mut Cx) {
        let items = vec![
            Item::new("auto", "auto").with_note("as the server speaks"),
            Item::new("legacy", "legacy").with_note("up to 2025-11-25: initialize, sessions"),
            Item::new("modern", "modern").with_note("from 2026-07-28: stateless"),
        ];
        let token = cx.pick("Era", items);
        self.expect(token, Asked::Era);
    }

    /// Something was chosen or typed.
    pub(super) fn take_choice(&mut self, asked: Asked, value: String, cx: &mut Cx) {
        if matches!(
            asked,
            Asked::Tenant | Asked::Server | Asked::Method | Asked::FreeMethod | Asked::Offer | Asked::FreeTool
        ) {
            self.pane = Pane::Request;
        }
        match asked {
            Asked::Tenant => {
                self.set_tenant(value.into(), cx);
                self.stand_on(if self.request.server.is_none() { Stop::Server } else { Stop::Send });
            }
            Asked::Server => {
                self.set_server(value.into(), cx);
                self.stand_on(Stop::Tool);
            }
            Asked::Method if value == OTHER => self.ask_method(cx),
            Asked::Method | Asked::FreeMethod => self.set_method(&value, cx),
            Asked::Offer => self.take_offer(&value, cx),
            Asked::FreeTool => self.set_free_tool(value.trim(), cx),
            Asked::Era => {
                self.request.era = [Era::Legacy, Era::Modern].into_iter().find(|era| era.name() == value);
                self.changed(cx);
            }
            Asked::Choice(path) => self.choose(&path, &value, cx),
            Asked::Form(path) => self.choose_form(&path, &value, cx),
            Asked::AsTenant(call) => self.ask_as(*call, value.into(), cx),
            Asked::Filter => self.take_filter(&value, cx),
            Asked::SaveAs => self.save_as(&value, cx),
            Asked::OpenRequest(files) => self.open_request(&files, &value, cx),
            Asked::ConfirmFan(call) => self.take_fan_confirmation(*call, &value, cx),
            Asked::Confirm(call, name) => self.take_confirmation(*call, &name, &value, cx),
            _ => {}
        }
    }

    fn ask_method(&mut self, cx: &mut Cx) {
        let token = cx.prompt("Method, as it goes on the wire", self.request.method());
        self.expect(token, Asked::FreeMethod);
    }

    fn set_method(&mut self, method: &str, cx: &mut Cx) {
        self.request.set_method(method);
        self.changed(cx);
        self.stand_on(if self.request.takes_name() { Stop::Tool } else { Stop::Field(0) });
    }

    fn set_free_tool(&mut self, name: &str, cx: &mut Cx) {
        if !name.is_empty() {
            self.request.set_method(TOOLS_CALL);
            self.request.tool = Some(name.to_owned());
            self.describe();
            self.changed(cx);
            self.stand_on(self.first_field());
        }
    }

    fn take_offer(&mut self, value: &str, cx: &mut Cx) {
        let find = |list: &[Offer], name: &str| list.iter().find(|o| o.name == name).cloned();
        if value == OTHER_TOOL {
            let token = cx.prompt("Tool, as the server calls it", self.request.tool.as_deref().unwrap_or_default());
            return self.expect(token, Asked::FreeTool);
        } else if value == OTHER {
            return self.ask_method(cx);
        } else if let Some(name) = value.strip_prefix(METHOD) {
            return self.set_method(name, cx);
        } else if let Some(uri) = value.strip_prefix(RESOURCE) {
            self.request.set_method(RESOURCES_READ);
            self.request.sheet.set(format!("{{\n  \"uri\": {}\n}}", crate::ui::console::json::quote(uri)));
            self.changed(cx);
            return self.stand_on(Stop::Send);
        }
        if let (Some(name), Some(offers)) = (value.strip_prefix(TEMPLATE), self.offers()) {
            if let Some(offer) = find(&offers.templates, name) {
                self.request.set_template(&offer);
                self.as_text = false;
                self.changed(cx);
                self.stand_on(self.first_field());
            }
            return;
        }
        let offer = match (value.strip_prefix(TOOL), value.strip_prefix(PROMPT), self.offers()) {
            (Some(name), _, Some(offers)) => find(&offers.tools, name).map(|offer| (TOOLS_CALL, offer)),
            (_, Some(name), Some(offers)) => find(&offers.prompts, name).map(|offer| (PROMPTS_GET, offer)),
            _ => None,
        };
        if let Some((method, offer)) = offer {
            self.request.set_method(method);
            self.request.set_tool(&offer);
            self.as_text = false;
            self.changed(cx);
            self.stand_on(self.first_field());
        }
    }

    /// Where one begins to fill in: the first field that must be there and is not, else the first, else the button.
    fn first_field(&self) -> Stop {
        let fields = self.request.sheet.form.fields();
        let open = fields.iter().position(|f| f.required && f.value.is_none());
        if fields.is_empty() { Stop::Send } else { Stop::Field(open.unwrap_or(0)) }
    }

    /// What the chosen server offers the chosen customer, if it is known.
    pub(super) fn offers(&self) -> Option<&Offers> {
        let (tenant, server) = (self.request.tenant.as_ref()?, self.request.server.as_ref()?);
        self.offers.as_ref().filter(|o| o.tenant == *tenant && o.server == *server)
    }

    /// The tool or prompt that is named, if the server offers it.
    pub(super) fn offer(&self) -> Option<&Offer> {
        let (offers, name) = (self.offers()?, self.request.tool.as_ref()?);
        let list = if self.request.method() == PROMPTS_GET { &offers.prompts } else { &offers.tools };
        list.iter().find(|offer| offer.name == *name)
    }

    pub(super) fn ask_catalog(&mut self, cx: &mut Cx) {
        let (Some(tenant), Some(server)) = (self.request.tenant.clone(), self.request.server.clone()) else { return };
        let asked = |a: &Asked| matches!(a, Asked::Catalog(t, s) if *t == tenant && *s == server);
        if self.asked.iter().any(|(_, a)| asked(a)) {
            return;
        }
        let person = Some(cx.shared.operator.clone());
        let token = cx.ask(Query::Catalog { tenant: tenant.clone(), server: server.clone(), wake: true, person });
        self.expect(token, Asked::Catalog(tenant, server));
    }

    pub(super) fn take_catalog(
        &mut self,
        tenant: TenantId,
        server: ServerId,
        answer: Result<Answer, Refusal>,
        cx: &mut Cx,
    ) {
        let current = self.request.tenant.as_ref() == Some(&tenant) && self.request.server.as_ref() == Some(&server);
        let catalog = match answer {
            Ok(Answer::Catalog(catalog)) => catalog,
            Ok(_) => return,
            Err(refusal) => {
                if current {
                    self.waits_for_offers = false;
                    cx.notice(Level::Warn, format!("what {server} offers is not known: {refusal}"));
                }
                return;
            }
        };
        if !current {
            return;
        }
        self.offers = Some(Offers {
            tenant,
            server,
            tools: methods::tools(&catalog.tools),
            prompts: methods::prompts(&catalog.prompts),
            resources: methods::resources(&catalog.resources),
            templates: methods::templates(&catalog.templates),
            completes: catalog.capabilities.contains("\"completions\""),
            era: catalog.era,
            error: catalog.error,
        });
        if self.edit.is_none() {
            self.describe();
        }
        if std::mem::take(&mut self.waits_for_offers) {
            self.pick_offer(cx);
        }
    }

    /// Gives the form the schema of the tool that is named already.
    pub(super) fn describe(&mut self) {
        if let Some(offer) = self.offer().cloned().filter(|_| self.request.takes_name()) {
            self.request.describe(&offer);
        }
    }
}

fn item(prefix: &str, offer: &Offer) -> Item {
    let mark = offer.mark();
    let kind = prefix.trim_end();
    let first = offer.description.lines().next().unwrap_or_default();
    let note = [if kind == "tool" { "" } else { kind }, mark, first]
        .into_iter()
        .filter(|s| !s.is_empty())
        .collect::<Vec<_>>()
        .join("  ");
    Item::new(format!("{prefix}{}", offer.name), offer.name.as_str()).with_note(note)
}
