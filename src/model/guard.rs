//! Guardrails: what nobody may do in an environment or to a tenant, whatever is confirmed, each with its reason.

use super::server::Environment;
use super::tenant::TenantDef;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Acts that `deny` can name, as they are called on the command line.
pub const VERBS: [&str; 24] = [
    "start",
    "stop",
    "sleep",
    "restart",
    "kill",
    "fence",
    "unfence",
    "probe",
    "enable",
    "disable",
    "revert",
    "deploy",
    "undeploy",
    "pause",
    "unpause",
    "exec",
    "reap",
    "reload",
    "secrets reload",
    "secrets roll",
    "keys create",
    "keys revoke",
    "users add",
    "shutdown",
];

/// What is forbidden at one place of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guard {
    /// Why nothing may be changed, if so.
    pub read_only: Option<String>,
    /// How many instances one operator may act on at once.
    pub bulk_cap: Option<Cap>,
    /// Acts (see [`VERBS`]) that are refused, and why.
    pub deny: BTreeMap<String, String>,
}

/// A limit with its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cap {
    pub instances: u32,
    pub reason: String,
}

/// `[guard.ENVIRONMENT]` of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Guards(pub BTreeMap<Environment, Guard>);

impl Guards {
    pub fn of(&self, environment: Environment) -> Option<&Guard> {
        self.0.get(&environment)
    }

    /// Why nothing of `tenant` may be changed, and no tool called that is not marked read-only: its own reason first.
    pub fn frozen(&self, tenant: &TenantDef) -> Option<String> {
        let because = |what: String, why: &str| format!("{what} is read-only: {why}");
        if let Some(why) = &tenant.guard.read_only {
            return Some(because(format!("the customer {}", tenant.id), why));
        }
        if tenant.read_only {
            return Some(format!("the customer {} is read-only", tenant.id));
        }
        self.frozen_environment(tenant.environment)
    }

    /// Why nothing in `environment` may be changed.
    pub fn frozen_environment(&self, environment: Environment) -> Option<String> {
        let why = self.of(environment)?.read_only.as_ref()?;
        Some(format!("{} is read-only: {why}", environment.name()))
    }
}
