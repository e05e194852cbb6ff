//! Why something is as it is, rule by rule, each with its evidence and what helps next.
//! Pure: over a snapshot and two look-ups. Must never do anything.

mod container;

use super::attention::HANGING;
use super::deck::Deck;
use crate::model::call::CallDetail;
use crate::model::instance::{BackendKind, Desired, InstanceRow, State};
use crate::model::message::{ExplainWhat, Explained, LogLine};
use crate::model::snapshot::{Cell, TenantRow};
use crate::model::stack::StackOwner;
use crate::model::{CallId, InstanceKey, Outcome, Refusal, ServerDef, Snapshot, Stamp, TenantId, why};
use std::sync::Arc;

/// Where the evidence comes from.
pub struct Sources<'a> {
    pub snapshot: Arc<Snapshot>,
    pub last_stderr: &'a dyn Fn(&InstanceKey) -> Option<LogLine>,
    pub call: &'a dyn Fn(CallId) -> Option<CallDetail>,
    pub now: Stamp,
}

/// Explains one thing, most telling checks first in the order in which they decide.
pub fn explain(sources: &Sources<'_>, what: &ExplainWhat) -> Result<Vec<Explained>, Refusal> {
    match what {
        ExplainWhat::Instance(key) => sources.instance(key),
        ExplainWhat::Tenant(id) => sources.tenant(id),
        ExplainWhat::Call(id) => sources.explain_call(*id),
        ExplainWhat::Container(key) => match sources.snapshot.container(key) {
            Some(row) => Ok(why::container(row, &sources.snapshot)),
            None => Err(Refusal::NotFound(format!("there is no container {key} any more"))),
        },
        ExplainWhat::Stack(id) => match sources.snapshot.stack(id.as_str()) {
            Some(row) => Ok(why::stack(row, &sources.snapshot)),
            None => Err(Refusal::NotFound(format!("no stack is called {id}"))),
        },
    }
}

/// With the platform's own sources.
pub fn explain_on(deck: &Deck, what: &ExplainWhat) -> Result<Vec<Explained>, Refusal> {
    let call = |id| {
        let record = || {
            Some(CallDetail {
                record: (*deck.calls.get(id)?).clone(),
                request: None,
                sent: None,
                response: None,
                notes: Vec::new(),
            })
        };
        deck.router.detail(id).or_else(record)
    };
    let sources = Sources {
        snapshot: deck.picture.get(),
        last_stderr: &|key| deck.logs.last_stderr(key),
        call: &call,
        now: Stamp::now(),
    };
    let mut checks = explain(&sources, what)?;
    if let ExplainWhat::Instance(key) = what
        && let Some(breaker) = deck.router.open_breaker(key)
    {
        let evidence = format!("{breaker}: calls that name no server pass over it");
        checks.push(found("circuit breaker", Some(false), evidence));
    }
    Ok(checks)
}

/// One finding.
fn found(check: &str, passed: Option<bool>, evidence: impl Into<String>) -> Explained {
    Explained { check: check.to_owned(), passed, evidence: evidence.into(), next: None, target: None }
}

impl Explained {
    fn then(mut self, next: &str, target: Option<&InstanceKey>) -> Self {
        self.next = Some(next.to_owned());
        self.target = target.cloned();
        self
    }
}

impl Sources<'_> {
    fn instance(&self, key: &InstanceKey) -> Result<Vec<Explained>, Refusal> {
        let snapshot = &self.snapshot;
        let server = snapshot.server(key.server.as_str());
        let server = server.ok_or_else(|| Refusal::NotFound(format!("no server is called {}", key.server)))?;
        let Some(row) = snapshot.instance(key) else {
            return self.absent(key, &server.def);
        };
        let mut out = vec![found("state", Some(is_good(row.state)), self.state(row))];
        out.push(self.enabled(row));
        out.push(desired(row));
        out.extend(held(row));
        out.extend(self.needs(row, &server.def));
        out.push(self.process(row));
        out.extend(self.containers(row, &server.def));
        out.extend(self.secrets(row));
        out.push(self.probe(row, &server.def));
        out.push(self.last_call(row));
        out.push(self.in_flight(row, &server.def));
        out.push(self.idle(row, &server.def));
        out.push(self.failures(row, &server.def));
        out.extend(self.stderr(row));
        out.extend(row.notes.iter().map(|note| found("limits", None, note.clone())));
        Ok(out)
    }

    /// No such row: say what there is instead.
    fn absent(&self, key: &InstanceKey, def: &ServerDef) -> Result<Vec<Explained>, Refusal> {
        let Some(tenant) = &key.tenant else {
            let covered: Vec<_> = self.snapshot.instances.iter().filter(|row| key.covers(&row.key)).collect();
            if covered.is_empty() {
                let evidence = format!("no customer has {} enabled, so nothing of it exists", def.id);
                return Ok(vec![found("enabled", Some(false), evidence).then("enable", None)]);
            }
            let line = |row: &Arc<InstanceRow>| {
                found(&row.key.to_string(), Some(is_good(row.state)), self.state(row)).then("explain", Some(&row.key))
            };
            return Ok(covered.into_iter().map(line).collect());
        };
        let row = self.snapshot.tenant(tenant.as_str());
        let row = row.ok_or_else(|| Refusal::NotFound(format!("no customer is called {tenant}")))?;
        match row.cell(&key.server).filter(|cell| cell.enabled) {
            Some(cell) => {
                let shared = cell.instance.clone().unwrap_or_else(|| InstanceKey::shared(key.server.clone()));
                let evidence = format!("{tenant} has no instance of its own: {shared} serves it");
                Ok(vec![found("instance", None, evidence).then("explain", Some(&shared))])
            }
            None => {
                let evidence = format!("{tenant} has not enabled {}: mcpdeck enable {} {tenant}", def.id, def.id);
                Ok(vec![found("enabled", Some(false), evidence).then("enable", None)])
            }
        }
    }

    fn state(&self, row: &InstanceRow) -> String {
        let retry = row.retry_at.map(|at| format!("; tried again in {}", span(at.since(self.now))));
        format!("{} for {}: {}{}", row.state, span(self.now.since(row.since)), row.reason, retry.unwrap_or_default())
    }

    fn enabled(&self, row: &InstanceRow) -> Explained {
        let users: Vec<&Arc<TenantRow>> = self.snapshot.tenants.iter().filter(|t| serves(t, row)).collect();
        let Some(first) = users.first() else {
            return found("enabled", Some(false), "no customer that it serves has it enabled").then("enable", None);
        };
        let how = |t: &TenantRow| t.cell(&row.key.server).map(decided).unwrap_or_default();
        let evidence = match users.len() {
            1 => format!("for {}, {}", first.def.id, how(first)),
            n => format!("for {n} customers ({}, ...)", first.def.id),
        };
        found("enabled", Some(true), evidence)
    }

    fn needs(&self, row: &InstanceRow, def: &ServerDef) -> Vec<Explained> {
        let need = |id| {
            let own = InstanceKey { server: id, tenant: row.key.tenant.clone(), session: None };
            let shared = InstanceKey::shared(own.server.clone());
            let found_row = self.snapshot.instance(&own).or_else(|| self.snapshot.instance(&shared));
            match found_row {
                Some(need) => {
                    let good = matches!(need.state, State::Ready | State::Degraded | State::Dormant | State::Doze);
                    found("needs", Some(good), format!("{} is {}", need.key, need.state))
                        .then("explain", Some(&need.key))
                }
                None => found("needs", Some(false), format!("{shared} has no instance")),
            }
        };
        def.needs.iter().cloned().map(need).collect()
    }

    fn process(&self, row: &InstanceRow) -> Explained {
        let up = || row.started_at.map_or_else(String::new, |at| format!(", up {}", span(self.now.since(at))));
        match (row.backend, row.pid) {
            (BackendKind::Remote, _) if row.container.is_some() => {
                found("process", None, "it stands in containers that the config adopted")
            }
            (BackendKind::Remote, _) => found("process", None, "somebody else runs it; mcpdeck only connects"),
            (_, Some(pid)) => found("process", Some(true), format!("pid {pid}{}", up())),
            (_, None) if row.state.is_live() && row.started_at.is_some() => {
                found("process", Some(true), format!("runs{}", up()))
            }
            (_, None) => found("process", None, "nothing runs").then("start", Some(&row.key)),
        }
    }

    fn secrets(&self, row: &InstanceRow) -> Vec<Explained> {
        let of = |name: &str| {
            self.snapshot.secrets.iter().find(|s| {
                s.name == name
                    && s.tenant.is_none_or_is(row.key.tenant.as_ref())
                    && s.server.is_none_or_is(Some(&row.key.server))
            })
        };
        let line = |(name, fingerprint): &(String, String)| match of(name) {
            Some(secret) if secret.stale.contains(&row.key) => {
                let newest = secret.fingerprint.as_deref().unwrap_or("missing");
                let evidence = format!("started with {name} {fingerprint}; the newest is {newest}");
                found("secret", Some(false), evidence).then("roll", Some(&row.key))
            }
            _ => found("secret", Some(true), format!("started with {name} {fingerprint}")),
        };
        row.secrets.iter().map(line).collect()
    }

    fn probe(&self, row: &InstanceRow, def: &ServerDef) -> Explained {
        if def.settings.health.every.is_none() {
            return found("probe", None, "probes are off for it");
        }
        let Some(at) = row.probe.at else {
            return found("probe", None, "not probed since it started").then("probe", Some(&row.key));
        };
        let age = span(self.now.since(at));
        let evidence = match &row.probe.error {
            Some(error) => format!("failed {} in a row, the last {age} ago: {error}", row.probe.failures),
            None => format!("{} ms, {age} ago", row.probe.took_ms.unwrap_or_default()),
        };
        found("probe", Some(row.probe.error.is_none()), evidence).then("probe", Some(&row.key))
    }

    fn last_call(&self, row: &InstanceRow) -> Explained {
        let Some(call) = &row.last_call else { return found("last call", None, "none since the platform started") };
        let error = call.error.as_ref().map_or_else(String::new, |e| format!(": {e}"));
        let age = span(self.now.since(call.at));
        let evidence = format!("{} in {} ms, {age} ago{error}", call.outcome, call.took_ms);
        found("last call", Some(!call.outcome.is_error()), evidence).then("traffic", Some(&row.key))
    }

    fn in_flight(&self, row: &InstanceRow, def: &ServerDef) -> Explained {
        if let Some(hang) =
            self.snapshot.findings.iter().find(|f| f.word == HANGING && f.target.as_ref() == Some(&row.key))
        {
            return found("in flight", Some(false), hang.text.clone()).then("fence", Some(&row.key));
        }
        let Some(oldest) = row.oldest else { return found("in flight", Some(true), "nothing") };
        let age = self.now.since(oldest);
        let waiting = if row.waiting > 0 { format!(", {} wait for it to start", row.waiting) } else { String::new() };
        let evidence = format!("{}, the oldest for {}{waiting}", row.in_flight, span(age));
        found("in flight", Some(age <= def.settings.timeout / 2), evidence).then("traffic", Some(&row.key))
    }

    fn idle(&self, row: &InstanceRow, def: &ServerDef) -> Explained {
        let evidence = match (def.settings.idle_stop, row.idle_stop_at) {
            (None, _) => "it is never stopped for being idle".to_owned(),
            (Some(_), Some(at)) => format!("stops in {} if no call comes", span(at.since(self.now))),
            (Some(wait), None) => format!("stops after {} without a call", span(wait)),
        };
        found("idle stop", None, evidence)
    }

    fn failures(&self, row: &InstanceRow, def: &ServerDef) -> Explained {
        let policy = &def.settings.restart;
        let evidence = format!(
            "{} restarts after failures; gives up after {} within {}",
            row.restarts,
            policy.max_failures,
            span(policy.window)
        );
        found("restarts", Some(row.restarts == 0), evidence).then("logs", Some(&row.key))
    }

    fn stderr(&self, row: &InstanceRow) -> Option<Explained> {
        let line = (self.last_stderr)(&row.key)?;
        let age = span(self.now.since(line.at));
        let text: String = line.text.chars().take(200).collect();
        let garbage = (row.garbage > 0).then(|| format!(" ({} lines on stdout were no JSON-RPC)", row.garbage));
        let evidence = format!("{text} ({age} ago){}", garbage.unwrap_or_default());
        Some(found("last stderr line", None, evidence).then("logs", Some(&row.key)))
    }

    fn tenant(&self, id: &TenantId) -> Result<Vec<Explained>, Refusal> {
        let row = self.snapshot.find_tenant(id.as_str());
        let row = row.ok_or_else(|| Refusal::NotFound(format!("no customer is called {id}")))?;
        let mut out = vec![found("known", Some(true), format!("{} ({})", row.def.name, row.def.id))];
        if row.def.read_only {
            out.push(found("read-only", None, "acts and tools not marked read-only are refused"));
        }
        for cell in &row.cells {
            let evidence = match (cell.enabled, cell.state) {
                (true, Some(state)) => format!("{state}, {}", decided(cell)),
                _ => format!("not enabled, {}", decided(cell)),
            };
            let good = cell.state.map(is_good);
            out.push(found(cell.server.as_str(), good, evidence).then("explain", cell.instance.as_ref()));
        }
        let stacks = self.snapshot.stacks.iter().filter(|s| s.owner == StackOwner::Tenant(row.def.id.clone()));
        out.extend(stacks.map(|stack| why::whole(&format!("stack {}", stack.id), stack)));
        let secrets = self.snapshot.secrets.iter().filter(|s| s.tenant.as_ref() == Some(&row.def.id));
        out.extend(secrets.map(|s| match (&s.error, &s.fingerprint) {
            (Some(error), _) => found("secret", Some(false), format!("{}: {error}", s.name)),
            (None, Some(print)) => {
                let stale = if s.stale.is_empty() {
                    String::new()
                } else {
                    format!(", {} instances hold an older one", s.stale.len())
                };
                found("secret", Some(s.stale.is_empty()), format!("{} {print}{stale}", s.name))
            }
            (None, None) => found("secret", None, format!("{} is not loaded yet", s.name)),
        }));
        Ok(out)
    }

    fn explain_call(&self, id: CallId) -> Result<Vec<Explained>, Refusal> {
        let detail = (self.call)(id).ok_or_else(|| Refusal::NotFound(format!("{id} is no longer known")))?;
        let r = &detail.record;
        let ms = |us: u64| format!("{:.1} ms", us as f64 / 1000.0);
        let error = r.error.as_ref().map_or_else(String::new, |e| format!(": {e}"));
        let mut out = vec![found("outcome", Some(!r.outcome.is_error()), format!("{}{error}", r.outcome))];
        out.push(found("came from", None, format!("{} as {} by {}", r.origin.name(), r.tenant, r.principal)));
        out.push(match &r.instance {
            Some(key) => found("served by", Some(true), key.to_string()).then("explain", Some(key)),
            None => found("served by", Some(false), "refused before an instance was chosen"),
        });
        let waited = format!(
            "{} in all, {} waiting for a start, {} at the upstream",
            ms(r.took_us),
            ms(r.wake_us),
            ms(r.upstream_us)
        );
        out.push(found("time", None, waited));
        out.push(found("meaning", None, meaning(r.outcome)));
        if let Some(key) = r.instance.as_ref().filter(|_| r.outcome.is_error()) {
            let now = self.snapshot.instance(key).map_or_else(|| "gone".to_owned(), |row| self.state(row));
            out.push(found("now", None, format!("{key} is {now}")).then("explain", Some(key)));
        }
        Ok(out)
    }
}

/// `None`, or the same.
trait NoneOrIs<T> {
    fn is_none_or_is(&self, other: Option<&T>) -> bool;
}

impl<T: PartialEq> NoneOrIs<T> for Option<T> {
    fn is_none_or_is(&self, other: Option<&T>) -> bool {
        self.is_none() || self.as_ref() == other
    }
}

fn serves(tenant: &TenantRow, row: &InstanceRow) -> bool {
    let cell = tenant.cell(&row.key.server).filter(|cell| cell.enabled);
    cell.and_then(|c| c.instance.as_ref())
        .is_some_and(|key| key.covers(&row.key) && (key.tenant.is_some() || row.key.tenant.is_none()))
}

fn decided(cell: &Cell) -> String {
    match &cell.changed {
        Some(mark) => format!("{} by {} at run time", if cell.enabled { "enabled" } else { "disabled" }, mark.by),
        None if cell.enabled => "enabled by the file".to_owned(),
        None => "as the file says".to_owned(),
    }
}

fn desired(row: &InstanceRow) -> Explained {
    let evidence = match row.desired {
        Desired::OnDemand => "runs when called, sleeps when idle",
        Desired::Running => "was started by hand or with the platform; comes back after a crash",
        Desired::Held => "stopped and held by an operator",
    };
    found("wanted", Some(row.desired != Desired::Held), evidence)
}

fn held(row: &InstanceRow) -> Vec<Explained> {
    let mark = |check: &str, next: &str, mark: &crate::model::instance::Mark| {
        found(check, Some(false), super::fleet::marked(check, mark)).then(next, Some(&row.key))
    };
    let held = row.held.as_ref().map(|m| mark("stopped", "start", m));
    let fenced = row.fenced.as_ref().map(|m| mark("fenced", "unfence", m));
    held.into_iter().chain(fenced).collect()
}

fn is_good(state: State) -> bool {
    matches!(state, State::Ready | State::Starting | State::Doze | State::Dormant | State::Stopping)
}

fn meaning(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Ok => "answered",
        Outcome::Tool => "the tool itself answered with an error; the platform did its part",
        Outcome::Auth => "the upstream refused the credentials: look at the secret and when it was loaded",
        Outcome::Timeout => "no answer and no progress within the timeout",
        Outcome::Transport => "the upstream could not be reached, or died in the middle",
        Outcome::Protocol => "a JSON-RPC error, or an answer that is none",
        Outcome::Refused => "refused at the gate: not enabled, stopped, fenced, full or read-only",
        Outcome::Cancelled => "the caller took it back",
    }
}

/// A length of time in its largest whole unit.
fn span(length: std::time::Duration) -> String {
    match length.as_secs() {
        0 => format!("{} ms", length.as_millis()),
        s @ 1..120 => format!("{s} s"),
        s @ 120..7200 => format!("{} min", s / 60),
        s @ 7200..172_800 => format!("{} h", s / 3600),
        s => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
