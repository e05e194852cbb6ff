//! `keys`: API keys. The text of a key is made here, printed once, and never leaves this process: the owner and the store
//! get its hash.

use super::args::{Global, KeyCreate, KeysAction, Output};
use super::error::{Code, Error};
use super::get::odd_answer;
use super::output::Align::Left;
use super::output::{Column, age, json, maybe, none, note, print, print_rows, time};
use super::principals::{ask, give, tenant};
use super::session;
use crate::control::principals::hash_of;
use crate::model::message::{Answer, Query};
use crate::model::principal::{KEY_PREFIX, KeyRow, NewKey, Role};
use crate::model::secret::Secret;
use crate::model::{Command, Stamp};
use jiff::{Timestamp, civil, tz::TimeZone};
use serde::Serialize;

/// Bytes of chance in the id and in the rest of a key's text.
const ID_BYTES: usize = 5;
const SECRET_BYTES: usize = 32;
/// A name that an audit can show.
const LONGEST_NAME: usize = 64;

/// Runs `keys ...`.
pub fn run(global: &Global, action: &KeysAction) -> Result<Code, Error> {
    match action {
        KeysAction::Create(args) => create(global, args),
        KeysAction::List => list(global),
        KeysAction::Revoke { id } => {
            give(&session::load(global)?, global.output, Command::RevokeKey(id_of(id).to_owned()))?;
            done(global.output, "keys revoke", id_of(id))
        }
        KeysAction::Rotate { id, overlap } => {
            let fresh = Fresh::make()?;
            let overlap_ms = overlap.as_millis().try_into().unwrap_or(u64::MAX);
            let hash = hash_of(fresh.text.expose());
            let command = Command::RotateKey { id: id_of(id).to_owned(), next: fresh.id.clone(), hash, overlap_ms };
            give(&session::load(global)?, global.output, command)?;
            let still = format!("{} works for {} more", id_of(id), humantime::format_duration(*overlap));
            fresh.show(global.output, &format!("in place of {}; {still}", id_of(id)))
        }
    }
}

/// A key's id, also where somebody gives more of its text.
fn id_of(text: &str) -> &str {
    let text = text.strip_prefix(KEY_PREFIX).unwrap_or(text);
    text.split('_').next().unwrap_or(text)
}

fn create(global: &Global, args: &KeyCreate) -> Result<Code, Error> {
    let config = session::load(global)?;
    let role = Role::from(args.role);
    let tenant = tenant(&config, args.tenant.as_deref(), role)?;
    let name = args.name.clone().unwrap_or_default();
    if name.chars().count() > LONGEST_NAME || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::usage(format!("a key's name is one word of {LONGEST_NAME} characters at most")));
    }
    let expires = args.expires.as_deref().map(expiry).transpose()?;
    let fresh = Fresh::make()?;
    let whose = tenant.as_ref().map_or_else(|| "every customer".to_owned(), ToString::to_string);
    let hash = hash_of(fresh.text.expose());
    let key = NewKey { id: fresh.id.clone(), hash, name, role, tenant, expires };
    give(&config, global.output, Command::CreateKey(key))?;
    fresh.show(global.output, &format!("for {whose}, role {}", role.name()))
}

/// `90d` from now, a day (from its first minute) or an instant.
fn expiry(text: &str) -> Result<Stamp, Error> {
    if let Ok(after) = humantime::parse_duration(text) {
        return Ok(Stamp::now().after(after));
    }
    let day = || text.parse::<civil::Date>().ok()?.to_zoned(TimeZone::system()).ok().map(|at| at.timestamp());
    let at = text.parse::<Timestamp>().ok().or_else(day);
    let at = at.and_then(|at| u64::try_from(at.as_millisecond()).ok());
    at.map(Stamp).ok_or_else(|| Error::usage("--expires is a time from now (90d), a day (2027-01-31) or an instant"))
}

/// A key that was just made.
struct Fresh {
    id: String,
    text: Secret,
}

#[derive(Serialize)]
struct Shown<'a> {
    id: &'a str,
    key: &'a str,
}

impl Fresh {
    fn make() -> Result<Self, Error> {
        let mut bytes = [0; ID_BYTES + SECRET_BYTES];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Error::failed("the system gives no random bytes"))?;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let (id, secret) = bytes.split_at(ID_BYTES);
        let id = hex(id);
        let text = Secret::new(format!("{KEY_PREFIX}{id}_{}", hex(secret)));
        Ok(Self { id, text })
    }

    /// The only time that the text is seen.
    fn show(&self, output: Output, what: &str) -> Result<Code, Error> {
        match output {
            Output::Json => print(&json(&Shown { id: &self.id, key: self.text.expose() })?)?,
            Output::Table => {
                note(&format!("key {} {what}; shown this once:", self.id));
                print(&format!("{}\n", self.text.expose()))?;
            }
        }
        Ok(Code::Ok)
    }
}

#[derive(Serialize)]
struct Done<'a> {
    verb: &'a str,
    object: &'a str,
    outcome: &'static str,
}

/// Tells that an act was done.
pub fn done(output: Output, verb: &str, object: &str) -> Result<Code, Error> {
    match output {
        Output::Json => print(&json(&Done { verb, object, outcome: "ok" })?)?,
        Output::Table => print(&format!("{verb} {object}: ok\n"))?,
    }
    Ok(Code::Ok)
}

const COLUMNS: &[Column] = &[
    ("ID", Left),
    ("NAME", Left),
    ("TENANT", Left),
    ("ROLE", Left),
    ("STATE", Left),
    ("CREATED", Left),
    ("BY", Left),
    ("EXPIRES", Left),
    ("LAST USED", Left),
];

fn list(global: &Global) -> Result<Code, Error> {
    let Answer::Keys(rows) = ask(global, Query::Keys)? else { return Err(odd_answer()) };
    let now = Stamp::now();
    let cells = |row: &KeyRow| {
        vec![
            row.id.clone(),
            row.name.clone(),
            row.tenant.as_ref().map_or_else(none, ToString::to_string),
            row.role.name().to_owned(),
            row.state(now).to_owned(),
            time(row.created),
            row.created_by.clone(),
            maybe(row.expires.map(time)),
            age(row.last_used, now),
        ]
    };
    print_rows(global.output, COLUMNS, rows.iter().map(cells), &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_is_another_and_its_id_is_found_in_its_text() {
        let (a, b) = (Fresh::make().unwrap(), Fresh::make().unwrap());
        assert_ne!(a.text.expose(), b.text.expose());
        assert_eq!(a.text.expose().len(), "mdk_".len() + 10 + 1 + 64);
        assert_eq!(id_of(a.text.expose()), a.id);
        assert_eq!(id_of(&format!("mdk_{}", a.id)), a.id);
    }

    #[test]
    fn expiries_are_read_or_refused() {
        let now = Stamp::now();
        assert!((89..=90).contains(&(expiry("90d").unwrap().since(now).as_secs() / 86_400)));
        assert_eq!(expiry("2027-01-31T00:00:00Z").unwrap(), Stamp(1_801_353_600_000));
        assert!(expiry("2027-01-31").is_ok());
        for bad in ["", "soon", "-3d", "31.01.2027"] {
            assert!(expiry(bad).is_err(), "{bad}");
        }
    }
}
