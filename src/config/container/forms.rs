//! Short forms that everybody knows from other tools: `"9300:8000"`, `"/srv/lake:/lake:ro"`, `"name:address"`.

use super::values::{is_host_name, is_target};
use crate::config::reader::Field;
use crate::config::tree::Value;
use crate::model::container::{Mount, Port};
use crate::model::template::Template;

/// Shape of a mount, for messages.
pub const MOUNT: &str =
    "\"/on/the/host:/inside\", with `:ro` if it is only read, or { source = \"...\", target = \"...\" }";
const PORT: &str = "\"8000\", \"9300:8000\" or \"0.0.0.0:9300:8000\"; without an address it is 127.0.0.1";

/// A published port.
pub fn port(field: &Field<'_>) -> Option<Port> {
    let text = match &field.node.value {
        Value::Integer(number) => number.to_string(),
        Value::Text(text) => text.clone(),
        _ => String::new(),
    };
    let port = parse_port(&text);
    if port.is_none() {
        field.wrong(PORT);
    }
    port
}

/// `container`, `host:container` or `address:host:container`; an address of IPv6 stands in brackets.
pub fn parse_port(text: &str) -> Option<Port> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (rest, container) = text.rsplit_once(':').unwrap_or(("", text));
    let container = number(container)?;
    let (address, host) = match rest.rsplit_once(':') {
        Some((address, host)) => (address.trim_matches(['[', ']']), host),
        None => ("127.0.0.1", rest),
    };
    address.parse::<std::net::IpAddr>().ok()?;
    let host = if host.is_empty() { None } else { Some(number(host)?) };
    Some(Port { address: address.to_owned(), host, container })
}

/// A mount in one text.
pub fn mount(field: &Field<'_>) -> Option<Mount> {
    let text = field.full_text()?;
    let (rest, read_only) = match text.strip_suffix(":ro") {
        Some(rest) => (rest, true),
        None => (text.strip_suffix(":rw").unwrap_or(text), false),
    };
    let Some((source, target)) = rest.rsplit_once(':').filter(|(source, to)| !source.is_empty() && to.starts_with('/'))
    else {
        field.wrong(MOUNT);
        return None;
    };
    checked_mount(field, field.parse_template(source)?, target.to_owned(), read_only)
}

/// A source is an absolute path, a placeholder that stands for one, or the name of a volume.
pub fn checked_mount(field: &Field<'_>, source: Template, target: String, read_only: bool) -> Option<Mount> {
    let text = source.source();
    let volume = |c: char| c.is_ascii_alphanumeric() || "_.-{}".contains(c);
    let relative = text.starts_with('.') || text.starts_with('~');
    if relative || !(text.starts_with(['/', '{']) || text.chars().all(volume)) {
        field.problem(
            format!("{text:?} is neither an absolute path nor the name of a volume"),
            "give the whole path on the host; {data} stands for the container's own folder",
        );
        return None;
    }
    if !is_target(&target) {
        field.problem(
            format!("{target:?} is no place for a mount"),
            "allowed: an absolute path below `/`, without `..`, `:` and `,`, such as \"/data\"",
        );
        return None;
    }
    if text.ends_with("docker.sock") || text.ends_with("podman.sock") {
        let help = "whoever reaches the engine's socket owns the machine; remove the mount";
        field.problem("the engine's own socket would be handed to a container", help);
        return None;
    }
    Some(Mount { source, target, read_only })
}

/// A line of the hosts file.
pub fn host(field: &Field<'_>) -> Option<String> {
    let text = field.full_text()?;
    let parsed = text.split_once([':', '=']).map(|(name, address)| (name.trim(), address.trim()));
    let good = |address: &str| {
        address == "host-gateway" || address.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok()
    };
    match parsed {
        Some((name, address)) if is_host_name(name) && good(address) => Some(format!("{name}:{address}")),
        _ => {
            field.wrong("\"name:192.0.2.1\" or \"name:host-gateway\"");
            None
        }
    }
}

/// True if engines understand the test of a health check; reported if not.
pub fn is_health_test(field: &Field<'_>, test: &[String]) -> bool {
    let good = match test {
        [word] => word == "NONE",
        [word, ..] => word == "CMD" || word == "CMD-SHELL" && test.len() == 2,
        [] => false,
    };
    if !good {
        field.wrong("[\"CMD\", \"program\", \"argument\"] or [\"CMD-SHELL\", \"a line for the shell\"]");
    }
    good
}
