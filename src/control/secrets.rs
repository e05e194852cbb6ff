//! Secrets: where they come from, their fingerprints, and which are missing. Values leave only as [`Secret`].
//! Must never log or show a value.

use crate::config::{Config, JwtKey};
use crate::model::secret::{Hidden, Secret, SecretRef, SecretRow};
use crate::model::server::EnvValue;
use crate::model::{InstanceKey, Run, ServerDef, ServerId, Stamp, TenantDef, TenantId};
use arc_swap::ArcSwap;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::Path;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncReadExt;

/// A command that prints a secret ends within this.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// Replaced values that are remembered.
const REPLACED: usize = 256;
/// A secret is no larger than this.
const MAX_BYTES: u64 = 64 << 10;

/// Where a named secret stands in the config; sorts the rows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    tenant: Option<TenantId>,
    server: Option<ServerId>,
    name: String,
}

/// What is known of one reference.
#[derive(Clone)]
struct Loaded {
    value: Result<Secret, String>,
    fingerprint: Option<String>,
    at: Stamp,
}

/// A value that an instance starts with.
pub struct Resolved {
    pub value: Secret,
    pub used: Used,
}

/// Which secret an instance was started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Used {
    pub name: String,
    pub source: SecretRef,
    pub fingerprint: String,
}

/// Everything loaded so far, by reference: one value however often it is named.
pub struct Vault {
    salt: String,
    places: ArcSwap<BTreeMap<Place, SecretRef>>,
    loaded: Mutex<HashMap<SecretRef, Loaded>>,
    /// Values that were replaced: what started with them still has them. The newest ones.
    replaced: Mutex<VecDeque<Secret>>,
}

impl Vault {
    /// Knows every secret that the config names; loads nothing yet.
    pub fn new(config: &Config) -> Self {
        let places = ArcSwap::from_pointee(places(config));
        Self { salt: config.platform.name.clone(), places, loaded: Mutex::default(), replaced: Mutex::default() }
    }

    /// From now on it knows those of another config; what was loaded stays, for masking.
    pub fn follow(&self, config: &Config) {
        self.places.store(Arc::new(places(config)));
    }

    /// Reads every secret anew. A missing one is a row with its reason, not an error.
    pub async fn load_all(&self) {
        self.load_each(|_| true).await;
    }

    /// Reads those that were never read.
    pub async fn load_new(&self) {
        self.load_each(|source| !self.lock().contains_key(source)).await;
    }

    async fn load_each(&self, wanted: impl Fn(&SecretRef) -> bool) {
        let places = self.places.load_full();
        let mut sources: Vec<&SecretRef> = places.values().filter(|source| wanted(source)).collect();
        sources.sort_by_key(|s| format!("{s:?}"));
        sources.dedup();
        // Few at a time: a `command` secret may be a password manager that asks one question after the other.
        for source in sources {
            self.load(source).await;
        }
    }

    /// For a start: `file` and `command` are read again, `env` stays as it was loaded.
    pub async fn resolve(&self, name: &str, source: &SecretRef) -> Result<Resolved, String> {
        let known = match source {
            SecretRef::Env(_) => self.lock().get(source).cloned(),
            SecretRef::File(_) | SecretRef::Command(_) => None,
        };
        let loaded = match known {
            Some(loaded) => loaded,
            None => self.load(source).await,
        };
        let value = loaded.value.map_err(|why| format!("secret {name}: {why}"))?;
        let fingerprint = loaded.fingerprint.unwrap_or_default();
        Ok(Resolved { value, used: Used { name: name.to_owned(), source: source.clone(), fingerprint } })
    }

    async fn load(&self, source: &SecretRef) -> Loaded {
        let value = read(source).await;
        let fingerprint = value.as_ref().ok().map(|secret| fingerprint(&self.salt, secret));
        let loaded = Loaded { value, fingerprint, at: Stamp::now() };
        let before = self.lock().insert(source.clone(), loaded.clone());
        let old = before.filter(|old| old.fingerprint != loaded.fingerprint).and_then(|old| old.value.ok());
        if let Some(old) = old {
            let mut replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
            if replaced.len() == REPLACED {
                replaced.pop_front();
            }
            replaced.push_back(old);
        }
        loaded
    }

    /// Every value that was loaded, for masking.
    pub fn hidden(&self) -> Hidden {
        let loaded = self.lock();
        let replaced = self.replaced.lock().unwrap_or_else(PoisonError::into_inner);
        Hidden::new(loaded.values().filter_map(|loaded| loaded.value.as_ref().ok()).chain(replaced.iter()))
    }

    /// Rows for the screen. `running` are the live instances and what they were started with.
    pub fn rows<'a>(&self, running: impl Iterator<Item = (&'a InstanceKey, &'a [Used])>) -> Vec<SecretRow> {
        let loaded = self.lock();
        let mut stale: HashMap<&SecretRef, Vec<InstanceKey>> = HashMap::new();
        for (key, used) in running {
            for one in used {
                let newest = loaded.get(&one.source).and_then(|l| l.fingerprint.as_ref());
                if newest.is_some_and(|newest| *newest != one.fingerprint) {
                    stale.entry(&one.source).or_default().push(key.clone());
                }
            }
        }
        let row = |(place, source): (&Place, &SecretRef)| {
            let known = loaded.get(source);
            SecretRow {
                tenant: place.tenant.clone(),
                server: place.server.clone(),
                name: place.name.clone(),
                source: source.clone(),
                fingerprint: known.and_then(|l| l.fingerprint.clone()),
                loaded_at: known.map(|l| l.at),
                error: known.and_then(|l| l.value.as_ref().err().cloned()),
                stale: stale.get(source).map(|keys| of_place(keys, place)).unwrap_or_default(),
            }
        };
        self.places.load().iter().map(row).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SecretRef, Loaded>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A tenant's row lists that tenant's instances alone.
fn of_place(keys: &[InstanceKey], place: &Place) -> Vec<InstanceKey> {
    let belongs = |key: &&InstanceKey| place.tenant.is_none() || key.tenant == place.tenant;
    let mut keys: Vec<_> = keys.iter().filter(belongs).cloned().collect();
    keys.dedup();
    keys
}

/// The named secrets that an instance, or a part of a stack, may use: the override's before the tenant's before the server's.
pub fn named<'a>(server: Option<&'a ServerDef>, tenant: Option<&'a TenantDef>) -> BTreeMap<&'a str, &'a SecretRef> {
    let own = tenant.map(|t| &t.secrets);
    let changed = tenant.and_then(|t| t.servers.get(&server?.id)).map(|o| &o.secrets);
    let layers = [server.map(|s| &s.secrets), own, changed];
    layers.into_iter().flatten().flatten().map(|(name, source)| (name.as_str(), source)).collect()
}

fn places(config: &Config) -> BTreeMap<Place, SecretRef> {
    let mut places = BTreeMap::new();
    for server in &config.servers {
        add_server(&mut places, server);
    }
    for tenant in &config.tenants {
        add_tenant(&mut places, tenant);
    }
    if let Some(JwtKey::Secret(source)) = config.api.jwt.as_ref().map(|jwt| &jwt.key) {
        places.insert(Place { tenant: None, server: None, name: "api.jwt.secret".to_owned() }, source.clone());
    }
    places
}

fn add_server(places: &mut BTreeMap<Place, SecretRef>, def: &ServerDef) {
    let place = |name: &str| Place { tenant: None, server: Some(def.id.clone()), name: name.to_owned() };
    places.extend(def.secrets.iter().map(|(name, source)| (place(name), source.clone())));
    let values = match &def.run {
        Run::Process(run) => Some(&run.env),
        Run::Builtin { env, .. } => Some(env),
        Run::Remote { headers, .. } | Run::PerTenant { headers } => Some(headers),
        Run::Container(run) => Some(&run.env),
        Run::Simulated(_) => None,
    };
    for (name, source) in values.into_iter().flat_map(unnamed) {
        places.insert(place(name), source.clone());
    }
}

fn add_tenant(places: &mut BTreeMap<Place, SecretRef>, def: &TenantDef) {
    let place = |server: Option<&ServerId>, name: &str| Place {
        tenant: Some(def.id.clone()),
        server: server.cloned(),
        name: name.to_owned(),
    };
    places.extend(def.secrets.iter().map(|(name, source)| (place(None, name), source.clone())));
    for (server, change) in &def.servers {
        places.extend(change.secrets.iter().map(|(name, source)| (place(Some(server), name), source.clone())));
        for (name, source) in unnamed(&change.env).chain(unnamed(&change.headers)) {
            places.insert(place(Some(server), name), source.clone());
        }
    }
}

/// Secrets written where they are used; the variable or header is their name.
fn unnamed(values: &BTreeMap<String, EnvValue>) -> impl Iterator<Item = (&String, &SecretRef)> {
    values.iter().filter_map(|(name, value)| match value {
        EnvValue::Secret(source) => Some((name, source)),
        EnvValue::Text(_) | EnvValue::Named(_) => None,
    })
}

async fn read(source: &SecretRef) -> Result<Secret, String> {
    let value = match source {
        SecretRef::Env(name) => std::env::var(name).map_err(|_| format!("the environment has no {name}"))?,
        SecretRef::File(path) => read_file(path).await?,
        SecretRef::Command(command) => read_command(command).await?,
    };
    if value.is_empty() { Err("it is empty".to_owned()) } else { Ok(Secret::new(value)) }
}

async fn read_file(path: &Path) -> Result<String, String> {
    let told = |e: std::io::Error| format!("cannot read {}: {e}", path.display());
    let file = tokio::fs::File::open(path).await.map_err(told)?;
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).await.map_err(told)?;
    Ok(without_line_end(text))
}

async fn read_command(command: &[String]) -> Result<String, String> {
    let (program, arguments) = command.split_first().ok_or("its command is empty")?;
    let mut child = tokio::process::Command::new(program);
    child.args(arguments).stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut child = child.spawn().map_err(|e| format!("cannot run {program}: {e}"))?;
    let stdout = child.stdout.take();
    let work = async {
        let mut text = String::new();
        if let Some(stdout) = stdout {
            stdout.take(MAX_BYTES).read_to_string(&mut text).await.map_err(|e| format!("{program}: {e}"))?;
        }
        let status = child.wait().await.map_err(|e| format!("{program}: {e}"))?;
        if status.success() { Ok(without_line_end(text)) } else { Err(format!("{program} ended with {status}")) }
    };
    let seconds = COMMAND_TIMEOUT.as_secs();
    let late = || format!("{program} did not end within {seconds} s");
    tokio::time::timeout(COMMAND_TIMEOUT, work).await.unwrap_or_else(|_| Err(late()))
}

fn without_line_end(mut text: String) -> String {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text
}

/// First 8 hex digits of SHA-256 over the platform's name and the value: tells two values apart, tells neither.
fn fingerprint(salt: &str, secret: &Secret) -> String {
    let mut digest = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    digest.update(salt.as_bytes());
    digest.update(&[0]);
    digest.update(secret.expose().as_bytes());
    digest.finish().as_ref().iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;

    fn command(text: &str) -> SecretRef {
        SecretRef::Command(vec!["sh".into(), "-c".into(), text.into()])
    }

    #[tokio::test]
    async fn what_is_missing_says_why() {
        let cases = [
            (SecretRef::Env("MCPDECK_TEST_NO_SUCH".into()), "the environment has no MCPDECK_TEST_NO_SUCH"),
            (SecretRef::File("/nonexistent/x".into()), "cannot read /nonexistent/x"),
            (command("exit 3"), "exit status: 3"),
            (command("true"), "it is empty"),
        ];
        let vault = Vault::new(&fixture::config(|_| {}));
        for (source, why) in cases {
            let error = vault.resolve("token", &source).await.err().unwrap();
            assert!(error.contains(why), "{error}");
        }
    }

    #[tokio::test]
    async fn a_rotated_file_makes_the_running_instances_stale() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        std::fs::write(&path, "one\n").unwrap();
        let source = SecretRef::File(path.clone());
        let config = fixture::config(|c| {
            fixture::server(c, "graf", |_| {});
            fixture::tenant(c, "eaton", &["graf"], |t| drop(t.secrets.insert("token".into(), source.clone())));
        });
        let vault = Vault::new(&config);
        vault.load_all().await;
        let old = vault.resolve("token", &source).await.unwrap();
        assert_eq!(old.value.expose(), "one");
        let (mine, other): (InstanceKey, InstanceKey) = ("graf@eaton".parse().unwrap(), "graf@vatt".parse().unwrap());
        let used = [old.used];
        let running = || [(&mine, &used[..]), (&other, &used[..])].into_iter();
        assert!(vault.rows(running())[0].stale.is_empty());
        std::fs::write(&path, "two").unwrap();
        vault.load_all().await;
        let rows = vault.rows(running());
        assert_eq!(rows[0].stale, [mine], "of this tenant alone");
        assert_ne!(rows[0].fingerprint.as_deref(), Some(used[0].fingerprint.as_str()));
    }

    #[test]
    fn fingerprints_are_short_and_salted() {
        let secret = Secret::new("hunter2".into());
        assert_eq!(fingerprint("a", &secret).len(), 8);
        assert_ne!(fingerprint("a", &secret), fingerprint("b", &secret));
    }

    #[test]
    fn the_nearest_name_wins() {
        let config = fixture::config(|c| {
            fixture::server(c, "graf", |s| {
                s.secrets =
                    [("a", 1), ("b", 1), ("c", 1)].map(|(n, i)| (n.into(), SecretRef::Env(format!("{n}{i}")))).into();
            });
            fixture::tenant(c, "eaton", &[], |t| {
                t.secrets = [("b", 2), ("c", 2)].map(|(n, i)| (n.into(), SecretRef::Env(format!("{n}{i}")))).into();
                let mut change = crate::model::tenant::ServerOverride::default();
                change.secrets.insert("c".into(), SecretRef::Env("c3".into()));
                t.servers.insert("graf".into(), change);
            });
        });
        let found = named(Some(&config.servers[0]), Some(&config.tenants[0]));
        let sources: Vec<String> = found.values().map(|s| format!("{s:?}")).collect();
        assert_eq!(sources, [r#"Env("a1")"#, r#"Env("b2")"#, r#"Env("c3")"#]);
    }
}
