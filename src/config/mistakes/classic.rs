//! The classic mistakes of containers, found before anything starts.

use super::{At, Seen};
use crate::config::draft::Draft;
use crate::config::pass::{Pass, Report};
use crate::config::stack::Spot;
use crate::model::container::{GpuChoice, Port, Speaks};
use crate::model::server::{EnvValue, Run, Scope, ServerDef};
use crate::model::stack::ReadyBy;
use std::collections::BTreeMap;

/// Finds them all.
pub fn check(seen: &[Seen<'_, '_>], servers: &[Draft<'_, ServerDef>], pass: &Pass<'_>) {
    ports(seen, pass);
    let listeners = listeners(seen, servers);
    for container in seen {
        visible_devices(container, pass);
        loopback(container, &listeners, pass);
        host_name(container, pass);
    }
    shares(seen, pass);
}

/// A host port is given once per engine and address.
fn ports(seen: &[Seen<'_, '_>], pass: &Pass<'_>) {
    let mut taken: BTreeMap<(&str, u16), Vec<(&Port, &Seen<'_, '_>)>> = BTreeMap::new();
    for container in seen {
        for port in &container.run.ports {
            let Some(host) = port.host else { continue };
            if let At::Server(server) = container.at
                && server.def.scope != Scope::Shared
            {
                let message = format!("the host port {host} is given to every instance of `{}`", server.def.id);
                let report = Report::new(container.place(Spot::Ports), container.key(), message);
                pass.problem(report.help("leave the host port out: \"CONTAINER\" alone, and the engine picks one"));
                continue;
            }
            let others = taken.entry((&container.engine, host)).or_default();
            if let Some((_, first)) = others.iter().find(|(other, _)| overlap(&other.address, &port.address)) {
                let message = format!("the host port {host} is given twice: {} has it already", first.whose);
                let report = Report::new(container.place(Spot::Ports), container.key(), message);
                pass.problem(report.help(format!(
                    "it is given at {}; change one of them, or leave the host port out",
                    first.place(Spot::Ports).label()
                )));
            }
            others.push((port, container));
        }
    }
}

fn overlap(one: &str, other: &str) -> bool {
    let any = |address: &str| address == "0.0.0.0" || address == "::";
    one == other || any(one) || any(other)
}

/// Inside, the devices that a container was given count from 0, whatever they are called outside.
fn visible_devices(container: &Seen<'_, '_>, pass: &Pass<'_>) {
    let Some(EnvValue::Text(visible)) = container.run.env.get("CUDA_VISIBLE_DEVICES") else { return };
    let given = match container.run.gpu.as_ref().map(|need| &need.device) {
        Some(GpuChoice::Devices(devices)) => devices.len(),
        Some(GpuChoice::Count(count)) => *count as usize,
        Some(GpuChoice::All) | None => return,
    };
    let indexes = visible.source().split(',').filter_map(|index| index.trim().parse::<usize>().ok());
    let Some(beyond) = indexes.filter(|index| *index >= given).max() else { return };
    let devices = if given == 1 { "a single reserved device".to_owned() } else { format!("{given} reserved devices") };
    container.warn(
        pass,
        Spot::Env("CUDA_VISIBLE_DEVICES"),
        format!("CUDA_VISIBLE_DEVICES={} beside {devices}: inside, index {beyond} does not exist", visible.source()),
        "inside a container its devices count from 0: remove the variable, or write 0".to_owned(),
    );
}

/// Who listens on a port of this machine.
struct Listener<'d> {
    whose: String,
    engine: Option<&'d str>,
    /// Name and port by which others of its stack reach it.
    inside: Option<(&'d str, &'d str, u16)>,
}

/// Host ports of containers, and of servers whose url is on our loopback.
fn listeners<'d>(seen: &'d [Seen<'_, '_>], servers: &[Draft<'_, ServerDef>]) -> BTreeMap<u16, Listener<'d>> {
    let mut out = BTreeMap::new();
    for server in servers {
        if let Run::Remote { url, .. } = &server.def.run {
            for port in loopback_ports(url.source()) {
                out.insert(port, Listener { whose: format!("server `{}`", server.def.id), engine: None, inside: None });
            }
        }
    }
    for container in seen {
        for port in &container.run.ports {
            let Some(host) = port.host else { continue };
            let inside = container.stack.map(|stack| (stack, container.name, port.container));
            out.insert(host, Listener { whose: container.whose.clone(), engine: Some(&container.engine), inside });
        }
    }
    out
}

/// Inside a container, loopback is the container itself.
fn loopback(container: &Seen<'_, '_>, listeners: &BTreeMap<u16, Listener<'_>>, pass: &Pass<'_>) {
    let own = own_ports(container);
    let run = container.run;
    let env = run.env.iter().filter_map(|(name, value)| match value {
        EnvValue::Text(text) => Some((Spot::Env(name), text.source())),
        _ => None,
    });
    let lists = [&run.entrypoint, &run.command].into_iter().flatten().flatten();
    for (spot, text) in env.chain(lists.map(|part| (Spot::Command, part.source()))) {
        for port in loopback_ports(text).into_iter().filter(|port| !own.contains(port)) {
            let Some(listener) = listeners.get(&port) else { continue };
            let message = format!(
                "a container is told to reach port {port} of its own loopback, where {} is not",
                listener.whose
            );
            let help = match listener.inside {
                Some((stack, name, inside)) if container.stack == Some(stack) => {
                    format!("parts of a stack reach each other by name: {name}:{inside}")
                }
                _ if listener.engine.is_some_and(|engine| engine != container.engine) => {
                    "it runs on another engine: use an address that both networks reach".to_owned()
                }
                _ => "let it listen on an address of the network, and give hosts = [\"host.docker.internal:host-gateway\"] (extra_hosts in compose)".to_owned(),
            };
            container.warn(pass, spot, message, help);
        }
    }
}

/// Ports that the container itself listens on, by all that is known.
fn own_ports(container: &Seen<'_, '_>) -> Vec<u16> {
    let mut own: Vec<u16> = container.run.ports.iter().map(|port| port.container).collect();
    if let Speaks::Http { port, .. } = container.run.speaks {
        own.push(port);
    }
    if let At::Part(part) = container.at
        && let ReadyBy::Http { port, .. } = part.def.ready.by
    {
        own.push(port);
    }
    own
}

/// Ports behind `localhost:`, `127.0.0.1:` and `[::1]:` in a text.
fn loopback_ports(text: &str) -> Vec<u16> {
    let mut out = Vec::new();
    for name in ["localhost:", "127.0.0.1:", "[::1]:"] {
        for (at, _) in text.match_indices(name) {
            let rest = &text[at + name.len()..];
            let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
            out.extend(rest[..end].parse::<u16>().ok());
        }
    }
    out
}

/// On Linux the host's name is unknown inside unless it is given.
fn host_name(container: &Seen<'_, '_>, pass: &Pass<'_>) {
    const NAME: &str = "host.docker.internal";
    if container.run.hosts.iter().any(|line| line.starts_with(NAME)) {
        return;
    }
    for (name, value) in &container.run.env {
        if matches!(value, EnvValue::Text(text) if text.source().contains(NAME)) {
            container.warn(
                pass,
                Spot::Env(name),
                format!("`{NAME}` is unknown inside: Linux engines give it no address by themselves"),
                format!("give hosts = [\"{NAME}:host-gateway\"] (extra_hosts in compose), and let the service listen on more than 127.0.0.1"),
            );
        }
    }
}

/// Model servers that together want more than a whole device.
fn shares(seen: &[Seen<'_, '_>], pass: &Pass<'_>) {
    let mut taken: BTreeMap<(&str, &str), (f64, Vec<String>)> = BTreeMap::new();
    for container in seen {
        let Some(GpuChoice::Devices(devices)) = container.run.gpu.as_ref().map(|need| &need.device) else { continue };
        let Some(share) = share(container) else { continue };
        for device in devices {
            let (sum, others) = taken.entry((&container.engine, device)).or_default();
            *sum += share;
            if *sum > 1.0 && !others.is_empty() {
                let message = format!(
                    "the device {device} is promised to {:.0} %: to {} and to this",
                    *sum * 100.0,
                    others.join(", ")
                );
                container.warn(
                    pass,
                    Spot::Command,
                    message,
                    "lower --gpu-memory-utilization, or use another device".to_owned(),
                );
            }
            others.push(container.whose.clone());
        }
    }
}

/// What `--gpu-memory-utilization` of vLLM takes of its devices; 0.9 is its default.
fn share(container: &Seen<'_, '_>) -> Option<f64> {
    let parts: Vec<&str> = container.run.command.iter().flatten().map(|part| part.source()).collect();
    let after = parts.iter().position(|part| *part == "--gpu-memory-utilization").and_then(|at| parts.get(at + 1));
    let joined = parts.iter().find_map(|part| part.strip_prefix("--gpu-memory-utilization="));
    let given = after.copied().or(joined).and_then(|share| share.parse::<f64>().ok());
    given.filter(|share| share.is_finite()).or_else(|| container.run.image.source().contains("vllm").then_some(0.9))
}
