//! Rows of the platform as lines of a table.

use super::output::Align::{self, Left, Right};
use super::output::{Column, age, maybe, mebibytes, millis, none, number, time};
use crate::model::filter::Fields;
use crate::model::message::{EventKind, JobRow};
use crate::model::server::{Environment, Scope};
use crate::model::snapshot::{ServerRow, TenantRow};
use crate::model::summary::Group;
use crate::model::{CallRecord, Event, InstanceRow, Outcome, Stamp};
use serde::Serialize;

/// A kind of row that `get` prints.
pub trait Listed: Serialize + Fields {
    const COLUMNS: &'static [Column];
    /// One of each column.
    fn cells(&self, now: Stamp) -> Vec<String>;
    /// What names this row among its kind.
    fn key(&self) -> String;
    /// True if `name` means this row.
    fn is(&self, name: &str) -> bool {
        self.key() == name
    }
}

pub const fn left(head: &'static str) -> (&'static str, Align) {
    (head, Left)
}

pub const fn right(head: &'static str) -> (&'static str, Align) {
    (head, Right)
}

pub fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Lab => "lab",
        Environment::Staging => "staging",
        Environment::Production => "production",
    }
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Shared => "shared",
        Scope::Tenant => "tenant",
        Scope::Session => "session",
    }
}

impl Listed for TenantRow {
    const COLUMNS: &'static [Column] = &[
        left("TENANT"),
        left("NAME"),
        left("ENV"),
        left("SERVERS"),
        right("INSTANCES"),
        right("IN FLIGHT"),
        right("OLDEST"),
        right("CALLS/S"),
        right("P95 MS"),
        right("ERRORS"),
        right("CPU %"),
        right("MEM MIB"),
        right("LAST CALL"),
    ];

    fn cells(&self, now: Stamp) -> Vec<String> {
        let enabled: Vec<&str> = self.cells.iter().filter(|c| c.enabled).map(|c| c.server.as_str()).collect();
        vec![
            self.def.id.to_string(),
            self.def.name.clone(),
            environment(self.def.environment).to_owned(),
            if enabled.is_empty() { none() } else { enabled.join(",") },
            self.instances.to_string(),
            self.in_flight.to_string(),
            age(self.oldest, now),
            number(Some(self.rate), 1),
            number(self.p95_ms, 1),
            self.errors.to_string(),
            number(self.usage.cpu, 1),
            mebibytes(self.usage.memory),
            age(self.last_call, now),
        ]
    }

    fn key(&self) -> String {
        self.def.id.to_string()
    }

    fn is(&self, name: &str) -> bool {
        self.def.answers_to(name)
    }
}

impl Listed for ServerRow {
    const COLUMNS: &'static [Column] = &[
        left("SERVER"),
        left("SCOPE"),
        left("ENV"),
        left("STATE"),
        right("TENANTS"),
        right("INSTANCES"),
        right("READY"),
        right("IN FLIGHT"),
        right("OLDEST"),
        right("CALLS/S"),
        right("P95 MS"),
        right("ERRORS"),
        right("TOOLS"),
        left("NAME"),
    ];

    fn cells(&self, now: Stamp) -> Vec<String> {
        vec![
            self.def.id.to_string(),
            scope(self.def.scope).to_owned(),
            environment(self.environment).to_owned(),
            self.state.to_string(),
            self.tenants.to_string(),
            self.instances.to_string(),
            self.ready.to_string(),
            self.in_flight.to_string(),
            age(self.oldest, now),
            number(Some(self.rate), 1),
            number(self.p95_ms, 1),
            self.errors.to_string(),
            maybe(self.tools),
            self.def.name.clone(),
        ]
    }

    fn key(&self) -> String {
        self.def.id.to_string()
    }
}

impl Listed for InstanceRow {
    const COLUMNS: &'static [Column] = &[
        left("INSTANCE"),
        left("STATE"),
        right("SINCE"),
        left("ENV"),
        left("BACKEND"),
        left("TRANSPORT"),
        left("ERA"),
        right("IN FLIGHT"),
        right("OLDEST"),
        right("CALLS/S"),
        right("P95 MS"),
        right("CPU %"),
        right("MEM MIB"),
        right("RESTARTS"),
        right("PID"),
        left("REASON"),
    ];

    fn cells(&self, now: Stamp) -> Vec<String> {
        vec![
            self.key.to_string(),
            self.state.to_string(),
            age(Some(self.since), now),
            environment(self.environment).to_owned(),
            self.backend.name().to_owned(),
            self.transport.name().to_owned(),
            maybe(self.era.map(|e| e.name())),
            self.in_flight.to_string(),
            age(self.oldest, now),
            number(Some(self.rate), 1),
            number(self.p95_ms, 1),
            number(self.usage.cpu, 1),
            mebibytes(self.usage.memory),
            self.restarts.to_string(),
            maybe(self.pid),
            self.reason.clone(),
        ]
    }

    fn key(&self) -> String {
        self.key.to_string()
    }

    fn is(&self, name: &str) -> bool {
        name.parse().is_ok_and(|key: crate::model::InstanceKey| key.covers(&self.key))
    }
}

impl Listed for CallRecord {
    const COLUMNS: &'static [Column] = &[
        left("TIME"),
        left("CALL"),
        left("TENANT"),
        left("SERVER"),
        left("METHOD"),
        left("TOOL"),
        left("OUTCOME"),
        right("MS"),
        right("BYTES"),
        left("ORIGIN"),
        left("BY"),
        left("ERROR"),
    ];

    fn cells(&self, _now: Stamp) -> Vec<String> {
        vec![
            time(self.at),
            self.id.to_string(),
            self.tenant.to_string(),
            self.server.to_string(),
            self.method.to_string(),
            maybe(self.tool.as_ref()),
            self.outcome.to_string(),
            millis(self.took_us),
            self.response_bytes.to_string(),
            self.origin.name().to_owned(),
            self.principal.to_string(),
            self.error.clone().unwrap_or_default(),
        ]
    }

    fn key(&self) -> String {
        self.id.to_string()
    }
}

impl Listed for Group {
    const COLUMNS: &'static [Column] = &[
        left("WHOSE"),
        left("TOOL"),
        right("CALLS"),
        right("FAILED"),
        right("P50 MS"),
        right("P95 MS"),
        right("P99 MS"),
        right("MAX MS"),
        left("OUTCOMES"),
    ];

    fn cells(&self, _now: Stamp) -> Vec<String> {
        let ended = Outcome::ALL.into_iter().filter(|outcome| self.count(*outcome) > 0);
        let ended: Vec<_> = ended.map(|outcome| format!("{outcome} {}", self.count(outcome))).collect();
        vec![
            self.name.clone(),
            maybe(self.tool.clone()),
            self.calls.to_string(),
            self.errors().to_string(),
            millis(self.p50_us),
            millis(self.p95_us),
            millis(self.p99_us),
            millis(self.max_us),
            ended.join(", "),
        ]
    }

    fn key(&self) -> String {
        self.name.clone()
    }
}

impl Listed for Event {
    const COLUMNS: &'static [Column] = &[left("TIME"), right("SEQ"), left("KIND"), left("OBJECT"), left("TEXT")];

    fn cells(&self, _now: Stamp) -> Vec<String> {
        let (kind, object, text) = event_words(&self.kind);
        vec![time(self.at), self.seq.to_string(), kind.to_owned(), object, text]
    }

    fn key(&self) -> String {
        self.seq.to_string()
    }
}

/// Kind, object and text of an event.
fn event_words(kind: &EventKind) -> (&'static str, String, String) {
    match kind {
        EventKind::Transition { instance, from, to, reason } => {
            ("transition", instance.to_string(), format!("{from} -> {to}: {reason}"))
        }
        EventKind::Act { job, operator, command } => {
            ("act", command.object(), format!("{} by {} ({job})", command.verb(), operator.name))
        }
        EventKind::Job { job, title, outcome, message } => {
            ("job", job.to_string(), format!("{title}: {}: {message}", job_word(Some(*outcome))))
        }
        EventKind::Enabled { server, tenant, on, by } => {
            let verb = if *on { "enabled" } else { "disabled" };
            ("enabled", format!("{server} {tenant}"), format!("{verb} by {by}"))
        }
        EventKind::Notice { level, text } => ("notice", none(), format!("{level:?}: {text}").to_lowercase()),
        EventKind::Attached { operator, on } => {
            let verb = if *on { "attached" } else { "detached" };
            ("console", format!("pid {}", operator.pid), format!("{} {verb}", operator.name))
        }
    }
}

/// How a job ended, in a word.
pub fn job_word(outcome: Option<crate::model::message::JobOutcome>) -> &'static str {
    use crate::model::message::JobOutcome::{Cancelled, Failed, Ok};
    match outcome {
        None => "running",
        Some(Ok) => "ok",
        Some(Failed) => "failed",
        Some(Cancelled) => "cancelled",
    }
}

impl Listed for JobRow {
    const COLUMNS: &'static [Column] = &[
        left("JOB"),
        left("STARTED"),
        left("BY"),
        left("TITLE"),
        left("OUTCOME"),
        right("DONE"),
        right("OF"),
        left("MESSAGE"),
    ];

    fn cells(&self, _now: Stamp) -> Vec<String> {
        vec![
            self.id.to_string(),
            time(self.started),
            self.operator.name.clone(),
            self.title.clone(),
            job_word(self.outcome).to_owned(),
            self.done.to_string(),
            self.total.to_string(),
            self.message.clone(),
        ]
    }

    fn key(&self) -> String {
        self.id.to_string()
    }
}
