//! What an engine knows of a container, as it may be shown: secrets are masked by name, by what the config declares and
//! by value, wherever they stand. Over-masking is right here; a secret on a screen is not.

use super::deck::Deck;
use crate::backend::BackendError;
use crate::backend::engine::Engine;
use crate::config::Config;
use crate::model::container::{ContainerKey, EngineState, Owner};
use crate::model::secret::{Hidden, MASK, Secret};
use crate::model::server::EnvValue;
use crate::model::{Refusal, Run};
use crate::router::is_secret_name;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Parts of the names of variables and labels (between `_`, `-` and `.`) whose values are secrets, besides those that
/// are in payloads, too.
const PARTS: [&str; 14] =
    ["key", "pass", "pwd", "pw", "auth", "salt", "dsn", "creds", "cred", "jwt", "pat", "psk", "otp", "pin"];
/// A value that was found by its name is masked everywhere else if it is as long as this; shorter ones are words.
const SHORTEST_FOUND: usize = 8;

/// The engine that a container is on.
pub fn engine<'a>(deck: &'a Deck, key: &ContainerKey) -> Result<&'a Arc<dyn Engine>, Refusal> {
    deck.engines.get(&key.engine).ok_or_else(|| Refusal::NotFound(format!("no engine is called {}", key.engine)))
}

/// Why nothing can be asked of it now; `None` if it answers, as far as is known.
pub fn silence(engine: &dyn Engine) -> Option<Refusal> {
    let inventory = engine.watch().borrow().clone();
    let (EngineState::Silent { reason, .. } | EngineState::Absent { reason }) = &inventory.state else { return None };
    Some(Refusal::Silent(format!("the engine {} does not answer: {reason}", engine.id())))
}

/// Returns once it does not answer.
pub async fn gone_silent(engine: &dyn Engine) -> Refusal {
    let mut inventory = engine.watch();
    loop {
        inventory.mark_unchanged();
        match silence(engine) {
            Some(why) => return why,
            // An engine that is dropped says nothing more.
            None if inventory.changed().await.is_err() => return std::future::pending().await,
            None => {}
        }
    }
}

/// What an engine said, or that it said nothing.
pub fn refusal(error: BackendError) -> Refusal {
    match error {
        BackendError::Silent { engine, reason } => {
            Refusal::Silent(format!("the engine {engine} does not answer: {reason}"))
        }
        other => Refusal::Failed(other.to_string()),
    }
}

/// Everything the engine knows of a container, masked, as JSON text.
pub async fn inspect(deck: &Deck, key: &ContainerKey) -> Result<String, Refusal> {
    let text = engine(deck, key)?.inspect(&key.id).await.map_err(refusal)?;
    let snapshot = deck.picture.get();
    let declared = snapshot.container(key).map(|row| declared(&deck.config(), &row.owner)).unwrap_or_default();
    masked(&text, &declared, &deck.vault.hidden())
        .map_err(|error| Refusal::Failed(format!("the engine's answer is no JSON: {error}")))
}

/// Variables of a container of ours that the config fills with secrets, whatever their names are.
fn declared(config: &Config, owner: &Owner) -> BTreeSet<String> {
    let server = config.servers.iter().find(|def| Some(&def.id) == owner.server.as_ref());
    let own = server.and_then(|def| match &def.run {
        Run::Container(run) => Some(&run.env),
        _ => None,
    });
    let tenant = config.tenants.iter().find(|def| Some(&def.id) == owner.tenant.as_ref());
    let changed = tenant.and_then(|def| def.servers.get(owner.server.as_ref()?)).map(|change| &change.env);
    let stack = config.stacks.iter().find(|def| Some(&def.id) == owner.stack.as_ref());
    let part = stack.and_then(|def| def.parts.iter().find(|part| Some(&part.name) == owner.part.as_ref()));
    let all = [own, changed, part.map(|part| &part.run.env)];
    all.into_iter().flatten().flat_map(secret_names).cloned().collect()
}

fn secret_names(env: &BTreeMap<String, EnvValue>) -> impl Iterator<Item = &String> {
    env.iter().filter(|(_, value)| !matches!(value, EnvValue::Text(_))).map(|(name, _)| name)
}

/// `text` (JSON) without secrets. `declared`: variables that hold one; `hidden`: values of ours.
fn masked(text: &str, declared: &BTreeSet<String>, hidden: &Hidden) -> serde_json::Result<String> {
    let mut value: Value = serde_json::from_str(text)?;
    let mut found = Vec::new();
    find(&value, declared, &mut found);
    let found = Hidden::new(&found);
    Masker { declared, hidden, found: &found }.value(&mut value);
    serde_json::to_string_pretty(&value)
}

/// Values that a variable's name gives away: they may stand in arguments, labels or logs of health checks as well.
fn find(value: &Value, declared: &BTreeSet<String>, found: &mut Vec<Secret>) {
    match value {
        Value::Object(map) => map.values().for_each(|value| find(value, declared, found)),
        Value::Array(list) => {
            list.iter().for_each(|value| find(value, declared, found));
            let pairs = list.iter().filter_map(|item| pair(item.as_str()?));
            let secret = pairs.filter(|(name, value)| hides(name, declared) && value.len() >= SHORTEST_FOUND);
            found.extend(secret.map(|(_, value)| Secret::new(value.to_owned())));
        }
        _ => {}
    }
}

struct Masker<'a> {
    declared: &'a BTreeSet<String>,
    hidden: &'a Hidden,
    found: &'a Hidden,
}

impl Masker<'_> {
    fn value(&self, value: &mut Value) {
        match value {
            Value::Object(map) => self.map(map),
            Value::Array(list) => self.list(list),
            Value::String(text) => *text = self.text(text),
            _ => {}
        }
    }

    /// Labels and everything else that has a name. An object under such a name is looked into.
    fn map(&self, map: &mut Map<String, Value>) {
        for (name, value) in map.iter_mut() {
            match value {
                Value::String(text) if !text.is_empty() && hides(name, self.declared) => *text = MASK.to_owned(),
                Value::Number(_) if is_secret_name(name) => *value = Value::from(MASK),
                other => self.value(other),
            }
        }
    }

    /// Variables (`NAME=value`) and words of a command, where `--password` names the word after it.
    fn list(&self, list: &mut [Value]) {
        let mut named = false;
        for item in list {
            let Value::String(text) = item else {
                named = false;
                self.value(item);
                continue;
            };
            let flag = text.starts_with('-') && !text.contains('=') && is_secret_name(text);
            *text = match pair(text) {
                _ if named && !text.starts_with('-') => MASK.to_owned(),
                Some((name, _)) if hides(name, self.declared) => format!("{name}={MASK}"),
                _ => self.text(text),
            };
            named = flag;
        }
    }

    fn text(&self, text: &str) -> String {
        let (text, _) = self.found.mask(text);
        mask_text(&text, self.hidden)
    }
}

/// A name and its value, if `text` is nothing else.
fn pair(text: &str) -> Option<(&str, &str)> {
    let (name, value) = text.split_once('=')?;
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    (!name.is_empty() && !value.is_empty() && name.chars().all(plain)).then_some((name, value))
}

/// True if a variable or label of this name holds a secret.
fn hides(name: &str, declared: &BTreeSet<String>) -> bool {
    let part = |part: &str| PARTS.iter().any(|known| part.eq_ignore_ascii_case(known));
    declared.contains(name) || is_secret_name(name) || name.split(['_', '-', '.']).any(part)
}

/// Free text without secrets: known values, `name=value` and `"name": value` of a telling name, passwords in URLs.
pub fn mask_text(text: &str, hidden: &Hidden) -> String {
    let (text, _) = hidden.mask(text);
    mask_urls(&mask_pairs(&text))
}

/// After a telling name and its `=` (to the end of the word), or `: ` (to the end of the quotes, or of the line).
fn mask_pairs(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['=', ':']) {
        let (before, after) = rest.split_at(at);
        let quoted = before.ends_with('"') || before.ends_with('\'');
        let colon = after.starts_with(':');
        let name = name_at_end(before.trim_end_matches(['"', '\'', ' ']));
        let applies = !colon || quoted || after.starts_with(": ");
        out.push_str(before);
        let skipped = 1 + after[1..].len() - after[1..].trim_start_matches([' ', '"', '\'']).len();
        let value = &after[skipped..];
        let end = match colon {
            true => value.find(['"', '\'', '\n', ';']),
            false => value.find(|c: char| c.is_whitespace() || "\"'&;,".contains(c)),
        };
        let end = end.unwrap_or(value.len());
        if applies && end > 0 && is_secret_name(name) {
            out.push_str(&after[..skipped]);
            out.push_str(MASK);
            rest = &value[end..];
        } else {
            out.push_str(&after[..1]);
            rest = &after[1..];
        }
    }
    out.push_str(rest);
    out
}

fn name_at_end(text: &str) -> &str {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    text.rfind(|c| !plain(c)).map_or(text, |at| text[at..].trim_start_matches(|c| !plain(c)))
}

/// `scheme://user:password@host` and `scheme://token@host`.
fn mask_urls(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "/\"'?#,".contains(c)).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                if let Some((user, _)) = after[..at].split_once(':') {
                    out.push_str(user);
                    out.push(':');
                }
                out.push_str(MASK);
                &after[at..]
            }
            None => after,
        };
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str, declared: &[&str], values: &[&str]) -> Value {
        let declared = declared.iter().map(|name| (*name).to_owned()).collect();
        let hidden = Hidden::new(&values.iter().map(|v| Secret::new((*v).to_owned())).collect::<Vec<_>>());
        serde_json::from_str(&masked(text, &declared, &hidden).unwrap()).unwrap()
    }

    #[test]
    fn planted_secrets_are_found_in_every_place() {
        let text = serde_json::json!({
            "Name": "/t-x", "Image": "secret-store:1.2",
            "Path": "/bin/sh", "Args": ["-c", "curl -H 'Authorization: Bearer PLANT-1' --token=PLANT-2 x?api_key=PLANT-3&a=b"],
            "Config": {
                "Env": ["API_KEY=PLANT-4 with=more", "DB_PASS=PLANT-5-long", "WHO=PLANT-6", "PATH=/bin", "X=has OURS-1 in it"],
                "Labels": {"io.x.token": "PLANT-7", "plain": "OURS-1", "n": "DSN postgres://u:PLANT-8@h/db", "auth.key": "PLANT-9"},
                "Cmd": ["serve", "--password", "PLANT-10", "--name", "x", "TOKEN=PLANT-11 12"],
                "Healthcheck": {"Test": ["CMD-SHELL", "redis-cli -a PLANT-5-long ping"]}
            },
            "State": {"Health": {"Log": [{"Output": "{\"password\": \"PLANT-12\", \"ok\": 1}"}]}},
            "HostConfig": {"Binds": ["/srv/secrets:/run/secrets:ro"], "LogConfig": {"Config": {"splunk-token": "PLANT-13"}}},
            "CreateCommand": ["podman", "run", "-e", "WHO=PLANT-6", "https://PLANT-14@host/x"],
            "IdentityToken": "", "Secrets": [{"ID": "a", "Name": "b"}], "Pin": 4711, "Tokens": 7
        });
        let value = shown(&text.to_string(), &["WHO"], &["OURS-1"]);
        let all = value.to_string();
        assert!(!all.contains("PLANT") && !all.contains("OURS"), "{value:#}");
        assert_eq!(value["Config"]["Env"][3], "PATH=/bin");
        assert_eq!(value["Config"]["Env"][4], "X=has ••• in it");
        assert_eq!(
            value["Config"]["Cmd"],
            serde_json::json!(["serve", "--password", "•••", "--name", "x", "TOKEN=•••"])
        );
        assert_eq!(value["HostConfig"]["Binds"][0], "/srv/secrets:/run/secrets:ro");
        assert_eq!(
            (&value["Image"], &value["Tokens"], &value["Name"]),
            (&"secret-store:1.2".into(), &7.into(), &"/t-x".into())
        );
        assert_eq!(value["Args"][1], "curl -H 'Authorization: •••' --token=••• x?api_key=•••&a=b");
        assert_eq!(value["Config"]["Labels"]["n"], "DSN postgres://u:•••@h/db");
    }

    #[test]
    fn what_is_no_json_is_an_error_and_any_text_is_bearable() {
        assert!(masked("{", &BTreeSet::new(), &Hidden::default()).is_err());
        for text in ["", "=", ":", "a=", "token=", "\"", "://", "://@", "é=ü:ß", "token: "] {
            let _ = mask_text(text, &Hidden::default());
        }
        assert_eq!(mask_text("mcpdeck exec x -- env TOKEN=abc", &Hidden::default()), "mcpdeck exec x -- env TOKEN=•••");
    }

    proptest::proptest! {
        #[test]
        fn no_text_is_too_odd(text in "[a-z=:\"' @/\\-tokenpass\\n•]{0,60}") {
            let _ = mask_text(&text, &Hidden::default());
        }
    }
}
