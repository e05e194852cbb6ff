//! `users`: people who log in over HTTP. A password comes from the terminal or standard input and is hashed here.

use super::args::{Global, UserAdd, UsersAction};
use super::error::{Code, Error};
use super::get::odd_answer;
use super::keys::done;
use super::output::Align::Left;
use super::output::{Column, none, note, print_rows, time};
use super::principals::{ask, give, tenant};
use super::session;
use crate::control::principals::hash;
use crate::model::Command;
use crate::model::message::{Answer, Query};
use crate::model::principal::{NewUser, PasswordHash, Role, UserRow};
use crate::model::secret::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use std::io::{self, BufRead, IsTerminal, Read};

/// NIST SP 800-63B, 5.1.1.
const SHORTEST: usize = 8;
const LONGEST: u64 = 1024;
/// RFC 5321, 4.5.3.1.
const LONGEST_EMAIL: usize = 254;

/// Runs `users ...`.
pub fn run(global: &Global, action: &UsersAction) -> Result<Code, Error> {
    match action {
        UsersAction::Add(args) => add(global, args),
        UsersAction::Passwd { email } => {
            let (config, email) = (session::load(global)?, address(email)?);
            let password = password()?;
            give(&config, global.output, Command::SetPassword { email: email.clone(), password })?;
            done(global.output, "users passwd", &email)
        }
        UsersAction::Remove { email } => {
            let email = address(email)?;
            give(&session::load(global)?, global.output, Command::RemoveUser(email.clone()))?;
            done(global.output, "users remove", &email)
        }
        UsersAction::List => list(global),
    }
}

fn add(global: &Global, args: &UserAdd) -> Result<Code, Error> {
    let config = session::load(global)?;
    let (email, role) = (address(&args.email)?, Role::from(args.role));
    let tenant = tenant(&config, args.tenant.as_deref(), role)?;
    let password = password()?;
    give(&config, global.output, Command::AddUser(NewUser { email: email.clone(), role, tenant, password }))?;
    done(global.output, "users add", &email)
}

/// In lower case: people do not tell them apart either.
fn address(text: &str) -> Result<String, Error> {
    let good = text.len() <= LONGEST_EMAIL
        && !text.contains(|c: char| c.is_whitespace() || c.is_control())
        && text.split_once('@').is_some_and(|(who, at)| !who.is_empty() && !at.is_empty() && !at.contains('@'));
    if good { Ok(text.to_lowercase()) } else { Err(Error::usage(format!("`{text}` is no email address"))) }
}

/// Asked for twice on a terminal; else the first line of standard input.
fn password() -> Result<PasswordHash, Error> {
    let typed = io::stdin().is_terminal();
    let password = if typed { ask_for("Password: ")? } else { line()? };
    if password.expose().chars().count() < SHORTEST {
        return Err(Error::usage(format!("a password has {SHORTEST} characters at least")));
    }
    if typed && ask_for("Again: ")?.expose() != password.expose() {
        return Err(Error::usage("the two are not the same"));
    }
    hash(&password).map_err(Error::failed)
}

fn ask_for(prompt: &str) -> Result<Secret, Error> {
    note(prompt);
    let _quiet = Quiet::begin()?;
    line()
}

fn line() -> Result<Secret, Error> {
    let mut text = String::new();
    io::stdin().lock().take(LONGEST + 1).read_line(&mut text)?;
    if text.len() as u64 > LONGEST {
        return Err(Error::usage(format!("a password has {LONGEST} bytes at most")));
    }
    let text = Secret::new(text);
    Ok(Secret::new(text.expose().trim_end_matches(['\n', '\r']).to_owned()))
}

/// A terminal that does not show what is typed; it does again when this is dropped.
struct Quiet(Termios);

impl Quiet {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes -= LocalModes::ECHO;
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

const COLUMNS: &[Column] =
    &[("EMAIL", Left), ("TENANT", Left), ("ROLE", Left), ("CREATED", Left), ("PASSWORD SET", Left)];

fn list(global: &Global) -> Result<Code, Error> {
    let Answer::Users(rows) = ask(global, Query::Users)? else { return Err(odd_answer()) };
    let cells = |row: &UserRow| {
        vec![
            row.email.clone(),
            row.tenant.as_ref().map_or_else(none, ToString::to_string),
            row.role.name().to_owned(),
            time(row.created),
            time(row.changed),
        ]
    };
    print_rows(global.output, COLUMNS, rows.iter().map(cells), &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_are_read_or_refused() {
        assert_eq!(address("Ana@Eaton.test").unwrap(), "ana@eaton.test");
        for bad in ["", "ana", "@x", "ana@", "a@b@c", "a b@c", "a@b\n"] {
            assert!(address(bad).is_err(), "{bad}");
        }
    }
}
