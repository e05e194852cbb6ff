//! Values of foreign files: `${NAME}`, braces that mean themselves, and secrets, which become references.

use super::super::pass::Report;
use super::super::reader::Field;
use super::super::tree::{Entry, Node, Place, Table, Value};
use super::super::value::looks_secret;
use super::put;

/// What mcpdeck cannot fill in, of the words that editors use.
const EDITORS: [&str; 4] = ["${input:", "${workspaceFolder", "${userHome", "${command:"];

/// A plain value of this key would be a secret; `*_env` keys name a variable.
pub fn is_secret(name: &str) -> bool {
    looks_secret(name) && !name.ends_with("_env")
}

/// The same, and where a name of a variable belongs stands what is none: the secret itself, by all appearances.
pub fn holds_secret(name: &str, value: &Value) -> bool {
    is_secret(name) || name.ends_with("_env") && value.as_text().is_some_and(|text| !is_variable(text))
}

pub fn has_variable(text: &str) -> bool {
    text.contains("${")
}

/// What an argument of a command line says about secrets.
#[derive(Clone, Copy, Default)]
pub struct Argument {
    /// `--token=value`
    pub holds: bool,
    /// `--token`, and the next argument is the value.
    pub announces: bool,
}

pub fn secret_argument(text: &str) -> Argument {
    let Some(flag) = text.strip_prefix('-').map(|rest| rest.trim_start_matches('-')) else {
        return Argument::default();
    };
    match flag.split_once('=') {
        Some((name, value)) => Argument { holds: looks_secret(name) && !value.is_empty(), announces: false },
        None => Argument { holds: false, announces: looks_secret(flag) },
    }
}

/// The password and the secret parameters in an address.
pub fn url_secrets(text: &str) -> Vec<&str> {
    let Some((_, rest)) = text.split_once("://") else { return Vec::new() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let password = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map(|(_, password)| password);
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let parameters = pairs.filter(|(name, _)| looks_secret(name)).map(|(_, value)| value);
    password.into_iter().chain(parameters).filter(|part| !part.is_empty() && !has_variable(part)).collect()
}

/// The name in a text that is `${NAME}` and nothing else.
pub fn whole_variable(text: &str) -> Option<&str> {
    let name = text.trim().strip_prefix("${")?.strip_suffix('}')?;
    is_variable(name).then_some(name)
}

pub fn is_variable(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(good)
}

/// A variable's name made of what it is for.
pub fn variable_of(parts: &[&str]) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    parts.join("_").chars().map(upper).collect()
}

/// `{ env = "NAME" }`
pub fn env_reference(name: &str, at: &Place) -> Node {
    let mut table = Table::new();
    put(&mut table, "env", at, Value::Text(name.to_owned()));
    Node { value: Value::Table(table), at: at.clone() }
}

/// A secret that stands there in plain text: a reference takes its place, and is told.
pub fn plain_secret(field: &Field<'_>, name: &str, variable: &str) -> Node {
    let message = format!("`{name}` is a secret in plain text: it is not taken over");
    let help = format!(
        "put the value into the variable {variable} of the process that owns the platform (or give {{ file = ... }} or \
         {{ command = ... }}), and remove it from this file"
    );
    field.pass.warning(Report::new(field.at(), &field.key, message).hidden().help(help));
    env_reference(variable, field.at())
}

/// The text of a scalar.
pub fn scalar(field: &Field<'_>) -> Option<String> {
    match &field.node.value {
        Value::Text(_) => field.text().map(str::to_owned),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => {
            field.wrong("text, a number, or true or false");
            None
        }
    }
}

/// Braces mean themselves in a foreign file; those of `${NAME}` stay.
pub fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let end = rest[at..].find('}').map_or(rest.len(), |end| at + end + 1);
        out.push_str(&doubled(&rest[..at]));
        out.push_str(&rest[at..end]);
        rest = &rest[end..];
    }
    out + &doubled(rest)
}

pub fn doubled(text: &str) -> String {
    text.replace('{', "{{").replace('}', "}}")
}

/// A value of an environment or a header: text, or a reference if it is a secret.
pub fn env_value(field: &Field<'_>, name: &str, owner: &str) -> Option<Node> {
    let text = scalar(field)?.replace("${env:", "${");
    if let Some(word) = EDITORS.iter().find(|word| text.contains(**word)) {
        field.problem(
            format!("`{word}...}}` is filled in by an editor, which mcpdeck is not"),
            "write the value, or ${NAME} for a variable of the environment",
        );
        return None;
    }
    let at = field.at();
    if is_secret(name) && !text.is_empty() {
        return Some(match whole_variable(&text) {
            Some(variable) => env_reference(variable, at),
            None if has_variable(&text) => printed(&text, at),
            None => plain_secret(field, name, &variable_of(&[owner, name])),
        });
    }
    Some(Node { value: Value::Text(literal(&text)), at: at.clone() })
}

/// A secret with text around it, such as `Bearer ${TOKEN}`: a command that prints it, so that it is a secret whole.
fn printed(text: &str, at: &Place) -> Node {
    let mut words = String::from("printf %s ");
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "'\\''"));
    let mut rest = text;
    while let Some(from) = rest.find("${") {
        let Some(end) = rest[from..].find('}').map(|end| from + end) else { break };
        words.push_str(&quoted(&rest[..from]));
        words.push_str(&format!("\"${{{}:?it is not set}}\"", &rest[from + 2..end]));
        rest = &rest[end + 1..];
    }
    if !rest.is_empty() {
        words.push_str(&quoted(rest));
    }
    let text = |text: &str| Node { value: Value::Text(text.to_owned()), at: at.clone() };
    let command = Value::List(vec![text("sh"), text("-c"), text(&words)]);
    let mut table = Table::new();
    put(&mut table, "command", at, command);
    Node { value: Value::Table(table), at: at.clone() }
}

/// Every value of a table as an environment or headers.
pub fn env_values(field: &Field<'_>, owner: &str) -> Option<Table> {
    let reader = field.table()?;
    let each = reader.entries().filter_map(|(name, value)| {
        let node = env_value(&value, name, owner)?;
        Some((name.to_owned(), Entry { key: value.key_at.clone(), node }))
    });
    Some(each.collect())
}

/// An address. One with a password or a key in it is refused: addresses are shown on screen.
pub fn url(field: &Field<'_>) -> Option<Node> {
    let text = field.text()?.replace("${env:", "${");
    if !url_secrets(&text).is_empty() {
        let report =
            Report::new(field.at(), &field.key, "the address holds a secret, and addresses are shown on screen");
        field.pass.problem(report.hidden().help("remove it from the address, and give it as a header"));
        return None;
    }
    if let Some((scheme @ ("ws" | "wss"), rest)) = text.split_once("://") {
        let message = format!("{scheme}:// is not spoken");
        let instead = if scheme == "wss" { "https" } else { "http" };
        field.problem(message, format!("MCP runs over http: use the server's own address, such as {instead}://{rest}"));
        return None;
    }
    Some(Node { value: Value::Text(text), at: field.at().clone() })
}
