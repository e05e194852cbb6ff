//! The forms that values take in compose files: numbers as text, lines split as a shell does, maps that may be lists.

use super::super::reader::Field;
use super::super::tree::Value;
use super::super::units;
use super::{interpolate, written};
use crate::model::container::{GpuChoice, GpuNeed, HealthCheck, Port};
use crate::model::template::Template;
use std::time::Duration;

/// A text, number or flag as text; a number as it is written (`1.10`).
pub fn text(field: &Field<'_>) -> Option<String> {
    match &field.node.value {
        Value::Text(_) => field.text().map(str::to_owned),
        Value::Integer(_) | Value::Float(_) | Value::Bool(_) => Some(written(field.at()).to_owned()),
        _ => {
            field.wrong("text");
            None
        }
    }
}

/// True or false, also as text that a variable left behind.
pub fn flag(field: &Field<'_>) -> Option<bool> {
    match text(field)?.as_str() {
        "true" => Some(true),
        "false" => Some(false),
        _ => {
            field.wrong("true or false");
            None
        }
    }
}

/// A text in which braces mean nothing.
pub fn literal(text: &str) -> Option<Template> {
    Template::parse(&text.replace('{', "{{").replace('}', "}}")).ok()
}

/// A list of texts, or one text.
pub fn texts(field: &Field<'_>) -> Option<Vec<String>> {
    match field.node.value {
        Value::Nothing => Some(Vec::new()),
        Value::List(_) => field.list(text),
        _ => text(field).map(|one| vec![one]),
    }
}

/// A command: a list, or a line split as a shell does. Nothing is the image's own.
pub fn command(field: &Field<'_>) -> Option<Vec<Template>> {
    let parts = match field.node.value {
        Value::Nothing => return None,
        Value::List(_) => field.list(text)?,
        _ => {
            let words = interpolate::words(&text(field)?);
            if words.is_none() {
                field.problem("a quote is not closed", "write the command as a list: [\"program\", \"argument\"]");
            }
            words?
        }
    };
    parts.iter().map(|part| literal(part)).collect()
}

/// `NAME: value` pairs, or a list of `NAME=value`; a name alone has no value. Each with its field.
pub fn pairs<'t>(field: &Field<'t>) -> Option<Vec<(String, Option<String>, Field<'t>)>> {
    match field.node.value {
        Value::Nothing => Some(Vec::new()),
        Value::List(_) => field.list(|item| {
            let line = text(item)?;
            Some(match line.split_once('=') {
                Some((name, value)) => (name.to_owned(), Some(value.to_owned()), item.clone()),
                None => (line, None, item.clone()),
            })
        }),
        _ => {
            let read: Vec<(String, (Option<String>, Field<'t>))> = field.map(|_, value| match value.node.value {
                Value::Nothing => Some((None, value.clone())),
                _ => Some((Some(text(value)?), value.clone())),
            })?;
            Some(read.into_iter().map(|(name, (value, field))| (name, value, field)).collect())
        }
    }
}

/// Bytes: a number, or one with `b`, `k`, `m`, `g`, `kb`, ... by 1024.
pub fn bytes(field: &Field<'_>) -> Option<u64> {
    let written = text(field)?.to_ascii_lowercase();
    let end = written.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(written.len());
    let (digits, unit) = written.split_at(end);
    let shift = match unit.trim().trim_end_matches("ib").trim_end_matches('b') {
        "" => Some(0),
        "k" => Some(10),
        "m" => Some(20),
        "g" => Some(30),
        "t" => Some(40),
        _ => None,
    };
    // A fraction of a unit is far below 2^53 bytes, where an f64 is exact.
    let value = shift.and_then(|shift| Some((digits.parse::<f64>().ok()? * f64::from(2).powi(shift)) as u64));
    value.filter(|value| *value < 1 << 50).or_else(|| {
        field.wrong("a size such as \"512m\" or \"16gb\"");
        None
    })
}

pub fn duration(field: &Field<'_>) -> Option<Duration> {
    let value = units::duration(&text(field)?);
    if value.is_none() {
        field.wrong("a duration such as \"30s\" or \"1m30s\"");
    }
    value
}

pub fn number(field: &Field<'_>) -> Option<f64> {
    let value = text(field)?.parse::<f64>().ok().filter(|value| value.is_finite() && *value > 0.0);
    if value.is_none() {
        field.wrong("a number above 0");
    }
    value
}

/// A whole number above 0; 0 and -1 stand for no limit.
pub fn count(field: &Field<'_>) -> Option<u32> {
    let written = text(field)?;
    let value = written.parse::<i64>().ok().and_then(|value| u32::try_from(value.max(0)).ok());
    if value.is_none() {
        field.wrong("a whole number");
    }
    value.filter(|value| *value > 0)
}

/// Ports of one entry: a range makes several.
pub fn ports(field: &Field<'_>) -> Option<Vec<Port>> {
    if let Value::Table(_) = field.node.value {
        return long_port(field).map(|port| vec![port]);
    }
    let line = text(field)?;
    let (line, protocol) = line.split_once('/').unwrap_or((&line, "tcp"));
    if protocol != "tcp" {
        field.problem(format!("the port {line}/{protocol} is not published"), "only TCP ports are; remove it");
        return None;
    }
    let ports = short_ports(line);
    match &ports {
        None => field.wrong("\"8000\", \"9300:8000\" or \"127.0.0.1:9300:8000\"; ranges of 100 ports at most"),
        Some(ports) => {
            told_loopback(field, line.matches(':').count() < 2 && ports.iter().any(|port| port.host.is_some()))
        }
    }
    ports
}

/// Compose publishes to the whole network what names no address; mcpdeck does not.
fn told_loopback(field: &Field<'_>, silent: bool) {
    if silent {
        let report = super::Report::new(field.at(), &field.key, "published on 127.0.0.1 alone: no address is given");
        field.pass.warning(
            report
                .help("write 127.0.0.1:HOST:CONTAINER if that is meant, 0.0.0.0:HOST:CONTAINER for the whole network"),
        );
    }
}

fn short_ports(line: &str) -> Option<Vec<Port>> {
    let (rest, container) = line.rsplit_once(':').unwrap_or(("", line));
    let containers = range(container)?;
    let (address, host) = match rest.rsplit_once(':') {
        Some((address, host)) => (address.trim_matches(['[', ']']), host),
        None => ("127.0.0.1", rest),
    };
    address.parse::<std::net::IpAddr>().ok()?;
    let hosts: Vec<Option<u16>> = match host {
        "" => containers.iter().map(|_| None).collect(),
        host => range(host)?.into_iter().map(Some).collect(),
    };
    let port = |(host, container)| Port { address: address.to_owned(), host, container };
    (hosts.len() == containers.len()).then(|| hosts.into_iter().zip(containers).map(port).collect())
}

fn range(text: &str) -> Option<Vec<u16>> {
    let number = |text: &str| text.parse::<u16>().ok().filter(|port| *port > 0);
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (number(from)?, number(to)?);
    (from <= to && to - from < 100).then(|| (from..=to).collect())
}

fn long_port(field: &Field<'_>) -> Option<Port> {
    let mut from = field.table()?;
    let port = |f: &Field<'_>| {
        let port = text(f)?.parse::<u16>().ok().filter(|port| *port > 0);
        if port.is_none() {
            f.wrong("a port from 1 to 65535");
        }
        port
    };
    let target = from.opt("target", port);
    let published = from.opt("published", port);
    let address = from.opt("host_ip", text);
    let protocol = from.or("protocol", "tcp".to_owned(), text);
    if !from.has("target") {
        field.problem("`target` is missing", "give the port inside the container");
    }
    if protocol != "tcp" {
        field.problem(format!("a {protocol} port is not published"), "only TCP ports are; remove it");
        return None;
    }
    told_loopback(field, address.is_none() && published.is_some());
    Some(Port { address: address.unwrap_or_else(|| "127.0.0.1".to_owned()), host: published, container: target? })
}

/// One of `devices`, or of `gpus`. `None` for what is no GPU (that was reported).
pub fn gpu(field: &Field<'_>) -> Option<GpuChoice> {
    if let Value::Text(_) | Value::Integer(_) = field.node.value {
        return how_many(field);
    }
    let mut from = field.table()?;
    let capabilities = from.or("capabilities", Vec::new(), texts);
    let driver = from.or("driver", "nvidia".to_owned(), text);
    let count = from.opt("count", how_many);
    let ids = from.opt("device_ids", texts);
    let is_gpu = capabilities.is_empty() || capabilities.iter().any(|word| word == "gpu" || word == "nvidia");
    if driver != "nvidia" || !is_gpu {
        field.problem(
            format!("a device of {driver} with {} is not reserved", capabilities.join(", ")),
            "NVIDIA GPUs are: driver: nvidia, capabilities: [gpu]",
        );
        return None;
    }
    Some(match ids {
        Some(ids) => GpuChoice::Devices(ids),
        None => count.unwrap_or(GpuChoice::All),
    })
}

fn how_many(field: &Field<'_>) -> Option<GpuChoice> {
    match text(field)?.as_str() {
        "all" | "-1" => Some(GpuChoice::All),
        number => {
            let count = number.parse().ok().filter(|count| *count > 0).map(GpuChoice::Count);
            if count.is_none() {
                field.wrong("a number of GPUs, or \"all\"");
            }
            count
        }
    }
}

/// GPUs of `devices` as one need; the first entry counts.
pub fn gpus(field: &Field<'_>) -> Option<GpuNeed> {
    let choices = match field.node.value {
        Value::List(_) => field.list(gpu)?,
        _ => gpu(field).into_iter().collect(),
    };
    if choices.len() > 1 {
        field.problem("several entries reserve GPUs", "reserve them in one: device_ids: [\"0\", \"1\"]");
    }
    choices.into_iter().next().map(|device| GpuNeed { device, memory: None })
}

/// `healthcheck`.
pub fn health(field: &Field<'_>) -> Option<HealthCheck> {
    let mut from = field.table()?;
    let base = HealthCheck::default();
    let disabled = from.or("disable", false, flag);
    let test = from.opt("test", |f| match f.node.value {
        Value::List(_) => f.list(text).filter(|test| super::super::container::forms::is_health_test(f, test)),
        _ => text(f).map(|line| vec!["CMD-SHELL".to_owned(), line]),
    });
    let out = HealthCheck {
        test: if disabled { vec!["NONE".to_owned()] } else { test.unwrap_or_default() },
        every: from.or("interval", base.every, duration),
        timeout: from.or("timeout", base.timeout, duration),
        retries: from.or("retries", base.retries, count),
        start: from.or("start_period", base.start, duration),
    };
    from.get("start_interval");
    from.finish();
    // Times without a test change those of the image's own.
    Some(out)
}
