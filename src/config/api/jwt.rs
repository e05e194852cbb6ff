//! `[api] jwt`: whose tokens are good, and what they say.

use crate::config::reader::{Field, Reader};
use crate::model::secret::SecretRef;
use std::path::PathBuf;
use std::time::Duration;

/// Tokens as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JwtConfig {
    pub key: JwtKey,
    /// Claim that names the tenant: its id, an alias or its display name.
    pub tenant_claim: String,
    /// Claim that names the role; `None`: everybody is a tenant.
    pub role_claim: Option<String>,
    /// What `iss` must be.
    pub issuer: Option<String>,
    /// What `aud` must hold.
    pub audience: Option<String>,
    /// How long a token is good that we make.
    pub ttl: Duration,
}

/// What tokens are verified with; each is for one algorithm, whatever a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwtKey {
    /// HS256. Whoever has it makes tokens: so do we, for people who log in.
    Secret(SecretRef),
    /// RS256: a file in PEM.
    Public(PathBuf),
}

const LIKE: &str = "{ secret = { env = \"NAME\" } } or { public_key = \"/path.pem\" }";

pub fn jwt(field: &Field<'_>) -> Option<JwtConfig> {
    let mut from = field.table_like(LIKE)?;
    let secret = from.opt("secret", |f| f.secret().map(JwtKey::Secret));
    let public = from.opt("public_key", |f| f.path().map(JwtKey::Public));
    let given = [from.has("secret"), from.has("public_key")];
    if given[0] == given[1] {
        let message = if given[0] { "a secret and a public key" } else { "neither a secret nor a public key" };
        field.problem(message, format!("tokens are verified with exactly one: {LIKE}"));
    }
    let text = |from: &mut Reader<'_>, name| from.opt(name, |f| f.full_text().map(str::to_owned));
    let day = Duration::from_secs(86_400);
    let out = JwtConfig {
        key: secret.or(public).unwrap_or(JwtKey::Public(PathBuf::new())),
        tenant_claim: text(&mut from, "tenant_claim").unwrap_or_else(|| "tenant".to_owned()),
        role_claim: text(&mut from, "role_claim"),
        issuer: text(&mut from, "issuer"),
        audience: text(&mut from, "audience"),
        ttl: from.or("ttl", 8 * Duration::from_secs(3600), |f| f.duration(Duration::from_secs(60)..=365 * day)),
    };
    from.finish();
    Some(out)
}
