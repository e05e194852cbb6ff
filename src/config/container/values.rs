//! What single values of a container may be: a place inside, a network, a name, a user, a capability, a GPU.

use crate::config::pass::Report;
use crate::config::reader::Field;
use crate::config::tree::Value;
use crate::model::container::GpuChoice;
use crate::model::near;

/// Word for the image's own user.
const IMAGE_USER: &str = "image";

/// What Linux has, without `CAP_`; `ALL` is no single one.
const CAPABILITIES: [&str; 41] = [
    "AUDIT_CONTROL",
    "AUDIT_READ",
    "AUDIT_WRITE",
    "BLOCK_SUSPEND",
    "BPF",
    "CHECKPOINT_RESTORE",
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "IPC_LOCK",
    "IPC_OWNER",
    "KILL",
    "LEASE",
    "LINUX_IMMUTABLE",
    "MAC_ADMIN",
    "MAC_OVERRIDE",
    "MKNOD",
    "NET_ADMIN",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_RAW",
    "PERFMON",
    "SETFCAP",
    "SETGID",
    "SETPCAP",
    "SETUID",
    "SYSLOG",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_CHROOT",
    "SYS_MODULE",
    "SYS_NICE",
    "SYS_PACCT",
    "SYS_PTRACE",
    "SYS_RAWIO",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "WAKE_ALARM",
];

/// True for an absolute path inside a container at which something may be put.
pub fn is_target(path: &str) -> bool {
    let names = || path.split('/').filter(|name| !name.is_empty());
    path.starts_with('/')
        && !path.contains([':', ','])
        && names().next().is_some()
        && !names().any(|name| name == "." || name == "..")
}

/// Where something is put inside the container.
pub fn target(field: &Field<'_>) -> Option<String> {
    let path = field.full_text()?;
    if !is_target(path) {
        field.wrong("an absolute path below `/`, without `..`, `:` and `,`, such as \"/data\"");
        return None;
    }
    Some(path.to_owned())
}

/// Where an empty folder in memory is put.
pub fn tmpfs(field: &Field<'_>) -> Option<String> {
    match field.full_text()?.split_once(':') {
        Some((path, _)) if is_target(path) => {
            let help = format!("give {path:?} alone: it gets 64 MiB, and nothing in it is executed");
            field.problem("a tmpfs takes no options", help);
            None
        }
        _ => target(field),
    }
}

/// A network of the engine that is joined besides our own.
pub fn network(field: &Field<'_>) -> Option<String> {
    let text = field.full_text()?;
    if matches!(text, "host" | "none" | "default" | "private") || text.starts_with("container:") {
        let help = "a container of ours is in a network of its tenant and joins others beside it; to publish a port use \
                    ports = [\"9300:8000\"]";
        field.problem(format!("`{text}` is a mode, and no network that can be joined"), help);
        return None;
    }
    let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) || !text.chars().all(good) {
        field.wrong("the name of a network that exists, such as \"team_default\"");
        return None;
    }
    Some(text.to_owned())
}

/// True for a name by which one container finds another.
pub fn is_host_name(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.chars().all(good) && !label.starts_with('-') && !label.ends_with('-')
    };
    text.len() <= 253 && text.split('.').all(label)
}

/// A further name in its network.
pub fn alias(field: &Field<'_>) -> Option<String> {
    let text = field.full_text()?;
    if !is_host_name(text) {
        field
            .wrong("a host name such as \"lake\" or \"lake.eaton\": letters, digits, `-` and `_`, parts of 63 at most");
        return None;
    }
    Some(text.to_owned())
}

/// `uid`, `uid:gid`, names instead of numbers, or `image`.
pub fn user(field: &Field<'_>) -> Option<String> {
    let text = field.full_text()?;
    let (user, group) = text.split_once(':').map_or((text, None), |(user, group)| (user, Some(group)));
    if !is_account(user) || !group.is_none_or(is_account) {
        field.wrong("\"uid:gid\", the name of a user of the image, or \"image\" for the one that the image names");
        return None;
    }
    Some(if text == IMAGE_USER { String::new() } else { text.to_owned() })
}

/// A number, or a name as a passwd file has it.
fn is_account(text: &str) -> bool {
    let number = text.parse::<u32>().is_ok() && text.bytes().all(|byte| byte.is_ascii_digit());
    let name = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-".contains(c))
        && text.len() <= 32;
    number || name
}

/// A capability that is given back; `CAP_` and small letters are understood.
pub fn capability(field: &Field<'_>) -> Option<String> {
    let text = field.full_text()?.to_ascii_uppercase();
    let name = text.strip_prefix("CAP_").unwrap_or(&text);
    if CAPABILITIES.contains(&name) {
        return Some(name.to_owned());
    }
    let report = Report::new(field.at(), &field.key, format!("no capability `{name}`"));
    let report = report.suggest(near::nearest(name, CAPABILITIES));
    field.pass.problem(report.help("allowed: names of single capabilities, such as \"NET_BIND_SERVICE\""));
    None
}

/// `0`, `[0, 1]`, `"GPU-uuid"` or `"all"`.
pub fn devices(field: &Field<'_>) -> Option<GpuChoice> {
    if field.node.value.as_text() == Some("all") {
        return Some(GpuChoice::All);
    }
    let devices = match field.node.value {
        Value::List(_) => field.list(device)?,
        _ => vec![device(field)?],
    };
    if devices.is_empty() {
        field.wrong("an index, a UUID, a list of them, or \"all\"");
        return None;
    }
    Some(GpuChoice::Devices(devices))
}

fn device(field: &Field<'_>) -> Option<String> {
    if let Value::Integer(_) = field.node.value {
        return field.count(0..=1023).map(|index| index.to_string());
    }
    let text = field.full_text()?;
    if !["GPU-", "MIG-"].iter().any(|kind| text.starts_with(kind)) {
        field.wrong("an index without quotes (device = 0), or a UUID such as \"GPU-4b1c...\" or \"MIG-77d0...\"");
        return None;
    }
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_places_are_what_an_engine_takes() {
        type Case<'a> = (&'a str, fn(&str) -> bool, &'a [&'a str], &'a [&'a str]);
        let cases: [Case<'_>; 3] = [
            (
                "place",
                is_target,
                &["/data", "/a/b.c", "/a//b", "/..a"],
                &["", "/", "//", "data", "/a/../b", "/..", "/./a", "/a:ro", "/a,b"],
            ),
            (
                "host",
                is_host_name,
                &["lake", "lake.eaton", "a_b", "1"],
                &["", "-a", "a-", "a b", "a..b", "ä", "a:b", &"x".repeat(64)],
            ),
            (
                "account",
                is_account,
                &["0", "4294967295", "www-data", "_apt", "a.b"],
                &["", "4294967296", "+1", "-1", "1a", "a b", "a:b", "ünal"],
            ),
        ];
        for (what, is, good, bad) in cases {
            assert!(good.iter().all(|text| is(text)), "{what}: {:?}", good.iter().find(|text| !is(text)));
            assert!(!bad.iter().any(|text| is(text)), "{what}: {:?}", bad.iter().find(|text| is(text)));
        }
    }
}
