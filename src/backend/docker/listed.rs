//! What an engine says of its containers, read leniently: one word that we do not know must not cost the whole list.

use crate::backend::engine::Found;
use crate::model::container::{ContainerHealth, ContainerState};
use crate::model::{Stamp, text};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// Longest label that is kept, in characters: compose lists a project's files and needs in some.
const LABEL: usize = 1024;
/// Ports and networks of one container that are told; an engine publishes a range port by port.
const TOLD: usize = 64;

/// A list as an engine gives it: its rows are read one by one ([`row`]).
pub type List = Vec<Box<RawValue>>;

/// The row, or why it cannot be read.
pub fn row<T: DeserializeOwned>(raw: &RawValue) -> Result<T, String> {
    serde_json::from_str(raw.get()).map_err(|error| text::name(&error.to_string()))
}

/// One row of `GET /containers/json`.
#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Listed {
    pub id: Arc<str>,
    /// Why nothing but its id could be read.
    #[serde(skip)]
    unreadable: Option<String>,
    names: Option<Vec<String>>,
    #[serde(default)]
    image: String,
    #[serde(default)]
    state: String,
    /// `Up 5 minutes (healthy)`, `Exited (137) 2 hours ago`
    #[serde(default)]
    status: String,
    /// Seconds since the epoch.
    created: Option<i64>,
    labels: Option<BTreeMap<String, String>>,
    ports: Option<Vec<ListedPort>>,
    network_settings: Option<Networks>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct ListedPort {
    #[serde(rename = "IP")]
    ip: Option<String>,
    private_port: u32,
    public_port: Option<u32>,
    r#type: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Networks {
    networks: Option<BTreeMap<String, IgnoredAny>>,
}

/// What only `GET /containers/ID/json` tells.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Inspected {
    #[serde(default)]
    restart_count: u32,
    state: InspectedState,
    host_config: Option<InspectedHost>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedHost {
    /// Bytes; 0 is none.
    #[serde(default)]
    memory: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedState {
    #[serde(default)]
    status: String,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    exit_code: i64,
    #[serde(default, rename = "OOMKilled")]
    oom_killed: bool,
    started_at: Option<String>,
    finished_at: Option<String>,
    health: Option<InspectedHealth>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct InspectedHealth {
    #[serde(default)]
    status: String,
}

/// What is left of a row that cannot be read.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Bare {
    id: Arc<str>,
}

impl Listed {
    /// One that cannot be read costs itself alone, and is shown as such; `None` if it does not even say which it is.
    pub fn read(raw: &RawValue) -> Option<Self> {
        let unreadable = match row(raw) {
            Ok(listed) => return Some(listed),
            Err(why) => why,
        };
        match row(raw) {
            Ok(Bare { id }) => Some(Self { id, unreadable: Some(unreadable), ..Self::default() }),
            Err(why) => {
                tracing::warn!("an engine lists a container that cannot be read, and without an id ({why}): left out");
                None
            }
        }
    }

    /// The row, as exactly as a list tells it; what only an inspection tells is taken over from `known` while its state
    /// is the same.
    pub fn found(self, known: Option<&Found>, now: Stamp) -> Found {
        if let Some(why) = &self.unreadable {
            // Whose it is does not change because the engine stammers.
            let image = format!("(unreadable: {why})");
            let blank = || Self { id: self.id.clone(), image, ..Self::default() }.found(None, now);
            return known.cloned().unwrap_or_else(blank);
        }
        let state = state_of(&self.state);
        let created =
            self.created.and_then(|s| u64::try_from(s).ok()).map(|seconds| Stamp(seconds.saturating_mul(1000)));
        let rough = self.age().map(|age| Stamp(now.0.saturating_sub(age.as_millis() as u64)));
        let health = health_in_status(&self.status);
        let exit_code = exit_code_in_status(&self.status).filter(|_| has_ended(state));
        let same = known.filter(|known| known.state == state);
        Found {
            name: text::name(&shortest_name(self.names.unwrap_or_default(), &self.id)),
            id: self.id,
            image: text::name(&self.image),
            state,
            since: same.map(|known| known.since).or(rough).or(created).unwrap_or(now),
            exit_code: exit_code.or(same.and_then(|known| known.exit_code)),
            oom: same.is_some_and(|known| known.oom),
            restarts: known.map_or(0, |known| known.restarts),
            memory_limit: known.and_then(|known| known.memory_limit),
            health: health.or(same.and_then(|known| known.health)),
            labels: labels(self.labels.unwrap_or_default()),
            ports: port_words(self.ports.unwrap_or_default()),
            networks: self
                .network_settings
                .and_then(|settings| settings.networks)
                .map(|networks| networks.into_keys().take(TOLD).map(|name| text::name(&name)).collect())
                .unwrap_or_default(),
            pid: same.and_then(|known| known.pid),
        }
    }

    /// How long ago it began or ended, as roughly as it is told.
    fn age(&self) -> Option<Duration> {
        let text = self.status.strip_suffix(" ago").unwrap_or(&self.status);
        let text = text.strip_prefix("Up ").or_else(|| text.split_once(") ").map(|(_, age)| age))?;
        human_duration(text.split(" (").next()?)
    }
}

impl Inspected {
    /// `row` with what is known now.
    pub fn complete(&self, row: &Found) -> Found {
        // It may have moved on since it was listed.
        let state = match self.state.status.as_str() {
            "" => row.state,
            status => state_of(status),
        };
        let at = if has_ended(state) { &self.state.finished_at } else { &self.state.started_at };
        let health = self.state.health.as_ref().map(|health| health.status.as_str());
        Found {
            state,
            since: at.as_deref().and_then(stamp).unwrap_or(row.since),
            exit_code: has_ended(state).then_some(self.state.exit_code),
            oom: self.state.oom_killed,
            restarts: self.restart_count,
            memory_limit: self.memory_limit(),
            health: if state.is_live() { health.and_then(health_of).or(row.health) } else { None },
            pid: (self.state.pid > 0).then_some(self.state.pid),
            ..row.clone()
        }
    }
}

impl Inspected {
    fn memory_limit(&self) -> Option<u64> {
        let bytes = self.host_config.as_ref().map_or(0, |host| host.memory);
        u64::try_from(bytes).ok().filter(|bytes| *bytes > 0)
    }
}

/// It has run and has an exit code.
fn has_ended(state: ContainerState) -> bool {
    matches!(state, ContainerState::Exited | ContainerState::Dead | ContainerState::Restarting)
}

/// Docker's words, and those that Podman has beside them.
fn state_of(word: &str) -> ContainerState {
    match word {
        "running" | "stopping" => ContainerState::Running,
        "paused" => ContainerState::Paused,
        "restarting" => ContainerState::Restarting,
        "removing" => ContainerState::Removing,
        "exited" | "stopped" => ContainerState::Exited,
        "created" | "configured" | "initialized" => ContainerState::Created,
        _ => ContainerState::Dead,
    }
}

fn health_of(word: &str) -> Option<ContainerHealth> {
    match word {
        "starting" => Some(ContainerHealth::Starting),
        "healthy" => Some(ContainerHealth::Healthy),
        "unhealthy" => Some(ContainerHealth::Unhealthy),
        _ => None,
    }
}

fn health_in_status(status: &str) -> Option<ContainerHealth> {
    let (_, word) = status.strip_suffix(')')?.rsplit_once('(')?;
    health_of(word.strip_prefix("health: ").unwrap_or(word))
}

fn exit_code_in_status(status: &str) -> Option<i64> {
    let (_, rest) = status.split_once('(')?;
    rest.split_once(')')?.0.parse().ok()
}

/// Links of old give a container further names with a `/` in them.
fn shortest_name(names: Vec<String>, id: &str) -> String {
    let own = names.iter().map(|name| name.trim_start_matches('/')).min_by_key(|name| name.matches('/').count());
    own.unwrap_or(id.get(..12).unwrap_or(id)).to_owned()
}

fn labels(labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    labels.into_iter().map(|(name, value)| (text::name(&name), text::clipped(&value, LABEL))).collect()
}

fn port_words(ports: Vec<ListedPort>) -> Vec<String> {
    let mut words: Vec<String> = ports.iter().map(|port| text::name(&port.word())).collect();
    words.sort_unstable();
    words.dedup();
    if words.len() > TOLD {
        let more = words.len() - TOLD;
        words.truncate(TOLD);
        words.push(format!("and {more} more"));
    }
    words
}

impl ListedPort {
    fn word(&self) -> String {
        let inside = format!("{}/{}", self.private_port, self.r#type.as_deref().unwrap_or("tcp"));
        let Some(public) = self.public_port.filter(|port| *port > 0) else { return inside };
        match self.ip.as_deref().unwrap_or_default() {
            "" => format!("0.0.0.0:{public}->{inside}"),
            ip if ip.contains(':') => format!("[{ip}]:{public}->{inside}"),
            ip => format!("{ip}:{public}->{inside}"),
        }
    }
}

/// RFC 3339; the year 1 means never.
pub fn stamp(text: &str) -> Option<Stamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(at.as_millisecond()).ok().map(Stamp)
}

/// Of Docker's words for people: `Less than a second`, `About an hour`, `3 weeks`.
fn human_duration(text: &str) -> Option<Duration> {
    let text = text.strip_prefix("About ").unwrap_or(text);
    if text.starts_with("Less than") {
        return Some(Duration::ZERO);
    }
    let (count, unit) = text.split_once(' ')?;
    let count = if matches!(count, "a" | "an") { 1 } else { count.parse::<u64>().ok()? };
    let seconds = match unit.trim_end_matches('s') {
        "second" => 1,
        "minute" => 60,
        "hour" => 3600,
        "day" => 86_400,
        "week" => 7 * 86_400,
        "month" => 30 * 86_400,
        "year" => 365 * 86_400,
        _ => return None,
    };
    Some(Duration::from_secs(count.saturating_mul(seconds)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Stamp = Stamp(1_795_183_300_000);

    fn found(json: &str) -> Found {
        serde_json::from_str::<Listed>(json).unwrap().found(None, NOW)
    }

    #[test]
    fn a_row_is_read_from_what_docker_lists() {
        let found = found(
            r#"{"Id":"ed90bb5a7a7dc0ac","Names":["/web/db","/db"],"Image":"postgres:16","State":"running",
            "Status":"Up 5 minutes (health: starting)","Created":1795183278,"Labels":{"a":"b"},"Ports":[
            {"IP":"127.0.0.1","PrivatePort":8000,"PublicPort":9300,"Type":"tcp"},{"PrivatePort":53,"Type":"udp"},
            {"IP":"::","PrivatePort":8000,"PublicPort":9301,"Type":"tcp"}],
            "NetworkSettings":{"Networks":{"t":{"IPAddress":"10.0.0.2"},"a":{}}},"Mounts":[]}"#,
        );
        assert_eq!((found.name.as_str(), found.image.as_str()), ("db", "postgres:16"));
        assert_eq!((found.state, found.since), (ContainerState::Running, Stamp(NOW.0 - 300_000)));
        assert_eq!((found.health, found.exit_code), (Some(ContainerHealth::Starting), None));
        assert_eq!(found.ports, ["127.0.0.1:9300->8000/tcp", "53/udp", "[::]:9301->8000/tcp"]);
        assert_eq!(found.networks, ["a", "t"]);
        assert_eq!((found.pid, found.restarts, found.oom), (None, 0, false), "unknown until it is inspected");
    }

    #[test]
    fn a_row_with_words_we_do_not_know_is_still_a_row() {
        let found =
            found(r#"{"Id":"abcdefabcdefabcdef","State":"teleporting","Labels":null,"Ports":null,"Names":null}"#);
        assert_eq!((found.name.as_str(), found.state, found.since), ("abcdefabcdef", ContainerState::Dead, NOW));
    }

    #[test]
    fn a_row_that_cannot_be_read_costs_itself_alone() {
        let list: List = serde_json::from_str(
            r#"[{"Id":"a","Names":["/web"]},{"Id":"b","State":7},{"State":"running"},3,{"Id":"c","Ports":[{"IP":{}}]}]"#,
        )
        .unwrap();
        let rows: Vec<Found> = list.iter().filter_map(|raw| Listed::read(raw)).map(|l| l.found(None, NOW)).collect();
        let told: Vec<_> = rows.iter().map(|row| (&*row.id, row.name.as_str(), row.image.as_str())).collect();
        assert_eq!(told[0], ("a", "web", ""));
        assert_eq!((told.len(), told[1].1, told[2].0), (3, "b", "c"));
        assert!(told[1].2.starts_with("(unreadable: invalid type: integer `7`"), "{told:?}");
        let known = Listed::read(&list[0]).unwrap().found(None, NOW);
        let stammered = Listed::read(&list[1]).unwrap().found(Some(&known), NOW);
        assert_eq!(stammered, known, "what was known of it stays");
    }

    #[test]
    fn what_an_engine_says_is_clipped_and_drives_nothing() {
        let long = "x".repeat(100_000);
        let found = found(&format!(
            r#"{{"Id":"a","Names":["/{long}"],"Image":"a\u001b[2J\u202eb","Labels":{{"{long}":"{long}"}},
            "Ports":[{}],"NetworkSettings":{{"Networks":{{"{long}":{{}}}}}}}}"#,
            (1..=500).map(|n| format!(r#"{{"PrivatePort":{n},"Type":"{long}"}}"#)).collect::<Vec<_>>().join(",")
        ));
        assert_eq!(found.image, "a\u{fffd}[2J\u{fffd}b");
        let lengths = |texts: &[&str]| texts.iter().map(|text| text.chars().count()).max();
        let (label, value) = found.labels.first_key_value().unwrap();
        assert_eq!(lengths(&[&found.name, &found.networks[0], label, &found.ports[0]]), Some(128));
        assert_eq!((lengths(&[value]), found.ports.len()), (Some(LABEL), TOLD + 1));
        assert_eq!(found.ports.last().unwrap(), "and 436 more");
    }

    #[test]
    fn a_status_tells_how_it_ended_and_how_it_is() {
        use ContainerHealth::{Healthy, Starting, Unhealthy};
        let cases = [
            ("Up 2 hours", None, None, Some(7200)),
            ("Up About a minute (healthy)", None, Some(Healthy), Some(60)),
            ("Up 3 weeks (unhealthy)", None, Some(Unhealthy), Some(1_814_400)),
            ("Up Less than a second (health: starting)", None, Some(Starting), Some(0)),
            ("Up 9 days (Paused)", None, None, Some(777_600)),
            ("Exited (137) About an hour ago", Some(137), None, Some(3600)),
            ("Restarting (1) 5 seconds ago", Some(1), None, Some(5)),
            ("Created", None, None, None),
            ("", None, None, None),
        ];
        for (status, code, health, age) in cases {
            let listed: Listed = serde_json::from_str(&format!(r#"{{"Id":"a","Status":"{status}"}}"#)).unwrap();
            let read = (exit_code_in_status(status), health_in_status(status), listed.age().map(|age| age.as_secs()));
            assert_eq!(read, (code, health, age), "{status}");
        }
    }

    #[test]
    fn an_inspection_completes_the_row_and_a_later_list_keeps_it_while_the_state_is_the_same() {
        let inspected: Inspected = serde_json::from_str(
            r#"{"Id":"a","RestartCount":3,"State":{"Status":"exited","Pid":0,"ExitCode":137,"OOMKilled":true,
            "StartedAt":"2026-11-20T14:01:18.68Z","FinishedAt":"2026-11-20T14:02:00Z"},
            "HostConfig":{"Memory":536870912}}"#,
        )
        .unwrap();
        let listed =
            |state: &str| serde_json::from_str::<Listed>(&format!(r#"{{"Id":"a","State":"{state}"}}"#)).unwrap();
        let found = inspected.complete(&listed("running").found(None, NOW));
        let ended = stamp("2026-11-20T14:02:00Z").unwrap();
        assert_eq!((found.state, found.since, found.exit_code), (ContainerState::Exited, ended, Some(137)));
        assert_eq!((found.oom, found.restarts, found.pid), (true, 3, None));
        assert_eq!(found.memory_limit, Some(512 << 20), "it is known though it ended");
        assert_eq!(listed("exited").found(Some(&found), NOW), found);
        let again = listed("running").found(Some(&found), NOW);
        assert_eq!((again.since, again.exit_code, again.oom, again.restarts), (NOW, None, false, 3));
    }

    #[test]
    fn the_year_one_is_never() {
        assert_eq!(stamp("0001-01-01T00:00:00Z"), None);
        assert_eq!(stamp("1970-01-01T00:00:01.5Z"), Some(Stamp(1500)));
    }
}
