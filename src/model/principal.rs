//! Who calls over HTTP.

use super::TenantId;
use serde::{Deserialize, Serialize};

/// What a principal may do; each role may what the one before may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Calls as its own tenant.
    #[default]
    Tenant,
    /// Calls as any tenant that it names.
    Operator,
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
