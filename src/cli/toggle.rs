//! `enable`, `disable` and `revert`: through the owner, or straight into the store while nobody owns the platform.

use super::act;
use super::args::{Global, Output, Toggle};
use super::error::{Code, Error};
use super::names;
use super::output::{json, print};
use super::session::{self, Session};
use crate::config::Config;
use crate::control::client::AttachError;
use crate::control::lock::{self, Purpose};
use crate::control::owner::PATIENCE;
use crate::model::instance::Mark;
use crate::model::message::JournalEntry;
use crate::model::near::nearest;
use crate::model::{Command, Environment, Refusal, ServerId, Stamp, TenantDef, TenantId};
use crate::store::{self, Store};
use serde::Serialize;
use std::sync::Arc;

/// What is done to a tenant's use of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Enable,
    Disable,
    Revert,
}

impl Change {
    fn command(self, server: ServerId, tenant: TenantId) -> Command {
        match self {
            Self::Enable => Command::Enable { server, tenant },
            Self::Disable => Command::Disable { server, tenant },
            Self::Revert => Command::Revert { server, tenant },
        }
    }
}

/// Runs one of the three.
pub fn run(global: &Global, args: &Toggle, change: Change) -> Result<Code, Error> {
    let config = session::load(global)?;
    match Session::attach(&config, global.output)? {
        Ok(session) => {
            let state = session.state();
            let tenant = names::tenant(&state, &args.tenant)?;
            let server = names::server(&state, &args.server)?;
            act::give(&session, change.command(server, tenant), &args.how)
        }
        Err(AttachError::NoOwner(_)) => offline(&config, global.output, args, change),
        Err(error) => Err(error.into()),
    }
}

/// Under the lock, so that no owner starts while the store is written.
fn offline(config: &Config, format: Output, args: &Toggle, change: Change) -> Result<Code, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let _lock = runtime.block_on(lock::take_soon(&config.paths.socket, Purpose::Moment, PATIENCE))?;
    let tenant = tenant_of(config, &args.tenant)?;
    let server = server_of(config, &args.server)?;
    may_change(config, tenant, &server, args, change)?;
    let store = store::open(&config.store)?;
    let command = change.command(server.clone(), tenant.id.clone());
    let written = runtime.block_on(write(&*store, &command, change, server, tenant.id.clone()));
    runtime.block_on(store.close());
    written?;
    report(format, &command)
}

async fn write(
    store: &dyn Store,
    command: &Command,
    change: Change,
    server: ServerId,
    tenant: TenantId,
) -> Result<(), store::StoreError> {
    let operator = session::operator();
    let mark =
        Mark { by: operator.name.clone(), at: Stamp::now(), reason: "set while nobody owned the platform".into() };
    let value = match change {
        Change::Enable => Some((true, mark)),
        Change::Disable => Some((false, mark)),
        Change::Revert => None,
    };
    store.set_enablement(server, tenant, value).await?;
    store
        .add_journal(JournalEntry {
            at: Stamp::now(),
            operator,
            verb: command.verb().to_owned(),
            object: command.object(),
            outcome: "ok".to_owned(),
            command_line: command.command_line(),
            took_ms: None,
            kept: true,
        })
        .await
}

/// The rules of an owner hold without one, too.
fn may_change(
    config: &Config,
    tenant: &TenantDef,
    server: &ServerId,
    args: &Toggle,
    change: Change,
) -> Result<(), Error> {
    if config.platform.read_only || tenant.read_only {
        let whom = if tenant.read_only { format!("tenant {}", tenant.id) } else { "the platform".to_owned() };
        return Err(Refusal::ReadOnly(format!("{whom} takes no acts")).into());
    }
    let in_file = tenant.enabled.get(server).copied().unwrap_or(false);
    let takes_away = change == Change::Disable || (change == Change::Revert && !in_file);
    let confirmed = args.how.confirm.as_deref() == Some(tenant.id.as_str());
    if takes_away && tenant.environment == Environment::Production && !confirmed {
        let what = format!("{} {server} {}", verb(change), tenant.id);
        return Err(Refusal::NeedsConfirm { what, name: tenant.id.to_string() }.into());
    }
    Ok(())
}

fn verb(change: Change) -> &'static str {
    match change {
        Change::Enable => "enable",
        Change::Disable => "disable",
        Change::Revert => "revert",
    }
}

fn tenant_of<'a>(config: &'a Config, text: &str) -> Result<&'a Arc<TenantDef>, Error> {
    config.tenants.iter().find(|t| t.answers_to(text)).ok_or_else(|| {
        let near = nearest(text, config.tenants.iter().map(|t| t.id.as_str()));
        unknown("tenant", text, near)
    })
}

fn server_of(config: &Config, text: &str) -> Result<ServerId, Error> {
    let found = config.servers.iter().find(|s| s.id.as_str() == text).map(|s| s.id.clone());
    found.ok_or_else(|| unknown("server", text, nearest(text, config.servers.iter().map(|s| s.id.as_str()))))
}

fn unknown(what: &str, text: &str, near: Option<&str>) -> Error {
    let error = Error::not_found(format!("no {what} `{text}` in the configuration"));
    match near {
        Some(near) => error.help(format!("did you mean `{near}`?")),
        None => error.help("`mcpdeck paths` names the configuration that is used"),
    }
}

#[derive(Serialize)]
struct Written {
    verb: &'static str,
    object: String,
    outcome: &'static str,
    /// No owner was there; it holds from the next start on.
    offline: bool,
}

fn report(format: Output, command: &Command) -> Result<Code, Error> {
    let written = Written { verb: command.verb(), object: command.object(), outcome: "ok", offline: true };
    match format {
        Output::Json => print(&json(&written)?)?,
        Output::Table => {
            print(&format!(
                "{} {}: ok: kept in the store; nobody owns the platform now\n",
                written.verb, written.object
            ))?;
        }
    }
    Ok(Code::Ok)
}
