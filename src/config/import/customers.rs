//! `mcp_servers.json`: customers with several MCP servers each become tenants with a url, values and secrets of their own
//! for each server.

use super::super::reader::{Field, Reader};
use super::super::tree::{Entry, Node, Table, Value};
use super::keys::{CUSTOMER, CUSTOMER_SERVER, CUSTOMERS};
use super::values::{env_reference, is_secret, is_variable, plain_secret, scalar, url, variable_of, whole_variable};
use super::{Made, imply, keep, put, put_table, sort_out};
use crate::config::pass::Report;
use crate::model::slug;

pub fn read(root: &Field<'_>, made: &mut Made) -> Option<()> {
    let mut from = root.table()?;
    sort_out(&from, &CUSTOMERS);
    let customers = from.get("customers")?;
    let tenants = customers.items()?.iter().filter_map(|item| customer(item, made)).collect();
    put(&mut made.root, "tenant", customers.at(), Value::List(tenants));
    Some(())
}

fn customer(field: &Field<'_>, made: &mut Made) -> Option<Node> {
    let mut from = field.table()?;
    let name = required(&mut from, "name")?;
    let field = Field { key: format!("customers.{name}"), ..field.clone() };
    let mut from = field.table()?;
    sort_out(&from, &CUSTOMER);
    let mut tenant = Table::new();
    keep(&mut tenant, "name", &mut from, "name");
    let mut labels = Table::new();
    keep(&mut labels, "description", &mut from, "description");
    let mut context = Table::new();
    keep(&mut context, "host", &mut from, "host");
    let (mut enabled, mut servers) = (Table::new(), Table::new());
    for item in from.get("mcp_servers").and_then(|list| list.items()).unwrap_or_default() {
        let Some((id, entry)) = server(&item, &slug(&name), made) else { continue };
        if let Some(first) = servers.get(&id) {
            let first: &Entry = first;
            let message = format!("this customer has two servers of the type `{id}`");
            item.problem(message, format!("the first stands at {}: keep one of them", first.node.at.label()));
            continue;
        }
        put(&mut enabled, &id, item.at(), Value::Bool(true));
        servers.insert(id, entry);
    }
    let at = field.at();
    put_table(&mut tenant, "labels", at, labels);
    put_table(&mut tenant, "context", at, context);
    put_table(&mut tenant, "enabled", at, enabled);
    put_table(&mut tenant, "server", at, servers);
    Some(Node { value: Value::Table(tenant), at: at.clone() })
}

fn server(field: &Field<'_>, customer: &str, made: &mut Made) -> Option<(String, Entry)> {
    let mut from = field.table()?;
    sort_out(&from, &CUSTOMER_SERVER);
    let kind = required(&mut from, "type")?;
    let id = slug(&kind);
    if id.is_empty() || !id.is_ascii() {
        from.opt("type", |f| -> Option<()> {
            f.wrong("a word with a letter or digit, such as \"grafana\"");
            None
        });
        return None;
    }
    imply(made, &id, from.place("type"));
    required(&mut from, "url")?;
    let mut out = Table::new();
    if let Some(field) = from.get("url")
        && let Some(node) = url(&field)
    {
        out.insert("url".to_owned(), Entry { key: field.key_at.clone(), node });
    }
    let (config, secrets) = from.opt("config", |f| values(f, customer, &id)).unwrap_or_default();
    put_table(&mut out, "config", field.at(), config);
    put_table(&mut out, "secrets", field.at(), secrets);
    let node = Node { value: Value::Table(out), at: field.at().clone() };
    Some((id, Entry { key: from.place("type").clone(), node }))
}

/// Plain values, and secrets by reference.
fn values(field: &Field<'_>, customer: &str, server: &str) -> Option<(Table, Table)> {
    let (mut config, mut secrets) = (Table::new(), Table::new());
    for (name, value) in field.table()?.entries() {
        let key = value.key_at.clone();
        if let Some(secret) = name.strip_suffix("_env").filter(|secret| !secret.is_empty()) {
            if let Some(node) = variable(&value) {
                secrets.insert(secret.to_owned(), Entry { key, node });
            }
            continue;
        }
        let Some(text) = scalar(&value) else { continue };
        if is_secret(name) && !text.is_empty() {
            let node = match whole_variable(&text) {
                Some(variable) => env_reference(variable, value.at()),
                None => plain_secret(&value, name, &variable_of(&[server, name, customer])),
            };
            secrets.insert(name.to_owned(), Entry { key, node });
        } else {
            config.insert(
                name.to_owned(),
                Entry { key, node: Node { value: Value::Text(text), at: value.at().clone() } },
            );
        }
    }
    Some((config, secrets))
}

/// The variable that a `*_env` key names.
fn variable(field: &Field<'_>) -> Option<Node> {
    let name = field.text()?;
    if is_variable(name) {
        return Some(env_reference(name, field.at()));
    }
    let report = Report::new(field.at(), &field.key, "found what is no name of a variable").hidden();
    field
        .pass
        .problem(report.help("a key that ends with _env names a variable of the environment; the value lies there"));
    None
}

/// A text that must be given.
fn required(from: &mut Reader<'_>, name: &'static str) -> Option<String> {
    if !from.has(name) {
        let report = Report::new(from.at, &from.key, format!("`{name}` is missing"));
        from.pass.problem(report.help("config/import.md shows the shape"));
    }
    from.opt(name, |f| f.full_text().map(str::to_owned))
}
