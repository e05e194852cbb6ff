//! A server file in YAML: `name, description, connection { type, url, api_key }, capabilities, use_cases, priority`.

use super::super::reader::{Field, Reader};
use super::super::tree::{Entry, Node, Table, Value};
use super::keys::{CONNECTION, SERVER};
use super::values::{env_value, literal, url};
use super::{Made, desktop, keep, put, put_table, sort_out};
use crate::config::pass::Report;
use crate::model::slug;

pub fn read(root: &Field<'_>, made: &mut Made) -> Option<()> {
    let mut from = root.table()?;
    sort_out(&from, &SERVER);
    for key in ["name", "connection"] {
        if !from.has(key) {
            let report = Report::new(from.at, "", format!("`{key}` is missing"));
            from.pass.problem(report.help("config/import.md shows the shape"));
        }
    }
    let name = from.get("name")?;
    let id = slug(name.full_text()?);
    let mut out = Table::new();
    put(&mut out, "id", name.at(), Value::Text(id.clone()));
    if id != name.full_text()? {
        keep(&mut out, "name", &mut from, "name");
    }
    for key in ["description", "version", "capabilities", "use_cases"] {
        keep(&mut out, key, &mut from, key);
    }
    if let Some(field) = from.get("priority") {
        // There the lowest comes first, here the highest.
        let lowest_first = field.integer(-1000..=1000)?;
        put(&mut out, "priority", field.at(), Value::Integer(-lowest_first));
    }
    let connection = from.get("connection")?;
    connect(&mut connection.table()?, &id, &mut out)?;
    let server = Node { value: Value::Table(out), at: name.at().clone() };
    put(&mut made.root, "server", name.at(), Value::List(vec![server]));
    Some(())
}

fn connect(from: &mut Reader<'_>, id: &str, out: &mut Table) -> Option<()> {
    sort_out(from, &CONNECTION);
    #[derive(Clone, Copy, PartialEq)]
    enum Kind {
        Http,
        Sse,
        Stdio,
        WebSocket,
    }
    let kinds = [
        ("http", Kind::Http),
        ("streamable-http", Kind::Http),
        ("sse", Kind::Sse),
        ("stdio", Kind::Stdio),
        ("ws", Kind::WebSocket),
        ("websocket", Kind::WebSocket),
    ];
    let kind = match from.get("type") {
        Some(field) => {
            let kind = field.choice(&kinds)?;
            if kind == Kind::WebSocket {
                field.problem(
                    "WebSockets are not spoken",
                    "MCP runs over http: give type: http and the http:// address",
                );
                return None;
            }
            kind
        }
        None if from.has("command") => Kind::Stdio,
        None => Kind::Http,
    };
    if kind == Kind::Stdio {
        if !from.has("command") {
            let report = Report::new(from.at, &from.key, "`command` is missing");
            from.pass.problem(report.help("a server on stdin and stdout is a program: command: name, args: [...]"));
            return None;
        }
        put_table(out, "run", from.at, desktop::program(from, id)?);
        return Some(());
    }
    let Some(address) = from.get("url") else {
        from.pass.problem(Report::new(from.at, &from.key, "`url` is missing").help("give url: http://..."));
        return None;
    };
    if kind == Kind::Sse {
        put(out, "transport", address.at(), Value::Text("sse".to_owned()));
    }
    let mut node = url(&address)?;
    if let Value::Text(text) = &mut node.value {
        *text = literal(text);
    }
    out.insert("url".to_owned(), Entry { key: address.key_at.clone(), node });
    if let Some(key) = from.get("api_key") {
        let value: Field<'_> = key.clone();
        let node = env_value(&value, "api_key", id)?;
        let mut headers = Table::new();
        headers.insert("X-API-Key".to_owned(), Entry { key: key.key_at.clone(), node });
        put_table(out, "headers", key.at(), headers);
    }
    Some(())
}
