//! `reload --dry-run`: what the owner would take over.

use super::args::{Global, Output};
use super::error::{Code, Error};
use super::get::odd_answer;
use super::output::{json, one_line, print};
use super::session::{Need, Session};
use crate::model::reload::ReloadPlan;
use crate::model::{Answer, Query};

/// Prints the plan: 3 if the files have problems, 5 if they change what cannot change now.
pub fn plan(global: &Global) -> Result<Code, Error> {
    let session = Session::open(global, Need::Owner)?;
    let Answer::Reload(plan) = session.ask(Query::Reload)? else { return Err(odd_answer()) };
    match session.output {
        Output::Json => print(&json(&plan)?)?,
        Output::Table => print(&text(&plan))?,
    }
    match (plan.problems.first(), plan.refused.first()) {
        (Some(first), _) => Err(Error::new(Code::Config, "config", format!("would not be taken over: {first}"))),
        (None, Some(first)) => Err(Error::refused(first)),
        (None, None) => Ok(Code::Ok),
    }
}

fn text(plan: &ReloadPlan) -> String {
    if plan.is_empty() {
        return "nothing changes\n".to_owned();
    }
    let problems = plan.problems.iter().map(|line| format!("problem: {line}"));
    let refused = plan.refused.iter().map(|line| format!("refused: {line}"));
    let changes = plan.changes.iter().map(ToString::to_string);
    let restarts = plan.restarts.iter().map(|key| format!("{key} starts anew between two calls"));
    let ends = plan.ends.iter().map(|key| format!("{key} ends when its calls have"));
    let lines = problems.chain(refused).chain(changes).chain(restarts).chain(ends).chain(plan.later.iter().cloned());
    lines.map(|line| format!("{}\n", one_line(&line))).collect()
}
