//! `[[stack]]`: the containers behind a tenant or a shared server; each checked for itself, all of them in
//! `config::mistakes`.

pub(super) mod part;

use super::compose::{self, ComposeFile};
use super::container;
use super::draft;
use super::engine::Engines;
use super::pass::Report;
use super::platform::ENVIRONMENTS;
use super::reader::{Field, Reader};
use super::tree::{Node, Place};
use crate::model::server::EnvValue;
use crate::model::stack::{PartDef, StackDef, StackOwner};
use crate::model::template::Template;
use crate::model::{ServerId, StackId, TenantId};
use part::Addition;

/// A stack with the places of what it says.
pub(super) struct StackDraft<'t> {
    pub def: StackDef,
    pub from: Field<'t>,
    pub parts: Vec<PartDraft>,
    /// Name of the compose project that it stands for: adopted or included.
    pub project: Option<String>,
}

/// A part and the text it was read from.
pub(super) struct PartDraft {
    pub def: PartDef,
    /// Dotted key.
    pub key: String,
    node: Node,
    /// It stands in a compose file, whose words differ.
    compose: bool,
}

/// What a message about a part points at.
#[derive(Clone, Copy)]
pub(super) enum Spot<'s> {
    Part,
    Command,
    Env(&'s str),
    Ports,
    Needs(&'s str),
}

impl PartDraft {
    pub fn new(def: PartDef, field: &Field<'_>, compose: bool) -> Self {
        Self { def, key: field.key.clone(), node: field.node.clone(), compose }
    }

    /// Where `spot` stands; the part itself if it is not given.
    pub fn place(&self, spot: Spot<'_>) -> &Place {
        let path: &[&str] = match (spot, self.compose) {
            (Spot::Part, _) => &[],
            (Spot::Command, _) => &["command"],
            (Spot::Env(name), false) => &["env", name],
            (Spot::Env(name), true) => &["environment", name],
            (Spot::Ports, _) => &["ports"],
            (Spot::Needs(name), false) => &["needs", name],
            (Spot::Needs(name), true) => &["depends_on", name],
        };
        draft::walk(&self.node, path)
    }
}

/// Every `[[stack]]` that can be used so far.
pub(super) fn stacks<'t>(root: &mut Reader<'t>, engines: &Engines) -> Vec<StackDraft<'t>> {
    let fields = draft::tables(root, "stack").into_iter().enumerate();
    fields.filter_map(|(order, field)| stack(field, order, engines)).collect()
}

fn stack<'t>(field: Field<'t>, order: usize, engines: &Engines) -> Option<StackDraft<'t>> {
    let mut from = field.table()?;
    if !from.has("name") {
        let report = Report::new(from.at, &from.key, "`name` is missing");
        from.pass.problem(report.help("give name = \"eaton-models\""));
    }
    let id = from.opt("name", |f| f.id().map(StackId::from));
    let owner = owner(&mut from);
    let engine = from.opt("engine", |f| engines.name(f));
    let environment = from.opt("environment", |f| f.choice(&ENVIRONMENTS));
    let autostart = from.flag("autostart", false);
    let router = from.flag("router", false);
    let contents = contents(&mut from, order);
    from.finish();
    // What is wrong with its contents is told already; its names are checked all the same.
    let mut contents = contents.unwrap_or_default();
    if router {
        contents.parts.iter_mut().for_each(|part| tell_router(&mut part.def));
    }
    let def = StackDef {
        id: id?,
        owner: owner?,
        engine,
        parts: contents.parts.iter().map(|part| part.def.clone()).collect(),
        adopt: contents.adopt,
        compose: contents.compose,
        environment,
        autostart,
        defined_at: field.at().label(),
    };
    Some(StackDraft { def, from: field, parts: contents.parts, project: contents.project })
}

/// Every part is told where the router is, unless its own word stands there.
fn tell_router(part: &mut PartDef) {
    if let Ok(text) = Template::parse("{router}") {
        part.run.env.entry("MCPDECK_URL".to_owned()).or_insert(EnvValue::Text(text));
    }
}

/// Whom it stands behind; the names are checked when all tenants and servers are known.
fn owner(from: &mut Reader<'_>) -> Option<StackOwner> {
    let tenant = from.opt("tenant", |f| f.full_text().map(|id| StackOwner::Tenant(TenantId::from(id))));
    let server = from.opt("server", |f| f.full_text().map(|id| StackOwner::Server(ServerId::from(id))));
    if from.has("tenant") == from.has("server") {
        let report = Report::new(from.at, &from.key, "a stack stands behind one tenant or one server");
        from.pass.problem(report.help("give tenant = \"...\" or server = \"...\""));
        return None;
    }
    tenant.or(server)
}

/// What a stack consists of.
#[derive(Default)]
struct Contents {
    parts: Vec<PartDraft>,
    adopt: Option<crate::model::container::Adopt>,
    compose: Option<String>,
    project: Option<String>,
}

fn contents(from: &mut Reader<'_>, order: usize) -> Option<Contents> {
    let parts = from.get("part");
    let file = from.get("compose");
    let adopted = from.get("adopt");
    if let Some(field) = &adopted {
        for other in [&parts, &file].into_iter().flatten() {
            let help = "what is adopted exists already and is not deployed: keep one of them";
            other.pass.problem(Report::new(other.key_at, &from.key, "a stack that adopts has no parts").help(help));
        }
        let adopt = container::adopt(field)?;
        let project = match &adopt {
            crate::model::container::Adopt::ComposeProject(project) => Some(project.clone()),
            crate::model::container::Adopt::Container(_) => None,
        };
        return Some(Contents { adopt: Some(adopt), project, ..Contents::default() });
    }
    if let Some(field) = &file {
        let ComposeFile { file, project, parts: services } = compose::include(field, order)?;
        let parts = with_additions(services, parts.as_ref());
        return Some(Contents { parts, compose: Some(file), project: Some(project), adopt: None });
    }
    let Some(field) = parts else {
        let report = Report::new(from.at, &from.key, "nothing stands in this stack");
        from.pass.problem(report.help(
            "add [[stack.part]] tables, compose = \"docker-compose.yml\" or adopt = { compose_project = \"...\" }",
        ));
        return None;
    };
    let parts = named_parts(&field).iter().filter_map(part::part).collect();
    Some(Contents { parts, ..Contents::default() })
}

/// The tables of `[[stack.part]]`, each with its name in its key.
fn named_parts<'t>(field: &Field<'t>) -> Vec<Field<'t>> {
    let items = field.items().unwrap_or_default();
    let named = items.into_iter().enumerate().map(|(at, item)| {
        let name = draft::own_text(&item, "name").map_or_else(|| (at + 1).to_string(), str::to_owned);
        Field { key: format!("{}.{name}", item.key), ..item }
    });
    named.collect()
}

/// Beside a compose file, a part adds what compose has no word for to the service of its name.
fn with_additions(mut services: Vec<PartDraft>, parts: Option<&Field<'_>>) -> Vec<PartDraft> {
    let Some(parts) = parts else { return services };
    for field in named_parts(parts) {
        let Some(Addition { name, apply }) = part::addition(&field) else { continue };
        let Some(service) = services.iter_mut().find(|service| service.def.name == name) else {
            let names: Vec<&str> = services.iter().map(|service| service.def.name.as_str()).collect();
            let guess = crate::model::near::nearest(&name, names.iter().copied());
            let report = Report::new(field.at(), &field.key, format!("the compose file has no service `{name}`"));
            field.pass.problem(report.suggest(guess).help(format!("services: {}", names.join(", "))));
            continue;
        };
        apply.to(&mut service.def, &field);
    }
    services
}
