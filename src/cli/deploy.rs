//! `deploy` and `undeploy`: what would be done, or doing it with a line for every step.

use super::args::{Deploy, Global, How, Output};
use super::error::{Code, Error};
use super::get::odd_answer;
use super::output::Align::Left;
use super::output::{Column, one_line, print, print_rows, remark};
use super::session::{Need, Session};
use super::{act, names};
use crate::model::stack::{PartRow, StackStep};
use crate::model::{Answer, Command, Query, Snapshot, StackId};
use std::collections::BTreeMap;

const STEPS: &[Column] = &[("PART", Left), ("DOES", Left), ("REFUSED", Left)];

/// Runs one of the two.
pub fn run(global: &Global, args: &Deploy, undeploy: bool) -> Result<Code, Error> {
    let session = Session::open(global, if args.dry_run { Need::Any } else { Need::Owner })?;
    if args.dry_run {
        session.until_engines()?;
    }
    let stack = names::stack(&session.state(), &args.stack)?;
    if args.dry_run {
        return plan(&session, stack, undeploy);
    }
    give(&session, stack, undeploy, &args.how)
}

/// Does it, and tells of each part what becomes of it.
pub fn give(session: &Session, stack: StackId, undeploy: bool, how: &How) -> Result<Code, Error> {
    let command = if undeploy { Command::Undeploy(stack.clone()) } else { Command::Deploy(stack.clone()) };
    let mut told = Told::new(&session.state(), stack);
    act::give_telling(session, command, how, |state| {
        told.news(state).iter().for_each(|line| match session.output {
            Output::Table => drop(print(&format!("{}\n", one_line(line)))),
            Output::Json => remark(session.output, line),
        });
    })
}

fn plan(session: &Session, stack: StackId, undeploy: bool) -> Result<Code, Error> {
    let query = Query::StackPlan { stack: stack.clone(), undeploy };
    let Answer::StackPlan(steps) = session.ask(query)? else { return Err(odd_answer()) };
    print_rows(session.output, STEPS, steps.iter().map(cells), &steps)?;
    match steps.iter().find_map(|step| Some((&step.part, step.refused.as_ref()?))) {
        None => Ok(Code::Ok),
        Some((part, why)) => Err(Error::refused(format!("{stack} would be refused: {part}: {why}"))),
    }
}

fn cells(step: &StackStep) -> Vec<String> {
    vec![step.part.clone(), step.does.clone(), step.refused.clone().unwrap_or_default()]
}

/// What was said of each part of a stack.
struct Told {
    stack: StackId,
    parts: BTreeMap<String, String>,
}

impl Told {
    fn new(state: &Snapshot, stack: StackId) -> Self {
        let mut told = Self { stack, parts: BTreeMap::new() };
        // How it stood before is no news.
        told.news(state);
        told
    }

    /// A line for each part that changed.
    fn news(&mut self, state: &Snapshot) -> Vec<String> {
        let Some(row) = state.stack(self.stack.as_str()) else { return Vec::new() };
        let mut lines = Vec::new();
        for part in &row.parts {
            let line = line(part);
            if self.parts.get(&part.name) != Some(&line) {
                lines.push(line.clone());
                self.parts.insert(part.name.clone(), line);
            }
        }
        lines
    }
}

fn line(part: &PartRow) -> String {
    let message = if part.message.is_empty() { String::new() } else { format!(": {}", part.message) };
    format!("{}: {}{message}", part.name, part.state.name())
}
