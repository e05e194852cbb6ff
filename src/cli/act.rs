//! Acts: give a command, wait for its job, tell what became of it.

use super::args::{Act as Args, How, Output, SecretsRoll};
use super::error::{Code, Error};
use super::names::Thing;
use super::output::{self, json, print};
use super::rows::job_word;
use super::session::{self, Need, Session};
use super::{args::Global, deploy, names};
use crate::model::container::{ContainerAct, ContainerKey};
use crate::model::message::{JobOutcome, JobRow, Roll};
use crate::model::stack::that_go_on;
use crate::model::{Act, Command, InstanceKey, JobId, Refusal, Snapshot, StackId};
use std::sync::Arc;

/// An act on instances.
pub fn on_instances(global: &Global, args: &Args, command: fn(InstanceKey) -> Command) -> Result<Code, Error> {
    let session = Session::open(global, Need::Owner)?;
    let target = names::target(&session.state(), &args.target)?;
    give(&session, command(target), &args.how)
}

/// An act on instances, or on the container of that name where there is no such server.
pub fn on_target(
    global: &Global,
    args: &Args,
    command: Option<fn(InstanceKey) -> Command>,
    act: ContainerAct,
) -> Result<Code, Error> {
    let session = Session::open(global, Need::Owner)?;
    let state = session.state_with(&args.target)?;
    let on_container = |container: ContainerKey| {
        let name = state.container(&container).map_or_else(|| container.to_string(), |row| state.container_name(row));
        Command::Container { container, name, act }
    };
    let command = match (names::thing(&state, &args.target)?, command) {
        (Thing::Instances(key), Some(command)) => command(key),
        (Thing::Instances(key), None) => on_container(names::container_of(&state, &key)?),
        (Thing::Container(row), _) => on_container(row.key.clone()),
        (Thing::Stack(stack), _) => return on_stack(&session, stack, act, &args.how),
    };
    give(&session, command, &args.how)
}

/// Starting and stopping a stack are its deployment and the end of it; a restart is both.
fn on_stack(session: &Session, stack: StackId, act: ContainerAct, how: &How) -> Result<Code, Error> {
    match act {
        ContainerAct::Start => deploy::give(session, stack, false, how),
        ContainerAct::Stop => deploy::give(session, stack, true, how),
        ContainerAct::Restart if how.no_wait => {
            Err(Error::usage(format!("{stack} is a stack: its start waits for its stop, so --no-wait cannot be")))
        }
        ContainerAct::Restart => match deploy::give(session, stack.clone(), true, how)? {
            Code::Ok => deploy::give(session, stack, false, how),
            code => Ok(code),
        },
        ContainerAct::Kill | ContainerAct::Pause | ContainerAct::Unpause => {
            let rows = names::containers_of(&session.state(), &stack)?;
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            Err(Error::usage(format!("{stack} is a stack: `{}` takes one of its containers", act.verb()))
                .help(names.join(", ")))
        }
    }
}

/// `secrets roll`.
pub fn roll(global: &Global, args: &SecretsRoll) -> Result<Code, Error> {
    let session = Session::open(global, Need::Owner)?;
    let state = session.state();
    let tenant = args.tenant.as_deref().map(|name| names::tenant(&state, name)).transpose()?;
    let command = Command::Roll(Roll {
        secret: args.name.clone(),
        server: args.server.as_deref().map(Into::into),
        tenant,
        at_once: args.at_once,
    });
    give(&session, command, &args.how)
}

/// `reap`: with nobody to ask, by a platform of our own, which finds the same as the dry run does.
pub fn reap(global: &Global, how: &How) -> Result<Code, Error> {
    let session = Session::open(global, Need::Any)?;
    session.until_engines()?;
    give(&session, Command::ReapOrphans, how)
}

/// An act on the platform itself.
pub fn on_platform(global: &Global, command: Command, how: &How) -> Result<Code, Error> {
    give(&Session::open(global, Need::Owner)?, command, how)
}

/// Gives `command` and, unless told not to, waits for its end.
pub fn give(session: &Session, command: Command, how: &How) -> Result<Code, Error> {
    give_telling(session, command, how, |_| {})
}

/// The same; `look` sees every state on the way.
pub fn give_telling(
    session: &Session,
    command: Command,
    how: &How,
    mut look: impl FnMut(&Snapshot),
) -> Result<Code, Error> {
    if session.read_only && command.changes() {
        let message = format!("this command line is read-only: {} is not given", command.command_line());
        return Err(Refusal::ReadOnly(message).into());
    }
    let ends_owner = command == Command::Shutdown;
    let stacks = that_go_on(&session.state().stacks).map_or_else(String::new, |text| format!("; {text}"));
    let act = Act { command, operator: session::operator(), confirm: how.confirm.clone() };
    let job = session.wait(session.handle.run(act))?;
    // A platform of our own ends with us: what it does is waited for.
    if how.no_wait && !session.is_momentary() {
        return match session.output {
            Output::Json => print(&json(&Accepted { job })?).map(|()| Code::Ok),
            Output::Table => print(&format!("{job} accepted\n")).map(|()| Code::Ok),
        };
    }
    let ended = session.until(|state| {
        look(state);
        finished(state, job)
    });
    match ended {
        Ok(row) => {
            if ends_owner && row.outcome == Some(JobOutcome::Ok) {
                // Accepted is not done: whoever starts the next owner wants this one gone.
                let _ = session.until(|_| None::<()>);
            }
            if let Some(why) = &session.state().totals.store_error {
                output::remark(session.output, &format!("the journal of this act is not on disk: {why}"));
            }
            report(session.output, &row)
        }
        // Its owner going away is how a shutdown ends.
        Err(_) if ends_owner => {
            print(&format!("the platform is stopped{}\n", output::plain(&stacks))).map(|()| Code::Ok)
        }
        Err(lost) => Err(lost),
    }
}

#[derive(serde::Serialize)]
struct Accepted {
    job: JobId,
}

fn finished(state: &Snapshot, job: JobId) -> Option<Arc<JobRow>> {
    state.jobs.iter().find(|row| row.id == job && row.outcome.is_some()).cloned()
}

fn report(format: Output, row: &JobRow) -> Result<Code, Error> {
    let ended = format!("{}: {}: {}", row.title, job_word(row.outcome), row.message);
    let ok = row.outcome == Some(JobOutcome::Ok);
    match format {
        Output::Json => print(&json(row)?)?,
        Output::Table if ok => print(&output::plain(&format!("{ended}\n")))?,
        // The error below tells it, once.
        Output::Table => {}
    }
    match ok {
        true => Ok(Code::Ok),
        false => Err(Error::failed(ended).help("`mcpdeck explain` and `mcpdeck logs` tell more")),
    }
}
