//! `route`: where a request would go that names no server, and why. Calls nothing.

use super::args::{Global, Output};
use super::error::{Code, Error};
use super::get::odd_answer;
use super::names;
use super::output::Align::Left;
use super::output::{Column, json_line, maybe, print, print_rows};
use super::session::{Need, Session};
use crate::model::route::{Candidate, Considered, RoutePreview};
use crate::model::{Answer, Query};
use crate::router::read_ask;

const CONSIDERED: &[Column] = &[("", Left), ("LOOKED AT", Left), ("SERVER", Left), ("WHY", Left)];
const CANDIDATES: &[Column] =
    &[("TRIED", Left), ("INSTANCE", Left), ("STATE", Left), ("BREAKER", Left), ("PASSED OVER", Left)];

/// Prints the decision, what was looked at, and where each candidate stands.
pub fn run(global: &Global, tenant: &str, request: &str) -> Result<Code, Error> {
    let help = "mcpdeck route --tenant T '{\"query\": \"plan the migration\"}'";
    let ask = read_ask(request).map_err(|why| Error::usage(format!("the request: {why}")).help(help))?;
    let session = Session::open(global, Need::Any)?;
    let tenant = names::tenant(&session.state(), tenant)?;
    let Answer::Route(preview) = session.ask(Query::Route { tenant, ask })? else { return Err(odd_answer()) };
    if session.output == Output::Json {
        return print(&json_line(&*preview)?).map(|()| Code::Ok);
    }
    let RoutePreview { decision, candidates } = *preview;
    let place = decision.defined_at.as_ref().map(|place| format!(" ({place})")).unwrap_or_default();
    print(&format!("{}, confidence {:.2}: {}{place}\n\n", decision.target, decision.confidence, decision.reason))?;
    print_rows(session.output, CONSIDERED, decision.considered.iter().map(considered), &decision.considered)?;
    print("\n")?;
    print_rows(session.output, CANDIDATES, candidates.iter().enumerate().map(candidate), &candidates)
}

fn considered(one: &Considered) -> Vec<String> {
    let mark = if one.chosen { "->" } else { "" };
    vec![mark.to_owned(), one.what.clone(), maybe(one.target.clone()), one.why.clone()]
}

fn candidate((at, one): (usize, &Candidate)) -> Vec<String> {
    let order = if at == 0 { "first".to_owned() } else { format!("fallback {at}") };
    let over = one.passed_over.clone().unwrap_or_default();
    vec![order, one.instance.to_string(), one.state.to_string(), one.breaker.clone(), over]
}
