//! Rolling a credential: what still holds an older value of it is restarted, a few at a time.

use super::command::shell_word;
use crate::model::secret::SecretRow;
use crate::model::{InstanceKey, ServerId, TenantId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Which instances, out of those that hold an older value of any secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Roll {
    /// Of this secret; `None`: of whichever.
    pub secret: Option<String>,
    /// Of this server; `None`: of all.
    pub server: Option<ServerId>,
    /// Of this tenant; `None`: of all, and shared ones.
    pub tenant: Option<TenantId>,
    /// So many are restarted at a time; at least one.
    pub at_once: u32,
}

impl Roll {
    /// Restarted at a time, unless somebody says otherwise.
    pub const AT_ONCE: u32 = 2;

    /// The instances that it means, in order, each once.
    pub fn targets(&self, secrets: &[Arc<SecretRow>]) -> Vec<InstanceKey> {
        let rows = secrets.iter().filter(|row| self.secret.as_ref().is_none_or(|name| *name == row.name));
        let stale = rows.flat_map(|row| &row.stale).filter(|key| {
            self.server.as_ref().is_none_or(|server| *server == key.server)
                && self.tenant.as_ref().is_none_or(|tenant| key.tenant.as_ref() == Some(tenant))
        });
        stale.cloned().collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// What production asks to be typed: the narrowest name there is; `None`: that of the platform.
    pub fn name(&self) -> Option<String> {
        let server = self.server.as_ref().map(ToString::to_string);
        self.secret.clone().or(server).or(self.tenant.as_ref().map(ToString::to_string))
    }

    /// As on the command line, after the verb.
    pub fn object(&self) -> String {
        let mut words: Vec<String> = self.secret.iter().map(|name| shell_word(name)).collect();
        words.extend(self.server.iter().map(|server| format!("--server {server}")));
        words.extend(self.tenant.iter().map(|tenant| format!("--tenant {tenant}")));
        if self.at_once != Self::AT_ONCE {
            words.push(format!("--at-once {}", self.at_once));
        }
        words.join(" ")
    }
}
