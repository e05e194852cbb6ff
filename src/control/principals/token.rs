//! Tokens (JWT, RFC 7519): verified with the one algorithm that the config's key is for, and made for people who log in.
//! Must never show the key.

use super::Unproven;
use crate::config::{JwtConfig, JwtKey};
use crate::control::secrets::Vault;
use crate::model::principal::{Principal, Role, UserRow};
use crate::model::{Stamp, TenantId};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, decode, encode};
use serde_json::{Map, Value, json};

/// RFC 7518, 3.2: a key shorter than the hash can be guessed.
const SHORTEST_SECRET: usize = 32;
/// Clocks may differ by so many seconds.
const LEEWAY_S: u64 = 10;
/// A token is no longer than this.
const LONGEST: usize = 16 << 10;
/// A subject is cut at this in the audit.
const SUBJECT: usize = 128;
/// Marks tokens of ours: when the password was set that was given for it. A new password ends them.
const SINCE: &str = "mcpdeck_since";

/// What tokens are verified and made with.
pub enum Tokens {
    /// The config takes none.
    None,
    /// It does, and what they are verified with is being read.
    Starting,
    /// It cannot be read, for this reason.
    Broken(String),
    Good(Box<Keys>),
}

pub struct Keys {
    config: JwtConfig,
    verify: DecodingKey,
    /// Only who has the secret can make tokens.
    sign: Option<EncodingKey>,
    rules: Validation,
}

/// What a good token says.
pub struct Claims<'k> {
    keys: &'k Keys,
    all: Map<String, Value>,
}

/// A token that was given for a password.
pub struct Login<'c> {
    pub email: &'c str,
    pub since: Stamp,
}

impl Tokens {
    /// Nothing is read yet.
    pub fn new(config: Option<&JwtConfig>) -> Self {
        if config.is_some() { Self::Starting } else { Self::None }
    }

    pub async fn load(config: Option<&JwtConfig>, vault: &Vault) -> Self {
        let Some(config) = config else { return Self::None };
        match Keys::load(config, vault).await {
            Ok(keys) => Self::Good(Box::new(keys)),
            Err(why) => Self::Broken(why),
        }
    }

    /// Why no token is good, though the config takes them.
    pub fn trouble(&self) -> Option<String> {
        if let Self::Broken(why) = self { Some(why.clone()) } else { None }
    }

    fn keys(&self) -> Result<&Keys, Unproven> {
        match self {
            Self::None => Err(Unproven::NoTokens),
            Self::Starting => Err(Unproven::Starting),
            Self::Broken(_) => Err(Unproven::Token("what it is verified with cannot be read".to_owned())),
            Self::Good(keys) => Ok(keys),
        }
    }

    /// Verifies a token.
    pub fn read(&self, text: &str) -> Result<Claims<'_>, Unproven> {
        let keys = self.keys()?;
        let bad = |why: &str| Unproven::Token(why.to_owned());
        if text.len() > LONGEST {
            return Err(bad("it is too long"));
        }
        match decode::<Map<String, Value>>(text, &keys.verify, &keys.rules) {
            Ok(token) => Ok(Claims { keys, all: token.claims }),
            Err(error) => Err(match error.kind() {
                ErrorKind::ExpiredSignature => bad("it has expired"),
                ErrorKind::ImmatureSignature => bad("it is not good yet"),
                ErrorKind::InvalidSignature => bad("it was signed with another key"),
                ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm | ErrorKind::InvalidAlgorithmName => {
                    bad("it was signed with another algorithm")
                }
                ErrorKind::InvalidIssuer => bad("it is of another issuer"),
                ErrorKind::InvalidAudience => bad("it is for another audience"),
                ErrorKind::MissingRequiredClaim(claim) => Unproven::Token(format!("it has no `{claim}`")),
                _ => bad("it cannot be read"),
            }),
        }
    }

    /// What tokens are made with; the reason, if nobody can be given one.
    fn signer(&self) -> Result<(&JwtConfig, &EncodingKey), String> {
        match self {
            Self::None => Err("tokens are made only with [api] jwt = { secret = ... }".to_owned()),
            Self::Starting => Err("the platform is starting".to_owned()),
            Self::Broken(why) => Err(why.clone()),
            Self::Good(keys) => {
                let why = || "with a public key, tokens are made by whoever has the private one".to_owned();
                Ok((&keys.config, keys.sign.as_ref().ok_or_else(why)?))
            }
        }
    }

    /// The reason, if nobody can be given a token.
    pub fn can_issue(&self) -> Result<(), String> {
        self.signer().map(drop)
    }

    /// A token for a person, good for `[api] jwt.ttl`.
    pub fn issue(&self, user: &UserRow, now: Stamp) -> Result<String, String> {
        let (config, sign) = self.signer()?;
        let now_s = now.0 / 1000;
        let mut claims = Map::new();
        let mut put = |name: &str, value: Value| drop(claims.insert(name.to_owned(), value));
        put("sub", json!(user.email));
        put("iat", json!(now_s));
        put("exp", json!(now_s.saturating_add(config.ttl.as_secs())));
        if let Some(tenant) = &user.tenant {
            put(&config.tenant_claim, json!(tenant.as_str()));
        }
        if let Some(claim) = &config.role_claim {
            put(claim, json!(user.role.name()));
        }
        if let Some(issuer) = &config.issuer {
            put("iss", json!(issuer));
        }
        if let Some(audience) = &config.audience {
            put("aud", json!(audience));
        }
        put(SINCE, json!(user.changed.0));
        encode(&Header::new(Algorithm::HS256), &claims, sign).map_err(|error| error.to_string())
    }
}

impl Keys {
    async fn load(config: &JwtConfig, vault: &Vault) -> Result<Self, String> {
        let (algorithm, verify, sign) = match &config.key {
            JwtKey::Secret(source) => {
                let secret = vault.resolve("api.jwt.secret", source).await?.value;
                let bytes = secret.expose().as_bytes();
                if bytes.len() < SHORTEST_SECRET {
                    let found = bytes.len();
                    return Err(format!("secret api.jwt.secret: it has {found} bytes, HS256 needs {SHORTEST_SECRET}"));
                }
                (Algorithm::HS256, DecodingKey::from_secret(bytes), Some(EncodingKey::from_secret(bytes)))
            }
            JwtKey::Public(path) => {
                let told = |why: String| format!("[api] jwt.public_key {}: {why}", path.display());
                let pem = tokio::fs::read(path).await.map_err(|error| told(error.to_string()))?;
                let key = DecodingKey::from_rsa_pem(&pem);
                (Algorithm::RS256, key.map_err(|_| told("it is no RSA public key in PEM".to_owned()))?, None)
            }
        };
        let mut rules = Validation::new(algorithm);
        rules.leeway = LEEWAY_S;
        rules.validate_nbf = true;
        rules.validate_aud = config.audience.is_some();
        let mut required = vec!["exp"];
        if let Some(issuer) = &config.issuer {
            rules.set_issuer(&[issuer]);
            required.push("iss");
        }
        if let Some(audience) = &config.audience {
            rules.set_audience(&[audience]);
            required.push("aud");
        }
        rules.set_required_spec_claims(&required);
        Ok(Self { config: config.clone(), verify, sign, rules })
    }
}

impl Claims<'_> {
    pub fn expires(&self) -> Stamp {
        let seconds = self.all.get("exp").and_then(Value::as_f64).unwrap_or_default();
        // Clamped: a float that is too large becomes the largest.
        Stamp(((seconds.max(0.0) as u64).saturating_add(LEEWAY_S)).saturating_mul(1000))
    }

    /// `None`: somebody else made it.
    pub fn login(&self) -> Option<Login<'_>> {
        let since = self.all.get(SINCE)?.as_u64()?;
        Some(Login { email: self.text("sub")?, since: Stamp(since) })
    }

    /// Who it is for; `tenant` finds one by what it answers to.
    pub fn principal(&self, tenant: impl Fn(&str) -> Option<TenantId>) -> Result<Principal, Unproven> {
        let config = &self.keys.config;
        let role = self.role()?;
        let named = self.text(&config.tenant_claim);
        let tenant = match named {
            Some(name) => Some(tenant(name).ok_or_else(|| Unproven::NoTenant(shown(name)))?),
            None if role == Role::Tenant => {
                return Err(Unproven::Token(format!("it names no customer in `{}`", config.tenant_claim)));
            }
            None => None,
        };
        let who = self.text("sub").or(named).unwrap_or_default();
        Ok(Principal { name: format!("jwt:{}", shown(who)), role, tenant })
    }

    fn role(&self) -> Result<Role, Unproven> {
        let Some(claim) = &self.keys.config.role_claim else { return Ok(Role::Tenant) };
        let Some(value) = self.all.get(claim) else { return Ok(Role::Tenant) };
        let named = |role: &Role| value.as_str() == Some(role.name());
        let role = Role::ALL.into_iter().find(named);
        role.ok_or_else(|| Unproven::Token(format!("its `{claim}` is not tenant, operator or admin")))
    }

    fn text(&self, claim: &str) -> Option<&str> {
        self.all.get(claim)?.as_str()
    }
}

/// What somebody else wrote, as it can stand in a line.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SUBJECT).collect()
}
