//! Changes of who may call: through the owner, or straight into the store while nobody owns the platform.

use super::args::{Global, Output, RoleName};
use super::error::Error;
use super::session::{self, Need, Session};
use crate::config::Config;
use crate::control::client::AttachError;
use crate::control::lock::{self, Purpose};
use crate::control::owner::PATIENCE;
use crate::control::principals::Book;
use crate::model::message::{Answer, JournalEntry, Query};
use crate::model::near::nearest;
use crate::model::principal::Role;
use crate::model::{Act, Command, Refusal, Stamp, TenantId};
use crate::store::{self, Store};

impl From<RoleName> for Role {
    fn from(name: RoleName) -> Self {
        match name {
            RoleName::Tenant => Self::Tenant,
            RoleName::Operator => Self::Operator,
            RoleName::Admin => Self::Admin,
        }
    }
}

/// Carries out `command`; returns when it is on disk and, where there is an owner, holds.
pub fn give(config: &Config, output: Output, command: Command) -> Result<(), Error> {
    if config.platform.read_only {
        let message = format!("this command line is read-only: {} is not given", command.command_line());
        return Err(Refusal::ReadOnly(message).into());
    }
    match Session::attach(config, output)? {
        Ok(session) => {
            let act = Act { command, operator: session::operator(), confirm: None };
            Ok(session.wait(session.handle.run(act)).map(drop)?)
        }
        Err(AttachError::NoOwner(_)) => offline(config, &command),
        Err(error) => Err(error.into()),
    }
}

/// Under the lock, so that no owner starts while the store is written.
fn offline(config: &Config, command: &Command) -> Result<(), Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _lock = runtime.block_on(lock::take_soon(&config.paths.socket, Purpose::Moment, PATIENCE))?;
    let store = store::open(&config.store)?;
    let written = runtime.block_on(write(config, &*store, command));
    runtime.block_on(store.close());
    written
}

async fn write(config: &Config, store: &dyn Store, command: &Command) -> Result<(), Error> {
    let operator = session::operator();
    let book = Book::new(store.keys().await?, store.users().await?);
    let known = |tenant: &TenantId| config.tenants.iter().any(|def| def.id == *tenant);
    let change = book.decide(command, &operator.name, Stamp::now(), known)?;
    change.keep(store).await?;
    let entry = JournalEntry {
        at: Stamp::now(),
        operator,
        verb: command.verb().to_owned(),
        object: command.object(),
        outcome: "ok".to_owned(),
        command_line: command.command_line(),
        took_ms: None,
        kept: true,
    };
    Ok(store.add_journal(entry).await?)
}

/// Asks the owner, or a platform of this moment.
pub fn ask(global: &Global, query: Query) -> Result<Answer, Error> {
    Session::open(global, Need::Any)?.ask(query)
}

/// The tenant of a credential. It may be left out by who is not bound to one.
pub fn tenant(config: &Config, name: Option<&str>, role: Role) -> Result<Option<TenantId>, Error> {
    let Some(name) = name else {
        let missing = || Error::usage("whom it is for is missing: give --tenant, or --role operator or admin");
        return if role == Role::Tenant { Err(missing()) } else { Ok(None) };
    };
    if let Some(def) = config.tenants.iter().find(|def| def.answers_to(name)) {
        return Ok(Some(def.id.clone()));
    }
    let error = Error::not_found(format!("no tenant `{name}` in the configuration"));
    Err(match nearest(name, config.tenants.iter().map(|def| def.id.as_str())) {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help("`mcpdeck paths` names the configuration that is used"),
    })
}
