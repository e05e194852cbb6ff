//! The body of a create request, from a filled-in spec and its limits. Pure: must never ask an engine.

use super::{folders, names};
use crate::backend::{BoundMount, ContainerSpec};
use crate::model::container::{GpuChoice, HealthCheck, Port, Reach, Speaks, labels};
use crate::model::server::Limits;
use bollard::models::{
    ContainerCreateBody, DeviceRequest, EndpointSettings, HealthConfig, HostConfig, HostConfigLogConfig, Mount,
    MountType, NetworkingConfig, PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};
use serde_json::Value;
use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

/// Who runs inside unless a config says otherwise: nobody.
pub const NOBODY: &str = "65534:65534";
/// Of `/tmp` and of each named tmpfs; it counts as the container's memory.
const TMPFS: &str = "rw,noexec,nosuid,nodev,mode=1777,size=64m";
/// Networks of the engine itself: they exist, and know no names.
const BUILT_IN: [&str; 3] = ["none", "host", "bridge"];

/// What the engine is asked to make, but for the labels that are no part of a definition: whoever made it, it is the same.
pub fn body(spec: &ContainerSpec, limits: &Limits, extra: &[(&str, String)], podman: bool) -> ContainerCreateBody {
    let stdio = spec.speaks == Speaks::Stdio;
    let ports = bindings(spec);
    let mut exposed: Vec<String> = ports.keys().cloned().chain(inside(&spec.speaks)).collect();
    exposed.sort();
    exposed.dedup();
    let extra = extra.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let own = spec.labels.iter().filter(|(name, _)| name != labels::BOOT).cloned();
    let env = spec.env.iter().map(|(name, value)| format!("{name}={}", value.expose()));
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint: spec.entrypoint.clone(),
        cmd: spec.command.clone(),
        env: Some(env.collect()),
        user: Some(user(spec).to_owned()),
        labels: Some(own.chain(extra).collect()),
        working_dir: spec.workdir.clone(),
        healthcheck: spec.health.as_ref().map(health),
        tty: Some(false),
        attach_stdin: Some(stdio),
        attach_stdout: Some(stdio),
        attach_stderr: Some(stdio),
        open_stdin: Some(stdio),
        stdin_once: Some(stdio),
        exposed_ports: Some(exposed),
        host_config: Some(host(spec, limits, ports, podman)),
        networking_config: endpoint(spec),
        ..ContainerCreateBody::default()
    }
}

/// Who it runs as; empty: the image's own.
pub fn user(spec: &ContainerSpec) -> &str {
    spec.user.as_deref().unwrap_or(NOBODY)
}

/// True if `network` has to be made by somebody.
pub fn is_made(network: &str) -> bool {
    !BUILT_IN.contains(&network)
}

fn host(spec: &ContainerSpec, limits: &Limits, ports: PortMap, podman: bool) -> HostConfig {
    let memory = limits.memory.map(whole);
    let tmpfs = spec.tmpfs.iter().map(String::as_str).chain(["/tmp"]);
    let how = tmpfs_options(user(spec), podman);
    HostConfig {
        memory,
        // The same again: no swap on top.
        memory_swap: memory,
        #[expect(clippy::cast_possible_truncation, reason = "a config's cpus are few; `as` saturates")]
        nano_cpus: limits.cpus.map(|cpus| (cpus * 1e9) as i64),
        pids_limit: limits.pids.map(i64::from),
        readonly_rootfs: Some(!spec.writable_root),
        tmpfs: Some(tmpfs.map(|path| (path.to_owned(), how.clone())).collect()),
        mounts: Some(mounts(spec)),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(spec.capabilities.clone()),
        security_opt: Some(vec!["no-new-privileges".to_owned()]),
        privileged: Some(false),
        shm_size: spec.shm.map(whole),
        device_requests: spec.gpu.as_ref().map(|gpu| vec![device(&gpu.device)]),
        port_bindings: Some(ports),
        network_mode: Some(spec.network.clone()),
        log_config: Some(log(&spec.speaks)),
        // Who comes back, and when, is ours to say.
        restart_policy: Some(RestartPolicy { name: Some(RestartPolicyNameEnum::NO), maximum_retry_count: None }),
        auto_remove: Some(false),
        extra_hosts: Some(spec.hosts.clone()),
        ..HostConfig::default()
    }
}

fn health(check: &HealthCheck) -> HealthConfig {
    let nanoseconds = |time: Duration| Some(time.as_nanos().try_into().unwrap_or(i64::MAX));
    HealthConfig {
        test: Some(check.test.clone()),
        interval: nanoseconds(check.every),
        timeout: nanoseconds(check.timeout),
        retries: Some(check.retries.into()),
        start_period: nanoseconds(check.start),
        start_interval: None,
    }
}

/// Over a folder of the image, a tmpfs gets that folder's rights, whatever it was mounted with: it has to be the user's.
fn tmpfs_options(user: &str, podman: bool) -> String {
    match folders::owner(user) {
        _ if podman => format!("{TMPFS},U"),
        Some((uid, gid)) => format!("{TMPFS},uid={uid},gid={gid}"),
        None => TMPFS.to_owned(),
    }
}

/// An engine counts in signed numbers.
fn whole(bytes: u64) -> i64 {
    bytes.try_into().unwrap_or(i64::MAX)
}

/// A stdio server's stdout is its traffic: written to a log, every message would be on disk. Others get a log that ends.
fn log(speaks: &Speaks) -> HostConfigLogConfig {
    let bounded = || [("max-size", "10m"), ("max-file", "3")].map(|(k, v)| (k.to_owned(), v.to_owned())).into();
    match speaks {
        Speaks::Stdio => HostConfigLogConfig { typ: Some("none".to_owned()), config: None },
        Speaks::Http { .. } | Speaks::Nothing => {
            HostConfigLogConfig { typ: Some("json-file".to_owned()), config: Some(bounded()) }
        }
    }
}

fn mounts(spec: &ContainerSpec) -> Vec<Mount> {
    let data = spec.data.iter().map(|(folder, target)| bind(folder, target));
    data.chain(spec.mounts.iter().map(mount)).collect()
}

fn bind(folder: &Path, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::BIND),
        source: Some(folder.to_string_lossy().into_owned()),
        target: Some(target.to_owned()),
        read_only: Some(false),
        ..Mount::default()
    }
}

fn mount(mount: &BoundMount) -> Mount {
    let typ = if mount.source.starts_with('/') { MountType::BIND } else { MountType::VOLUME };
    Mount {
        typ: Some(typ),
        source: Some(mount.source.clone()),
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        ..Mount::default()
    }
}

fn device(choice: &GpuChoice) -> DeviceRequest {
    let (count, device_ids) = match choice {
        GpuChoice::All => (Some(-1), None),
        GpuChoice::Count(count) => (Some(i64::from(*count)), None),
        GpuChoice::Devices(ids) => (None, Some(ids.clone())),
    };
    let capabilities = Some(vec![vec!["gpu".to_owned()]]);
    DeviceRequest { driver: None, count, device_ids, capabilities, options: None }
}

/// `8000/tcp` of an HTTP server.
pub fn inside(speaks: &Speaks) -> Option<String> {
    match speaks {
        Speaks::Http { port, .. } => Some(format!("{port}/tcp")),
        Speaks::Stdio | Speaks::Nothing => None,
    }
}

fn bindings(spec: &ContainerSpec) -> PortMap {
    let own = match &spec.speaks {
        Speaks::Http { port, reach: Reach::Published, .. } => {
            Some(Port { address: "127.0.0.1".to_owned(), host: None, container: *port })
        }
        _ => None,
    };
    let mut map = PortMap::new();
    for port in own.iter().chain(&spec.ports) {
        let binding = PortBinding {
            host_ip: Some(port.address.clone()),
            host_port: Some(port.host.map(|host| host.to_string()).unwrap_or_default()),
        };
        map.entry(format!("{}/tcp", port.container)).or_default().get_or_insert_default().push(binding);
    }
    map
}

/// Engines before 25 take one network at the creation; the others are joined after it.
fn endpoint(spec: &ContainerSpec) -> Option<NetworkingConfig> {
    let aliases = Some(spec.aliases.clone());
    let settings = EndpointSettings { aliases, ..EndpointSettings::default() };
    is_made(&spec.network)
        .then(|| NetworkingConfig { endpoints_config: Some(HashMap::from([(spec.network.clone(), settings)])) })
}

/// Hash of all that `body` says, whatever the order of its maps.
pub fn definition(body: &ContainerCreateBody) -> String {
    let mut text = String::new();
    write_sorted(&serde_json::to_value(body).unwrap_or_default(), &mut text);
    let hash = names::hash(text.as_bytes());
    zeroize::Zeroize::zeroize(&mut text);
    hash
}

fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (name, value) in entries {
                out.push_str(name);
                out.push(':');
                write_sorted(value, out);
                out.push(',');
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            items.iter().for_each(|item| {
                write_sorted(item, out);
                out.push(',');
            });
            out.push(']');
        }
        plain => out.push_str(&plain.to_string()),
    }
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
