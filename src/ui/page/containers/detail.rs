//! Everything about the selected container or process: facts and history, limits and labels, and the engine's own view.

use super::columns;
use super::inspect::Inspected;
use super::unit::{Unit, UnitKey};
use super::usage;
use crate::model::container::{ContainerRow, EngineState};
use crate::model::usage::{Subject, UsageHistory};
use crate::model::{Answer, Query, Refusal, Stamp};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look, Token};
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::pager::{Scroll, field, tabs};
use crate::ui::widget::table::Row as _;
use crate::ui::widget::{self, json_tree};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::Line;
use std::cell::Cell;

const TABS: [&str; 3] = ["State", "Limits, labels", "Inspect"];
const INSPECT: usize = 2;
/// The history is asked for again after this: a bar is that wide.
const FRESH_MS: u64 = 5_000;

/// State of the detail.
#[derive(Default)]
pub struct Detail {
    unit: Option<Unit>,
    tab: usize,
    scroll: Scroll,
    usage: Option<Asked<UsageHistory>>,
    inspected: Option<Asked<Inspected>>,
    /// Rows of the tree, as last drawn.
    height: Cell<usize>,
}

/// A question about one row, and what was answered; an older answer stays while a newer one is waited for.
struct Asked<T> {
    about: UnitKey,
    token: Option<Token>,
    at: Stamp,
    answer: Option<Result<T, String>>,
}

impl Detail {
    /// Shows another row, or the newer state of the same. What costs the engine something is asked once the detail has
    /// the keys.
    pub fn show(&mut self, unit: Option<Unit>, focused: bool, cx: &mut Cx) {
        if self.unit.as_ref().map(Unit::key) != unit.as_ref().map(Unit::key) {
            self.scroll.reset();
        }
        self.unit = unit;
        self.ask_usage(cx);
        if focused {
            self.ask_inspect(cx);
        }
    }

    /// The history goes on.
    pub fn refresh(&mut self, cx: &mut Cx) {
        let old = self.usage.as_ref().is_some_and(|asked| {
            asked.answer.is_some()
                && asked.token.is_none()
                && cx.shared.now.since(asked.at).as_millis() >= FRESH_MS.into()
        });
        if let (true, Some(unit)) = (old && self.tab == 0, &self.unit) {
            let token = cx.ask(Query::Usage(subject(unit)));
            if let Some(asked) = &mut self.usage {
                (asked.token, asked.at) = (Some(token), cx.shared.now);
            }
        }
    }

    fn ask_usage(&mut self, cx: &mut Cx) {
        let Some(unit) = self.unit.as_ref().filter(|_| self.tab == 0) else { return };
        let about = unit.key();
        if self.usage.as_ref().is_none_or(|asked| asked.about != about) {
            let token = Some(cx.ask(Query::Usage(subject(unit))));
            self.usage = Some(Asked { about, token, at: cx.shared.now, answer: None });
        }
    }

    fn ask_inspect(&mut self, cx: &mut Cx) {
        let Some(unit) = self.unit.as_ref().filter(|_| self.tab != 0) else { return };
        let about = unit.key();
        if self.inspected.as_ref().is_some_and(|asked| asked.about == about) {
            return;
        }
        let (token, answer) = match unit {
            Unit::Container { row, .. } => (Some(cx.ask(Query::Inspect(row.key.clone()))), None),
            // No engine knows of it: what there is to know is its row.
            Unit::Process(_) => (None, Some(Ok(Inspected::new(unit.json())))),
        };
        self.inspected = Some(Asked { about, token, at: cx.shared.now, answer });
    }

    pub fn answer(&mut self, token: Token, answer: Result<Answer, Refusal>) {
        if let Some(asked) = self.usage.as_mut().filter(|asked| asked.token == Some(token)) {
            asked.token = None;
            asked.answer = Some(match answer {
                Ok(Answer::Usage(history)) => Ok(history),
                other => Err(why(other)),
            });
        } else if let Some(asked) = self.inspected.as_mut().filter(|asked| asked.token == Some(token)) {
            asked.token = None;
            asked.answer = Some(match answer {
                Ok(Answer::Inspect(text)) => Ok(Inspected::new(text)),
                other => Err(why(other)),
            });
        }
    }

    pub fn open_inspect(&mut self) {
        self.tab = INSPECT;
        // It is asked for anew: that is what the key is for.
        self.inspected = None;
    }

    /// True while the tree has the keys.
    pub fn is_tree(&self) -> bool {
        self.tab == INSPECT && self.tree().is_some()
    }

    fn tree(&self) -> Option<&Inspected> {
        self.inspected.as_ref()?.answer.as_ref()?.as_ref().ok()
    }

    fn tree_mut(&mut self) -> Option<&mut Inspected> {
        if self.tab != INSPECT {
            return None;
        }
        self.inspected.as_mut()?.answer.as_mut()?.as_mut().ok()
    }

    pub fn search(&self) -> &str {
        self.tree().map_or("", |found| &found.search)
    }

    pub fn set_search(&mut self, text: &str) -> Result<(), String> {
        let Some(found) = self.tree_mut() else { return Ok(()) };
        text.clone_into(&mut found.search);
        if text.is_empty() || found.tree.search(text, true) {
            return Ok(());
        }
        Err(format!("nothing holds `{text}`"))
    }

    /// True if there was a search to end.
    pub fn clear_search(&mut self) -> bool {
        self.tree_mut().is_some_and(|found| !std::mem::take(&mut found.search).is_empty())
    }

    pub fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        if self.act_in_tree(action, cx) {
            return true;
        }
        match action {
            Action::Left => self.tab = (self.tab + TABS.len() - 1) % TABS.len(),
            Action::Right | Action::Open => self.tab = (self.tab + 1) % TABS.len(),
            Action::Refresh => (self.usage, self.inspected) = (None, None),
            other => return self.scroll.act(other),
        }
        self.scroll.reset();
        self.ask_usage(cx);
        self.ask_inspect(cx);
        true
    }

    fn act_in_tree(&mut self, action: Action, cx: &mut Cx) -> bool {
        let page = self.height.get().max(2) as isize - 1;
        let width = usize::from(cx.shared.size.0).saturating_sub(8);
        let Some(found) = self.tree_mut() else { return false };
        let tree = &mut found.tree;
        match action {
            Action::Down => tree.step(1),
            Action::Up => tree.step(-1),
            Action::PageDown => tree.step(page),
            Action::PageUp => tree.step(-page),
            Action::Top => tree.cursor = 0,
            Action::Bottom => tree.step(isize::MAX),
            Action::Open | Action::Fold => tree.toggle(width),
            Action::Right => tree.enter(width),
            // At the top `left` goes on to the tab before.
            Action::Left if tree.cursor > 0 => tree.leave(),
            Action::SearchNext | Action::SearchPrev => {
                if found.search.is_empty() || !tree.search(&found.search, action == Action::SearchNext) {
                    cx.notice(crate::model::message::Level::Info, "nothing found; / searches in the tree");
                }
            }
            Action::CopyCell => cx.copy(tree.value().unwrap_or_default()),
            Action::CopyRow => cx.copy(tree.text().to_string()),
            _ => return false,
        }
        true
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect, focused: bool) {
        let title = self.unit.as_ref().map_or_else(|| "nothing selected".to_owned(), Unit::name);
        let inner = widget::pane(look, frame, area, &title, focused);
        let Some(unit) = &self.unit else { return };
        let below = tabs(look, frame, inner, &TABS, self.tab);
        let lines = match (self.tab, self.inspected.as_ref().filter(|asked| asked.about == unit.key())) {
            (0, _) => self.state(look, unit, below.width),
            (_, None) => vec![Line::styled("enter asks the engine", look.style(Role::Dim))],
            (_, Some(Asked { answer: None, .. })) => vec![Line::styled("asking ...", look.style(Role::Dim))],
            (_, Some(Asked { answer: Some(Err(why)), .. })) => vec![Line::styled(why.clone(), look.style(Role::Bad))],
            (INSPECT, Some(Asked { answer: Some(Ok(found)), .. })) => {
                self.height.set(usize::from(below.height));
                return json_tree::draw(look, frame, below, &found.tree, &found.top, focused);
            }
            (_, Some(Asked { answer: Some(Ok(found)), .. })) => limits(look, found, below.width),
        };
        self.scroll.draw(frame, below, &lines);
    }

    fn state(&self, look: &Look, unit: &Unit, columns: u16) -> Vec<Line<'static>> {
        let (state, role) = unit.state(look);
        let age = look.age(unit.since());
        let mut lines = field(look, "state", &format!("{state} for {age}"), role, columns);
        if let Unit::Container { row, .. } = unit {
            lines.extend(troubles(look, row).into_iter().flat_map(|text| field(look, "", &text, Role::Warn, columns)));
        }
        lines.extend(field(look, "owner", &columns::owner(unit, look).text, Role::Text, columns));
        match self.usage.as_ref().filter(|asked| asked.about == unit.key()).and_then(|asked| asked.answer.as_ref()) {
            Some(Ok(history)) => lines.extend(usage::lines(look, history, unit.usage(), columns)),
            Some(Err(why)) => lines.extend(field(look, "history", why, Role::Warn, columns)),
            None => lines.extend(usage::lines(look, &UsageHistory::default(), unit.usage(), columns)),
        }
        lines.extend(facts(look, unit, columns));
        lines
    }
}

fn why(answer: Result<Answer, Refusal>) -> String {
    match answer {
        Ok(_) => "the owner answered something else".to_owned(),
        Err(refusal) => refusal.to_string(),
    }
}

fn subject(unit: &Unit) -> Subject {
    match unit {
        Unit::Container { row, .. } => Subject::Container(row.key.clone()),
        Unit::Process(row) => Subject::Instance(row.key.clone()),
    }
}

/// What is wrong with it, in sentences.
fn troubles(look: &Look, row: &ContainerRow) -> Vec<String> {
    let mut out = Vec::new();
    if let Some(EngineState::Silent { since, reason }) = super::unit::engine(look.snap, &row.key).map(|e| &e.state) {
        out.push(format!("engine {} has been silent for {}: {reason}", row.key.engine, look.age(*since)));
    }
    if row.oom {
        let limit = row.usage.memory_limit.map(|l| format!(" of {}", fmt::bytes(l))).unwrap_or_default();
        out.push(format!("the kernel killed it for memory: it reached its limit{limit}"));
    }
    if row.restarts > 0 {
        out.push(format!(
            "restarted {}",
            if row.restarts == 1 { "once".to_owned() } else { format!("{} times", row.restarts) }
        ));
    }
    out
}

fn facts(look: &Look, unit: &Unit, columns: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    let mut add = |name: &str, value: &str| lines.extend(field(look, name, value, Role::Text, columns));
    let usage = unit.usage();
    add("processes", &usage.pids.map_or_else(|| fmt::UNKNOWN.to_owned(), |n| n.to_string()));
    if let Some(held) = usage.gpu_memory {
        add("gpu memory", &fmt::bytes(held));
    }
    match unit {
        Unit::Container { row, .. } => {
            add("image", &row.image);
            if let Some(health) = row.health {
                add("health", health.name());
            }
            add("ports", &row.ports.join(", "));
            add("networks", &row.networks.join(", "));
            add("claim", row.owner.claim.name());
            if let Some(project) = &row.compose_project {
                let service = row.compose_service.as_deref().map(|s| format!(", service {s}")).unwrap_or_default();
                add("compose", &format!("project {project}{service}"));
            }
            add("engine", row.key.engine.as_str());
            add("id", &row.key.id);
        }
        Unit::Process(row) => {
            add("pid", &row.pid.map_or_else(|| fmt::UNKNOWN.to_owned(), |pid| pid.to_string()));
            add("why", &row.reason);
            row.notes.iter().for_each(|note| add("note", note));
        }
    }
    lines
}

fn limits(look: &Look, found: &Inspected, columns: u16) -> Vec<Line<'static>> {
    let mut lines = Vec::new();
    for (name, value) in &found.limits {
        lines.extend(field(look, name, value, Role::Text, columns));
    }
    if found.limits.is_empty() {
        lines.push(Line::styled("no engine: its limits are those of its server's definition", look.style(Role::Dim)));
    }
    if !found.labels.is_empty() {
        lines.push(Line::default());
    }
    let wide = found.labels.keys().map(|name| fmt::width(name)).max().unwrap_or(0).min(usize::from(columns) / 2);
    for (name, value) in &found.labels {
        let name = format!("{:<wide$}", fmt::fit(name, wide, look.ascii));
        lines.extend(field(look, &name, value, Role::Text, columns));
    }
    lines
}
