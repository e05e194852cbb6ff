//! `[[route]]` and `[routing]`, and what a `[[server]]` says of how it is spoken to and found.

use super::draft::Draft;
use super::pass::Report;
use super::platform::required;
use super::reader::{Field, Reader};
use crate::model::route::{Lead, RouteRule, Routing};
use crate::model::server::{Hints, QueryTool, Run, ServerDef, TOOL_NAME_MAX, Via};
use crate::model::{ServerId, near};

/// A prefix that leaves no room for a name is a mistake.
const PREFIX_MAX: usize = 48;
const WORDS_MAX: usize = 200;

/// `transport` of a server.
pub(super) fn via(from: &mut Reader<'_>) -> Via {
    // Streamable HTTP is tried first, whether it is named or not.
    let words = [("auto", Via::Auto), ("http", Via::Auto), ("sse", Via::Sse), ("query", Via::Query)];
    from.or("transport", Via::default(), |f| f.choice(&words))
}

/// `prefix`, `query` and `priority` of a server.
pub(super) fn hints(from: &mut Reader<'_>) -> Hints {
    Hints {
        prefix: from.opt("prefix", prefix),
        query: from.opt("query", query_tool),
        priority: from.or("priority", 0, |f| f.integer(-1000..=1000).and_then(|n| n.try_into().ok())),
    }
}

fn prefix(field: &Field<'_>) -> Option<String> {
    let text = field.text()?;
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    if !text.chars().all(good) || text.len() > PREFIX_MAX {
        field.wrong(&format!("letters, digits, `_`, `-` and `.`, {PREFIX_MAX} at most; \"\" for no prefix"));
        return None;
    }
    Some(text.to_owned())
}

fn query_tool(field: &Field<'_>) -> Option<QueryTool> {
    let mut from = field.table_like("{ tool = \"search\", argument = \"query\" }")?;
    let tool = required(&mut from, "tool");
    let argument = required(&mut from, "argument");
    from.finish();
    Some(QueryTool { tool: tool?, argument: argument? })
}

/// Combinations that cannot work.
pub(super) fn check_server(draft: &Draft<'_, ServerDef>) {
    let def = &draft.def;
    if def.via != Via::Auto && !matches!(def.run, Run::Remote { .. } | Run::PerTenant { .. }) {
        let help = "remove transport: it is for a server at a url";
        draft.problem(&["transport"], "what runs here is spoken to as its `run` says", help);
    }
    if def.via == Via::Query && def.hints.query.is_some() {
        let help = "remove query: such an endpoint is shown as the one tool `query`";
        draft.problem(&["query"], "a plain query endpoint has no other tool", help);
    }
    let prefix = def.prefix();
    let long = |tool: &&String| prefix.chars().count() + tool.chars().count() > TOOL_NAME_MAX;
    if let Some(tool) = known_tools(def).iter().find(long) {
        let message = format!("the tool `{prefix}{tool}` has more than {TOOL_NAME_MAX} characters");
        draft.problem(&["prefix"], message, "give a shorter prefix: prefix = \"x_\"");
    }
}

/// What is known of a server's tools before it was ever asked.
fn known_tools(def: &ServerDef) -> Vec<String> {
    let named = def.query_tool().map(|query| query.tool);
    let made_up = if let Run::Simulated(run) = &def.run { run.tools.as_slice() } else { &[] };
    named.into_iter().chain(made_up.iter().cloned()).collect()
}

/// `[[route]]` and `[routing]`. Also holds the prefixes of all servers against each other.
pub(super) fn routing(root: &mut Reader<'_>, servers: &[Draft<'_, ServerDef>]) -> Routing {
    prefixes(servers);
    let mut at = 0;
    let rules = root.or("route", Vec::new(), |f| {
        f.list(|item| {
            at += 1;
            rule(&Field { key: format!("route.{at}"), ..item.clone() }, servers)
        })
    });
    let default = root.opt("routing", |f| {
        let mut from = f.table()?;
        let default = from.opt("default", |f| {
            let mut from = f.table()?;
            let lead = lead(&mut from, 0.5, servers);
            from.finish();
            lead
        });
        from.finish();
        default
    });
    Routing { rules, default }
}

fn rule(field: &Field<'_>, servers: &[Draft<'_, ServerDef>]) -> Option<RouteRule> {
    let mut from = field.table()?;
    let words = from.opt("match", matches);
    if !from.has("match") {
        field.problem("`match` is missing", "match = { query = [\"migration\"] }; [routing] default takes the rest");
    }
    let lead = lead(&mut from, 0.9, servers);
    from.finish();
    let (context, query, substring) = words?;
    Some(RouteRule { context, query, substring, lead: lead?, defined_at: field.at().label() })
}

fn matches(field: &Field<'_>) -> Option<(Vec<String>, Vec<String>, bool)> {
    let mut from = field.table_like("{ context = [\"...\"], query = [\"...\"], substring = false }")?;
    let context = from.or("context", Vec::new(), words);
    let query = from.or("query", Vec::new(), words);
    let substring = from.flag("substring", false);
    let given = from.has("context") || from.has("query");
    from.finish();
    if !given {
        field.problem("neither context nor query is looked at", "match = { query = [\"migration\"] }");
    }
    Some((context, query, substring))
}

/// One word, or several.
fn words(field: &Field<'_>) -> Option<Vec<String>> {
    let words = match field.node.value {
        super::tree::Value::List(_) => field.texts()?,
        _ => vec![field.full_text()?.to_owned()],
    };
    if words.is_empty() || words.len() > WORDS_MAX {
        field.wrong(&format!("1 to {WORDS_MAX} words"));
        return None;
    }
    Some(words.into_iter().map(|word| word.to_lowercase()).collect())
}

fn lead(from: &mut Reader<'_>, confidence: f64, servers: &[Draft<'_, ServerDef>]) -> Option<Lead> {
    if !from.has("target") {
        let report = Report::new(from.at, &from.key, "`target` is missing");
        from.pass.problem(report.help("give target = \"SERVER\""));
    }
    let target = from.opt("target", |f| server(f, servers));
    let confidence = from.or("confidence", confidence, |f| f.number(0.0..=1.0));
    let fallback = from.or("fallback", Vec::new(), |f| match f.node.value {
        super::tree::Value::List(_) => f.list(|item| server(item, servers)),
        _ => Some(vec![server(f, servers)?]),
    });
    let target = target?;
    if fallback.contains(&target) {
        let report = Report::new(from.place("fallback"), &from.key, format!("`{target}` is its own fallback"));
        from.pass.problem(report.help("name another server, or leave fallback out"));
    }
    #[expect(clippy::cast_possible_truncation, reason = "a share between 0 and 1")]
    Some(Lead { target, confidence: confidence as f32, fallback })
}

fn server(field: &Field<'_>, servers: &[Draft<'_, ServerDef>]) -> Option<ServerId> {
    let name = field.full_text()?;
    let known = || servers.iter().map(|server| server.def.id.as_str());
    if known().any(|id| id == name) {
        return Some(name.into());
    }
    let report =
        Report::new(field.at(), &field.key, format!("no server `{name}`")).suggest(near::nearest(name, known()));
    field.pass.problem(report.help(format!("servers: {}", known().take(20).collect::<Vec<_>>().join(", "))));
    None
}

/// A name must tell its server: no prefix may begin with another one. One server may have none at all.
fn prefixes(servers: &[Draft<'_, ServerDef>]) {
    let mut all: Vec<_> = servers.iter().map(|server| (server.def.prefix(), server)).collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    for pair in all.windows(2) {
        let [(short, first), (long, second)] = pair else { continue };
        // A server that is defined twice is told as such.
        if first.def.id == second.def.id || !long.starts_with(short.as_str()) || (short.is_empty() && !long.is_empty())
        {
            continue;
        }
        let message =
            format!("tools of `{}` ({long}...) could be those of `{}` ({short}...)", second.def.id, first.def.id);
        second.problem(&["prefix"], message, "give one of them another prefix: prefix = \"x_\"");
    }
    // Where a server has none, its tools' own names must not begin with another's.
    let (bare, rest): (Vec<_>, Vec<_>) = all.into_iter().partition(|(prefix, _)| prefix.is_empty());
    for (_, draft) in bare {
        let tools = known_tools(&draft.def);
        let taken = |tool: &&String| rest.iter().find(|(prefix, _)| tool.starts_with(prefix.as_str()));
        if let Some((tool, (_, other))) = tools.iter().find_map(|tool| Some((tool, taken(&tool)?))) {
            let message = format!("the tool `{tool}` would be taken for one of `{}`", other.def.id);
            draft.problem(&["prefix"], message, "give it a prefix: prefix = \"x_\"");
        }
    }
}
