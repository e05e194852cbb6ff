//! `mcpServers` of desktop clients and editors: each becomes a server that tenants may enable.

use super::super::reader::{Field, Reader};
use super::super::tree::{Entry, Node, Table, Value};
use super::keys::{DESKTOP, DESKTOP_SERVER};
use super::values::{doubled, env_values, literal, secret_argument, url};
use super::{Made, keep, put, put_table, sort_out};
use crate::config::pass::Report;
use crate::model::slug;

pub fn read(root: &Field<'_>, made: &mut Made) -> Option<()> {
    let mut from = root.table()?;
    sort_out(&from, &DESKTOP);
    let servers = from.get("mcpServers").or_else(|| from.get("servers"))?;
    let read = servers.table()?.entries().filter_map(|(name, field)| server(name, &field)).collect();
    put(&mut made.root, "server", servers.at(), Value::List(read));
    Some(())
}

fn server(name: &str, field: &Field<'_>) -> Option<Node> {
    let mut from = field.table()?;
    sort_out(&from, &DESKTOP_SERVER);
    let id = slug(name);
    let mut out = Table::new();
    put(&mut out, "id", field.key_at, Value::Text(id.clone()));
    if id != name {
        put(&mut out, "name", field.key_at, Value::Text(name.to_owned()));
    }
    keep(&mut out, "description", &mut from, "description");
    let address = ["url", "serverUrl", "httpUrl"].into_iter().find_map(|key| from.get(key));
    match (address, from.has("command")) {
        (Some(address), false) => remote(&address, &mut from, &id, &mut out)?,
        (None, true) => put_table(&mut out, "run", field.at(), program(&mut from, &id)?),
        (Some(address), true) => {
            address.problem("both `command` and an address say where it runs", "keep one of them");
            return None;
        }
        (None, false) => {
            field.problem("neither `command` nor `url` says where it runs", "give one of them");
            return None;
        }
    }
    Some(Node { value: Value::Table(out), at: field.key_at.clone() })
}

fn remote(address: &Field<'_>, from: &mut Reader<'_>, id: &str, out: &mut Table) -> Option<()> {
    for key in ["type", "transport"] {
        if let Some(field) = from.get(key)
            && field.node.value.as_text() == Some("sse")
        {
            put(out, "transport", field.at(), Value::Text("sse".to_owned()));
        }
    }
    let mut node = url(address)?;
    if let Value::Text(text) = &mut node.value {
        *text = literal(text);
    }
    out.insert("url".to_owned(), Entry { key: address.key_at.clone(), node });
    if let Some(headers) = from.get("headers") {
        put_table(out, "headers", headers.at(), env_values(&headers, id)?);
    }
    Some(())
}

/// A process: the program, its arguments, its environment.
pub fn program(from: &mut Reader<'_>, id: &str) -> Option<Table> {
    let mut run = Table::new();
    let command = from.get("command")?;
    let mut parts = vec![word(&command)?];
    let mut announced = false;
    for item in from.opt("args", Field::items).unwrap_or_default() {
        let said = item.node.value.as_text().map(secret_argument).unwrap_or_default();
        if said.holds || announced && !item.node.value.as_text().is_some_and(|text| text.starts_with('-')) {
            let report =
                Report::new(item.at(), &item.key, "a secret on a command line: everybody on the machine reads it");
            item.pass.problem(report.hidden().help("give it in `env`, where it becomes a reference"));
        }
        announced = said.announces;
        parts.push(word(&item)?);
    }
    put(&mut run, "command", command.at(), Value::List(parts));
    if let Some(cwd) = from.get("cwd") {
        run.insert("cwd".to_owned(), Entry { key: cwd.key_at.clone(), node: word(&cwd)? });
    }
    if let Some(env) = from.get("env") {
        put_table(&mut run, "env", env.at(), env_values(&env, id)?);
    }
    Some(run)
}

/// One word of a command line, as it stands.
fn word(field: &Field<'_>) -> Option<Node> {
    let text = field.text()?;
    if text.contains("${") {
        field.problem(
            "`${...}` is not filled in on command lines",
            "write the value, or give it in `env` and let the program read it",
        );
        return None;
    }
    Some(Node { value: Value::Text(doubled(text)), at: field.at().clone() })
}
