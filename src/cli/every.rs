//! `call --every-customer`: one call to all customers that have the server, a few at a time, and whose answers are the same.

use super::args::Output;
use super::error::{Code, Error};
use super::output::Align::{Left, Right};
use super::output::{Column, Table, json_line, maybe, millis, none, print};
use super::session::Session;
use crate::model::message::ConsoleCall;
use crate::model::{Chunk, Environment, Feed, Outcome, Refusal, Stamp, TenantId};
use crate::ui::console::fan::{Fan, Stand, letter};
use serde_json::value::RawValue;
use tokio::sync::mpsc;

/// Chunks that wait to be looked at.
const QUEUE: usize = 64;
/// Letters of an answer that a table shows.
const SAYS: usize = 60;

/// What stands against it: read-only, too many at once, or the name that was not typed.
pub fn guard(
    session: &Session,
    call: &ConsoleCall,
    tenants: &[TenantId],
    reads: bool,
    bulk_cap: u32,
) -> Result<(), Error> {
    let state = session.state();
    let cap = usize::try_from(bulk_cap).unwrap_or(usize::MAX);
    if !reads && (session.read_only || state.platform.read_only) {
        return Err(
            Refusal::ReadOnly(format!("no call of a tool of {} that is not marked read-only", call.server)).into()
        );
    }
    if !reads && tenants.len() > cap {
        let text = format!(
            "{} customers have {}, and the tool is not marked read-only: more than {cap} at once are refused",
            tenants.len(),
            call.server
        );
        return Err(Error::refused(text).help("[platform] bulk_cap says how many; or name one by --customer"));
    }
    let environment = |t: &TenantId| state.tenant(t.as_str()).map(|row| row.def.environment);
    let production = tenants.iter().any(|t| environment(t) == Some(Environment::Production));
    let named = call.confirm.as_deref() == Some(call.server.as_str());
    match (!reads || production) && !named {
        true => {
            let what = format!("a call as {} customers", tenants.len());
            Err(Refusal::NeedsConfirm { what, name: call.server.to_string() }.into())
        }
        false => Ok(()),
    }
}

/// Sends it to all of them and prints what came of it.
pub fn run(session: &Session, call: ConsoleCall, tenants: Vec<TenantId>) -> Result<Code, Error> {
    let fan = session.wait(spread(session, Fan::new(call, tenants)));
    match session.output {
        Output::Json => {
            let rows = RawValue::from_string(fan.json()).map_err(|error| Error::failed(error.to_string()))?;
            print(&json_line(&rows)?)?;
        }
        Output::Table => print(&table(session, &fan))?,
    }
    let failed = fan.legs.iter().filter(|leg| leg.stand.outcome() != Some(Outcome::Ok)).count();
    match failed {
        0 => Ok(Code::Ok),
        n => Err(Error::failed(format!("{n} of {} calls did not end ok", fan.legs.len()))),
    }
}

async fn spread(session: &Session, mut fan: Fan) -> Fan {
    let (to, mut from) = mpsc::channel::<(usize, Chunk)>(QUEUE);
    loop {
        while let Some((at, call)) = fan.next(Stamp::now()) {
            let (mut stream, to) = (session.handle.follow(Feed::Call(Box::new(call))), to.clone());
            tokio::spawn(async move {
                while let Some(chunk) = stream.recv().await {
                    let last = matches!(chunk, Chunk::End(_));
                    if to.send((at, chunk)).await.is_err() || last {
                        return;
                    }
                }
                let _ = to.send((at, Chunk::End(None))).await;
            });
        }
        if !fan.is_running() {
            return fan;
        }
        tokio::select! {
            Some((at, chunk)) = from.recv() => drop(fan.take(at, chunk)),
            _ = tokio::signal::ctrl_c() => fan.stop(),
        }
    }
}

const COLUMNS: &[Column] = &[
    ("CUSTOMER", Left),
    ("ENVIRONMENT", Left),
    ("OUTCOME", Left),
    ("TOOK ms", Right),
    ("BYTES", Right),
    ("ANSWER", Left),
    ("SAYS", Left),
];

/// A customer a row; the same answers have the same letter.
fn table(session: &Session, fan: &Fan) -> String {
    let state = session.state();
    let mut table = Table::new(COLUMNS);
    for leg in &fan.legs {
        let environment = state.tenant(leg.tenant.as_str()).map(|row| row.def.environment.name().to_owned());
        let took = match &leg.stand {
            Stand::Done(record) => millis(record.took_us),
            _ => none(),
        };
        table.push(vec![
            leg.tenant.to_string(),
            maybe(environment),
            leg.stand.word().to_owned(),
            took,
            (leg.answer.len() as u64 + leg.dropped).to_string(),
            maybe(leg.same.map(letter)),
            leg.says().chars().take(SAYS).collect(),
        ]);
    }
    table.render()
}
