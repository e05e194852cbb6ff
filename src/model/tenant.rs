//! A tenant (a customer): who it is, what it may use, what is injected for it.

use super::guard::Guard;
use super::limits::CallLimits;
use super::secret::SecretRef;
use super::server::{EnvValue, Environment};
use super::{ServerId, TenantId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A tenant as configured. Run-time enablement lives in the store and wins over `enabled`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TenantDef {
    pub id: TenantId,
    pub aliases: Vec<String>,
    /// Display name; accepted wherever an id is.
    pub name: String,
    pub environment: Environment,
    /// Acts on this tenant's instances and calls of tools not marked read-only are refused.
    pub read_only: bool,
    /// What is refused beyond that, and why.
    pub guard: Guard,
    /// Keys for injection: `lakehouse_path` and the like.
    pub context: BTreeMap<String, String>,
    pub labels: BTreeMap<String, String>,
    /// Named secrets, by reference.
    pub secrets: BTreeMap<String, SecretRef>,
    /// What the file enables at first. A name without a server is legal here (and a warning of `check`).
    pub enabled: BTreeMap<ServerId, bool>,
    /// `[tenant.server.NAME]`
    pub servers: BTreeMap<ServerId, ServerOverride>,
    /// What a full record queue does to this tenant's calls.
    pub audit: AuditPolicy,
    /// What its callers over HTTP may do; `None`: as `[api]` says for all.
    pub call_limits: Option<CallLimits>,
}

/// What a tenant changes of a server for itself. It always gets an instance of its own for it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServerOverride {
    pub url: Option<String>,
    /// Values for `{config.KEY}`.
    pub config: BTreeMap<String, String>,
    /// Values for `{secret.NAME}`, before the tenant's own.
    pub secrets: BTreeMap<String, SecretRef>,
    /// More environment for a process.
    pub env: BTreeMap<String, EnvValue>,
    /// More headers for a remote server.
    pub headers: BTreeMap<String, EnvValue>,
}

/// A full queue of call records either slows calls or loses records (counted).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AuditPolicy {
    Block,
    #[default]
    Drop,
}

impl TenantDef {
    /// True if `text` is this tenant's id, an alias or its display name (case-insensitive).
    pub fn answers_to(&self, text: &str) -> bool {
        self.id.as_str().eq_ignore_ascii_case(text)
            || self.name.to_lowercase() == text.to_lowercase()
            || self.aliases.iter().any(|a| a.eq_ignore_ascii_case(text))
    }
}
