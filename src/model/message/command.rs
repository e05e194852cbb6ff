//! Acts: what a face may ask to be done, how it is written down and typed, why it is refused, what it would do.

use super::{JobId, Operator, Roll};
use crate::model::call::CallId;
use crate::model::container::{ContainerAct, ContainerKey};
use crate::model::guard::Cap;
use crate::model::principal::{KeyHash, NewKey, NewUser, PasswordHash};
use crate::model::server::Environment;
use crate::model::{InstanceKey, ServerId, StackId, TenantId};
use serde::{Deserialize, Serialize};

/// An act. A key without tenant or session names every instance below it ([`InstanceKey::covers`]).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    Start(InstanceKey),
    /// Stop and hold: calls are refused until a start.
    Stop(InstanceKey),
    /// Put to sleep: the next call starts it again.
    Sleep(InstanceKey),
    Restart(InstanceKey),
    /// SIGKILL at once.
    Kill(InstanceKey),
    /// Out of rotation; the instance keeps running.
    Fence(InstanceKey),
    Unfence(InstanceKey),
    /// Probe now.
    Probe(InstanceKey),
    Enable {
        server: ServerId,
        tenant: TenantId,
    },
    Disable {
        server: ServerId,
        tenant: TenantId,
    },
    /// Forget the run-time change; the file decides again.
    Revert {
        server: ServerId,
        tenant: TenantId,
    },
    ExampleTraffic(bool),
    /// Read the configuration again and take it over, whole or not at all.
    Reload,
    /// Re-read every secret; running instances keep theirs until restarted.
    ReloadSecrets,
    /// Restart what still holds an older value of a secret.
    Roll(Roll),
    CancelCall(CallId),
    CancelJob(JobId),
    /// Remove what is ours and wanted by nobody.
    ReapOrphans,
    /// Do something to one container, ours or adopted.
    Container {
        container: ContainerKey,
        /// Its name as it is told to people; the owner writes the one it knows.
        name: String,
        act: ContainerAct,
    },
    /// Start every part of a stack, in order of `needs`.
    Deploy(StackId),
    /// Stop every part of a stack, and remove what is ours.
    Undeploy(StackId),
    /// Make an API key. Its text stays with who made it.
    CreateKey(NewKey),
    /// The key with this id works no longer.
    RevokeKey(String),
    /// Make a key that may what the one with this id may, which works on for the overlap at most.
    RotateKey {
        id: String,
        next: String,
        hash: KeyHash,
        overlap_ms: u64,
    },
    /// Let a person log in.
    AddUser(NewUser),
    /// Give a person a new password; tokens from before are no longer good.
    SetPassword {
        email: String,
        password: PasswordHash,
    },
    /// Let a person log in no longer.
    RemoveUser(String),
    /// Stop everything and end the owner.
    Shutdown,
}

impl Command {
    /// The verb, as on the command line.
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Start(_) => "start",
            Self::Stop(_) => "stop",
            Self::Sleep(_) => "sleep",
            Self::Restart(_) => "restart",
            Self::Kill(_) => "kill",
            Self::Fence(_) => "fence",
            Self::Unfence(_) => "unfence",
            Self::Probe(_) => "probe",
            Self::Enable { .. } => "enable",
            Self::Disable { .. } => "disable",
            Self::Revert { .. } => "revert",
            Self::ExampleTraffic(_) => "example-traffic",
            Self::Reload => "reload",
            Self::ReloadSecrets => "secrets reload",
            Self::Roll(_) => "secrets roll",
            Self::CancelCall(_) => "cancel-call",
            Self::CancelJob(_) => "cancel-job",
            Self::ReapOrphans => "reap",
            Self::Container { act, .. } => act.verb(),
            Self::Deploy(_) => "deploy",
            Self::Undeploy(_) => "undeploy",
            Self::CreateKey(_) => "keys create",
            Self::RevokeKey(_) => "keys revoke",
            Self::RotateKey { .. } => "keys rotate",
            Self::AddUser(_) => "users add",
            Self::SetPassword { .. } => "users passwd",
            Self::RemoveUser(_) => "users remove",
            Self::Shutdown => "shutdown",
        }
    }

    /// False for looking and for ending what one began: that is allowed on a read-only platform.
    pub fn changes(&self) -> bool {
        let looks = matches!(self, Self::Probe(_) | Self::CancelCall(_) | Self::CancelJob(_));
        !looks && !matches!(self, Self::ExampleTraffic(_) | Self::Shutdown)
    }

    /// True if what it does to an instance hurts whoever uses it: of these only so many are carried out at once.
    pub fn interrupts(&self) -> bool {
        matches!(
            self,
            Self::Stop(_) | Self::Sleep(_) | Self::Restart(_) | Self::Kill(_) | Self::Fence(_) | Self::Roll(_)
        )
    }

    /// The instances it names, if it names any.
    pub fn target(&self) -> Option<&InstanceKey> {
        match self {
            Self::Start(k)
            | Self::Stop(k)
            | Self::Sleep(k)
            | Self::Restart(k)
            | Self::Kill(k)
            | Self::Fence(k)
            | Self::Unfence(k)
            | Self::Probe(k) => Some(k),
            _ => None,
        }
    }

    /// The object, as on the command line.
    pub fn object(&self) -> String {
        match self {
            Self::Enable { server, tenant } | Self::Disable { server, tenant } | Self::Revert { server, tenant } => {
                format!("{server} {tenant}")
            }
            Self::ExampleTraffic(on) => if *on { "on" } else { "off" }.to_owned(),
            Self::Roll(roll) => roll.object(),
            Self::CancelCall(id) => id.to_string(),
            Self::CancelJob(id) => id.to_string(),
            Self::Container { name, .. } => name.clone(),
            Self::Deploy(stack) | Self::Undeploy(stack) => stack.to_string(),
            Self::CreateKey(key) => key.id.clone(),
            Self::RevokeKey(id) | Self::RotateKey { id, .. } => id.clone(),
            Self::AddUser(user) => user.email.clone(),
            Self::SetPassword { email, .. } | Self::RemoveUser(email) => email.clone(),
            other => other.target().map(InstanceKey::to_string).unwrap_or_default(),
        }
    }

    /// True if it decides who may call: then it is carried out by being kept.
    pub fn is_about_principals(&self) -> bool {
        matches!(
            self,
            Self::CreateKey(_)
                | Self::RevokeKey(_)
                | Self::RotateKey { .. }
                | Self::AddUser(_)
                | Self::SetPassword { .. }
                | Self::RemoveUser(_)
        )
    }

    /// The same without what a key or a password could be recognised by, for everybody who only looks.
    pub fn told(mut self) -> Self {
        match &mut self {
            Self::CreateKey(NewKey { hash, .. }) | Self::RotateKey { hash, .. } => *hash = KeyHash([0; 32]),
            Self::AddUser(NewUser { password, .. }) | Self::SetPassword { password, .. } => {
                *password = PasswordHash::new(String::new());
            }
            _ => {}
        }
        self
    }

    /// The equivalent command line, for the journal and the lessons it gives.
    pub fn command_line(&self) -> String {
        match self {
            Self::CreateKey(NewKey { name, role, tenant, .. }) => {
                let mut line = format!("mcpdeck keys create --role {}", role.name());
                let tenant = tenant.as_ref().map_or("", TenantId::as_str);
                for (flag, value) in [("tenant", tenant), ("name", name)].into_iter().filter(|(_, v)| !v.is_empty()) {
                    line.push_str(&format!(" --{flag} {}", shell_word(value)));
                }
                return line;
            }
            Self::RotateKey { id, overlap_ms, .. } => {
                return format!("mcpdeck keys rotate {id} --overlap {overlap_ms}ms");
            }
            _ => {}
        }
        format!("mcpdeck {} {}", self.verb(), self.object()).trim_end().to_owned()
    }
}

/// `word` as it can be pasted into a shell.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_@#./:=".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

/// A command with who gives it and the typed confirmation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    pub command: Command,
    pub operator: Operator,
    /// What was typed (or `--confirm NAME`), where an act asks for the object's name.
    pub confirm: Option<String>,
}

/// Why an act or a question is not carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Refusal {
    #[error("{0}")]
    NotFound(String),
    #[error("read-only: {0}")]
    ReadOnly(String),
    /// A guardrail of an environment or a tenant.
    #[error("{0}")]
    Denied(String),
    /// Production asks for the name.
    #[error("{what} in production needs --confirm {name}")]
    NeedsConfirm { what: String, name: String },
    #[error("{0}")]
    Refused(String),
    #[error("too busy: {0}")]
    Busy(String),
    #[error("no owner: {0}")]
    NoOwner(String),
    /// A container engine does not answer.
    #[error("{0}")]
    Silent(String),
    #[error("{0}")]
    Failed(String),
}

/// What an act would do; shown before it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Impact {
    pub instances: Vec<InstanceKey>,
    pub tenants: Vec<TenantId>,
    pub environment: Environment,
    pub in_flight: u32,
    /// What follows, in sentences: `3 calls in flight fail`, `the next call starts it again`.
    pub follows: Vec<String>,
    /// The name to type, in production.
    pub type_name: Option<String>,
    /// Why it would be refused, if it would.
    pub refused: Option<String>,
    /// How many instances may be acted on at once, and why no more.
    pub bulk_cap: Cap,
}

#[cfg(test)]
mod tests {
    use super::shell_word;

    #[test]
    fn words_can_be_pasted() {
        assert_eq!(shell_word("etim@eaton"), "etim@eaton");
        assert_eq!(shell_word("Vattenfall DE"), "'Vattenfall DE'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
    }
}
