//! A compose file as the parts of a stack. What is mapped, ignored (and listed as warnings) and refused stands in
//! [`keys`], and for people in config/compose.md.

mod interpolate;
mod keys;
mod service;
mod values;
pub(super) mod yaml;

use super::include;
use super::pass::Report;
use super::reader::{Field, Reader};
use super::stack::PartDraft;
use super::tree::{Entry, Node, Place, Source, Value};
use crate::model::{near, slug};
use interpolate::Variables;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::rc::Rc;

pub(super) use interpolate::assignments;
pub(super) use keys::{SERVICE, TOP, Treatment};

/// Sources of compose files come after all others, in the order of their stacks.
const ORDER: usize = 500_000;

/// What an included file gives.
pub(super) struct ComposeFile {
    /// Path for people.
    pub file: String,
    /// Name of the project.
    pub project: String,
    pub parts: Vec<PartDraft>,
}

/// `compose = "docker-compose.yml"`, or `{ file, project, profiles = [], env_file }`.
struct Asked {
    path: PathBuf,
    project: Option<String>,
    profiles: BTreeSet<String>,
    env_file: Option<PathBuf>,
}

/// What the services of one file share.
struct Project<'p> {
    name: String,
    folder: PathBuf,
    variables: Variables<'p>,
    profiles: BTreeSet<String>,
    /// Name in the file -> what the engine calls it.
    volumes: BTreeMap<String, String>,
    /// Networks that exist already; the others are replaced by our own.
    external: BTreeMap<String, String>,
    /// Names of networks that the file makes itself.
    networks: BTreeSet<String>,
    /// Secrets and configs that are files.
    files: BTreeMap<String, PathBuf>,
}

/// Reads the file that `field` names. `None` if it cannot be used (that was reported).
pub(super) fn include(field: &Field<'_>, order: usize) -> Option<ComposeFile> {
    let asked = asked(field)?;
    field.pass.watch(&asked.path);
    let text = include::read_text(field.pass, &asked.path, field.at(), &field.key)?;
    let folder = asked.path.parent().map(Path::to_owned).unwrap_or_default();
    let source = Rc::new(Source {
        // Without the `..` on the way there.
        name: include::shown(&asked.path.canonicalize().unwrap_or_else(|_| asked.path.clone())),
        text: Some(text.as_str().into()),
        folder: folder.clone(),
        order: ORDER + order,
        embedded: false,
    });
    let mut root = yaml::parse(&text, &source, field.pass)?;
    let variables = variables(&asked, &folder, field)?;
    fill(&mut root, &variables, "", &mut BTreeSet::new());
    let top = Field { pass: field.pass, node: &root, key_at: &root.at, key: String::new() };
    let mut from = top.table_like("a compose file: `services:` and what belongs to it")?;
    sort_out(&from, "", &TOP);
    let name =
        from.opt("name", values::text).or_else(|| folder.file_name().map(|name| name.to_string_lossy().into_owned()));
    let name = asked.project.unwrap_or_else(|| slug(&name.unwrap_or_default()));
    let volumes = from.or("volumes", BTreeMap::new(), |f| named(f, |key| format!("{name}_{key}")));
    let external = from.or("networks", BTreeMap::new(), |f| externals(f));
    let networks = from.or("networks", BTreeMap::new(), |f| f.map(|_, _| Some(()))).into_keys();
    let mut files = from.or("secrets", BTreeMap::new(), |f| file_sources(f));
    files.extend(from.or("configs", BTreeMap::new(), |f| file_sources(f)));
    let networks = networks.collect();
    let project = Project { name, folder, variables, profiles: asked.profiles, volumes, external, networks, files };
    let Some(services) = from.get("services") else {
        let report = Report::new(from.at, "", "`services` is missing").help("a stack needs at least one service");
        field.pass.problem(report);
        return None;
    };
    let parts = service::services(&services, &project);
    Some(ComposeFile { file: source.name.clone(), project: project.name, parts })
}

fn asked(field: &Field<'_>) -> Option<Asked> {
    if field.node.value.as_text().is_some() {
        return Some(Asked { path: field.path()?, project: None, profiles: BTreeSet::new(), env_file: None });
    }
    let mut from = field.table_like(
        "\"docker-compose.yml\", or { file = \"...\", project = \"...\", profiles = [], env_file = \"...\" }",
    )?;
    if !from.has("file") {
        field.problem("`file` is missing", "give compose = { file = \"docker-compose.yml\" }");
    }
    let path = from.opt("file", Field::path);
    let project = from.opt("project", |f| f.id().map(str::to_owned));
    let profiles = from.or("profiles", Vec::new(), Field::texts).into_iter().collect();
    let env_file = from.opt("env_file", Field::path);
    from.finish();
    Some(Asked { path: path?, project, profiles, env_file })
}

/// Our own environment, then `.env` beside the file.
fn variables<'p>(asked: &Asked, folder: &Path, field: &Field<'p>) -> Option<Variables<'p>> {
    let beside = folder.join(".env");
    let path = asked.env_file.as_ref().or_else(|| beside.is_file().then_some(&beside));
    let file = path.map_or_else(|| Some(BTreeMap::new()), |path| env_file(field, path))?;
    Some(Variables { pass: field.pass, file })
}

/// Reads a `.env` file that `field` asks for.
fn env_file(field: &Field<'_>, path: &Path) -> Option<BTreeMap<String, String>> {
    let text = include::read_text(field.pass, path, field.at(), &field.key)?;
    let read = interpolate::dotenv(&text, field.pass);
    if let Err(line) = &read {
        let message = format!("line {line} of {} is not NAME=value", include::shown(path));
        field.problem(message, "one variable a line, a closed quote, `#` before comments");
    }
    read.ok()
}

/// Fills in every text below `node`; a variable that is set nowhere is told once.
fn fill(node: &mut Node, variables: &Variables<'_>, key: &str, told: &mut BTreeSet<String>) {
    let below = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match &mut node.value {
        Value::Text(text) if text.contains('$') => match variables.fill(text) {
            Ok(filled) => {
                *text = filled.text;
                for name in filled.missing.into_iter().filter(|name| told.insert(name.clone())) {
                    let report =
                        Report::new(&node.at, key, format!("the variable `{name}` is not set: it is left out"));
                    variables.pass.warning(
                        report.help(format!("set {name} in the environment or in .env, or write ${{{name}:-default}}")),
                    );
                }
            }
            Err(message) => {
                let help = if message.starts_with("the variable") {
                    "set it in the environment, or in .env beside the file"
                } else {
                    "write `$$` for a `$` that is none"
                };
                variables.pass.problem(Report::new(&node.at, key, message).help(help));
            }
        },
        Value::List(items) => items.iter_mut().for_each(|item| fill(item, variables, key, told)),
        Value::Table(table) => {
            for (name, Entry { node, .. }) in table {
                fill(node, variables, &below(name), told);
            }
        }
        _ => {}
    }
}

/// Tells the keys of a table that are ignored, refused or unknown.
fn sort_out(from: &Reader<'_>, whose: &str, known: &[(&str, Treatment)]) {
    for (name, field) in from.entries().filter(|(name, _)| !name.starts_with("x-")) {
        let report = |message: String| Report::new(field.key_at, &field.key, message);
        match known.iter().find(|(key, _)| *key == name).map(|(_, treatment)| treatment) {
            Some(Treatment::Mapped(_) | Treatment::Silent(_)) => {}
            Some(Treatment::Ignored(why)) => {
                from.pass.warning(report(format!("`{name}` is ignored: {why}")).help("see config/compose.md"));
            }
            Some(Treatment::Refused(help)) => {
                from.pass.problem(report(format!("`{name}` is not taken over{whose}")).help(*help));
            }
            None => {
                let guess = near::nearest(name, known.iter().map(|(key, _)| *key));
                let help = "config/compose.md lists the keys that are understood; x-... is free for notes";
                from.pass.problem(report(format!("unknown key `{name}`")).suggest(guess).help(help));
            }
        }
    }
}

/// Names of the engine for things that the file names: as given, or made of the project's name as compose does.
fn named(field: &Field<'_>, own: impl Fn(&str) -> String) -> Option<BTreeMap<String, String>> {
    field.map(|key, value| {
        let Value::Table(_) = value.node.value else { return Some(own(key)) };
        let mut from = value.table()?;
        let external = from.or("external", false, values::flag);
        let name = from.opt("name", values::text);
        let driver = from.opt("driver", values::text).filter(|driver| driver != "local");
        if let Some(driver) = driver {
            value.problem(
                format!("the volume driver `{driver}` is not taken over"),
                "make the volume yourself, and say external: true",
            );
        }
        Some(name.unwrap_or_else(|| if external { key.to_owned() } else { own(key) }))
    })
}

/// Networks that exist already, by the engine's name.
fn externals(field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    let read: BTreeMap<String, Option<String>> = field.map(|key, value| {
        let Value::Table(_) = value.node.value else { return Some(None) };
        let mut from = value.table()?;
        let name = from.opt("name", values::text);
        let external = from.or("external", false, values::flag);
        Some(external.then(|| name.unwrap_or_else(|| key.to_owned())))
    })?;
    Some(read.into_iter().filter_map(|(key, name)| Some((key, name?))).collect())
}

/// Secrets and configs that lie in files.
fn file_sources(field: &Field<'_>) -> Option<BTreeMap<String, PathBuf>> {
    field.map(|_, value| {
        let mut from = value.table()?;
        let Some(path) = from.opt("file", values::text) else {
            value.problem(
                "only what lies in a file is taken over",
                "give file: ./name, or use environment with a secret of mcpdeck",
            );
            return None;
        };
        Some(value.at().source.folder.join(path))
    })
}

/// What stands in the file at a place, before variables were filled in.
fn written(at: &Place) -> &str {
    at.source.text.as_ref().and_then(|lines| lines.text.get(at.span.clone())).unwrap_or_default()
}
