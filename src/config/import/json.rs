//! JSON with comments as a tree in which every key and value knows its place. The one file that knows `jsonc-parser`.

use super::super::pass::{Pass, Report};
use super::super::tree::{Entry, Node, Place, Source, Table, Value};
use jsonc_parser::ast::{self, ObjectProp};
use jsonc_parser::common::{Range, Ranged};
use jsonc_parser::{CollectOptions, ParseOptions, parse_to_ast};
use std::rc::Rc;

/// Reads a whole file. A syntax error is reported where it stands, without the text around it; then there is no tree.
pub fn parse(text: &str, source: &Rc<Source>, pass: &Pass<'_>) -> Option<Node> {
    let options = ParseOptions {
        allow_comments: true,
        allow_trailing_commas: true,
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        ..ParseOptions::default()
    };
    match parse_to_ast(text, &CollectOptions::default(), &options) {
        Ok(parsed) => match parsed.value {
            Some(value) => Some(node(&value, source, pass)),
            None => {
                let at = Place::start_of(source);
                pass.problem(Report::new(&at, "", "the file is empty").help("it holds an object"));
                None
            }
        },
        Err(error) => {
            let at = place(error.range(), source);
            let report = Report::new(&at, "", format!("not JSON: {}", error.kind())).hidden();
            pass.problem(report.help("comments and commas at the end are allowed; everything else is JSON (RFC 8259)"));
            None
        }
    }
}

fn node(value: &ast::Value<'_>, source: &Rc<Source>, pass: &Pass<'_>) -> Node {
    let at = place(value.range(), source);
    let value = match value {
        ast::Value::StringLit(text) => Value::Text(text.value.to_string()),
        ast::Value::NumberLit(number) => match number.value.parse() {
            Ok(integer) => Value::Integer(integer),
            Err(_) => Value::Float(number.value.parse().unwrap_or(f64::NAN)),
        },
        ast::Value::BooleanLit(flag) => Value::Bool(flag.value),
        ast::Value::NullKeyword(_) => Value::Nothing,
        ast::Value::Array(array) => Value::List(array.elements.iter().map(|item| node(item, source, pass)).collect()),
        ast::Value::Object(object) => Value::Table(table(&object.properties, source, pass)),
    };
    Node { value, at }
}

fn table(properties: &[ObjectProp<'_>], source: &Rc<Source>, pass: &Pass<'_>) -> Table {
    let mut out = Table::new();
    for property in properties {
        let (name, key) = (property.name.as_str().to_owned(), place(property.name.range(), source));
        if let Some(first) = out.get(&name) {
            let report = Report::new(&key, "", format!("`{name}` is given twice")).hidden();
            pass.problem(report.help(format!("it is already given at {}: keep one of them", first.key.label())));
            continue;
        }
        out.insert(name, Entry { key, node: node(&property.value, source, pass) });
    }
    out
}

fn place(range: Range, source: &Rc<Source>) -> Place {
    Place { source: source.clone(), span: range.start..range.end }
}
