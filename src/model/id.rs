//! Names: of a tenant, of a server, of one running instance.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

name_type! {
    /// A tenant's id: lower-case letters, digits, `-` and `_`.
    TenantId
}
name_type! {
    /// A server's id: lower-case letters, digits, `-` and `_`.
    ServerId
}

name_type! {
    /// A stack's id: lower-case letters, digits, `-` and `_`.
    StackId
}

/// The id an imported display name gets: lower case, with `-` for whatever is not a letter or digit
/// (`Vattenfall DE` is `vattenfall-de`). Runs of other characters become one `-`; none at the ends.
pub fn slug(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for c in name.chars().flat_map(char::to_lowercase) {
        if c.is_alphanumeric() {
            out.push(c);
        } else if !out.is_empty() && !out.ends_with('-') {
            out.push('-');
        }
    }
    out.truncate(out.trim_end_matches('-').len());
    out
}

/// One running copy of a server: written `server`, `server@tenant` or `server@tenant#N`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceKey {
    pub server: ServerId,
    /// `None` for a shared server.
    pub tenant: Option<TenantId>,
    /// Number of the client session, for servers of scope `session`.
    pub session: Option<u32>,
}

impl InstanceKey {
    /// The one instance of a shared server.
    pub fn shared(server: ServerId) -> Self {
        Self { server, tenant: None, session: None }
    }

    /// A tenant's own instance.
    pub fn of_tenant(server: ServerId, tenant: TenantId) -> Self {
        Self { server, tenant: Some(tenant), session: None }
    }

    /// A client session's own instance.
    pub fn of_session(server: ServerId, tenant: TenantId, session: u32) -> Self {
        Self { server, tenant: Some(tenant), session: Some(session) }
    }

    /// `server` and `server@tenant` name every instance below them; so `etim` covers `etim@eaton`.
    pub fn covers(&self, other: &InstanceKey) -> bool {
        self.server == other.server
            && (self.tenant.is_none() || self.tenant == other.tenant)
            && (self.session.is_none() || self.session == other.session)
    }
}

impl fmt::Display for InstanceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = self.server.as_str().to_owned();
        if let Some(tenant) = &self.tenant {
            text.push('@');
            text.push_str(tenant.as_str());
        }
        if let Some(session) = self.session {
            text.push('#');
            text.push_str(&session.to_string());
        }
        f.pad(&text)
    }
}

/// Why a text is no instance key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not `server`, `server@tenant` or `server@tenant#N`")]
pub struct KeyError(pub String);

impl FromStr for InstanceKey {
    type Err = KeyError;

    fn from_str(text: &str) -> Result<Self, KeyError> {
        let bad = || KeyError(text.to_owned());
        let (rest, session) = match text.split_once('#') {
            Some((rest, n)) => (rest, Some(n.parse().map_err(|_| bad())?)),
            None => (text, None),
        };
        let (server, tenant) = match rest.split_once('@') {
            Some((server, tenant)) => (server, Some(tenant)),
            None => (rest, None),
        };
        if server.is_empty() || tenant.is_some_and(str::is_empty) || (session.is_some() && tenant.is_none()) {
            return Err(bad());
        }
        Ok(Self { server: server.into(), tenant: tenant.map(Into::into), session })
    }
}

impl Serialize for InstanceKey {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InstanceKey {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_back_as_written() {
        for text in ["etim", "etim@eaton", "etim@eaton#3"] {
            assert_eq!(text.parse::<InstanceKey>().unwrap().to_string(), text);
        }
        for text in ["", "@eaton", "etim@", "etim#3", "etim@eaton#x"] {
            assert!(text.parse::<InstanceKey>().is_err(), "{text}");
        }
    }

    #[test]
    fn display_names_become_ids() {
        for (name, id) in [("Vattenfall DE", "vattenfall-de"), ("  A & B  ", "a-b"), ("EATON", "eaton"), ("!!", "")] {
            assert_eq!(slug(name), id);
        }
    }
}
