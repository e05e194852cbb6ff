//! Named requests: a call in a file of its own, with variables and with what its answer must be. People share them; the
//! console opens and writes them, `mcpdeck test` runs them.

mod fill;
mod print;

pub use fill::value;
pub use print::print;

use super::pass::{Pass, Report};
use super::problem::Problem;
use super::reader::{Field, Reader};
use super::tree::{self, Node, Source, Value};
use super::units;
use crate::model::{Era, Outcome};
use std::collections::BTreeMap;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

/// A request as its file says it, variables not filled in yet.
#[derive(Clone, Debug, PartialEq)]
pub struct NamedRequest {
    pub description: String,
    /// Id, alias or display name; whoever runs it may name another.
    pub customer: Option<String>,
    pub server: String,
    pub what: What,
    /// JSON text of the arguments (of a tool) or params, or the whole message.
    pub body: String,
    pub era: Option<Era>,
    pub timeout: Option<Duration>,
    /// JSON texts.
    pub vars: BTreeMap<String, String>,
    pub expect: Vec<Expect>,
}

/// What is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    Tool(String),
    Method(String),
    /// A whole message, malformed or not.
    Message,
}

impl What {
    /// For people: the tool, the method, or what it is.
    pub fn name(&self) -> &str {
        match self {
            Self::Tool(name) | Self::Method(name) => name,
            Self::Message => "a raw message",
        }
    }
}

/// Something that must hold of the answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Expect {
    /// Where it stands in the file.
    pub line: usize,
    pub check: Check,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Check {
    Outcome(Outcome),
    Within(Duration),
    /// Of the first thing that a jq filter finds in the answer (the whole JSON-RPC message).
    Answer {
        path: String,
        must: Must,
    },
}

/// JSON texts.
#[derive(Clone, Debug, PartialEq)]
pub enum Must {
    /// Be there, and neither `null` nor `false`.
    Hold,
    Exist(bool),
    Equal(String),
    /// A text within a text, an element of a list, a member of an object.
    Contain(String),
    /// A regular expression.
    Match(String),
    AtLeast(String),
    AtMost(String),
}

impl Must {
    /// What was wanted, for a message: `to contain "EC000042"`.
    pub fn wanted(&self) -> String {
        match self {
            Self::Hold => "to be true".to_owned(),
            Self::Exist(true) => "to be there".to_owned(),
            Self::Exist(false) => "not to be there".to_owned(),
            Self::Equal(value) => format!("to be {value}"),
            Self::Contain(value) => format!("to contain {value}"),
            Self::Match(pattern) => format!("to match {pattern}"),
            Self::AtLeast(value) => format!("to be at least {value}"),
            Self::AtMost(value) => format!("to be at most {value}"),
        }
    }

    /// A jq filter that is true where a value (`.`) is as it must be.
    pub fn filter(&self) -> String {
        match self {
            Self::Hold => ". != null and . != false".to_owned(),
            Self::Exist(true) => ". != null".to_owned(),
            Self::Exist(false) => ". == null".to_owned(),
            Self::Equal(value) => format!(". == {value}"),
            Self::Contain(value) => format!(
                "if type == \"array\" then any(.[]; . == {value}) elif type == \"object\" then has({value}) \
                 elif type == \"string\" then contains({value}) else false end"
            ),
            Self::Match(pattern) => format!("type == \"string\" and test({pattern})"),
            Self::AtLeast(value) => format!("type == \"number\" and . >= {value}"),
            Self::AtMost(value) => format!("type == \"number\" and . <= {value}"),
        }
    }
}

const OUTCOMES: [(&str, Outcome); 8] = [
    ("ok", Outcome::Ok),
    ("tool", Outcome::Tool),
    ("auth", Outcome::Auth),
    ("timeout", Outcome::Timeout),
    ("transport", Outcome::Transport),
    ("protocol", Outcome::Protocol),
    ("refused", Outcome::Refused),
    ("cancelled", Outcome::Cancelled),
];
const ERAS: [(&str, Era); 2] = [("legacy", Era::Legacy), ("modern", Era::Modern)];
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// Reads a request's text; every problem at once. `file` names it in them.
pub fn parse(text: &str, file: &Path) -> Result<NamedRequest, Vec<Problem>> {
    let env = BTreeMap::new();
    let pass = Pass::new(&env);
    let source = Rc::new(Source {
        name: file.display().to_string(),
        text: Some(text.into()),
        folder: file.parent().map(Path::to_owned).unwrap_or_default(),
        order: 0,
        embedded: false,
    });
    let request = tree::parse(text, &source, &pass).and_then(|table| {
        let start = tree::Place::start_of(&source);
        let mut root = Reader::new(&table, &start, String::new(), &pass);
        let request = read(&mut root);
        root.finish();
        request
    });
    let (problems, _) = pass.finish();
    match request.filter(|_| problems.is_empty()) {
        Some(request) => Ok(request),
        None => Err(problems),
    }
}

fn read(root: &mut Reader<'_>) -> Option<NamedRequest> {
    let description = root.text("description").unwrap_or_default();
    let customer = root.opt("customer", Field::full_text).map(str::to_owned);
    let server = root.opt("server", Field::full_text).map(str::to_owned);
    if server.is_none() && !root.has("server") {
        missing(root, "`server` is missing", "name the server that is called: server = \"etim\"");
    }
    let what = what(root);
    let era = root.opt("era", |f| f.choice(&ERAS));
    let timeout = root.opt("timeout", |f| f.duration(Duration::from_millis(1)..=LONGEST));
    let vars = root.or("vars", BTreeMap::new(), |f| f.map(|_, value| json(&value.node.clone())));
    let expect = root.or("expect", Vec::new(), |f| f.list(expect));
    let (what, body) = what?;
    Some(NamedRequest { description, customer, server: server?, what, body, era, timeout, vars, expect })
}

/// One of `tool`, `method` and `message`, and what goes with it.
fn what(root: &mut Reader<'_>) -> Option<(What, String)> {
    let named: Vec<&str> = ["tool", "method", "message"].into_iter().filter(|name| root.has(name)).collect();
    let tool = root.opt("tool", Field::full_text).map(str::to_owned);
    let method = root.opt("method", Field::full_text).map(str::to_owned);
    let message = root.opt("message", |f| f.node.value.as_text()).map(str::to_owned);
    let arguments = root.opt("arguments", body);
    let params = root.opt("params", body);
    if named.len() != 1 {
        let help = "tool = \"search\" with arguments, or method = \"tools/list\" with params, or message = \"{...}\"";
        let found =
            if named.is_empty() { "it calls nothing".to_owned() } else { format!("{} at once", named.join(" and ")) };
        missing(root, &found, help);
        return None;
    }
    for (key, owner) in [("arguments", "tool"), ("params", "method")] {
        if root.has(key) && named[0] != owner {
            let at = root.place(key);
            let report = Report::new(at, key, format!("`{key}` without `{owner}`"));
            root.pass.problem(report.help("a tool takes arguments, a method takes params, a message is whole"));
        }
    }
    match (tool, method, message) {
        (Some(tool), ..) => Some((What::Tool(tool), arguments.unwrap_or_else(|| "{}".to_owned()))),
        (_, Some(method), _) => Some((What::Method(method), params.unwrap_or_default())),
        (.., Some(message)) => Some((What::Message, message)),
        _ => None,
    }
}

fn missing(root: &Reader<'_>, message: &str, help: &str) {
    root.pass.problem(Report::new(root.at, "", message).help(help));
}

/// A table, or JSON text as it is (big numbers keep their digits, `null` can be said).
fn body(field: &Field<'_>) -> Option<String> {
    match &field.node.value {
        Value::Table(_) => json(field.node),
        Value::Text(text) => match serde_json::from_str::<serde::de::IgnoredAny>(text) {
            Ok(_) => Some(text.trim().to_owned()),
            Err(error) => {
                field.problem(format!("this is no JSON: {error}"), "write an object: arguments = '{\"query\": \"x\"}'");
                None
            }
        },
        _ => {
            field.wrong("a table, or JSON text");
            None
        }
    }
}

/// A value of the file as JSON text.
fn json(node: &Node) -> Option<String> {
    Some(match &node.value {
        Value::Text(text) | Value::Time(text) => quote(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => serde_json::Number::from_f64(*number)?.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Nothing => "null".to_owned(),
        Value::List(items) => format!("[{}]", items.iter().filter_map(json).collect::<Vec<_>>().join(",")),
        Value::Table(table) => {
            let members =
                table.iter().filter_map(|(key, entry)| Some(format!("{}:{}", quote(key), json(&entry.node)?)));
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
    })
}

fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// The checks on a path, by their keys.
const MUSTS: &str = "equals, contains, matches, exists, min, max";

fn expect(field: &Field<'_>) -> Option<Expect> {
    let mut from = field.table_like("[[expect]]")?;
    let line = field.at().line_column().0;
    let outcome = from.opt("outcome", |f| f.choice(&OUTCOMES)).map(Check::Outcome);
    let within = from.opt("within", |f| f.duration(Duration::from_millis(1)..=LONGEST)).map(Check::Within);
    let path = from.opt("path", Field::full_text).map(str::to_owned);
    let value = |f: &Field<'_>| json(f.node);
    let musts = [
        from.opt("equals", value).map(Must::Equal),
        from.opt("contains", value).map(Must::Contain),
        from.opt("matches", |f| f.text().map(quote)).map(Must::Match),
        from.opt("exists", Field::flag).map(Must::Exist),
        from.opt("min", value).map(Must::AtLeast),
        from.opt("max", value).map(Must::AtMost),
    ];
    from.finish();
    let musts: Vec<Must> = musts.into_iter().flatten().collect();
    let answer = path.clone().map(|path| Check::Answer { path, must: musts.first().cloned().unwrap_or(Must::Hold) });
    let checks: Vec<Check> = [outcome, within, answer].into_iter().flatten().collect();
    match checks.as_slice() {
        [_] if path.is_none() && !musts.is_empty() => field.problem("there is no path", "path = \".result.isError\""),
        [_] if musts.len() > 1 => field.problem("two checks at once", format!("one of {MUSTS} for each [[expect]]")),
        [check] => return Some(Expect { line, check: check.clone() }),
        [] => field.problem("it expects nothing", format!("outcome, within, or path with one of {MUSTS}")),
        _ => field.problem("two checks at once", "one of outcome, within and path for each [[expect]]"),
    }
    None
}

/// A duration as files have it.
pub(super) fn shown(duration: Duration) -> String {
    units::show_duration(duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHOLE: &str = r#"
description = "A breaker has its class"
customer = "eaton"
server = "etim"
tool = "classify_product"
era = "modern"
timeout = "10s"
arguments = '{"query": "${product}", "limit": 12345678901234567890}'

[vars]
product = "breaker"

[[expect]]
within = "2s"

[[expect]]
path = ".result.content[0].text"
contains = "EC000042"

[[expect]]
path = ".result.structuredContent.hits"
min = 3
"#;

    fn problems(text: &str) -> String {
        let found = parse(text, Path::new("requests/x.toml")).unwrap_err();
        found.iter().map(|p| format!("{}: {}\n", p.headline(), p.help.as_deref().unwrap_or_default())).collect()
    }

    #[test]
    fn a_file_says_what_is_called_and_what_must_come_back() {
        let request = parse(WHOLE, Path::new("x.toml")).unwrap();
        assert_eq!(request.what, What::Tool("classify_product".to_owned()));
        assert_eq!(request.body, r#"{"query": "${product}", "limit": 12345678901234567890}"#, "digits stay");
        let checks: Vec<_> = request.expect.iter().map(|e| (e.line, &e.check)).collect();
        let answer = |path: &str, must| Check::Answer { path: path.to_owned(), must };
        assert_eq!(
            checks,
            [
                (13, &Check::Within(Duration::from_secs(2))),
                (16, &answer(".result.content[0].text", Must::Contain("\"EC000042\"".to_owned()))),
                (20, &answer(".result.structuredContent.hits", Must::AtLeast("3".to_owned()))),
            ]
        );
    }

    #[test]
    fn arguments_may_be_a_table() {
        let text = "server = \"s\"\ntool = \"t\"\n[arguments]\nq = \"x\"\nn = 1.5\ndeep = { list = [1, true] }\n";
        let request = parse(text, Path::new("x.toml")).unwrap();
        assert_eq!(request.body, r#"{"deep":{"list":[1,true]},"n":1.5,"q":"x"}"#);
    }

    #[test]
    fn every_problem_is_told_with_its_line() {
        let both = "tool = \"t\"\nmethod = \"m\"\nsever = \"s\"\n[[expect]]\npath = \".a\"\nequals = 1\nmin = 2\n[[expect]]\noutcom = \"ok\"\n";
        let wrong = "server = \"s\"\ntool = \"t\"\nparams = {}\narguments = '{\"a\" 1}'\ntimeout = \"soon\"\n[[expect]]\noutcome = \"fine\"\n";
        for (text, told) in [
            (both, "x.toml:1:1: `server` is missing"),
            (both, "x.toml:1:1: tool and method at once"),
            (both, "x.toml:3:1: unknown key `sever`; did you mean `server`?"),
            (both, "x.toml:4:1: expect: two checks at once"),
            (both, "x.toml:8:1: expect: it expects nothing"),
            (both, "x.toml:9:1: expect: unknown key `outcom`; did you mean `outcome`?"),
            (wrong, "x.toml:3:10: params: `params` without `method`"),
            (wrong, "x.toml:4:13: arguments: this is no JSON: expected `:` at line 1 column 6"),
            (wrong, "x.toml:5:11: timeout: found text \"soon\""),
            (wrong, "x.toml:7:11: expect.outcome: found text \"fine\""),
        ] {
            let found = problems(text);
            assert!(found.contains(told), "{told} is not in\n{found}");
        }
    }
}
