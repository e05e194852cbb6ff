//! Every key of a compose file and what becomes of it. config/compose.md shows the same table; a test holds them equal.

/// What becomes of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Treatment {
    /// Taken over; into what.
    Mapped(&'static str),
    /// Left out without a word, for nothing is lost; why.
    Silent(&'static str),
    /// Left out and listed as a warning; why.
    Ignored(&'static str),
    /// A problem; what to do instead.
    Refused(&'static str),
}

use Treatment::{Ignored, Mapped, Refused, Silent};

const OURS: &str = "restarts are mcpdeck's, with growing pauses";
const HOST: &str = "it would share a part of the host: a stack keeps to its own network and process tree";
const NO_BUILD: &str = "mcpdeck builds no images; it runs the image that `image` names";

/// Keys at the top of a file.
pub const TOP: [(&str, Treatment); 9] = [
    ("configs", Mapped("those in files, mounted read-only")),
    ("include", Refused("name each file in a stack of its own")),
    ("models", Refused("run the model server as a service")),
    ("name", Mapped("name of the project, in the names of its volumes")),
    ("networks", Mapped("external ones are joined; the others become the network of the stack's owner")),
    ("secrets", Mapped("those in files, mounted read-only under /run/secrets")),
    ("services", Mapped("the parts of the stack")),
    ("version", Silent("compose itself ignores it")),
    ("volumes", Mapped("named PROJECT_NAME as with compose, or as `name` says")),
];

/// Keys of a service.
pub const SERVICE: [(&str, Treatment); 85] = [
    ("annotations", Ignored("engines do not need them")),
    ("attach", Silent("logs are always at hand")),
    ("blkio_config", Ignored("there is no limit for block devices")),
    ("build", Ignored(NO_BUILD)),
    ("cap_add", Mapped("added to the engine's default capabilities")),
    ("cap_drop", Mapped("taken from the engine's default capabilities")),
    ("cgroup", Refused(HOST)),
    ("cgroup_parent", Refused("give limits instead")),
    ("command", Mapped("a list, or a line split as a shell does")),
    ("configs", Mapped("files, mounted read-only at /NAME or `target`")),
    ("container_name", Mapped("a further name in the network; the container is called mcpdeck-PLATFORM-STACK-PART")),
    ("cpu_count", Ignored("Windows alone")),
    ("cpu_percent", Ignored("Windows alone")),
    ("cpu_period", Ignored("give cpus")),
    ("cpu_quota", Ignored("give cpus")),
    ("cpu_rt_period", Ignored("give cpus")),
    ("cpu_rt_runtime", Ignored("give cpus")),
    ("cpu_shares", Ignored("give cpus")),
    ("cpus", Mapped("limit of cores")),
    ("cpuset", Ignored("give cpus")),
    ("credential_spec", Refused("Windows alone")),
    (
        "depends_on",
        Mapped("`needs`; a part with a health check is waited for until it is healthy, whatever the condition"),
    ),
    ("deploy", Mapped("resources: limits, and GPUs of reservations; see below")),
    ("develop", Silent("for `compose watch` alone")),
    ("device_cgroup_rules", Refused("GPUs are asked for by deploy.resources.reservations.devices")),
    ("devices", Refused("GPUs are asked for by deploy.resources.reservations.devices")),
    ("dns", Refused("the engine's own name service is used; add `extra_hosts` for single names")),
    ("dns_opt", Ignored("the engine's own name service is used")),
    ("dns_search", Ignored("the engine's own name service is used")),
    ("domainname", Ignored("a container is reached by its part's name")),
    ("entrypoint", Mapped("a list, or a line split as a shell does")),
    ("env_file", Mapped("under `environment`")),
    ("environment", Mapped("a map or a list; a name alone is passed on from our environment")),
    ("expose", Silent("parts reach each other on every port")),
    ("extends", Refused("write the service out, or use a YAML anchor")),
    ("external_links", Refused("join an external network instead")),
    ("extra_hosts", Mapped("names in the hosts file")),
    ("gpus", Mapped("as deploy.resources.reservations.devices")),
    ("group_add", Refused("give `user: uid:gid`")),
    ("healthcheck", Mapped("the part is ready when it is healthy")),
    ("hostname", Mapped("a further name in the network")),
    ("image", Mapped("the image")),
    ("init", Ignored("the image's own first process is used")),
    ("ipc", Refused("give shm_size: it is what model servers want it for")),
    ("isolation", Ignored("Windows alone")),
    ("label_file", Ignored("labels are mcpdeck's")),
    ("labels", Ignored("labels are mcpdeck's")),
    ("links", Silent("every part answers to its name")),
    ("logging", Ignored("logs are read from the engine")),
    ("mac_address", Ignored("the engine picks one")),
    ("mem_limit", Mapped("limit of memory")),
    ("mem_reservation", Ignored("only limits count")),
    ("mem_swappiness", Ignored("only limits count")),
    ("memswap_limit", Ignored("only limits count")),
    ("network_mode", Refused(HOST)),
    ("networks", Mapped("external ones are joined, aliases taken over; fixed addresses are not")),
    ("oom_kill_disable", Refused("a part over its memory limit is killed and started again")),
    ("oom_score_adj", Ignored("limits decide")),
    ("pid", Refused(HOST)),
    ("pids_limit", Mapped("limit of processes")),
    ("platform", Ignored("the engine's own platform is used")),
    ("ports", Mapped("on 127.0.0.1 unless an address is given; TCP alone")),
    ("privileged", Refused("a part never owns the host; give cap_add what it needs")),
    ("profiles", Mapped("left out unless compose = { profiles = [...] } names one of them")),
    ("pull_policy", Mapped("always, missing, if_not_present, never")),
    ("read_only", Mapped("the root cannot be written; without it, it can")),
    ("restart", Silent(OURS)),
    ("runtime", Mapped("`nvidia` asks for all GPUs unless devices are reserved")),
    ("scale", Refused("a part is one container")),
    ("secrets", Mapped("files, mounted read-only under /run/secrets")),
    ("security_opt", Ignored("no-new-privileges always holds; other options are the engine's defaults")),
    ("shm_size", Mapped("size of /dev/shm")),
    ("stdin_open", Silent("nobody types there")),
    ("stop_grace_period", Mapped("time to stop before it is killed")),
    ("stop_signal", Ignored("the image's own is used")),
    ("storage_opt", Ignored("the engine's defaults hold")),
    ("sysctls", Ignored("the engine's defaults hold")),
    ("tmpfs", Mapped("a tmpfs at each path")),
    ("tty", Silent("nobody types there")),
    ("ulimits", Ignored("the engine's defaults hold")),
    ("user", Mapped("the user; without it the image's own")),
    ("userns_mode", Refused(HOST)),
    ("volumes", Mapped("bind mounts, named volumes, tmpfs")),
    ("volumes_from", Refused("name the volumes in both services")),
    ("working_dir", Mapped("the folder that it starts in")),
];

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../config/compose.md");

    #[test]
    fn the_document_shows_these_tables() {
        for keys in [&TOP[..], &SERVICE[..]] {
            assert!(keys.is_sorted_by_key(|(key, _)| *key));
            let row = |(key, treatment): &(&str, Treatment)| match treatment {
                Mapped(into) => format!("| `{key}` | {into} |\n"),
                Silent(why) => format!("| `{key}` | nothing to do: {why} |\n"),
                Ignored(why) => format!("| `{key}` | **ignored**: {why} |\n"),
                Refused(help) => format!("| `{key}` | **refused**: {help} |\n"),
            };
            let table: String = keys.iter().map(row).collect();
            assert!(DOCUMENT.contains(&format!("| --- | --- |\n{table}\n")), "config/compose.md should have:\n{table}");
        }
    }
}
