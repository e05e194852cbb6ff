//! How much callers may do over HTTP.

use serde::{Deserialize, Serialize};

/// Limits of one tenant, or of one server over all tenants; `None`: no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CallLimits {
    /// Requests per second, over time.
    pub rate: Option<f64>,
    /// Requests at once after a pause; one second's worth if it is not given.
    pub burst: Option<u32>,
    /// Requests under way.
    pub in_flight: Option<u32>,
    /// Largest body, in bytes.
    pub body: Option<u64>,
}
