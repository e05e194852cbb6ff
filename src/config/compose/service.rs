//! One service of a compose file as a part of a stack.

use super::super::container::forms;
use super::super::container::values::is_target;
use super::super::pass::Report;
use super::super::reader::{Field, Reader};
use super::super::stack::PartDraft;
use super::super::stack::part::{NO_LIMITS, STOP_GRACE, TIMEOUT, blank};
use super::super::tree::Value;
use super::super::value::looks_secret;
use super::{Project, SERVICE, env_file, sort_out, values, written};
use crate::model::container::{ContainerRun, GpuChoice, GpuNeed, Mount, Pull, Speaks};
use crate::model::secret::SecretRef;
use crate::model::server::{EnvValue, Limits};
use crate::model::stack::{PartDef, Readiness, ReadyBy};
use crate::model::template::Template;
use std::collections::{BTreeMap, BTreeSet};

/// What Docker and Podman leave a container of root's powers.
const CAPABILITIES: [&str; 14] = [
    "AUDIT_WRITE",
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "MKNOD",
    "NET_BIND_SERVICE",
    "NET_RAW",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYS_CHROOT",
];

/// Every service that is wanted, in the order of their names.
pub fn services(field: &Field<'_>, project: &Project<'_>) -> Vec<PartDraft> {
    let read: Vec<(String, Option<Service>)> =
        field.map(|name, field| Some(service(name, field, project))).unwrap_or_default();
    let services: Vec<Service> = read.into_iter().filter_map(|(_, service)| service).collect();
    let done: BTreeSet<String> = services.iter().flat_map(|service| service.done.iter().cloned()).collect();
    let with_done = |mut service: Service| {
        if done.contains(&service.part.def.name) {
            service.part.def.ready.by = ReadyBy::Done;
        }
        service.part
    };
    services.into_iter().map(with_done).collect()
}

struct Service {
    part: PartDraft,
    /// Services that it waits for to have ended well.
    done: Vec<String>,
}

/// `None` if its profile is not wanted, or it cannot be used (that was reported).
fn service(name: &str, field: &Field<'_>, project: &Project<'_>) -> Option<Service> {
    let mut from = field.table()?;
    let profiles = from.or("profiles", Vec::new(), values::texts);
    if !profiles.is_empty() && !profiles.iter().any(|profile| project.profiles.contains(profile)) {
        return None;
    }
    sort_out(&from, "", &SERVICE);
    let image = image(&mut from);
    let (needs, done) = from.or("depends_on", (Vec::new(), Vec::new()), |f| depends_on(f));
    let mut run = container(&mut from, project, Template::parse("").ok()?);
    let limits = from.or("deploy", NO_LIMITS, |f| deploy(f, &mut run));
    let limits = own_limits(&mut from, limits);
    if run.gpu.is_none() && from.opt("runtime", values::text).as_deref() == Some("nvidia") {
        run.gpu = Some(GpuNeed { device: visible_devices(&run), memory: None });
    }
    let by = match &run.health {
        Some(health) if health.test != ["NONE"] => ReadyBy::Health,
        _ => ReadyBy::Running,
    };
    let stop_grace = from.or("stop_grace_period", STOP_GRACE, values::duration);
    let def = PartDef {
        name: name.to_owned(),
        needs,
        limits,
        ready: Readiness { by, expected: None, timeout: TIMEOUT, progress: Vec::new() },
        stop_grace,
        ..blank(ContainerRun { image: image?, ..run })
    };
    Some(Service { part: PartDraft::new(def, field, true), done })
}

fn image(from: &mut Reader<'_>) -> Option<Template> {
    if !from.has("image") {
        let message = if from.has("build") { "the image would have to be built" } else { "`image` is missing" };
        let report = Report::new(from.at, &from.key, message);
        from.pass.problem(report.help("build it yourself and name it: image: team/name:tag"));
    }
    from.opt("image", |f| values::literal(&values::text(f)?))
}

fn container(from: &mut Reader<'_>, project: &Project<'_>, image: Template) -> ContainerRun {
    let pulls = [
        ("always", Pull::Always),
        ("missing", Pull::Missing),
        ("if_not_present", Pull::Missing),
        ("never", Pull::Never),
    ];
    let name = |key: &'static str, from: &mut Reader<'_>| from.opt(key, values::text);
    let mut aliases: Vec<String> =
        [name("container_name", from), name("hostname", from)].into_iter().flatten().collect();
    let networks = from.or("networks", Vec::new(), |f| Some(joined(f, project, &mut aliases)));
    aliases.sort_unstable();
    aliases.dedup();
    let mut mounts = Vec::new();
    let mut tmpfs = from.or("tmpfs", Vec::new(), values::texts);
    // Options behind a colon are ours to choose: 64 MiB, nothing executed.
    tmpfs.iter_mut().for_each(|path| path.truncate(path.find(':').unwrap_or(path.len())));
    from.opt("volumes", |f| f.list(|item| volume(item, project, &mut mounts, &mut tmpfs)));
    from.opt("secrets", |f| f.list(|item| file(item, project, "/run/secrets/", &mut mounts)));
    from.opt("configs", |f| f.list(|item| file(item, project, "/", &mut mounts)));
    for path in tmpfs.iter().filter(|path| !is_target(path)) {
        let report = Report::new(from.place("tmpfs"), &from.key, format!("{path:?} is no place for a tmpfs"));
        from.pass.problem(report.help("allowed: an absolute path below `/`, without `..`, such as \"/run\""));
    }
    ContainerRun {
        pull: from.or("pull_policy", Pull::Missing, |f| f.choice(&pulls)),
        entrypoint: from.opt("entrypoint", values::command),
        command: from.opt("command", values::command),
        env: environment(from, project),
        workdir: from.opt("working_dir", values::text),
        user: Some(from.opt("user", values::text).unwrap_or_default()),
        writable_root: !from.or("read_only", false, values::flag),
        tmpfs,
        mounts,
        gpu: from.opt("gpus", values::gpus),
        shm: from.opt("shm_size", values::bytes),
        ports: from.or("ports", Vec::new(), |f| f.list(values::ports)).into_iter().flatten().collect(),
        networks,
        aliases,
        hosts: from.or("extra_hosts", Vec::new(), hosts),
        capabilities: capabilities(from),
        health: from.opt("healthcheck", values::health).filter(|health| !health.test.is_empty()),
        ..ContainerRun::of(image, Speaks::Nothing)
    }
}

/// A list, or `name: { condition }`; what must have ended well is told apart.
fn depends_on(field: &Field<'_>) -> Option<(Vec<String>, Vec<String>)> {
    let Value::Table(_) = field.node.value else { return Some((values::texts(field)?, Vec::new())) };
    let mut done = Vec::new();
    let conditions = [("service_started", false), ("service_healthy", false), ("service_completed_successfully", true)];
    let needs: Vec<(String, ())> = field.map(|name, value| {
        let mut from = value.table()?;
        if from.or("condition", false, |f| f.choice(&conditions)) {
            done.push(name.to_owned());
        }
        // What is not required may be missing altogether; what is there is waited for.
        from.or("required", true, values::flag).then_some(())
    })?;
    Some((needs.into_iter().map(|(name, ())| name).collect(), done))
}

/// External networks that a service joins; its names in the others.
fn joined(field: &Field<'_>, project: &Project<'_>, aliases: &mut Vec<String>) -> Vec<String> {
    let names = match field.node.value {
        Value::Table(_) => {
            let own: Vec<(String, Vec<String>)> = field
                .map(|_, value| match value.node.value {
                    Value::Table(_) => value.table()?.opt("aliases", values::texts),
                    _ => Some(Vec::new()),
                })
                .unwrap_or_default();
            let mut names: BTreeSet<String> = field
                .table()
                .iter()
                .flat_map(|from| from.entries().map(|(name, _)| name.to_owned()).collect::<Vec<_>>())
                .collect();
            aliases.extend(own.into_iter().flat_map(|(_, aliases)| aliases));
            names.remove("default");
            names.into_iter().collect()
        }
        _ => values::texts(field).unwrap_or_default(),
    };
    for name in names.iter().filter(|name| !project.networks.contains(*name) && *name != "default") {
        let known = project.networks.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        field.problem(format!("no network `{name}`"), format!("networks of the file: {known}"));
    }
    names.iter().filter_map(|name| project.external.get(name).cloned()).collect()
}

fn hosts(field: &Field<'_>) -> Option<Vec<String>> {
    match field.node.value {
        Value::Table(_) => {
            let pairs = values::pairs(field)?;
            Some(pairs.into_iter().filter_map(|(name, address, _)| Some(format!("{name}:{}", address?))).collect())
        }
        _ => field.list(forms::host),
    }
}

/// The engine's own, less those dropped, more those added.
fn capabilities(from: &mut Reader<'_>) -> Vec<String> {
    let plain = |name: String| name.trim_start_matches("CAP_").to_ascii_uppercase();
    let dropped: Vec<String> = from.or("cap_drop", Vec::new(), values::texts).into_iter().map(plain).collect();
    let added = from.get("cap_add");
    let all_dropped = dropped.iter().any(|name| name == "ALL");
    let mut left: BTreeSet<String> = CAPABILITIES.iter().map(|name| (*name).to_owned()).collect();
    left.retain(|name| !all_dropped && !dropped.contains(name));
    for name in added.as_ref().and_then(values::texts).unwrap_or_default().into_iter().map(plain) {
        if name == "ALL" {
            if let Some(field) = &added {
                field.problem("all capabilities are not given", "name those that are needed");
            }
        } else {
            left.insert(name);
        }
    }
    left.into_iter().collect()
}

/// `env_file`, and over it `environment`.
fn environment(from: &mut Reader<'_>, project: &Project<'_>) -> BTreeMap<String, EnvValue> {
    let mut out = BTreeMap::new();
    for (name, value) in from.or("env_file", Vec::new(), |f| env_files(f, project)) {
        out.extend(values::literal(&value).map(|text| (name, EnvValue::Text(text))));
    }
    let own = from.or("environment", Vec::new(), values::pairs);
    for (name, value, field) in own {
        if let Some(value) = env_value(&name, value, &field, project) {
            out.insert(name, value);
        }
    }
    out
}

fn env_files(field: &Field<'_>, project: &Project<'_>) -> Option<Vec<(String, String)>> {
    let one = |path: String, field: &Field<'_>| env_file(field, &project.folder.join(path));
    let read = match &field.node.value {
        Value::List(_) => field.list(|item| {
            let Value::Table(_) = item.node.value else { return one(values::text(item)?, item) };
            let mut from = item.table()?;
            let path = from.opt("path", values::text)?;
            let required = from.or("required", true, values::flag);
            (required || project.folder.join(&path).is_file()).then(|| one(path, item)).flatten()
        })?,
        _ => one(values::text(field)?, field).into_iter().collect(),
    };
    Some(read.into_iter().flatten().collect())
}

/// A name alone is passed on from our own environment. What looks like a secret and is one variable stays a reference.
fn env_value(name: &str, value: Option<String>, field: &Field<'_>, project: &Project<'_>) -> Option<EnvValue> {
    let pass = field.pass;
    let Some(value) = value else {
        return pass.env(name).map(|_| EnvValue::Secret(SecretRef::Env(name.to_owned())));
    };
    if looks_secret(name) && !value.is_empty() {
        let source = written(field.at()).trim_matches(['"', '\'']);
        let source = source.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).unwrap_or(source);
        let variable = source.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).or(source.strip_prefix('$'));
        if let Some(variable) = variable.and_then(|inner| inner.split([':', '?', '-']).next())
            && pass.env(variable).is_some()
        {
            return Some(EnvValue::Secret(SecretRef::Env(variable.to_owned())));
        }
        let from_file = project.variables.file.values().any(|other| *other == value);
        let message = format!(
            "`{name}` looks like a secret {}",
            if from_file { "that stands in a .env file" } else { "written as plain text" }
        );
        let report = Report::new(field.at(), &field.key, message).hidden();
        pass.warning(report.help(format!(
            "write {name}: ${{{name}}} and set the variable for mcpdeck; plain text is shown on screen"
        )));
    }
    values::literal(&value).map(EnvValue::Text)
}

/// One volume, short or long.
fn volume(field: &Field<'_>, project: &Project<'_>, mounts: &mut Vec<Mount>, tmpfs: &mut Vec<String>) -> Option<()> {
    let (source, target, read_only) = match field.node.value {
        Value::Table(_) => {
            let mut from = field.table()?;
            let kind = from.or("type", "volume".to_owned(), values::text);
            let source = from.opt("source", values::text);
            let target = from.opt("target", values::text);
            let read_only = from.or("read_only", false, values::flag);
            match kind.as_str() {
                "tmpfs" => {
                    tmpfs.extend(target);
                    return Some(());
                }
                "bind" | "volume" => (source, target?, read_only),
                _ => {
                    field.problem(format!("a mount of type {kind} is not taken over"), "bind, volume and tmpfs are");
                    return None;
                }
            }
        }
        _ => short_volume(&values::text(field)?),
    };
    let Some(source) = source else {
        let report = Report::new(
            field.at(),
            &field.key,
            format!("an anonymous volume at {target} is ignored: the container writes there itself"),
        );
        field.pass.warning(report.help("name it if it is to outlive the container"));
        return None;
    };
    let source = if source.starts_with(['.', '/']) {
        tidy(&project.folder.join(&source))
    } else if let Some(rest) = source.strip_prefix("~/") {
        format!("{}/{rest}", field.pass.env("HOME").unwrap_or("/nonexistent"))
    } else if let Some(volume) = project.volumes.get(&source) {
        volume.clone()
    } else {
        field.problem(
            format!("no volume `{source}`"),
            "name it under `volumes:` at the end of the file, or write ./PATH",
        );
        return None;
    };
    mounts.push(forms::checked_mount(field, values::literal(&source)?, target, read_only)?);
    Some(())
}

fn short_volume(line: &str) -> (Option<String>, String, bool) {
    let mut parts = line.splitn(3, ':');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(source), Some(target), options) => {
            let read_only = options.is_some_and(|options| options.split(',').any(|option| option == "ro"));
            (Some(source.to_owned()), target.to_owned(), read_only)
        }
        (target, ..) => (None, target.unwrap_or_default().to_owned(), false),
    }
}

/// A path without `.` and `..`, for people and for engines.
fn tidy(path: &std::path::Path) -> String {
    let mut out = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => drop(out.pop()),
            part => out.push(part),
        }
    }
    out.display().to_string()
}

/// A secret or config, short or long.
fn file(field: &Field<'_>, project: &Project<'_>, folder: &str, mounts: &mut Vec<Mount>) -> Option<()> {
    let (source, target) = match field.node.value {
        Value::Table(_) => {
            let mut from = field.table()?;
            (from.opt("source", values::text)?, from.opt("target", values::text))
        }
        _ => (values::text(field)?, None),
    };
    let Some(path) = project.files.get(&source) else {
        field.problem(
            format!("no `{source}` among the secrets and configs of the file"),
            "define it at the end of the file, with file: ./name",
        );
        return None;
    };
    let target = target.unwrap_or_else(|| source.clone());
    let target = if target.starts_with('/') { target } else { format!("{folder}{target}") };
    mounts.push(Mount { source: values::literal(&tidy(path))?, target, read_only: true });
    Some(())
}

/// `deploy`: limits, and GPUs of reservations.
fn deploy(field: &Field<'_>, run: &mut ContainerRun) -> Option<Limits> {
    let mut from = field.table()?;
    if from.opt("replicas", values::count).is_some_and(|replicas| replicas != 1) {
        let report = Report::new(from.place("replicas"), &from.key, "a part is one container");
        from.pass.problem(report.help("write the service out as often as it is wanted"));
    }
    let mut limits = NO_LIMITS;
    from.opt("resources", |f| {
        let mut from = f.table()?;
        if let Some(read) = from.opt("limits", |f| own_limit_table(f)) {
            limits = read;
        }
        from.opt("reservations", |f| {
            let mut from = f.table()?;
            run.gpu = from.opt("devices", values::gpus).or(run.gpu.take());
            Some(())
        })
    });
    for key in ["mode", "endpoint_mode", "placement", "update_config", "rollback_config"]
        .into_iter()
        .filter(|key| from.has(key))
    {
        let report = Report::new(
            from.place(key),
            &from.key,
            format!("`{key}` is ignored: there is one engine and one container"),
        );
        from.pass.warning(report.help("see config/compose.md"));
    }
    Some(limits)
}

fn own_limit_table(field: &Field<'_>) -> Option<Limits> {
    let mut from = field.table()?;
    let out = Limits {
        memory: from.opt("memory", values::bytes),
        cpus: from.opt("cpus", values::number),
        pids: from.opt("pids", values::count),
        explicit: true,
    };
    from.finish();
    Some(out)
}

/// `mem_limit`, `cpus` and `pids_limit`, the older form.
fn own_limits(from: &mut Reader<'_>, base: Limits) -> Limits {
    let (memory, cpus, pids) =
        (from.opt("mem_limit", values::bytes), from.opt("cpus", values::number), from.opt("pids_limit", values::count));
    let explicit = base.explicit || memory.is_some() || cpus.is_some() || pids.is_some();
    Limits { memory: memory.or(base.memory), cpus: cpus.or(base.cpus), pids: pids.or(base.pids), explicit }
}

/// What `NVIDIA_VISIBLE_DEVICES` asks the nvidia runtime for.
fn visible_devices(run: &ContainerRun) -> GpuChoice {
    match run.env.get("NVIDIA_VISIBLE_DEVICES") {
        Some(EnvValue::Text(text)) if !matches!(text.source(), "" | "all") => {
            GpuChoice::Devices(text.source().split(',').map(|device| device.trim().to_owned()).collect())
        }
        _ => GpuChoice::All,
    }
}
