//! The keys of a container: what `run = { backend = "docker", ... }` and a `part` of a stack have in common.

pub(super) mod forms;
pub(super) mod values;

use super::engine::Engines;
use super::inject;
use super::pass::Report;
use super::reader::{Field, Reader};
use super::run::program;
use super::tree::Value;
use crate::model::container::{Adopt, ContainerRun, GpuChoice, GpuNeed, HealthCheck, Mount, Pull, Reach, Speaks};
use crate::model::template::Template;
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

const MEMORY: RangeInclusive<u64> = 1 << 20..=1 << 50;

/// A server's container: the common keys, how it is spoken to, and its engine.
pub(super) fn server(from: &mut Reader<'_>, engines: &Engines) -> Option<ContainerRun> {
    let engine = from.opt("engine", |f| engines.name(f));
    let speaks = speaks(from);
    let run = container(from)?;
    Some(ContainerRun { engine, speaks, ..run })
}

/// A container without MCP; its engine is said elsewhere.
pub(super) fn container(from: &mut Reader<'_>) -> Option<ContainerRun> {
    if !from.has("image") {
        let report = Report::new(from.at, &from.key, "`image` is missing");
        from.pass.problem(report.help("give image = \"name:tag\""));
    }
    let image = from.opt("image", image);
    let pulls = [("missing", Pull::Missing), ("always", Pull::Always), ("never", Pull::Never)];
    let out = ContainerRun {
        pull: from.or("pull", Pull::Missing, |f| f.choice(&pulls)),
        entrypoint: from.opt("entrypoint", program),
        command: from.opt("command", arguments),
        env: from.or("env", BTreeMap::new(), inject::env),
        workdir: from.opt("workdir", inside),
        user: from.opt("user", values::user),
        writable_root: from.flag("writable_root", false),
        tmpfs: from.or("tmpfs", Vec::new(), |f| f.list(values::tmpfs)),
        data: from.or("data", BTreeMap::new(), data),
        mounts: from.or("mounts", Vec::new(), |f| f.list(mount)),
        gpu: from.opt("gpu", gpu),
        shm: from.opt("shm", |f| f.size(MEMORY)),
        ports: from.or("ports", Vec::new(), |f| f.list(forms::port)),
        networks: from.or("networks", Vec::new(), |f| f.list(values::network)),
        aliases: from.or("aliases", Vec::new(), |f| f.list(values::alias)),
        hosts: from.or("hosts", Vec::new(), |f| f.list(forms::host)),
        capabilities: from.or("capabilities", Vec::new(), |f| f.list(values::capability)),
        health: from.opt("healthcheck", health),
        ..ContainerRun::of(Template::parse("").ok()?, Speaks::Nothing)
    };
    Some(ContainerRun { image: image?, ..out })
}

/// `port` makes it HTTP; without one it speaks on stdin and stdout.
fn speaks(from: &mut Reader<'_>) -> Speaks {
    let port = from.opt("port", |f| f.count(1..=65_535)).and_then(|port| u16::try_from(port).ok());
    let path = from.or("path", "/mcp".to_owned(), inside);
    let reaches = [("published", Reach::Published), ("address", Reach::Address)];
    let reach = from.or("reach", Reach::Published, |f| f.choice(&reaches));
    match port {
        Some(port) => Speaks::Http { port, path, reach },
        None => {
            for key in ["path", "reach"].into_iter().filter(|key| from.has(key) && !from.has("port")) {
                let report = Report::new(from.place(key), &from.key, format!("`{key}` without `port`"));
                from.pass
                    .problem(report.help(
                        "give the port that it listens on inside; without one it speaks MCP on stdin and stdout",
                    ));
            }
            Speaks::Stdio
        }
    }
}

pub(super) fn image(field: &Field<'_>) -> Option<Template> {
    let image = field.template()?;
    if image.source().contains(char::is_whitespace) || image.source().contains("://") {
        field.wrong("an image such as \"registry.example/team/name:tag\", without http://");
        return None;
    }
    Some(image)
}

fn arguments(field: &Field<'_>) -> Option<Vec<Template>> {
    field.list(|item| item.parse_template(item.text()?))
}

/// An absolute path inside the container.
pub(super) fn inside(field: &Field<'_>) -> Option<String> {
    let path = field.full_text()?;
    if !path.starts_with('/') {
        field.wrong("an absolute path inside the container, such as \"/data\"");
        return None;
    }
    Some(path.to_owned())
}

fn data(field: &Field<'_>) -> Option<BTreeMap<String, String>> {
    field.map(|name, path| {
        let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        if name.is_empty() || name.len() > 64 || !name.chars().all(good) {
            path.problem(format!("{name:?} is no name of a folder"), "letters, digits, `-` and `_`");
            return None;
        }
        values::target(path)
    })
}

/// `"source:target[:ro]"`, or `{ source, target, read_only }`.
fn mount(field: &Field<'_>) -> Option<Mount> {
    if let Value::Table(_) = field.node.value {
        let mut from = field.table()?;
        let source = from.opt("source", Field::template);
        let target = from.opt("target", values::target);
        let read_only = from.flag("read_only", false);
        let whole = from.has("source") && from.has("target");
        from.finish();
        if !whole {
            field.wrong(forms::MOUNT);
        }
        return forms::checked_mount(field, source?, target?, read_only);
    }
    forms::mount(field)
}

fn gpu(field: &Field<'_>) -> Option<GpuNeed> {
    const SHAPE: &str = "{ device = 0 | [0, 1] | \"all\" | \"GPU-uuid\" } or { count = 2 }, with memory = \"32GiB\"";
    let mut from = field.table_like(SHAPE)?;
    let device = from.opt("device", values::devices);
    let count = from.opt("count", |f| f.count(1..=64)).map(GpuChoice::Count);
    let memory = from.opt("memory", |f| f.size(MEMORY));
    let (has_device, has_count) = (from.has("device"), from.has("count"));
    from.finish();
    if has_device == has_count {
        field.problem("a GPU is asked for by `device` or by `count`", format!("allowed: {SHAPE}"));
        return None;
    }
    Some(GpuNeed { device: device.or(count)?, memory })
}

/// `{ test = ["CMD", "prog"], every, timeout, retries, start }`, or `"off"`.
fn health(field: &Field<'_>) -> Option<HealthCheck> {
    let base = HealthCheck::default();
    if field.is_off() {
        return Some(HealthCheck { test: vec!["NONE".to_owned()], ..base });
    }
    let mut from = field.table_like("{ test = [\"CMD\", \"program\"], every = \"30s\" }, or \"off\"")?;
    let wait = |f: &Field<'_>| f.duration(Duration::from_millis(1)..=Duration::from_secs(86_400));
    let test = from.opt("test", |f| f.command().filter(|test| forms::is_health_test(f, test)));
    let out = HealthCheck {
        test: Vec::new(),
        every: from.or("every", base.every, wait),
        timeout: from.or("timeout", base.timeout, wait),
        retries: from.or("retries", base.retries, |f| f.count(1..=1000)),
        start: from.or("start", base.start, |f| f.duration(Duration::ZERO..=Duration::from_secs(86_400))),
    };
    if !from.has("test") {
        field.problem("`test` is missing", "give test = [\"CMD\", \"program\", \"argument\"]");
    }
    from.finish();
    Some(HealthCheck { test: test?, ..out })
}

/// `{ compose_project = "etim" }` or `{ container = "etim-1" }`.
pub(super) fn adopt(field: &Field<'_>) -> Option<Adopt> {
    const SHAPE: &str = "{ compose_project = \"etim\" } or { container = \"name\" }";
    let mut from = field.table_like(SHAPE)?;
    let text = |f: &Field<'_>| f.full_text().map(str::to_owned);
    let project = from.opt("compose_project", text).map(Adopt::ComposeProject);
    let container = from.opt("container", text).map(Adopt::Container);
    let both = from.has("compose_project") && from.has("container");
    let neither = !from.has("compose_project") && !from.has("container");
    from.finish();
    if both || neither {
        field.problem("what is adopted is named by one of two keys", format!("allowed: {SHAPE}"));
        return None;
    }
    project.or(container)
}
