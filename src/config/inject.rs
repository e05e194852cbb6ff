//! `inject` and `headers`: what may be put into a call, and which names belong to the protocol.

use super::reader::Field;
use crate::model::server::{EnvValue, Inject};
use crate::model::template::Template;
use std::collections::BTreeMap;

/// Headers that the transport or the protocol computes (and all `Mcp-*`).
const RESERVED: [&str; 11] = [
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "accept",
    "last-event-id",
];

/// `inject = { headers = { }, meta = true, arguments = { } }`.
pub(super) fn inject(field: &Field<'_>) -> Option<Inject> {
    let mut from = field.table()?;
    let out = Inject {
        headers: from.or("headers", BTreeMap::new(), |f| f.map(injected_header)),
        meta: from.flag("meta", false),
        arguments: from.or("arguments", BTreeMap::new(), |f| f.map(argument)),
    };
    from.finish();
    Some(out)
}

/// `headers = { Authorization = { env = "TOKEN" } }`.
pub(super) fn headers(field: &Field<'_>) -> Option<BTreeMap<String, EnvValue>> {
    field.map(|name, value| {
        check_header(name, value)?;
        header_value(value, value.env_value(name)?)
    })
}

/// `env = { PORT = "80", TOKEN = { file = "/run/secrets/token" } }`.
pub(super) fn env(field: &Field<'_>) -> Option<BTreeMap<String, EnvValue>> {
    field.map(|name, value| {
        if name.is_empty() || name.contains(['=', '\0']) {
            value.problem(format!("{name:?} is no name of a variable"), "a name is not empty and has no `=`");
            return None;
        }
        value.env_value(name)
    })
}

/// A header is one line, whatever a variable put into it.
fn header_value(field: &Field<'_>, value: EnvValue) -> Option<EnvValue> {
    if let EnvValue::Text(text) = &value
        && text.source().contains(char::is_control)
    {
        field.problem("a header's value is one line", "remove line ends and tabs");
        return None;
    }
    Some(value)
}

fn injected_header(name: &str, value: &Field<'_>) -> Option<Template> {
    check_header(name, value)?;
    if name.eq_ignore_ascii_case("authorization") {
        let help = "credentials stand in headers = { Authorization = { env = \"NAME\" } }, where they are secrets";
        value.problem("Authorization is not tenant context", help);
        return None;
    }
    value.template()
}

fn argument(name: &str, value: &Field<'_>) -> Option<Template> {
    if name.is_empty() || name == "_meta" {
        value.problem(format!("{name:?} is no argument of a tool"), "use meta = true to fill `_meta`");
        return None;
    }
    value.template()
}

/// A header's name by RFC 9110 section 5.6.2, and not one that somebody else computes.
fn check_header(name: &str, value: &Field<'_>) -> Option<()> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        value.problem(format!("{name:?} is no header name"), "letters, digits and `-`");
        return None;
    }
    let lower = name.to_ascii_lowercase();
    if lower.starts_with("mcp-") || RESERVED.contains(&lower.as_str()) {
        let help = "Mcp-*, Host, Content-*, Accept and connection headers are computed for each message; use a name such as X-Customer-ID";
        value.problem(format!("the header `{name}` is reserved"), help);
        return None;
    }
    Some(())
}
