//! Keys and people as the store has them, and what a command changes of them. Decisions are pure.

use super::life::Life;
use crate::model::hash::Map;
use crate::model::principal::{
    KEY_PREFIX, KeyHash, KeyRow, NewKey, NewUser, PasswordHash, Principal, Role, StoredKey, StoredUser, UserRow,
};
use crate::model::{Command, Refusal, Stamp, TenantId};
use crate::store::{Store, StoreError};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Keys, and people, at most.
const MOST: usize = 10_000;
/// A key's text is no longer than this: what is longer is not hashed.
const LONGEST: usize = 256;

/// Every key and every person.
#[derive(Clone, Default)]
pub struct Book {
    by_hash: Map<KeyHash, Arc<Key>>,
    keys: BTreeMap<String, Arc<Key>>,
    users: BTreeMap<String, Arc<User>>,
}

pub struct Key {
    pub stored: StoredKey,
    pub principal: Principal,
    pub life: Arc<Life>,
}

pub struct User {
    pub stored: StoredUser,
    pub life: Arc<Life>,
}

/// What becomes of keys or of a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Keys(Vec<StoredKey>),
    /// `None`: removed.
    User {
        email: String,
        user: Option<StoredUser>,
    },
}

impl Change {
    /// Returns when it is on disk.
    pub async fn keep(&self, store: &dyn Store) -> Result<(), StoreError> {
        match self.clone() {
            Self::Keys(keys) => store.set_keys(keys).await,
            Self::User { email, user } => store.set_user(email, user).await,
        }
    }
}

/// What a key is found by.
pub fn hash_of(text: &str) -> KeyHash {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    let mut hash = KeyHash([0; 32]);
    hash.0.copy_from_slice(digest.as_ref());
    hash
}

impl Book {
    pub fn new(keys: Vec<StoredKey>, users: Vec<StoredUser>) -> Self {
        let mut book = Self::default();
        keys.into_iter().for_each(|key| book.put_key(key));
        for user in users {
            book.put_user(user.row.email.clone(), Some(user));
        }
        book
    }

    /// The key with this text, whether it is still good or not.
    pub fn key(&self, text: &str) -> Option<&Arc<Key>> {
        let shaped = text.len() <= LONGEST && text.starts_with(KEY_PREFIX);
        shaped.then(|| self.by_hash.get(&hash_of(text))).flatten()
    }

    pub fn user(&self, email: &str) -> Option<&Arc<User>> {
        self.users.get(email)
    }

    pub fn key_rows(&self) -> Vec<KeyRow> {
        let row = |key: &Arc<Key>| KeyRow { last_used: key.life.last_used(), ..key.stored.row.clone() };
        let mut rows: Vec<_> = self.keys.values().map(row).collect();
        rows.sort_by_key(|row| row.created);
        rows
    }

    pub fn user_rows(&self) -> Vec<UserRow> {
        self.users.values().map(|user| user.stored.row.clone()).collect()
    }

    /// Keys whose last use the store does not know yet.
    pub fn take_used(&self) -> Vec<(String, Stamp)> {
        self.keys.values().filter_map(|key| Some((key.stored.row.id.clone(), key.life.take_used()?))).collect()
    }

    /// The book after `change`; open streams of whoever is no longer good are told.
    pub fn with(&self, change: Change) -> Self {
        let mut book = self.clone();
        match change {
            Change::Keys(keys) => keys.into_iter().for_each(|key| book.put_key(key)),
            Change::User { email, user } => book.put_user(email, user),
        }
        book
    }

    fn put_key(&mut self, stored: StoredKey) {
        let row = &stored.row;
        let good_until = if row.revoked.is_some() { row.revoked } else { row.expires };
        let life = match self.keys.get(&row.id) {
            Some(before) => {
                before.life.set(good_until);
                before.life.clone()
            }
            None => Arc::new(Life::new(row.last_used, good_until)),
        };
        let key = Arc::new(Key { principal: row.principal(), life, stored });
        self.by_hash.insert(key.stored.hash, key.clone());
        self.keys.insert(key.stored.row.id.clone(), key);
    }

    /// Tokens from before are bound to the password from before, and so are streams.
    fn put_user(&mut self, email: String, user: Option<StoredUser>) {
        if let Some(before) = self.users.remove(&email) {
            before.life.set(Some(Stamp(0)));
        }
        if let Some(stored) = user {
            self.users.insert(email, Arc::new(User { stored, life: Arc::new(Life::new(None, None)) }));
        }
    }

    /// What `command` changes, or why it does not. `known` says whether there is such a tenant.
    pub fn decide(
        &self,
        command: &Command,
        by: &str,
        now: Stamp,
        known: impl Fn(&TenantId) -> bool,
    ) -> Result<Change, Refusal> {
        match command {
            Command::CreateKey(key) => {
                check_grant(key.role, key.tenant.as_ref(), known)?;
                self.create(key, by, now).map(|key| Change::Keys(vec![key]))
            }
            Command::RevokeKey(id) => {
                let key = self.good_key(id, now)?;
                Ok(Change::Keys(vec![StoredKey {
                    row: KeyRow { revoked: Some(now), ..key.row.clone() },
                    ..key.clone()
                }]))
            }
            Command::RotateKey { id, next, hash, overlap_ms } => {
                let old = self.good_key(id, now)?;
                let (old, next) = rotated(old, next, *hash, now, *overlap_ms);
                self.check_new(&next.row.id)?;
                Ok(Change::Keys(vec![old, StoredKey { row: KeyRow { created_by: by.to_owned(), ..next.row }, ..next }]))
            }
            Command::AddUser(user) => {
                check_grant(user.role, user.tenant.as_ref(), known)?;
                self.add(user, now).map(|stored| Change::User { email: user.email.clone(), user: Some(stored) })
            }
            Command::SetPassword { email, password } => self.set_password(email, password, now),
            Command::RemoveUser(email) => {
                self.known_user(email)?;
                Ok(Change::User { email: email.clone(), user: None })
            }
            other => Err(Refusal::Failed(format!("{} is not about who may call", other.verb()))),
        }
    }

    fn create(&self, new: &NewKey, by: &str, now: Stamp) -> Result<StoredKey, Refusal> {
        self.check_new(&new.id)?;
        if new.expires.is_some_and(|at| at <= now) {
            return Err(Refusal::Refused("it would have expired before it is made".to_owned()));
        }
        let NewKey { id, hash, name, role, tenant, expires } = new.clone();
        let created_by = by.to_owned();
        let row = KeyRow { id, name, role, tenant, created: now, created_by, expires, last_used: None, revoked: None };
        Ok(StoredKey { row, hash })
    }

    fn check_new(&self, id: &str) -> Result<(), Refusal> {
        if self.keys.contains_key(id) {
            return Err(Refusal::Refused(format!("there is a key {id} already; try again")));
        }
        if self.keys.len() >= MOST {
            return Err(Refusal::Refused(format!("there are {MOST} keys, no more are kept: revoke some")));
        }
        Ok(())
    }

    /// A key that still works.
    fn good_key(&self, id: &str, now: Stamp) -> Result<&StoredKey, Refusal> {
        let none = || Refusal::NotFound(format!("no API key {id} (mcpdeck keys list)"));
        let key = &self.keys.get(id).ok_or_else(none)?.stored;
        if key.row.revoked.is_some() {
            return Err(Refusal::Refused(format!("the API key {id} is revoked already")));
        }
        if key.row.expires.is_some_and(|at| at <= now) {
            return Err(Refusal::Refused(format!("the API key {id} has expired already")));
        }
        Ok(key)
    }

    fn add(&self, new: &NewUser, now: Stamp) -> Result<StoredUser, Refusal> {
        if self.users.contains_key(&new.email) {
            let why = format!("there is a user {} already (mcpdeck users passwd sets a password)", new.email);
            return Err(Refusal::Refused(why));
        }
        if self.users.len() >= MOST {
            return Err(Refusal::Refused(format!("there are {MOST} users, no more are kept: remove some")));
        }
        let NewUser { email, role, tenant, password } = new.clone();
        Ok(StoredUser { row: UserRow { email, role, tenant, created: now, changed: now }, password })
    }

    fn known_user(&self, email: &str) -> Result<&StoredUser, Refusal> {
        let none = || Refusal::NotFound(format!("no user {email} (mcpdeck users list)"));
        self.users.get(email).map(|user| &user.stored).ok_or_else(none)
    }

    fn set_password(&self, email: &str, password: &PasswordHash, now: Stamp) -> Result<Change, Refusal> {
        let old = self.known_user(email)?;
        // Never the same twice: tokens are bound to it.
        let changed = now.max(Stamp(old.row.changed.0 + 1));
        let user = StoredUser { row: UserRow { changed, ..old.row.clone() }, password: password.clone() };
        Ok(Change::User { email: email.to_owned(), user: Some(user) })
    }
}

fn check_grant(role: Role, tenant: Option<&TenantId>, known: impl Fn(&TenantId) -> bool) -> Result<(), Refusal> {
    match tenant {
        None if role == Role::Tenant => Err(Refusal::Refused("the role tenant needs a tenant".to_owned())),
        Some(tenant) if !known(tenant) => {
            Err(Refusal::NotFound(format!("no customer is called {tenant} (mcpdeck get tenants)")))
        }
        _ => Ok(()),
    }
}

/// The old key, good for the overlap at most, and the new one, which may what the old one may and lives as long.
fn rotated(old: &StoredKey, id: &str, hash: KeyHash, now: Stamp, overlap_ms: u64) -> (StoredKey, StoredKey) {
    let end = Stamp(now.0.saturating_add(overlap_ms));
    let lifetime = old.row.expires.map(|at| at.0.saturating_sub(old.row.created.0));
    let row = KeyRow {
        id: id.to_owned(),
        created: now,
        expires: lifetime.map(|ms| Stamp(now.0.saturating_add(ms))),
        last_used: None,
        ..old.row.clone()
    };
    let expires = Some(old.row.expires.map_or(end, |at| at.min(end)));
    (StoredKey { row: KeyRow { expires, ..old.row.clone() }, hash: old.hash }, StoredKey { row, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Stamp = Stamp(1_000_000);

    fn new_key(id: &str, role: Role, tenant: Option<&str>) -> NewKey {
        let hash = hash_of(&format!("{KEY_PREFIX}{id}_x"));
        NewKey { id: id.into(), hash, name: "ci".into(), role, tenant: tenant.map(Into::into), expires: None }
    }

    fn decide(book: &Book, command: &Command, at: Stamp) -> Result<Change, String> {
        book.decide(command, "ana", at, |tenant| tenant.as_str() == "eaton").map_err(|refusal| refusal.to_string())
    }

    fn book(commands: &[Command]) -> Book {
        commands.iter().fold(Book::default(), |book, c| book.with(decide(&book, c, NOW).unwrap()))
    }

    fn rotate(id: &str, next: &str, overlap_ms: u64) -> Command {
        Command::RotateKey {
            id: id.into(),
            next: next.into(),
            hash: hash_of(&format!("{KEY_PREFIX}{next}_x")),
            overlap_ms,
        }
    }

    fn user(email: &str) -> Command {
        let password = PasswordHash::new("$argon2id$1".into());
        Command::AddUser(NewUser { email: email.into(), role: Role::Admin, tenant: None, password })
    }

    #[test]
    fn what_cannot_be_done_says_why() {
        let create = |id, role, tenant| Command::CreateKey(new_key(id, role, tenant));
        let late = NewKey { expires: Some(NOW), ..new_key("z", Role::Admin, None) };
        let mut expired = new_key("old", Role::Admin, None);
        expired.expires = Some(Stamp(NOW.0 + 1));
        let a = create("a", Role::Tenant, Some("eaton"));
        let base = book(&[a.clone(), create("b", Role::Admin, None), Command::CreateKey(expired), user("x@y.z")]);
        let base = base.with(decide(&base, &Command::RevokeKey("b".into()), NOW).unwrap());
        for (command, says) in [
            (a, "already"),
            (create("n", Role::Tenant, None), "needs a tenant"),
            (create("n", Role::Tenant, Some("vatt")), "no customer is called vatt"),
            (create("n", Role::Operator, Some("vatt")), "no customer is called vatt"),
            (Command::CreateKey(late), "expired before"),
            (Command::RevokeKey("nope".into()), "no API key nope"),
            (Command::RevokeKey("b".into()), "revoked already"),
            (rotate("b", "n", 5), "revoked already"),
            (rotate("old", "n", 5), "expired already"),
            (rotate("a", "b", 5), "already"),
            (user("x@y.z"), "already"),
            (Command::RemoveUser("n@y.z".into()), "no user n@y.z"),
            (Command::ReapOrphans, "reap is not about"),
        ] {
            let got = decide(&base, &command, Stamp(NOW.0 + 1));
            assert!(got.as_ref().is_err_and(|why| why.contains(says)), "{command:?}: {got:?}");
        }
    }

    #[test]
    fn a_rotated_key_overlaps_and_the_new_one_lives_as_long() {
        let limited = NewKey { expires: Some(Stamp(NOW.0 + 500)), ..new_key("a", Role::Tenant, Some("eaton")) };
        for (overlap, end) in [(60, 160), (9_999, 500), (0, 100)] {
            let before = book(&[Command::CreateKey(limited.clone())]);
            let after = before.with(decide(&before, &rotate("a", "n", overlap), Stamp(NOW.0 + 100)).unwrap());
            let rows = after.key_rows();
            assert_eq!(rows.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["a", "n"]);
            assert_eq!(rows[0].expires, Some(Stamp(NOW.0 + end)), "{overlap}");
            assert_eq!(rows[1].expires, Some(Stamp(NOW.0 + 600)));
            assert_eq!((&rows[1].name, &rows[1].tenant, rows[1].role), (&rows[0].name, &rows[0].tenant, rows[0].role));
            assert!(after.key(&format!("{KEY_PREFIX}n_x")).is_some_and(|key| key.stored.row.id == "n"));
        }
    }

    #[test]
    fn a_new_password_is_another_even_within_a_millisecond() {
        let before = book(&[user("x@y.z")]);
        let set = Command::SetPassword { email: "x@y.z".into(), password: PasswordHash::new("$argon2id$2".into()) };
        let after = before.with(decide(&before, &set, NOW).unwrap());
        assert!(after.user_rows()[0].changed > before.user_rows()[0].changed);
        assert_eq!(after.user_rows()[0].created, NOW);
    }

    #[test]
    fn only_what_is_shaped_like_a_key_is_looked_up() {
        let all = book(&[Command::CreateKey(new_key("a", Role::Admin, None))]);
        assert!(all.key("mdk_a_x").is_some());
        for text in ["", "mdk_a_y", "mdk_a_x ", "a_x", &"mdk_".repeat(1000)] {
            assert!(all.key(text).is_none(), "{text}");
        }
    }
}
