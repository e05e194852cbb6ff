//! `[platform]`, `[store]`, `[gpu]`, `[ui]` and `[example_traffic]`.

use super::paths::{Paths, Socket};
use super::reader::{Field, Reader};
use super::tree::{Node, Value};
use super::{ExampleCall, ExampleTraffic, GpuConfig, LogFormat, OnHangup, OwnerMode, Platform, StoreConfig, UiConfig};
use crate::model::server::Environment;
use crate::model::slug;
use serde_json::{Map, Number};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Words of [`Environment`].
pub(super) const ENVIRONMENTS: [(&str, Environment); 3] =
    [("lab", Environment::Lab), ("staging", Environment::Staging), ("production", Environment::Production)];

/// `[platform]` and its socket, if that is given.
pub(super) fn platform<'t>(from: Option<&Field<'t>>, embedded: bool) -> (Platform, Option<Socket<'t>>) {
    let mut out = Platform {
        name: "mcpdeck".to_owned(),
        environment: Environment::Lab,
        read_only: false,
        owner: OwnerMode::Auto,
        on_hangup: if embedded { OnHangup::Exit } else { OnHangup::Keep },
        socket_group: None,
        bulk_cap: 10,
        watch: true,
        log_format: LogFormat::Text,
    };
    let Some(mut from) = from.and_then(Field::table) else { return (out, None) };
    out.name = from.or("name", out.name, platform_name);
    out.environment = from.or("environment", out.environment, |f| f.choice(&ENVIRONMENTS));
    out.read_only = from.flag("read_only", out.read_only);
    out.owner = from.or("owner", out.owner, |f| f.choice(&[("auto", OwnerMode::Auto), ("serve", OwnerMode::Serve)]));
    out.on_hangup =
        from.or("on_hangup", out.on_hangup, |f| f.choice(&[("keep", OnHangup::Keep), ("exit", OnHangup::Exit)]));
    out.socket_group = from.opt("socket_group", |f| f.full_text().map(str::to_owned));
    out.bulk_cap = from.or("bulk_cap", out.bulk_cap, |f| f.count(1..=100_000));
    out.log_format =
        from.or("log_format", out.log_format, |f| f.choice(&[("text", LogFormat::Text), ("json", LogFormat::Json)]));
    out.watch = from.flag("watch", out.watch);
    let socket = from.opt("socket", |f| Some((f.path()?, f.at())));
    from.finish();
    (out, socket)
}

/// The name also makes folders and the socket's name.
fn platform_name(field: &Field<'_>) -> Option<String> {
    let name = field.full_text()?;
    if slug(name).is_empty() || name.len() > 64 {
        field.wrong("a name with a letter or digit, 64 characters at most");
        return None;
    }
    Some(name.to_owned())
}

/// `[store]`.
pub(super) fn store(from: Option<&Field<'_>>, paths: &Paths) -> StoreConfig {
    let mut out = StoreConfig {
        path: paths.state.join("mcpdeck.db"),
        calls_per_tenant: 1_000,
        audit_rotate_bytes: 64 << 20,
        audit_keep: 8,
    };
    let Some(mut from) = from.and_then(Field::table) else { return out };
    out.path = from.or("url", out.path, |f| store_path(f, &paths.state));
    out.calls_per_tenant = from.or("calls_per_tenant", out.calls_per_tenant, |f| f.count(0..=10_000_000));
    out.audit_rotate_bytes = from.or("audit_rotate", out.audit_rotate_bytes, |f| f.size(64 << 10..=1 << 40));
    out.audit_keep = from.or("audit_keep", out.audit_keep, |f| f.count(1..=10_000));
    from.finish();
    out
}

/// `sqlite:///absolute` or `sqlite://relative-to-the-state-folder`.
fn store_path(field: &Field<'_>, state: &Path) -> Option<PathBuf> {
    let text = field.env_text()?;
    match text.strip_prefix("sqlite://") {
        Some(path) if !path.is_empty() && !path.ends_with('/') => Some(state.join(path)),
        _ => {
            field.wrong("sqlite:///absolute/file.db, or sqlite://file.db in the state folder");
            None
        }
    }
}

/// `[gpu]`.
pub(super) fn gpu(from: Option<&Field<'_>>) -> GpuConfig {
    let mut out = GpuConfig::default();
    let Some(mut from) = from.and_then(Field::table) else { return out };
    out.library = from.opt("library", Field::path);
    out.every = from.or("every", out.every, |f| f.duration(Duration::from_secs(1)..=Duration::from_secs(3600)));
    out.proc = from.or("proc", out.proc, Field::path);
    from.finish();
    out
}

/// `[ui]`.
pub(super) fn ui(from: Option<&Field<'_>>) -> UiConfig {
    let Some(mut from) = from.and_then(Field::table) else { return UiConfig::default() };
    let out = UiConfig {
        theme: from.opt("theme", |f| f.full_text().map(str::to_owned)),
        ascii: from.flag("ascii", false),
        mouse: from.flag("mouse", false),
        keys: from.or("keys", Default::default(), |f| f.map(|_, chords| chord_list(chords))),
    };
    from.finish();
    out
}

/// One chord, or several.
fn chord_list(field: &Field<'_>) -> Option<Vec<String>> {
    match field.node.value {
        Value::List(_) => field.texts(),
        _ => field.full_text().map(|chord| vec![chord.to_owned()]),
    }
}

/// `[example_traffic]`; names are checked later, against the tenants and servers.
pub(super) fn example_traffic<'t>(from: &Field<'t>) -> Option<(ExampleTraffic, Vec<Field<'t>>)> {
    let mut from = from.table()?;
    let on = from.flag("on", true);
    let period = Duration::from_millis(10)..=Duration::from_secs(86_400);
    let every = from.or("every", Duration::from_secs(2), |f| f.duration(period));
    let items = from.or("call", Vec::new(), Field::items);
    from.finish();
    let (calls, fields) = items.into_iter().filter_map(|item| Some((example_call(&item)?, item))).unzip();
    Some((ExampleTraffic { on, every, calls }, fields))
}

fn example_call(field: &Field<'_>) -> Option<ExampleCall> {
    let mut from = field.table()?;
    let tenant = required(&mut from, "tenant");
    let server = required(&mut from, "server");
    let tool = required(&mut from, "tool");
    let arguments = from.or("arguments", "{}".to_owned(), |f| {
        f.table()?;
        Some(json(f.node).to_string())
    });
    from.finish();
    Some(ExampleCall { tenant: tenant?.into(), server: server?.into(), tool: tool?, arguments })
}

/// A text that must be given.
pub(super) fn required(from: &mut Reader<'_>, name: &'static str) -> Option<String> {
    if !from.has(name) {
        let report = super::pass::Report::new(from.at, &from.key, format!("`{name}` is missing"));
        from.pass.problem(report.help(format!("give {name} = \"...\"")));
    }
    from.opt(name, |f| f.full_text().map(str::to_owned))
}

fn json(node: &Node) -> serde_json::Value {
    match &node.value {
        Value::Text(text) | Value::Time(text) => serde_json::Value::String(text.clone()),
        Value::Integer(number) => (*number).into(),
        // JSON has no NaN and no infinity.
        Value::Float(number) => Number::from_f64(*number).map_or(serde_json::Value::Null, serde_json::Value::Number),
        Value::Bool(value) => (*value).into(),
        Value::Nothing => serde_json::Value::Null,
        Value::List(items) => items.iter().map(json).collect(),
        Value::Table(table) => {
            table.iter().map(|(key, entry)| (key.clone(), json(&entry.node))).collect::<Map<_, _>>().into()
        }
    }
}
