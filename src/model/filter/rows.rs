//! What can be filtered in each kind of row. Imports `model` only.

use super::{Fields, Value};
use crate::model::instance::InstanceRow;
use crate::model::server::{Environment, Run, Scope};
use crate::model::snapshot::{ServerRow, TenantRow};
use crate::model::{InstanceKey, Stamp};
use std::borrow::Cow;
use std::time::Duration;

pub(super) fn text(value: &str) -> Option<Value<'_>> {
    Some(Value::Text(Cow::Borrowed(value)))
}

pub(super) fn owned<'a>(value: impl ToString) -> Option<Value<'a>> {
    Some(Value::Text(Cow::Owned(value.to_string())))
}

pub(super) fn texts<'a>(values: impl Iterator<Item = &'a str>) -> Option<Value<'a>> {
    Some(Value::Texts(values.map(Cow::Borrowed).collect()))
}

pub(super) fn number<'a>(value: impl Into<f64>) -> Option<Value<'a>> {
    Some(Value::Number(value.into()))
}

/// Sizes stay exact up to 2^53 bytes, which is more than any machine has.
pub(super) fn bytes<'a>(value: u64) -> Option<Value<'a>> {
    Some(Value::Number(value as f64))
}

pub(super) fn since<'a>(at: Stamp, now: Stamp) -> Option<Value<'a>> {
    Some(Value::Time(now.since(at)))
}

pub(super) fn micros<'a>(value: u64) -> Option<Value<'a>> {
    Some(Value::Time(Duration::from_micros(value)))
}

pub(super) fn millis<'a>(value: f32) -> Option<Value<'a>> {
    Duration::try_from_secs_f32(value / 1000.0).ok().map(Value::Time)
}

pub(super) fn yes(value: bool) -> Option<Value<'static>> {
    text(if value { "yes" } else { "no" })
}

pub(super) fn push(out: &mut String, value: &str) {
    out.push_str(value);
    out.push('\n');
}

/// `server@tenant#N` without the detour over a formatter: this runs for every row of every key press.
pub(super) fn push_key(out: &mut String, key: &InstanceKey) {
    out.push_str(key.server.as_str());
    if let Some(tenant) = &key.tenant {
        out.push('@');
        out.push_str(tenant.as_str());
    }
    if let Some(session) = key.session {
        out.push('#');
        out.push_str(&session.to_string());
    }
    out.push('\n');
}

pub(super) fn push_all<'a>(out: &mut String, values: impl IntoIterator<Item = &'a str>) {
    values.into_iter().for_each(|value| push(out, value));
}

pub(super) fn key_text(key: &InstanceKey) -> Option<Value<'_>> {
    match (&key.tenant, key.session) {
        (None, None) => text(key.server.as_str()),
        _ => owned(key),
    }
}

fn label<'a>(labels: &'a std::collections::BTreeMap<String, String>) -> Option<Value<'a>> {
    Some(Value::Texts(labels.iter().map(|(key, value)| Cow::Owned(format!("{key}:{value}"))).collect()))
}

impl Environment {
    /// Lower-case name, as in files and filters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lab => "lab",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }
}

impl Scope {
    /// Lower-case name, as in files and filters.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Tenant => "tenant",
            Self::Session => "session",
        }
    }
}

impl Run {
    /// Name of the backend that runs it, as in filters.
    fn backend(&self) -> &'static str {
        match self {
            Self::Process(_) | Self::Builtin { .. } => "process",
            Self::Remote { .. } | Self::PerTenant { .. } => "remote",
            Self::Container(_) => "docker",
            Self::Simulated(_) => "simulated",
        }
    }
}

impl Fields for TenantRow {
    fn names() -> &'static [&'static str] {
        &[
            "tenant",
            "name",
            "env",
            "label",
            "server",
            "state",
            "read_only",
            "instances",
            "in_flight",
            "oldest",
            "rate",
            "p95",
            "errors",
            "cpu",
            "mem",
            "last",
        ]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "tenant" => {
                let own = [self.def.id.as_str(), &self.def.name];
                texts(own.into_iter().chain(self.def.aliases.iter().map(String::as_str)))
            }
            "name" => text(&self.def.name),
            "env" => text(self.def.environment.name()),
            "label" => label(&self.def.labels),
            "server" => texts(self.cells.iter().filter(|c| c.enabled).map(|c| c.server.as_str())),
            "state" => texts(self.cells.iter().filter_map(|c| c.state).map(|s| s.name())),
            "read_only" => yes(self.def.read_only),
            "instances" => number(self.instances),
            "in_flight" => number(self.in_flight),
            "oldest" => since(self.oldest?, now),
            "rate" => number(self.rate),
            "p95" => millis(self.p95_ms?),
            "errors" => number(self.errors),
            "cpu" => number(self.usage.cpu?),
            "mem" => bytes(self.usage.memory?),
            "last" => since(self.last_call?, now),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_all(out, [self.def.id.as_str(), &self.def.name, self.def.environment.name()]);
        push_all(out, self.def.aliases.iter().map(String::as_str));
        push_all(out, self.cells.iter().filter(|c| c.enabled).map(|c| c.server.as_str()));
    }
}

impl Fields for ServerRow {
    fn names() -> &'static [&'static str] {
        &[
            "server",
            "name",
            "env",
            "scope",
            "backend",
            "capability",
            "label",
            "state",
            "tenants",
            "instances",
            "ready",
            "in_flight",
            "oldest",
            "rate",
            "p95",
            "errors",
            "cpu",
            "mem",
            "tools",
        ]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "server" => text(self.def.id.as_str()),
            "name" => text(&self.def.name),
            "env" => text(self.environment.name()),
            "scope" => text(self.def.scope.name()),
            "backend" => text(self.def.run.backend()),
            "capability" => texts(self.def.capabilities.iter().map(String::as_str)),
            "label" => label(&self.def.labels),
            "state" => text(self.state.name()),
            "tenants" => number(self.tenants),
            "instances" => number(self.instances),
            "ready" => number(self.ready),
            "in_flight" => number(self.in_flight),
            "oldest" => since(self.oldest?, now),
            "rate" => number(self.rate),
            "p95" => millis(self.p95_ms?),
            "errors" => number(self.errors),
            "cpu" => number(self.usage.cpu?),
            "mem" => bytes(self.usage.memory?),
            "tools" => number(self.tools?),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        let def = &self.def;
        push_all(out, [def.id.as_str(), &def.name, &def.description, self.environment.name(), self.state.name()]);
        push_all(out, [def.scope.name(), def.run.backend()]);
        push_all(out, def.capabilities.iter().map(String::as_str));
    }
}

impl Fields for InstanceRow {
    fn names() -> &'static [&'static str] {
        &[
            "instance",
            "server",
            "tenant",
            "env",
            "backend",
            "transport",
            "era",
            "state",
            "reason",
            "desired",
            "age",
            "uptime",
            "last",
            "outcome",
            "error",
            "in_flight",
            "waiting",
            "oldest",
            "rate",
            "p95",
            "cpu",
            "mem",
            "restarts",
            "garbage",
            "pid",
        ]
    }

    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        match name {
            "instance" => key_text(&self.key),
            "server" => text(self.key.server.as_str()),
            "tenant" => text(self.key.tenant.as_ref()?.as_str()),
            "env" => text(self.environment.name()),
            "backend" => text(self.backend.name()),
            "transport" => text(self.transport.name()),
            "era" => text(self.era?.name()),
            "state" => text(self.state.name()),
            "reason" => text(&self.reason),
            "desired" => text(match self.desired {
                crate::model::Desired::OnDemand => "on_demand",
                crate::model::Desired::Running => "running",
                crate::model::Desired::Held => "held",
            }),
            "age" => since(self.since, now),
            "uptime" => since(self.started_at?, now),
            "last" => since(self.last_call.as_ref()?.at, now),
            "outcome" => text(self.last_call.as_ref()?.outcome.name()),
            "error" => text(self.last_call.as_ref()?.error.as_deref()?),
            "in_flight" => number(self.in_flight),
            "waiting" => number(self.waiting),
            "oldest" => since(self.oldest?, now),
            "rate" => number(self.rate),
            "p95" => millis(self.p95_ms?),
            "cpu" => number(self.usage.cpu?),
            "mem" => bytes(self.usage.memory?),
            "restarts" => number(self.restarts),
            "garbage" => bytes(self.garbage),
            "pid" => number(self.pid?),
            _ => None,
        }
    }

    fn text(&self, out: &mut String) {
        push_key(out, &self.key);
        push_all(out, [self.environment.name(), self.state.name(), &self.reason, self.backend.name()]);
    }
}
