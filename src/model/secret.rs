//! Secrets: a value nobody can print, and the reference a configuration holds instead of it.

use super::{InstanceKey, Stamp, TenantId};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// A secret value. It has no `Debug`, `Display` or `Serialize`, and is wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the value over; the caller keeps no copy.
    pub fn new(value: String) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value, for the one place that must send it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

/// Where a secret comes from. The reference may be shown, the value never.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretRef {
    /// `{ env = "NAME" }`: read once, when the platform starts and on `secrets reload`.
    Env(String),
    /// `{ file = "/path" }`: read again at every start of an instance; one trailing newline is dropped.
    File(PathBuf),
    /// `{ command = ["prog", "arg"] }`: standard output, run again at every start; 10 s at most.
    Command(Vec<String>),
}

/// What may be known of a loaded secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRow {
    /// Tenant that the reference belongs to; `None` for one in a server's definition.
    pub tenant: Option<TenantId>,
    /// Server whose override or definition holds it, if not the tenant's own.
    pub server: Option<super::ServerId>,
    pub name: String,
    pub source: SecretRef,
    /// First 8 hex digits of the value's SHA-256 (salted per platform); `None` while missing.
    pub fingerprint: Option<String>,
    pub loaded_at: Option<Stamp>,
    /// Why it could not be loaded.
    pub error: Option<String>,
    /// Running instances that were started with another fingerprint than the newest.
    pub stale: Vec<InstanceKey>,
}
