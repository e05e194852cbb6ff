//! What can be filtered in what was recorded: calls, jobs, acts, events and lines of logs. Imports `model` only.

use super::rows::{bytes, key_text, micros, owned, push, push_all, push_key, since, text};
use super::{Fields, Value};
use crate::model::Stamp;
use crate::model::call::{Call, CallRecord, PendingCall};
use crate::model::message::{Event, EventKind, Face, JobOutcome, JobRow, JournalEntry, Level, LogLine, LogSource};

impl Fields for CallRecord {
    fn names() -> &'static [&'static str] {
        &[
            "id", "tenant", "server", "instance", "method", "tool", "outcome", "error", "took", "wake", "upstream",
            "size", "age", "era", "origin", "by",
        ]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "id" => owned(self.id),
            "tenant" => text(self.tenant.as_str()),
            "server" => text(self.server.as_str()),
            "instance" => key_text(self.instance.as_ref()?),
            "method" => text(&self.method),
            "tool" => text(self.tool.as_deref()?),
            "outcome" => text(self.outcome.name()),
            "error" => text(self.error.as_deref()?),
            "took" => micros(self.took_us),
            "wake" => micros(self.wake_us),
            "upstream" => micros(self.upstream_us),
            "size" => bytes(self.request_bytes.saturating_add(self.response_bytes)),
            "age" => since(self.at, now),
            "era" => text(self.era?.name()),
            "origin" => text(self.origin.name()),
            "by" => text(&self.principal),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_all(out, [self.tenant.as_str(), self.server.as_str(), &self.method, self.outcome.name()]);
        push_all(out, [self.origin.name(), &self.principal]);
        push_all(out, self.tool.as_deref().into_iter().chain(self.error.as_deref()));
    }
}

impl Fields for Call {
    fn names() -> &'static [&'static str] {
        CallRecord::names()
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match self {
            Self::Pending(call) => call.field(name, now),
            Self::Done(call) => call.field(name, now),
        }
    }

    fn text(&self, out: &mut String) {
        match self {
            Self::Pending(call) => call.text(out),
            Self::Done(call) => call.text(out),
        }
    }
}

impl Fields for PendingCall {
    fn names() -> &'static [&'static str] {
        CallRecord::names()
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "id" => owned(self.id),
            "tenant" => text(self.tenant.as_str()),
            "server" => text(self.server.as_str()),
            "instance" => key_text(self.instance.as_ref()?),
            "method" => text(&self.method),
            "tool" => text(self.tool.as_deref()?),
            "outcome" => text("pending"),
            "took" | "age" => since(self.at, now),
            "origin" => text(self.origin.name()),
            "by" => text(&self.principal),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_all(out, [self.tenant.as_str(), self.server.as_str(), &self.method, "pending"]);
        push_all(out, [self.origin.name(), &self.principal]);
        push_all(out, self.tool.as_deref());
    }
}

impl Fields for JobRow {
    fn names() -> &'static [&'static str] {
        &["id", "name", "state", "outcome", "by", "face", "reason", "age", "took"]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "id" => owned(self.id),
            "name" => text(&self.title),
            "state" => text(self.outcome.map_or("running", |_| "finished")),
            "outcome" => text(self.outcome?.name()),
            "by" => text(&self.operator.name),
            "face" => text(self.operator.face.name()),
            "reason" => text(&self.message),
            "age" => since(self.started, now),
            "took" => since(self.started, self.finished.unwrap_or(now)),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_all(out, [&*self.title, &self.operator.name, &self.message]);
        push(out, self.outcome.map_or("running", JobOutcome::name));
    }
}

impl Fields for JournalEntry {
    fn names() -> &'static [&'static str] {
        &["by", "face", "verb", "object", "outcome", "age"]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "by" => text(&self.operator.name),
            "face" => text(self.operator.face.name()),
            "verb" => text(&self.verb),
            "object" => text(&self.object),
            "outcome" => text(&self.outcome),
            "age" => since(self.at, now),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_all(out, [&*self.operator.name, &self.verb, &self.object, &self.outcome, &self.command_line]);
    }
}

impl Fields for Event {
    fn names() -> &'static [&'static str] {
        &["kind", "instance", "server", "tenant", "state", "reason", "by", "level", "outcome", "age"]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match (name, &self.kind) {
            ("age", _) => since(self.at, now),
            ("kind", kind) => text(kind.name()),
            ("instance", EventKind::Transition { instance, .. }) => key_text(instance),
            ("instance", EventKind::Act { command, .. }) => key_text(command.target()?),
            ("server", EventKind::Transition { instance, .. }) => text(instance.server.as_str()),
            ("server", EventKind::Act { command, .. }) => text(command.target()?.server.as_str()),
            ("server", EventKind::Enabled { server, .. }) => text(server.as_str()),
            ("tenant", EventKind::Transition { instance, .. }) => text(instance.tenant.as_ref()?.as_str()),
            ("tenant", EventKind::Act { command, .. }) => text(command.target()?.tenant.as_ref()?.as_str()),
            ("tenant", EventKind::Enabled { tenant, .. }) => text(tenant.as_str()),
            ("state", EventKind::Transition { to, .. }) => text(to.name()),
            ("reason", EventKind::Transition { reason, .. }) => text(reason),
            ("reason", EventKind::Job { message, .. }) => text(message),
            ("reason", EventKind::Notice { text: notice, .. }) => text(notice),
            ("by", EventKind::Act { operator, .. } | EventKind::Attached { operator, .. }) => text(&operator.name),
            ("by", EventKind::Enabled { by, .. }) => text(by),
            ("level", EventKind::Notice { level, .. }) => text(level.name()),
            ("outcome", EventKind::Job { outcome, .. }) => text(outcome.name()),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push(out, self.kind.name());
        match &self.kind {
            EventKind::Transition { instance, from, to, reason } => {
                push_key(out, instance);
                push_all(out, [from.name(), to.name(), reason]);
            }
            EventKind::Act { operator, command, .. } => push_all(out, [&*operator.name, &command.command_line()]),
            EventKind::Job { title, outcome, message, .. } => push_all(out, [&**title, outcome.name(), message]),
            EventKind::Enabled { server, tenant, by, on } => {
                push_all(out, [server.as_str(), tenant.as_str(), by, if *on { "enabled" } else { "disabled" }]);
            }
            EventKind::Notice { level, text } => push_all(out, [level.name(), text]),
            EventKind::Attached { operator, .. } => push_all(out, [&*operator.name, operator.face.name()]),
        }
    }
}

impl EventKind {
    /// The word for it in filters.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Transition { .. } => "transition",
            Self::Act { .. } => "act",
            Self::Job { .. } => "job",
            Self::Enabled { .. } => "enabled",
            Self::Notice { .. } => "notice",
            Self::Attached { .. } => "attached",
        }
    }
}

impl Fields for LogLine {
    fn names() -> &'static [&'static str] {
        &["instance", "server", "tenant", "source", "level", "age"]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "instance" => key_text(self.target.instance()?),
            "server" => text(self.target.instance()?.server.as_str()),
            "tenant" => text(self.target.instance()?.tenant.as_ref()?.as_str()),
            "source" => text(match self.source {
                LogSource::Stdout => "stdout",
                LogSource::Stderr => "stderr",
                LogSource::Garbage => "garbage",
                LogSource::Deck => "deck",
            }),
            "level" => text(self.level?.name()),
            "age" => since(self.at, now),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push(out, &self.text);
    }
}

impl Face {
    fn name(self) -> &'static str {
        match self {
            Self::Screen => "screen",
            Self::Cli => "cli",
            Self::Api => "api",
            Self::Platform => "platform",
        }
    }
}

impl Level {
    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Warn => "warn",
            Self::Error => "error",
        }
    }
}

impl JobOutcome {
    /// Lower-case name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }
}
