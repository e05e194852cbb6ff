//! Where a request goes that names no server: a pure function over an immutable table. Knows neither calls nor states.

use super::table::Route;
use crate::model::route::{Considered, Decision, Lead, RouteAsk, RouteBy, RouteRule, Routing};
use crate::model::{Environment, ServerDef, ServerId};
use serde_json::Value;
use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

/// How sure a capability, and a use case, make.
const BY_CAPABILITY: f32 = 0.6;
const BY_USE_CASE: f32 = 0.5;
/// Further texts of a request are not looked at.
const TEXT_BYTES: usize = 64 << 10;
/// Words of a use case that are too short to mean anything.
const SHORT_WORD: usize = 3;

/// Nothing leads anywhere, and what was looked at.
#[derive(Clone, Debug, PartialEq)]
pub struct Nowhere {
    pub error: String,
    pub considered: Vec<Considered>,
}

impl fmt::Display for Nowhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.error)?;
        for one in self.considered.iter().filter(|one| one.why != self.error) {
            write!(f, "; {}: {}", one.what, one.why)?;
        }
        Ok(())
    }
}

/// Decides for a tenant to whom `routes` lead.
pub fn decide(routing: &Routing, routes: &[&Arc<Route>], ask: &RouteAsk) -> Result<Decision, Nowhere> {
    let context = lowered(&ask.context);
    let query = lowered(&ask.query);
    let mut work = Work { routes, considered: Vec::new() };
    if let Some(name) = &ask.target {
        return work.explicit(name);
    }
    for (at, rule) in routing.rules.iter().enumerate() {
        let (what, place) = (format!("rule {}", at + 1), Some(&rule.defined_at));
        let hit = hit(rule, &context, &query);
        if let Some(decision) = work.lead(&rule.lead, RouteBy::Rule, (what, place), hit) {
            return Ok(decision);
        }
    }
    if let Some(decision) =
        work.by_words(RouteBy::Capability, &query).or_else(|| work.by_words(RouteBy::UseCase, &query))
    {
        return Ok(decision);
    }
    if let Some(lead) = &routing.default
        && let Some(decision) =
            work.lead(lead, RouteBy::Default, ("default".to_owned(), None), Some("nothing else matches".to_owned()))
    {
        return Ok(decision);
    }
    let error = "no rule, capability, use case or default leads anywhere: name a target, or give [routing] default";
    Err(Nowhere { error: error.to_owned(), considered: work.considered })
}

struct Work<'r> {
    routes: &'r [&'r Arc<Route>],
    considered: Vec<Considered>,
}

impl Work<'_> {
    fn find(&self, server: &ServerId) -> Option<&Arc<Route>> {
        self.routes.iter().find(|route| route.server.id == *server).copied()
    }

    fn consider(&mut self, what: String, target: Option<ServerId>, chosen: bool, why: String) {
        self.considered.push(Considered { what, target, chosen, why });
    }

    fn explicit(mut self, name: &str) -> Result<Decision, Nowhere> {
        let named = |def: &ServerDef| def.id.as_str() == name || def.name.eq_ignore_ascii_case(name);
        let found = self.routes.iter().find(|route| named(&route.server)).map(|route| route.server.id.clone());
        let Some(target) = found else {
            // As for a server that there is not: a caller must not learn what others have.
            let error = format!("unknown server `{name}`");
            self.consider("target".to_owned(), None, false, error.clone());
            return Err(Nowhere { error, considered: self.considered });
        };
        let reason = format!("the request names `{target}`");
        self.consider("target".to_owned(), Some(target.clone()), true, reason.clone());
        Ok(self.decision(target, RouteBy::Explicit, reason, 1.0, Vec::new()))
    }

    /// A rule or the default; `hit` says what matched.
    fn lead(
        &mut self,
        lead: &Lead,
        by: RouteBy,
        (name, place): (String, Option<&String>),
        hit: Option<String>,
    ) -> Option<Decision> {
        let target = lead.target.clone();
        let what = place.map_or_else(|| name.clone(), |place| format!("{name} ({place})"));
        let Some(hit) = hit else {
            self.consider(what, Some(target), false, "none of its words is there".to_owned());
            return None;
        };
        if self.find(&target).is_none() {
            self.consider(what, Some(target), false, format!("{hit}, but the customer has not enabled its target"));
            return None;
        }
        self.consider(what, Some(target.clone()), true, hit.clone());
        let fallback = lead.fallback.iter().filter(|server| self.find(server).is_some()).cloned().collect();
        let decision = self.decision(target, by, format!("{name}: {hit}"), lead.confidence, fallback);
        Some(Decision { defined_at: place.cloned(), ..decision })
    }

    /// The server most of whose capabilities (or use cases) the query names. The others that fit are its fallback, where
    /// they are of the same environment.
    fn by_words(&mut self, by: RouteBy, query: &str) -> Option<Decision> {
        let mut found: Vec<(Vec<&str>, &Arc<Route>)> = Vec::new();
        for route in self.routes {
            let words: Vec<&str> = match by {
                RouteBy::Capability => named(&route.server.capabilities, |word| holds_word(query, word)),
                _ => named(&route.server.use_cases, |text| holds_all(query, text)),
            };
            if !words.is_empty() {
                found.push((words, route));
            }
        }
        found.sort_by_key(|(words, route)| {
            (Reverse(words.len()), Reverse(route.server.hints.priority), route.server.id.clone())
        });
        let Some((words, best)) = found.first() else {
            let what = if by == RouteBy::Capability { "capabilities" } else { "use cases" };
            self.consider(what.to_owned(), None, false, "the query names none".to_owned());
            return None;
        };
        let environment = environment(best);
        let rest = found[1..].iter().filter(|(_, route)| self::environment(route) == environment);
        let fallback: Vec<_> = rest.map(|(_, route)| route.server.id.clone()).collect();
        let (target, why) =
            (best.server.id.clone(), format!("the query names its {} \"{}\"", by.name(), words.join("\", \"")));
        let others: Vec<_> =
            found[1..].iter().map(|(words, route)| (route.server.id.clone(), words.join("\", \""))).collect();
        self.consider(by.name().to_owned(), Some(target.clone()), true, why.clone());
        for (server, words) in others {
            self.consider(
                by.name().to_owned(),
                Some(server),
                false,
                format!("fits less or is less preferred: \"{words}\""),
            );
        }
        let confidence = if by == RouteBy::Capability { BY_CAPABILITY } else { BY_USE_CASE };
        Some(self.decision(target, by, why, confidence, fallback))
    }

    fn decision(
        &mut self,
        target: ServerId,
        by: RouteBy,
        reason: String,
        confidence: f32,
        fallback: Vec<ServerId>,
    ) -> Decision {
        let considered = std::mem::take(&mut self.considered);
        Decision { target, by, reason, defined_at: None, confidence, fallback, considered }
    }
}

/// What a server counts as for one tenant.
fn environment(route: &Route) -> Environment {
    route.server.environment.unwrap_or(route.tenant.environment)
}

/// Which of a rule's words is where.
fn hit(rule: &RouteRule, context: &str, query: &str) -> Option<String> {
    let holds = |text: &str, word: &str| if rule.substring { text.contains(word) } else { holds_word(text, word) };
    let find = |words: &[String], text: &str, place: &str| {
        let word = words.iter().find(|word| holds(text, word))?;
        Some(format!("\"{word}\" in the {place}"))
    };
    find(&rule.context, context, "context").or_else(|| find(&rule.query, query, "query"))
}

fn named(texts: &[String], holds: impl Fn(&str) -> bool) -> Vec<&str> {
    texts.iter().filter(|text| holds(&text.to_lowercase())).map(String::as_str).collect()
}

/// True if `word` stands in `text` with no letter, digit or `_` beside it. Both in lower case.
fn holds_word(text: &str, word: &str) -> bool {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let whole = |(at, _): (usize, &str)| !text[..at].ends_with(part) && !text[at + word.len()..].starts_with(part);
    !word.is_empty() && text.match_indices(word).any(whole)
}

/// True if every word of `phrase` that means something stands in `text`.
fn holds_all(text: &str, phrase: &str) -> bool {
    let mut words =
        phrase.split(|c: char| !c.is_alphanumeric()).filter(|word| word.chars().count() > SHORT_WORD).peekable();
    words.peek().is_some() && words.all(|word| holds_word(text, word))
}

fn lowered(text: &str) -> String {
    text[..text.floor_char_boundary(TEXT_BYTES)].to_lowercase()
}

/// What a request body says of where it wants to go: `{"query", "context", "target" (or "mcp_name")}`. `context` is a text,
/// or an object whose texts count.
pub fn read_ask(json: &str) -> Result<RouteAsk, String> {
    let body: Value = serde_json::from_str(json).map_err(|e| format!("not JSON: {e}"))?;
    let Value::Object(body) = body else { return Err("not an object: {\"query\": \"...\"}".to_owned()) };
    let text = |name: &str| match body.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(format!("`{name}` is no text")),
    };
    let target = text("target")?.or(text("mcp_name")?).filter(|name| !name.is_empty());
    let context = body.get("context").map(texts_of).unwrap_or_default();
    Ok(RouteAsk { target, context, query: text("query")?.unwrap_or_default() })
}

/// Every text and number in a request's context, one a line.
pub fn texts_of(context: &Value) -> String {
    let mut texts = String::new();
    collect(context, &mut texts);
    texts
}

fn collect(value: &Value, out: &mut String) {
    match value {
        Value::Null => {}
        Value::String(text) => {
            out.push_str(text);
            out.push('\n');
        }
        Value::Bool(_) | Value::Number(_) => {
            out.push_str(&value.to_string());
            out.push('\n');
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
        Value::Object(members) => members.values().for_each(|item| collect(item, out)),
    }
}

#[cfg(test)]
mod tests;
