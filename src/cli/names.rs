//! Names as people type them -> the ids that are meant, with a near miss where nothing is.

use super::error::{Code, Error};
use crate::model::near::nearest;
use crate::model::{CallId, InstanceKey, JobId, ServerId, Snapshot, TenantId};

/// The tenant that answers to an id, an alias or a display name.
pub fn tenant(state: &Snapshot, text: &str) -> Result<TenantId, Error> {
    if let Some(row) = state.find_tenant(text) {
        return Ok(row.def.id.clone());
    }
    let names = state.tenants.iter().flat_map(|t| [t.def.id.as_str(), &t.def.name]);
    Err(unknown("tenant", text, nearest(text, names), "mcpdeck get tenants"))
}

pub fn server(state: &Snapshot, text: &str) -> Result<ServerId, Error> {
    if let Some(row) = state.server(text) {
        return Ok(row.def.id.clone());
    }
    let names = state.servers.iter().map(|s| s.def.id.as_str());
    Err(unknown("server", text, nearest(text, names), "mcpdeck get servers"))
}

/// `server`, `server@tenant` or `server@tenant#N`; the tenant by any of its names.
pub fn target(state: &Snapshot, text: &str) -> Result<InstanceKey, Error> {
    let typed: InstanceKey = text.parse().map_err(|e: crate::model::id::KeyError| Error::usage(e.to_string()))?;
    let tenant = typed.tenant.map(|name| tenant(state, name.as_str())).transpose()?;
    Ok(InstanceKey { server: server(state, typed.server.as_str())?, tenant, session: typed.session })
}

/// `c12`, or the number alone.
pub fn call(text: &str) -> Option<CallId> {
    text.strip_prefix('c').unwrap_or(text).parse().ok().map(CallId)
}

/// `j12`, or the number alone.
pub fn job(text: &str) -> Option<JobId> {
    text.strip_prefix('j').unwrap_or(text).parse().ok().map(JobId)
}

fn unknown(what: &str, text: &str, near: Option<&str>, list: &str) -> Error {
    let help = match near {
        Some(near) => format!("did you mean `{near}`? `{list}` lists them all"),
        None => format!("`{list}` lists them all"),
    };
    Error::new(Code::NotFound, "not_found", format!("no {what} `{text}`")).help(help)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_with_and_without_their_letter() {
        assert_eq!((call("c12"), call("12"), call("j12")), (Some(CallId(12)), Some(CallId(12)), None));
        assert_eq!((job("j3"), job("3"), job("x")), (Some(JobId(3)), Some(JobId(3)), None));
    }
}
