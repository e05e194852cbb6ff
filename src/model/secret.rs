//! Secrets: a value nobody can print, and the reference a configuration holds instead of it.

use super::{InstanceKey, Stamp, TenantId};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
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

/// What stands in place of a masked value.
pub const MASK: &str = "•••";
/// A secret shorter than this would mask half the text.
const SHORTEST: usize = 4;
/// A line of a secret of many lines is masked by itself if it is as long as this (the frame of a key is no secret).
const SHORTEST_LINE: usize = 16;

/// Texts that nothing we show or write may hold: the secrets that an instance was started with.
#[derive(Clone, Default)]
pub struct Hidden(Arc<[Zeroizing<String>]>);

impl Hidden {
    /// Each secret as it stands, as JSON writes it, without a scheme before it (`Bearer x` also as `x`), and by line.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a Secret>) -> Self {
        let mut texts: Vec<Zeroizing<String>> = Vec::new();
        for secret in secrets {
            let value = secret.expose();
            let quoted = Zeroizing::new(serde_json::to_string(value).unwrap_or_default());
            let forms = [value, quoted.trim_matches('"'), value.split_once(' ').map_or("", |(_, rest)| rest)];
            let lines = value.lines().filter(|line| line.len() >= SHORTEST_LINE && !line.starts_with("-----"));
            texts.extend(forms.into_iter().chain(lines).map(|form| Zeroizing::new(form.trim().to_owned())));
        }
        texts.retain(|text| text.len() >= SHORTEST);
        // The longest first: a part of it that was masked before would leave the rest to be read.
        texts.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        texts.dedup();
        Self(texts.into())
    }

    /// `text` without any of them, and how many there were.
    pub fn mask<'t>(&self, text: &'t str) -> (Cow<'t, str>, u32) {
        let mut text = Cow::Borrowed(text);
        let mut masked = 0;
        for secret in self.0.iter() {
            if text.contains(secret.as_str()) {
                text = Cow::Owned(text.replace(secret.as_str(), MASK));
                masked += 1;
            }
        }
        (text, masked)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_form_of_a_secret_is_left() {
        let key = "-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG9w0B\nshort\n-----END KEY-----";
        let secrets = ["Bearer tok-12345", "tok-1", "a\"b\\c", "abc", key].map(|s| Secret::new(s.to_owned()));
        let hidden = Hidden::new(&secrets);
        for (text, want) in [
            ("sent Bearer tok-12345!", "sent •••!"),
            ("token tok-12345 is bad", "token ••• is bad"),
            (r#"{"x":"a\"b\\c"}"#, r#"{"x":"•••"}"#),
            ("abc is too short to hide", "abc is too short to hide"),
            ("read MIIEvQIBADANBgkqhkiG9w0B here", "read ••• here"),
            ("-----BEGIN KEY-----", "-----BEGIN KEY-----"),
            ("", ""),
        ] {
            assert_eq!(hidden.mask(text).0, want);
        }
    }
}
