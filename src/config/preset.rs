//! Presets: public reference servers as small embedded files under `config/presets/`, with parameters.
//!
//! A parameter stands in the command as `{preset.NAME}`, or brings `arguments` of its own that are added when it is given.

use super::container;
use super::inject;
use super::pass::Report;
use super::reader::{Field, Reader};
use super::server::SCOPES;
use super::tree::{self, Place, Source, Value};
use crate::model::container::{ContainerRun, Speaks};
use crate::model::near;
use crate::model::server::{EnvValue, ProcessRun, Run, Scope};
use crate::model::template::Template;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;

/// Name and file of each preset.
const PRESETS: [(&str, &str); 7] = [
    ("everything", include_str!("../../config/presets/everything.toml")),
    ("fetch", include_str!("../../config/presets/fetch.toml")),
    ("filesystem", include_str!("../../config/presets/filesystem.toml")),
    ("git", include_str!("../../config/presets/git.toml")),
    ("memory", include_str!("../../config/presets/memory.toml")),
    ("sequentialthinking", include_str!("../../config/presets/sequentialthinking.toml")),
    ("time", include_str!("../../config/presets/time.toml")),
];

/// What a preset says besides its command; a server's own keys win.
#[derive(Clone, Debug, Default)]
pub(super) struct Preset {
    pub description: String,
    pub capabilities: Vec<String>,
    pub scope: Scope,
}

/// A parameter as the preset's file has it.
struct Parameter {
    description: String,
    default: Option<String>,
    /// Added to the command when the parameter has a value.
    arguments: Vec<String>,
    optional: bool,
}

/// `preset = "git"` or `preset = { name = "git", repository = "..." }`; with `image = "..."` it runs in a container of
/// an image that has its program.
pub(super) fn resolve(field: &Field<'_>) -> Option<(Run, Preset)> {
    let (name, mut given): (String, BTreeMap<&str, Field<'_>>) = match &field.node.value {
        Value::Table(_) => {
            let mut from = field.table()?;
            let name = super::platform::required(&mut from, "name");
            (name?, from.entries().filter(|(key, _)| *key != "name").collect())
        }
        _ => (field.full_text()?.to_owned(), BTreeMap::new()),
    };
    let Some((name, text)) = PRESETS.into_iter().find(|(known, _)| *known == name) else {
        let names = PRESETS.map(|(known, _)| known);
        let report =
            Report::new(field.at(), &field.key, format!("no preset `{name}`")).suggest(near::nearest(&name, names));
        field.pass.problem(report.help(format!("allowed: {}", names.join(", "))));
        return None;
    };
    let source = Rc::new(Source {
        name: format!("preset {name}"),
        text: Some(text.into()),
        folder: PathBuf::from("/"),
        order: usize::MAX,
        embedded: true,
    });
    let table = tree::parse(text, &source, field.pass)?;
    let at = Place::start_of(&source);
    let image = given.remove("image");
    let (process, preset) = read(Reader::new(&table, &at, format!("preset.{name}"), field.pass), field, &given)?;
    let run = match image {
        Some(image) => contained(process, container::image(&image)?)?,
        None => Run::Process(process),
    };
    Some((run, preset))
}

/// The same program inside: its own folder is mounted there.
fn contained(process: ProcessRun, image: Template) -> Option<Run> {
    const DATA: &str = "/data";
    let inside = |text: &Template| Template::parse(&text.source().replace("{data}", DATA)).ok();
    let env = process.env.iter().map(|(name, value)| match value {
        EnvValue::Text(text) => Some((name.clone(), EnvValue::Text(inside(text)?))),
        other => Some((name.clone(), other.clone())),
    });
    Some(Run::Container(Box::new(ContainerRun {
        // Whatever the image would start by itself.
        entrypoint: Some(process.command.iter().map(inside).collect::<Option<_>>()?),
        env: env.collect::<Option<_>>()?,
        data: [("data".to_owned(), DATA.to_owned())].into(),
        ..ContainerRun::of(image, Speaks::Stdio)
    })))
}

fn read(mut from: Reader<'_>, asked: &Field<'_>, given: &BTreeMap<&str, Field<'_>>) -> Option<(ProcessRun, Preset)> {
    let preset = Preset {
        description: from.text("description").unwrap_or_default(),
        capabilities: from.or("capabilities", Vec::new(), Field::texts),
        scope: from.or("scope", Scope::Shared, |f| f.choice(&SCOPES)),
    };
    let parameters: BTreeMap<String, Parameter> =
        from.or("parameters", BTreeMap::new(), |f| f.map(|_, field| parameter(field)));
    let mut command = from.or("command", Vec::new(), Field::texts);
    let env = from.or("env", BTreeMap::new(), inject::env);
    let own_name = from.key.trim_start_matches("preset.").to_owned();
    from.finish();
    refuse_unknown(&parameters, asked, given);
    for (name, parameter) in &parameters {
        let value = match given.get(name.as_str()) {
            Some(field) => Some(field.env_template()?.source().to_owned()),
            None => parameter.default.clone(),
        };
        match value {
            Some(value) => {
                command.extend(parameter.arguments.iter().cloned());
                let hole = format!("{{preset.{name}}}");
                command.iter_mut().for_each(|part| *part = part.replace(&hole, &value));
            }
            None if parameter.optional => {}
            None => {
                let message = format!("the preset needs `{name}`: {}", parameter.description);
                asked.problem(message, format!("preset = {{ name = \"{own_name}\", {name} = \"...\" }}"));
                return None;
            }
        }
    }
    let command = command.iter().map(|part| asked.parse_template(part)).collect::<Option<_>>()?;
    Some((ProcessRun { command, env, ..ProcessRun::default() }, preset))
}

fn parameter(field: &Field<'_>) -> Option<Parameter> {
    let mut from = field.table()?;
    let out = Parameter {
        description: from.text("description").unwrap_or_default(),
        default: from.text("default"),
        arguments: from.or("arguments", Vec::new(), Field::texts),
        optional: from.flag("optional", false),
    };
    from.finish();
    Some(out)
}

fn refuse_unknown(parameters: &BTreeMap<String, Parameter>, asked: &Field<'_>, given: &BTreeMap<&str, Field<'_>>) {
    let names: Vec<&str> = parameters.keys().map(String::as_str).chain(["image", "name"]).collect();
    for (name, field) in given.iter().filter(|(name, _)| !parameters.contains_key(**name)) {
        let report = Report::new(field.key_at, &asked.key, format!("unknown parameter `{name}`"));
        let report = report.suggest(near::nearest(name, names.iter().copied()));
        asked.pass.problem(report.help(format!("allowed here: {}", names.join(", "))));
    }
}
