//! `inspect`: everything an engine knows of a container.

use super::args::Global;
use super::error::{Code, Error};
use super::get::odd_answer;
use super::names;
use super::output::{escaped, print};
use super::session::{Need, Session};
use crate::model::{Answer, Query};

/// Prints JSON in both formats: what an engine knows has no columns.
pub fn run(global: &Global, target: &str) -> Result<Code, Error> {
    let session = Session::open(global, Need::Any)?;
    session.until_engines()?;
    let container = names::any_container(&session.state(), target)?;
    let Answer::Inspect(text) = session.ask(Query::Inspect(container))? else { return Err(odd_answer()) };
    print(&(escaped(text) + "\n")).map(|()| Code::Ok)
}
