//! Who calls over HTTP.

use super::{Stamp, TenantId};
use serde::{Deserialize, Serialize};
use std::fmt;

/// What a principal may do; each role may what the one before may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Calls as its own tenant.
    #[default]
    Tenant,
    /// Calls as any tenant that it names, and acts on what runs.
    Operator,
    /// Decides who else may, too.
    Admin,
}

impl Role {
    pub const ALL: [Role; 3] = [Self::Tenant, Self::Operator, Self::Admin];

    pub fn name(self) -> &'static str {
        match self {
            Self::Tenant => "tenant",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Whoever made a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Principal {
    /// `anonymous`: stands in the audit.
    pub name: String,
    pub role: Role,
    /// The tenant that it calls as; `None` for an operator who names one per request.
    pub tenant: Option<TenantId>,
}

/// What a credential allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    pub role: Role,
    /// `None`: every tenant.
    pub tenant: Option<TenantId>,
}

/// What begins the text of every API key, so that scanners of leaked secrets know one.
pub const KEY_PREFIX: &str = "mdk_";

/// An API key as it may be shown: never its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyRow {
    /// Stands in the key's text after [`KEY_PREFIX`].
    pub id: String,
    /// Empty if it was given none.
    pub name: String,
    pub role: Role,
    /// `None`: every tenant, by name.
    pub tenant: Option<TenantId>,
    pub created: Stamp,
    pub created_by: String,
    /// `None`: never.
    pub expires: Option<Stamp>,
    /// `None`: never yet.
    pub last_used: Option<Stamp>,
    pub revoked: Option<Stamp>,
}

impl KeyRow {
    /// `good`, `revoked` or `expired`.
    pub fn state(&self, now: Stamp) -> &'static str {
        match self {
            Self { revoked: Some(_), .. } => "revoked",
            Self { expires: Some(at), .. } if *at <= now => "expired",
            _ => "good",
        }
    }

    /// Who calls with it: `key:nightly/3f9a1c2e40`, unique whatever the names are.
    pub fn principal(&self) -> Principal {
        let slash = if self.name.is_empty() { "" } else { "/" };
        let name = format!("key:{}{slash}{}", self.name, self.id);
        Principal { name, role: self.role, tenant: self.tenant.clone() }
    }
}

/// SHA-256 of a key's text: all that is kept of it, and what it is found by.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct KeyHash(pub [u8; 32]);

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyHash")
    }
}

/// An API key as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    pub row: KeyRow,
    pub hash: KeyHash,
}

/// A key to be made: who made its text keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewKey {
    pub id: String,
    pub hash: KeyHash,
    pub name: String,
    pub role: Role,
    pub tenant: Option<TenantId>,
    pub expires: Option<Stamp>,
}

/// A person who may log in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRow {
    /// In lower case.
    pub email: String,
    pub role: Role,
    pub tenant: Option<TenantId>,
    pub created: Stamp,
    /// When the password was last set; tokens from before are no longer good.
    pub changed: Stamp,
}

impl UserRow {
    /// Who calls with this person's token.
    pub fn principal(&self) -> Principal {
        Principal { name: format!("user:{}", self.email), role: self.role, tenant: self.tenant.clone() }
    }
}

/// The argon2 hash of a password, as a PHC string. It has no `Debug` of its own and no `Display`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordHash(String);

impl PasswordHash {
    pub fn new(phc: String) -> Self {
        Self(phc)
    }

    /// For who verifies a password, and for the store.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordHash")
    }
}

/// A person as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredUser {
    pub row: UserRow,
    pub password: PasswordHash,
}

/// A person to be added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewUser {
    pub email: String,
    pub role: Role,
    pub tenant: Option<TenantId>,
    pub password: PasswordHash,
}
