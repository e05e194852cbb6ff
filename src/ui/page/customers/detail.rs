//! Everything about the selected customer, in tabs.

use super::switches::Switch;
use crate::model::message::Catalog;
use crate::model::secret::{SecretRef, SecretRow};
use crate::model::snapshot::TenantRow;
use crate::model::stack::StackOwner;
use crate::model::{Answer, CallRecord, InstanceKey, Query, Refusal, ServerId, TenantId};
use crate::ui::action::Action;
use crate::ui::acts::Subject;
use crate::ui::app::{Cx, Look, Token};
use crate::ui::theme::Role;
use crate::ui::widget::pager::{Scroll, field, tabs};
use crate::ui::widget::table::Table;
use crate::ui::{catalog, fmt, stack, widget};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use std::collections::BTreeMap;
use std::sync::Arc;

const TABS: [&str; 6] = ["Servers", "Identity", "Agent sees", "Calls", "Credentials", "Stack"];
const CALLS: u32 = 100;
/// Catalogs asked for at once for one customer.
const CATALOGS: usize = 64;

/// A question, and what came of it.
type Asked<T> = (Token, Option<Result<T, String>>);

/// State of the detail.
#[derive(Default)]
pub struct Detail {
    tab: usize,
    tenant: Option<TenantId>,
    switches: Table<Switch>,
    scroll: Scroll,
    /// What each enabled server lists for this customer.
    catalogs: BTreeMap<ServerId, Asked<Catalog>>,
    calls: Option<Asked<Vec<Arc<CallRecord>>>>,
}

impl Detail {
    /// Shows another customer, or the newer row of the same.
    pub fn show(&mut self, tenant: Option<&TenantRow>, cx: &mut Cx) {
        let id = tenant.map(|t| t.def.id.clone());
        if self.tenant != id {
            self.tenant = id;
            self.scroll.reset();
            self.catalogs.clear();
            self.calls = None;
        }
        let switches = tenant.map(|t| Switch::all(t, &cx.snap.servers)).unwrap_or_default();
        self.switches.set_rows(switches, cx.shared.now);
        self.ask(tenant, cx);
    }

    /// Calls go on: with each new picture the newest are asked for, if the last answer came.
    pub fn refresh(&mut self, tenant: Option<&TenantRow>, cx: &mut Cx) {
        if let (3, Some((_, Some(_))), Some(tenant)) = (self.tab, &self.calls, tenant) {
            let token = cx.ask(calls_of(&tenant.def.id));
            if let Some(calls) = &mut self.calls {
                calls.0 = token;
            }
        }
    }

    fn ask(&mut self, tenant: Option<&TenantRow>, cx: &mut Cx) {
        let Some(tenant) = tenant else { return };
        match self.tab {
            2 => {
                for cell in tenant.cells.iter().filter(|c| c.enabled).take(CATALOGS) {
                    if !self.catalogs.contains_key(&cell.server) {
                        let query = Query::Catalog {
                            tenant: tenant.def.id.clone(),
                            server: cell.server.clone(),
                            wake: false,
                            person: None,
                        };
                        let token = cx.ask(query);
                        self.catalogs.insert(cell.server.clone(), (token, None));
                    }
                }
            }
            3 if self.calls.is_none() => {
                let token = cx.ask(calls_of(&tenant.def.id));
                self.calls = Some((token, None));
            }
            _ => {}
        }
    }

    pub fn answer(&mut self, token: Token, answer: Result<Answer, Refusal>) {
        if let Some((_, slot)) = self.catalogs.values_mut().find(|(t, _)| *t == token) {
            *slot = Some(match answer {
                Ok(Answer::Catalog(catalog)) => Ok(catalog),
                Ok(_) => Err("the owner answered something else".to_owned()),
                Err(refusal) => Err(refusal.to_string()),
            });
        } else if let Some((_, slot)) = self.calls.as_mut().filter(|(t, _)| *t == token) {
            *slot = Some(match answer {
                Ok(Answer::Calls(calls)) => Ok(calls),
                Ok(_) => Err("the owner answered something else".to_owned()),
                Err(refusal) => Err(refusal.to_string()),
            });
        }
    }

    pub fn picked(&mut self, token: Token, value: &str) -> bool {
        self.switches.picked(token, value)
    }

    pub fn has_switches(&self) -> bool {
        self.tab == 0
    }

    /// Shows the switch of a server.
    pub fn reveal(&mut self, server: &ServerId) {
        self.tab = 0;
        self.switches.select(server);
    }

    /// The selected (or marked) servers for this customer; elsewhere the customer itself.
    pub fn subjects(&self, tenant: &TenantRow) -> Vec<Subject> {
        let id = &tenant.def.id;
        if !self.has_switches() {
            return vec![Subject::tenant(id.clone())];
        }
        let of = |switch: &&Switch| {
            let key = switch.pair.as_ref().filter(|p| p.enabled).and_then(|p| p.instance.clone());
            Subject::cell(id.clone(), switch.server.def.id.clone(), key)
        };
        self.switches.targets().iter().map(of).collect()
    }

    pub fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::Left => self.tab = (self.tab + TABS.len() - 1) % TABS.len(),
            Action::Right => self.tab = (self.tab + 1) % TABS.len(),
            _ if self.has_switches() => return self.switches.act(action, cx),
            other => return self.scroll.act(other),
        }
        self.scroll.reset();
        true
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect, tenant: Option<&Arc<TenantRow>>, focused: bool) {
        let title = tenant.map_or("no customer selected", |t| t.def.name.as_str());
        let inner = widget::pane(look, frame, area, title, focused);
        let Some(tenant) = tenant else { return };
        let below = tabs(look, frame, inner, &TABS, self.tab);
        let lines = match self.tab {
            0 if self.switches.rows().is_empty() => {
                return widget::empty(look, frame, below, "no server is configured yet");
            }
            0 => return self.switches.draw(look, frame, below, focused),
            1 => identity(look, tenant, below.width),
            2 => self.agent_sees(look, tenant),
            3 => self.calls(look),
            4 => credentials(look, tenant),
            _ => stack::lines(look, &StackOwner::Tenant(tenant.def.id.clone()), below.width),
        };
        self.scroll.draw(frame, below, &lines);
    }

    fn agent_sees(&self, look: &Look, tenant: &TenantRow) -> Vec<Line<'static>> {
        let dim = look.style(Role::Dim);
        let mut lines = Vec::new();
        for cell in tenant.cells.iter().filter(|c| c.enabled) {
            lines.push(Line::styled(cell.server.to_string(), look.style(Role::Title)));
            match self.catalogs.get(&cell.server).map(|(_, answer)| answer) {
                None | Some(None) => lines.push(Line::styled("  asking ...", dim)),
                Some(Some(Err(why))) => lines.push(Line::styled(format!("  {why}"), look.style(Role::Bad))),
                Some(Some(Ok(catalog))) => lines.extend(catalog::lines(look, catalog)),
            }
        }
        if lines.is_empty() {
            lines.push(Line::styled("nothing is enabled: its agents see no tool", dim));
        }
        lines
    }

    fn calls(&self, look: &Look) -> Vec<Line<'static>> {
        let dim = look.style(Role::Dim);
        match self.calls.as_ref().and_then(|(_, answer)| answer.as_ref()) {
            None => vec![Line::styled("asking ...", dim)],
            Some(Err(why)) => vec![Line::styled(why.clone(), look.style(Role::Bad))],
            Some(Ok(calls)) if calls.is_empty() => vec![Line::styled("no call yet", dim)],
            Some(Ok(calls)) => calls.iter().map(|c| call(look, c)).collect(),
        }
    }
}

fn calls_of(tenant: &TenantId) -> Query {
    Query::Calls { filter: format!("tenant={tenant}"), limit: CALLS }
}

fn call(look: &Look, call: &CallRecord) -> Line<'static> {
    let what = call.tool.as_deref().unwrap_or(&call.method);
    Line::from(vec![
        Span::styled(format!("{} ", look.time(call.at)), look.style(Role::Dim)),
        Span::styled(format!("{:<9} ", call.outcome), look.style(Role::of_outcome(call.outcome))),
        Span::raw(format!("{:>8} ", fmt::took(call.took_us))),
        Span::raw(format!("{} {what} ", call.server)),
        Span::styled(call.error.clone().unwrap_or_default(), look.style(Role::Dim)),
    ])
}

fn identity(look: &Look, tenant: &TenantRow, columns: u16) -> Vec<Line<'static>> {
    let def = &tenant.def;
    let mut lines = field(look, "id", def.id.as_str(), Role::Text, columns);
    let mut add = |name: &str, value: &str, role: Role| lines.extend(field(look, name, value, role, columns));
    add("also", &def.aliases.join(", "), Role::Text);
    add("environment", def.environment.name(), Role::of_environment(def.environment));
    for (text, role) in guards(look, tenant) {
        add("acts", &text, role);
    }
    for (name, value) in &def.context {
        add(&format!("context.{name}"), value, Role::Text);
    }
    for (name, value) in &def.labels {
        add(&format!("label.{name}"), value, Role::Text);
    }
    for (server, settings) in &def.servers {
        let mut own: Vec<String> = settings.url.iter().map(|url| format!("url {url}")).collect();
        own.extend(settings.config.iter().map(|(k, v)| format!("{k} = {v}")));
        own.extend(settings.secrets.keys().map(|name| format!("secret {name}")));
        own.extend(settings.env.keys().chain(settings.headers.keys()).map(|name| format!("{name} (set)")));
        add(&format!("own {server}"), &own.join(", "), Role::Text);
    }
    lines
}

/// What may be done here: everything, nothing, or not all, and why.
fn guards(look: &Look, tenant: &TenantRow) -> Vec<(String, Role)> {
    let guards = &look.snap.platform.guards;
    if let Some(why) = guards.frozen(&tenant.def) {
        return vec![(format!("read-only: {why}"), Role::Warn)];
    }
    let hold = [Some(&tenant.def.guard), guards.of(tenant.def.environment)].into_iter().flatten();
    let told = hold.flat_map(|guard| {
        let denied = guard.deny.iter().map(|(verb, why)| format!("no {verb}: {why}"));
        denied.chain(guard.bulk_cap.iter().map(|cap| format!("{} at once: {}", cap.instances, cap.reason)))
    });
    let told: Vec<_> = told.map(|text| (text, Role::Warn)).collect();
    if told.is_empty() { vec![("allowed".to_owned(), Role::Text)] } else { told }
}

/// Its own, and those that its servers use for everybody: name, set or missing, fingerprint, when loaded, and how many
/// instances still hold an older one.
fn credentials(look: &Look, tenant: &TenantRow) -> Vec<Line<'static>> {
    let concerns = |s: &SecretRow| match (&s.tenant, &s.server) {
        (Some(own), _) => *own == tenant.def.id,
        (None, Some(server)) => tenant.cell(server).is_some_and(|c| c.enabled),
        (None, None) => false,
    };
    let lines: Vec<_> =
        look.snap.secrets.iter().filter(|s| concerns(s)).flat_map(|secret| credential(look, secret)).collect();
    if lines.is_empty() {
        return vec![Line::styled("neither this customer nor its servers use credentials", look.style(Role::Dim))];
    }
    lines
}

fn credential(look: &Look, secret: &SecretRow) -> Vec<Line<'static>> {
    let whose = secret.server.as_ref().map(|s| format!(" for {s}")).unwrap_or_default();
    let (state, role) = match (&secret.fingerprint, secret.loaded_at) {
        (Some(print), Some(at)) => (format!("set  {print}  loaded {} ago", look.age(at)), Role::Good),
        (Some(print), None) => (format!("set  {print}"), Role::Good),
        (None, _) => ("missing".to_owned(), Role::Bad),
    };
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("{}{whose}  ", secret.name), look.style(Role::Title)),
        Span::styled(state, look.style(role)),
        Span::styled(format!("  from {}", source(&secret.source)), look.style(Role::Dim)),
    ])];
    lines.extend(secret.error.iter().map(|e| Line::styled(format!("  {e}"), look.style(Role::Bad))));
    if !secret.stale.is_empty() {
        let names: Vec<String> = secret.stale.iter().map(InstanceKey::to_string).collect();
        let text = format!("  {} still hold an older one: {}", fmt::plural(names.len(), "instance"), names.join(", "));
        lines.push(Line::styled(text, look.style(Role::Warn)));
    }
    lines
}

fn source(source: &SecretRef) -> String {
    match source {
        SecretRef::Env(name) => format!("${name}"),
        SecretRef::File(path) => path.display().to_string(),
        SecretRef::Command(words) => words.first().map(|w| format!("command {w}")).unwrap_or_default(),
    }
}
