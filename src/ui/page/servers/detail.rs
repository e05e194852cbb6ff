//! Everything about the selected server or instance, in tabs.

use super::tree::{Node, NodeKey};
use crate::model::instance::{Desired, InstanceRow, Mark};
use crate::model::message::{Catalog, Event, EventKind};
use crate::model::server::{PricePer, Run};
use crate::model::snapshot::ServerRow;
use crate::model::stack::StackOwner;
use crate::model::{Answer, InstanceKey, Outcome, Query, Refusal, ServerId, TenantId};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look, Token};
use crate::ui::theme::Role;
use crate::ui::widget::pager::{Scroll, field, tabs};
use crate::ui::widget::table::Row as _;
use crate::ui::{catalog, fmt, stack, widget};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;

const TABS: [&str; 6] = ["State", "Definition", "Offers", "Events", "Needs", "Stack"];
const EVENTS_ASKED: u32 = 500;

/// State of the detail.
#[derive(Default)]
pub struct Detail {
    node: Option<Node>,
    tab: usize,
    scroll: Scroll,
    offers: Option<Asked<Result<Catalog, String>>>,
    events: Option<Asked<Result<Vec<Event>, String>>>,
}

/// A question about one object, and what was answered.
struct Asked<T> {
    about: (NodeKey, Option<TenantId>),
    token: Token,
    answer: Option<T>,
}

impl Detail {
    /// Shows another object, or the newer row of the same.
    pub fn show(&mut self, node: Option<Node>, cx: &mut Cx) {
        if self.node.as_ref().map(|n| n.key()) != node.as_ref().map(|n| n.key()) {
            self.scroll.reset();
        }
        self.node = node;
        self.ask(cx);
    }

    /// Asks again where an answer may have changed: events do, when the object's row did.
    pub fn refresh(&mut self, cx: &mut Cx) {
        if self.tab == 3 && self.events.as_ref().is_some_and(|e| e.answer.is_some()) {
            self.events = None;
        }
        self.ask(cx);
    }

    fn ask(&mut self, cx: &mut Cx) {
        let Some(node) = &self.node else { return };
        let subject = node.subject();
        let tenant =
            subject.tenant.or(cx.shared.limit.clone()).or_else(|| cx.snap.users(node.server()).next().cloned());
        let about = (node.key(), tenant.clone());
        match (self.tab, tenant) {
            (2, Some(tenant)) if self.offers.as_ref().is_none_or(|o| o.about != about) => {
                let token = cx.ask(Query::Catalog { tenant, server: node.server().clone(), wake: false, person: None });
                self.offers = Some(Asked { about, token, answer: None });
            }
            (3, _) if self.events.as_ref().is_none_or(|e| e.about != about) => {
                let token = cx.ask(Query::Events { limit: EVENTS_ASKED });
                self.events = Some(Asked { about, token, answer: None });
            }
            _ => {}
        }
    }

    pub fn answer(&mut self, token: Token, answer: Result<Answer, Refusal>) {
        if let Some(offers) = self.offers.as_mut().filter(|o| o.token == token) {
            offers.answer = Some(match answer {
                Ok(Answer::Catalog(catalog)) => Ok(catalog),
                Ok(_) => Err("the owner answered something else".to_owned()),
                Err(refusal) => Err(refusal.to_string()),
            });
        } else if let Some(events) = self.events.as_mut().filter(|e| e.token == token) {
            events.answer = Some(match answer {
                Ok(Answer::Events(list)) => Ok(list),
                Ok(_) => Err("the owner answered something else".to_owned()),
                Err(refusal) => Err(refusal.to_string()),
            });
        }
    }

    pub fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::Left => self.tab = (self.tab + TABS.len() - 1) % TABS.len(),
            Action::Right | Action::Open => self.tab = (self.tab + 1) % TABS.len(),
            Action::Refresh => self.refresh(cx),
            other => return self.scroll.act(other),
        }
        self.scroll.reset();
        self.ask(cx);
        true
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect, focused: bool) {
        let title = match self.node.as_ref().map(|n| n.key()) {
            Some(NodeKey::Server(id)) => id.to_string(),
            Some(NodeKey::Instance(key)) => key.to_string(),
            None => "nothing selected".to_owned(),
        };
        let inner = widget::pane(look, frame, area, &title, focused);
        let Some(node) = &self.node else { return };
        let below = tabs(look, frame, inner, &TABS, self.tab);
        let lines = match self.tab {
            0 => state(look, node, below.width),
            1 => definition(look, node, below.width),
            2 => self.offers(look),
            3 => self.events(look, node),
            4 => needs(look, node, below.width),
            _ => stack::lines(look, &StackOwner::Server(node.server().clone()), below.width),
        };
        self.scroll.draw(frame, below, &lines);
    }

    fn offers(&self, look: &Look) -> Vec<Line<'static>> {
        let dim = look.style(Role::Dim);
        match self.offers.as_ref().map(|o| &o.answer) {
            None => vec![Line::styled("no customer has it enabled: nobody sees it", dim)],
            Some(None) => vec![Line::styled("asking ...", dim)],
            Some(Some(Err(why))) => vec![Line::styled(why.clone(), look.style(Role::Bad))],
            Some(Some(Ok(catalog))) => catalog::lines(look, catalog),
        }
    }

    fn events(&self, look: &Look, node: &Node) -> Vec<Line<'static>> {
        let dim = look.style(Role::Dim);
        let events = match self.events.as_ref().and_then(|e| e.answer.as_ref()) {
            None => return vec![Line::styled("asking ...", dim)],
            Some(Err(why)) => return vec![Line::styled(why.clone(), look.style(Role::Bad))],
            Some(Ok(events)) => events,
        };
        let key = node.subject().key;
        let lines: Vec<Line> =
            events.iter().filter(|e| key.as_ref().is_some_and(|k| is_about(e, k))).map(|e| event(look, e)).collect();
        if lines.is_empty() { vec![Line::styled("nothing happened to it lately", dim)] } else { lines }
    }
}

fn is_about(event: &Event, key: &InstanceKey) -> bool {
    match &event.kind {
        EventKind::Transition { instance, .. } => key.covers(instance),
        EventKind::Act { command, .. } => command.target().is_some_and(|t| key.covers(t) || t.covers(key)),
        EventKind::Enabled { server, .. } => *server == key.server,
        EventKind::Job { .. } | EventKind::Notice { .. } | EventKind::Attached { .. } => false,
    }
}

/// One event as a line; the view Activity shows them alike.
pub fn event(look: &Look, event: &Event) -> Line<'static> {
    let (text, role) = crate::ui::page::activity::event_text(event);
    Line::from(vec![
        ratatui::text::Span::styled(format!("{} ", look.time(event.at)), look.style(Role::Dim)),
        ratatui::text::Span::styled(text, look.style(role)),
    ])
}

fn state(look: &Look, node: &Node, columns: u16) -> Vec<Line<'static>> {
    match (node, node.instance()) {
        (_, Some(row)) => instance_state(look, row, columns),
        (Node::Server { row, .. }, None) => server_state(look, row, columns),
        (Node::Instance(_), None) => Vec::new(),
    }
}

fn server_state(look: &Look, row: &ServerRow, columns: u16) -> Vec<Line<'static>> {
    let role = Role::of_state(row.state, row.in_flight > 0);
    let mut lines = field(look, "state", row.state.name(), role, columns);
    lines.extend(field(look, "instances", &format!("{}, {} ready", row.instances, row.ready), Role::Text, columns));
    lines.extend(field(look, "customers", &row.tenants.to_string(), Role::Text, columns));
    lines.extend(field(look, "environment", row.environment.name(), Role::of_environment(row.environment), columns));
    lines
}

fn instance_state(look: &Look, row: &InstanceRow, columns: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: &str, role: Role| lines.extend(field(look, name, value, role, columns));
    let busy = row.in_flight > 0 || row.rate > 0.0;
    let role = Role::of_state(row.state, busy);
    add("state", &format!("{} {} for {}", row.state.symbol(busy, look.ascii), row.state, look.age(row.since)), role);
    add("why", &row.reason, role);
    for (name, mark) in [("held", &row.held), ("fenced", &row.fenced)] {
        if let Some(mark) = mark {
            add(name, &by(look, mark), Role::Held);
        }
    }
    add("wanted", desired(row.desired), Role::Text);
    add("probe", &probe(look, row), if row.probe.failures > 0 { Role::Bad } else { Role::Text });
    if let Some(call) = &row.last_call {
        let text = format!(
            "{} {} ago, {} ms {}",
            call.outcome,
            look.age(call.at),
            call.took_ms,
            call.error.as_deref().unwrap_or("")
        );
        add(
            "last call",
            text.trim(),
            if call.outcome == Outcome::Ok { Role::Text } else { Role::of_outcome(call.outcome) },
        );
    }
    let oldest = row.oldest.map(|at| format!(", oldest {}", fmt::running(look.now.since(at)))).unwrap_or_default();
    add("in flight", &format!("{}{oldest}, {} waiting for a start", row.in_flight, row.waiting), Role::Text);
    add(
        "calls",
        &format!(
            "{}/s, p95 {} ms, {:.0}% failed in 5 min",
            fmt::rate(row.rate),
            fmt::millis(row.p95_ms),
            row.error_rate * 100.0
        ),
        Role::Text,
    );
    if let Some(at) = row.retry_at {
        add("tried again", &format!("in {}", fmt::countdown(at.since(look.now))), Role::Text);
    }
    if let Some(at) = row.idle_stop_at.filter(|_| row.in_flight == 0) {
        add("sleeps", &format!("in {} without a call", fmt::countdown(at.since(look.now))), Role::Text);
    }
    add("uses", &usage(row), Role::Text);
    let started = row.started_at.map(|at| format!("{} ago", look.age(at))).unwrap_or_else(|| "not running".to_owned());
    add("started", &format!("{started}, {} restarts", row.restarts), Role::Text);
    if let Some(info) = &row.server_info {
        add("calls itself", info, Role::Text);
    }
    if row.garbage > 0 {
        add("garbage", &format!("{} lines on stdout were no JSON-RPC", row.garbage), Role::Warn);
    }
    for note in &row.notes {
        add("note", note, Role::Warn);
    }
    for (name, fingerprint) in &row.secrets {
        add("secret", &format!("{name} {fingerprint}"), Role::Text);
    }
    lines
}

fn by(look: &Look, mark: &Mark) -> String {
    let reason = if mark.reason.is_empty() { String::new() } else { format!(": {}", mark.reason) };
    format!("by {} {} ago{reason}", mark.by, look.age(mark.at))
}

fn desired(desired: Desired) -> &'static str {
    match desired {
        Desired::OnDemand => "on demand: runs when called, sleeps when idle",
        Desired::Running => "running: comes back after a crash",
        Desired::Held => "stopped and held: calls are refused",
    }
}

fn probe(look: &Look, row: &InstanceRow) -> String {
    let Some(at) = row.probe.at else { return "never: sleeping servers are not woken by probes".to_owned() };
    let fact = |name: &str, fact: Option<bool>| match fact {
        Some(true) => format!("{name} yes"),
        Some(false) => format!("{name} NO"),
        None => format!("{name} {}", fmt::UNKNOWN),
    };
    let took = row.probe.took_ms.map(|ms| format!(" in {ms} ms")).unwrap_or_default();
    let error = row.probe.error.as_ref().map(|e| format!(": {e}")).unwrap_or_default();
    format!(
        "{} ago{took}, {}, {}, {}{error}",
        look.age(at),
        fact("alive", row.probe.alive),
        fact("initialises", row.probe.initialises),
        fact("lists", row.probe.lists)
    )
}

fn usage(row: &InstanceRow) -> String {
    let usage = &row.usage;
    let limit = usage.memory_limit.map(|l| format!(" of {}", fmt::bytes(l))).unwrap_or_default();
    let memory = usage.memory.map_or_else(|| fmt::UNKNOWN.to_owned(), fmt::bytes);
    let cpu = usage.cpu.map_or_else(|| fmt::UNKNOWN.to_owned(), |c| format!("{c:.1}%"));
    let pids = match usage.pids {
        None => format!("{} processes", fmt::UNKNOWN),
        Some(1) => "1 process".to_owned(),
        Some(n) => format!("{n} processes"),
    };
    format!("cpu {cpu}, memory {memory}{limit}, {pids}")
}

fn definition(look: &Look, node: &Node, columns: u16) -> Vec<Line<'static>> {
    let Some(row) = look.snap.server(node.server().as_str()) else { return Vec::new() };
    let def = &row.def;
    let mut lines = Vec::new();
    let mut add = |name: &str, value: &str| lines.extend(field(look, name, value, Role::Text, columns));
    add("name", &def.name);
    add("description", &def.description);
    add("version", def.version.as_deref().unwrap_or(""));
    add("defined at", &def.defined_at);
    add("scope", def.scope.name());
    add("runs", &run(&def.run));
    add("capabilities", &def.capabilities.join(", "));
    add("use cases", &def.use_cases.join("; "));
    if let Some(price) = &def.price {
        let per = if price.per == PricePer::Month { "month" } else { "call" };
        add("price", &format!("{} {} per {per}", price.amount, price.currency));
    }
    let never = |d: Option<std::time::Duration>| d.map_or_else(|| "never".to_owned(), |d| format!("{} s", d.as_secs()));
    add("idle stop", &never(def.settings.idle_stop));
    add(
        "timeout",
        &format!(
            "{} s, at most {} s with progress",
            def.settings.timeout.as_secs(),
            def.settings.timeout_cap.as_secs()
        ),
    );
    add("probes", &never(def.settings.health.every));
    let limits = &def.settings.limits;
    let memory = limits.memory.map_or_else(|| "unlimited".to_owned(), fmt::bytes);
    let cpus = limits.cpus.map_or_else(|| "unlimited".to_owned(), |c| c.to_string());
    add("limits", &format!("memory {memory}, cpus {cpus}"));
    let injected: Vec<&str> =
        def.inject.arguments.keys().chain(def.inject.headers.keys()).map(String::as_str).collect();
    let meta = if def.inject.meta { "_meta " } else { "" };
    add("injects", &format!("{meta}{}", injected.join(", ")));
    lines
}

fn run(run: &Run) -> String {
    match run {
        Run::Process(p) => p.command.iter().map(|t| t.source()).collect::<Vec<_>>().join(" "),
        Run::Builtin { name, .. } => format!("mcpdeck mcp {name} (built in)"),
        Run::Remote { url, .. } => format!("{} (somebody else runs it)", url.source()),
        Run::Container(c) => format!("container of {}", c.image.source()),
        Run::Simulated(_) => "simulated".to_owned(),
        Run::PerTenant { .. } => "each customer's own url".to_owned(),
    }
}

fn needs(look: &Look, node: &Node, columns: u16) -> Vec<Line<'static>> {
    let id = node.server();
    let of = |id: &ServerId| {
        look.snap
            .server(id.as_str())
            .map_or_else(|| format!("{id} (not configured)"), |s| format!("{id} ({})", s.state))
    };
    let needs: Vec<String> = look.snap.server(id.as_str()).iter().flat_map(|s| s.def.needs.iter().map(of)).collect();
    let by: Vec<String> =
        look.snap.servers.iter().filter(|s| s.def.needs.contains(id)).map(|s| of(&s.def.id)).collect();
    let users: Vec<&str> =
        look.snap.users(id).map(|t| look.snap.tenant(t.as_str()).map_or(t.as_str(), |t| &t.def.name)).collect();
    let mut lines = field(look, "needs", &needs.join(", "), Role::Text, columns);
    lines.extend(field(look, "needed by", &by.join(", "), Role::Text, columns));
    lines.extend(field(look, "customers", &users.join(", "), Role::Text, columns));
    lines
}
