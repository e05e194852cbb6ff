//! Who may call over HTTP: API keys, people with passwords, tokens. Tables that are swapped whole: a call looks itself up
//! without a lock and without the store. Must never show or log what proves a caller.

mod book;
mod life;
mod password;
mod token;

pub use book::{Book, Change, hash_of};
pub use life::Caller;
pub use password::{LoginError, hash};

use super::deck::Deck;
use super::secrets::Vault;
use crate::config::{Config, Live};
use crate::model::hash::Map;
use crate::model::principal::{KeyRow, Principal, UserRow};
use crate::model::secret::Secret;
use crate::model::{Command, Refusal, Stamp, TenantId};
use crate::store::{Store, StoreError};
use arc_swap::ArcSwap;
use password::Passwords;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use token::Tokens;

/// How often the store learns when keys were last used.
const USED_EVERY: Duration = Duration::from_secs(10);

/// Why a credential proves nobody. Whoever is told holds what is meant, so that it may say why.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    #[error("the credential is not known")]
    Unknown,
    #[error("the API key {0} was revoked")]
    Revoked(String),
    #[error("the API key {0} has expired")]
    Expired(String),
    #[error("the customer `{0}` of this credential is not in the configuration")]
    NoTenant(String),
    #[error("the token is not good: {0}")]
    Token(String),
    #[error("tokens are not taken here: see [api] jwt")]
    NoTokens,
    /// The store has not said yet who there is.
    #[error("the platform is starting")]
    Starting,
}

/// Everybody who may call.
pub struct Principals {
    /// `None` until the store is read.
    book: ArcSwap<Option<Book>>,
    names: ArcSwap<Names>,
    tokens: ArcSwap<Tokens>,
    passwords: Passwords,
    config: Live,
}

/// What tenants answer to, in lower case.
struct Names {
    of: Arc<Config>,
    ids: Map<String, TenantId>,
}

impl Names {
    fn new(of: Arc<Config>) -> Self {
        let mut ids = Map::default();
        for tenant in &of.tenants {
            for name in tenant.aliases.iter().chain([&tenant.name]) {
                ids.insert(name.to_lowercase(), tenant.id.clone());
            }
        }
        // An id is never another one's name.
        ids.extend(of.tenants.iter().map(|tenant| (tenant.id.as_str().to_lowercase(), tenant.id.clone())));
        Self { of, ids }
    }
}

impl Principals {
    pub fn new(config: Live) -> Self {
        Self {
            book: ArcSwap::default(),
            names: ArcSwap::from_pointee(Names::new(config.get())),
            tokens: ArcSwap::from_pointee(Tokens::new(config.get().api.jwt.as_ref())),
            passwords: Passwords::default(),
            config,
        }
    }

    /// Reads what the store remembers; nobody is known before.
    pub async fn load(&self, store: &dyn Store) -> Result<(), StoreError> {
        let book = Book::new(store.keys().await?, store.users().await?);
        self.book.store(Arc::new(Some(book)));
        Ok(())
    }

    /// Reads again what tokens are verified with. The reason, if that cannot be; no token is good then.
    pub async fn load_tokens(&self, vault: &Vault) -> Result<(), String> {
        let config = self.config.get();
        let tokens = Tokens::load(config.api.jwt.as_ref(), vault).await;
        let failed = tokens.trouble();
        self.tokens.store(Arc::new(tokens));
        failed.map_or(Ok(()), Err)
    }

    /// The tenant that answers to an id, an alias or a display name.
    pub fn tenant(&self, name: &str) -> Option<TenantId> {
        let mut names = self.names.load();
        if !Arc::ptr_eq(&names.of, &self.config.peek()) {
            self.names.store(Arc::new(Names::new(self.config.get())));
            names = self.names.load();
        }
        let is_lower = name.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase());
        let name = if is_lower { Cow::Borrowed(name) } else { Cow::Owned(name.to_lowercase()) };
        names.ids.get(&*name).cloned()
    }

    /// Whoever holds the API key with this text.
    pub fn by_key(&self, text: &str) -> Result<Caller, Unproven> {
        let book = self.book.load();
        let book = Option::as_ref(&book).ok_or(Unproven::Starting)?;
        let key = book.key(text).ok_or(Unproven::Unknown)?;
        let now = Stamp::now();
        let row = &key.stored.row;
        if row.revoked.is_some() {
            return Err(Unproven::Revoked(row.id.clone()));
        }
        if row.expires.is_some_and(|at| at <= now) {
            return Err(Unproven::Expired(row.id.clone()));
        }
        self.check_tenant(&key.principal)?;
        key.life.used(now);
        Ok(Caller::of_key(key))
    }

    /// Whoever the token names.
    pub fn by_token(&self, text: &str) -> Result<Caller, Unproven> {
        let tokens = self.tokens.load();
        let claims = tokens.read(text)?;
        let Some(login) = claims.login() else {
            let principal = claims.principal(|name| self.tenant(name))?;
            return Ok(Caller::of_token(principal, claims.expires()));
        };
        let book = self.book.load();
        let book = Option::as_ref(&book).ok_or(Unproven::Starting)?;
        let user = book.user(login.email).filter(|user| user.stored.row.changed == login.since);
        let user = user.ok_or_else(|| Unproven::Token("its user was removed, or has a new password".to_owned()))?;
        let principal = user.stored.row.principal();
        self.check_tenant(&principal)?;
        Ok(Caller::of_user(user, principal, claims.expires()))
    }

    fn check_tenant(&self, principal: &Principal) -> Result<(), Unproven> {
        match &principal.tenant {
            Some(tenant) if self.tenant(tenant.as_str()).as_ref() != Some(tenant) => {
                Err(Unproven::NoTenant(tenant.to_string()))
            }
            _ => Ok(()),
        }
    }

    /// A token for a person whose password this is. An unknown one and a wrong password are told the same after the same
    /// time.
    pub async fn login(&self, email: &str, password: Secret, from: IpAddr) -> Result<String, LoginError> {
        let tokens = self.tokens.load_full();
        tokens.can_issue().map_err(LoginError::NoTokens)?;
        let email = email.trim().to_lowercase();
        self.passwords.admit(&email, from)?;
        let user = Option::as_ref(&self.book.load()).and_then(|book| book.user(&email)).map(|user| user.stored.clone());
        let (row, kept) = user.map(|user| (user.row, user.password)).unzip();
        let right = self.passwords.verify(password, kept).await?;
        let row = row.filter(|row| right && self.check_tenant(&row.principal()).is_ok()).ok_or(LoginError::Wrong)?;
        tokens.issue(&row, Stamp::now()).map_err(LoginError::NoTokens)
    }

    /// What `command` changes, if it may; decided on what holds now.
    pub fn decide(&self, command: &Command, by: &str) -> Result<Change, Refusal> {
        let book = self.book.load();
        let book = Option::as_ref(&book).ok_or_else(|| Refusal::Busy(Unproven::Starting.to_string()))?;
        let known = |tenant: &TenantId| self.tenant(tenant.as_str()).as_ref() == Some(tenant);
        book.decide(command, by, Stamp::now(), known)
    }

    /// From now on `change` holds, for open streams too. Only who keeps changes calls this, one after the other.
    pub fn apply(&self, change: Change) {
        let book = self.book.load_full();
        self.book.store(Arc::new(Option::as_ref(&book).map(|book| book.with(change))));
    }

    /// API keys, the oldest first.
    pub fn keys(&self) -> Vec<KeyRow> {
        Option::as_ref(&self.book.load()).map(Book::key_rows).unwrap_or_default()
    }

    /// People, by email.
    pub fn users(&self) -> Vec<UserRow> {
        Option::as_ref(&self.book.load()).map(Book::user_rows).unwrap_or_default()
    }

    /// Keys used since this was last asked, with when.
    fn take_used(&self) -> Vec<(String, Stamp)> {
        Option::as_ref(&self.book.load()).map(Book::take_used).unwrap_or_default()
    }
}

/// Tells the store when keys were last used, in batches, until the platform stops.
pub async fn keep_used(deck: Arc<Deck>) {
    loop {
        let stopping = tokio::select! {
            () = tokio::time::sleep(USED_EVERY) => false,
            () = deck.stop.cancelled() => true,
        };
        let used = deck.principals.take_used();
        if !used.is_empty()
            && let Ok(store) = deck.store.get().await
            && let Err(error) = store.set_keys_used(used).await
        {
            deck.store.failed(&error);
        }
        if stopping {
            return;
        }
    }
}
