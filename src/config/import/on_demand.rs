//! The shell-style settings of an on-demand router: limits, times and folders become `[defaults]` and `[paths]`.

use super::super::compose::assignments;
use super::super::pass::{Pass, Report};
use super::super::reader::{Field, Reader};
use super::super::tree::{Entry, Node, Place, Source, Table, Value};
use super::super::units;
use super::keys::ON_DEMAND;
use super::{Made, put, put_table, sort_out};
use std::rc::Rc;
use std::time::Duration;

/// Reads `NAME=value` lines as one flat table.
pub fn parse(text: &str, source: &Rc<Source>, pass: &Pass<'_>) -> Option<Node> {
    let at = Place::start_of(source);
    match assignments(text, pass) {
        Ok(found) => {
            let entry = |(name, value, span): (String, String, std::ops::Range<usize>)| {
                let at = Place { source: source.clone(), span };
                (name, Entry { key: at.clone(), node: Node { value: Value::Text(value), at } })
            };
            Some(Node { value: Value::Table(found.into_iter().map(entry).collect()), at })
        }
        Err(line) => {
            let starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1));
            let start = starts.into_iter().nth(line - 1).unwrap_or(0);
            let at = Place { source: source.clone(), span: start..start };
            let report = Report::new(&at, "", "this line is not NAME=value").hidden();
            pass.problem(report.help("one variable a line, a closed quote, `#` before comments"));
            None
        }
    }
}

pub fn read(root: &Field<'_>, made: &mut Made) -> Option<()> {
    let mut from = root.table()?;
    sort_out(&from, &ON_DEMAND);
    if from.get("STDIO_ENABLED").is_some_and(|f| f.node.value.as_text() == Some("false"))
        && let Some(field) = from.get("STDIO_ENABLED")
    {
        field.problem("servers on stdin and stdout cannot be switched off", "define none, or leave this line out");
    }
    let mut defaults = Table::new();
    let mut limits = Table::new();
    map(&mut from, "MAX_MEMORY_PER_CONTAINER", &mut limits, "memory", memory, "a size such as 512M or 1g");
    map(&mut from, "MAX_CPU_PER_CONTAINER", &mut limits, "cpus", cpus, "a number such as 1.0");
    put_table(&mut defaults, "limits", root.at(), limits);
    map(&mut from, "AUTO_SHUTDOWN_TIMEOUT", &mut defaults, "idle_stop", seconds, "a number of seconds");
    let mut health = Table::new();
    map(&mut from, "HEALTH_CHECK_INTERVAL", &mut health, "every", seconds, "a number of seconds");
    put_table(&mut defaults, "health", root.at(), health);
    map(&mut from, "STDIO_TIMEOUT", &mut defaults, "timeout", seconds, "a number of seconds");
    put_table(&mut made.root, "defaults", root.at(), defaults);
    let mut paths = Table::new();
    for (name, key) in [("PROD_LOGS", "logs"), ("PROD_VOLUMES", "data"), ("PROD_DATA", "state")] {
        map(&mut from, name, &mut paths, key, |text| Some(Value::Text(text.to_owned())), "a folder");
    }
    put_table(&mut made.root, "paths", root.at(), paths);
    Some(())
}

/// Puts what the variable `name` means at `key`; one that is empty counts as not given.
fn map(
    from: &mut Reader<'_>,
    name: &'static str,
    table: &mut Table,
    key: &str,
    read: impl Fn(&str) -> Option<Value>,
    allowed: &str,
) {
    let Some(field) = from.get(name) else { return };
    let Some(text) = field.text().filter(|text| !text.is_empty()) else { return };
    match read(text.trim()) {
        Some(value) => put(table, key, field.at(), value),
        None => field.wrong(allowed),
    }
}

fn off() -> Value {
    Value::Text("off".to_owned())
}

fn seconds(text: &str) -> Option<Value> {
    match text.strip_suffix('s').unwrap_or(text).parse::<u64>().ok()? {
        0 => Some(off()),
        seconds => Some(Value::Text(units::show_duration(Duration::from_secs(seconds)))),
    }
}

/// A size as engines write it: powers of 1024, whatever the case.
fn memory(text: &str) -> Option<Value> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').unwrap_or(&lower);
    let (digits, shift) = match lower.chars().last()? {
        'k' => (&lower[..lower.len() - 1], 10),
        'm' => (&lower[..lower.len() - 1], 20),
        'g' => (&lower[..lower.len() - 1], 30),
        _ => (lower, 0),
    };
    match digits.parse::<u64>().ok()?.checked_mul(1 << shift)? {
        0 => Some(off()),
        bytes => Some(Value::Text(units::show_size(bytes))),
    }
}

fn cpus(text: &str) -> Option<Value> {
    match text.parse::<f64>().ok()? {
        0.0 => Some(off()),
        cpus => Some(Value::Float(cpus)),
    }
}
