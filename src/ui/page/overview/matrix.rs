//! Customers against servers: the state of each pair and its calls per second, worst customers first.

use crate::model::filter::{Fields, Value};
use crate::model::snapshot::TenantRow;
use crate::model::{InstanceKey, ServerId, Stamp, State, TenantId};
use crate::ui::action::Action;
use crate::ui::acts::Subject;
use crate::ui::app::{Cx, Look, Token};
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget::table::{Cell, Column, Row, Table, Width, descending};
use crate::ui::widget::{self};
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use std::sync::Arc;
use std::time::Duration;

/// From here on calls in flight make a customer's row climb; shorter ones come and go.
const LONG: Duration = Duration::from_secs(10);

/// Columns of screen for the customer's name, its environment, and the sum.
const NAME: u16 = 18;
const ENVIRONMENT: u16 = 5;
/// Least and most for a server: its state and rate, and as much of its name as there is room for.
const SERVER: (u16, u16) = (6, 24);
const SUM: u16 = 5;
/// All of that with the gaps between.
const BESIDES: u16 = 1 + NAME + 1 + ENVIRONMENT + 1 + SUM;

/// State of the matrix: a table of customers whose columns are servers.
#[derive(Default)]
pub struct Matrix {
    table: Table<Line>,
    servers: Vec<ServerId>,
    /// The selected server; `None` before one was chosen.
    server: Option<ServerId>,
}

/// First server shown, and the columns of screen that it and those after it have.
struct Places {
    first: usize,
    widths: Vec<u16>,
}

/// A customer's row.
#[derive(Clone)]
pub struct Line {
    tenant: Arc<TenantRow>,
    /// Worst state among its enabled servers.
    worst: u8,
}

impl Fields for Line {
    fn names() -> &'static [&'static str] {
        TenantRow::names()
    }
    fn field(&self, name: &str, now: Stamp) -> Option<Value<'_>> {
        self.tenant.field(name, now)
    }
    fn text(&self, out: &mut String) {
        self.tenant.text(out);
    }
}

impl Row for Line {
    type Key = TenantId;

    fn key(&self) -> TenantId {
        self.tenant.def.id.clone()
    }

    /// For sorting and copying; drawing is the matrix' own.
    fn columns() -> &'static [Column<Self>] {
        const COLUMNS: &[Column<Line>] = &[
            Column {
                title: "customer",
                width: Width::Fixed(NAME),
                right: false,
                wide: false,
                cell: |r, _| Cell::plain(r.tenant.def.name.as_str()),
                order: Some(|a, b| a.tenant.def.name.cmp(&b.tenant.def.name)),
            },
            Column {
                title: "worst",
                width: Width::Fixed(5),
                right: false,
                wide: false,
                cell: |r, _| Cell::plain(r.worst.to_string()),
                order: Some(|a, b| b.worst.cmp(&a.worst)),
            },
            Column {
                title: "environment",
                width: Width::Fixed(ENVIRONMENT),
                right: false,
                wide: false,
                cell: |r, _| Cell::plain(r.tenant.def.environment.name()),
                order: Some(|a, b| b.tenant.def.environment.cmp(&a.tenant.def.environment)),
            },
            Column {
                title: "calls/s",
                width: Width::Fixed(SUM),
                right: true,
                wide: false,
                cell: |r, _| Cell::plain(fmt::rate(r.tenant.rate)),
                order: Some(|a, b| descending(a.tenant.rate, b.tenant.rate)),
            },
        ];
        COLUMNS
    }

    fn json(&self) -> String {
        serde_json::to_string_pretty(&*self.tenant).unwrap_or_default()
    }
}

impl Matrix {
    pub fn sync(&mut self, cx: &Cx) {
        self.servers = cx.snap.servers.iter().map(|s| s.def.id.clone()).collect();
        if self.server.as_ref().is_none_or(|chosen| !self.servers.contains(chosen)) {
            self.server = self.servers.first().cloned();
        }
        let shown = cx.snap.tenants.iter().filter(|t| cx.shared.limit.as_ref().is_none_or(|limit| t.def.id == *limit));
        let mut lines: Vec<Line> = shown.map(|tenant| Line { worst: worst(tenant), tenant: tenant.clone() }).collect();
        lines.sort_by(|a, b| {
            // A row that climbed for every short call would never stand still.
            let hangs = |l: &Line| {
                l.tenant.oldest.filter(|at| cx.shared.now.since(*at) > LONG).map_or(0, |_| l.tenant.in_flight)
            };
            b.worst.cmp(&a.worst).then(hangs(b).cmp(&hangs(a))).then_with(|| a.tenant.def.name.cmp(&b.tenant.def.name))
        });
        self.table.set_rows(lines, cx.shared.now);
    }

    pub fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        let at = self.column();
        match action {
            Action::Left => self.server = self.servers.get(at.saturating_sub(1)).cloned(),
            Action::Right => {
                self.server = self.servers.get((at + 1).min(self.servers.len().saturating_sub(1))).cloned()
            }
            _ => return self.table.act(action, cx),
        }
        true
    }

    fn column(&self) -> usize {
        self.server.as_ref().and_then(|chosen| self.servers.iter().position(|s| s == chosen)).unwrap_or(0)
    }

    pub fn picked(&mut self, token: Token, value: &str) -> bool {
        self.table.picked(token, value)
    }

    pub fn filter(&self) -> &str {
        self.table.filter_text()
    }

    pub fn set_filter(&mut self, text: &str) -> Result<(), String> {
        self.table.set_filter(text)
    }

    pub fn clear_marks(&mut self) -> bool {
        self.table.clear_marks()
    }

    /// The selected customer and server.
    pub fn selected(&self) -> Option<(TenantId, Option<ServerId>)> {
        Some((self.table.selected()?.key(), self.server.clone()))
    }

    pub fn select(&mut self, tenant: &TenantId, server: &ServerId) {
        self.table.select(tenant);
        self.server = Some(server.clone());
    }

    /// The selected server of every marked customer, or of the selected one.
    pub fn subjects(&self) -> Vec<Subject> {
        let Some(server) = &self.server else { return Vec::new() };
        let of = |line: &&Line| {
            let key = line.tenant.cell(server).filter(|c| c.enabled).and_then(|c| c.instance.clone());
            Subject::cell(line.key(), server.clone(), key)
        };
        let mut subjects: Vec<Subject> = self.table.targets().iter().map(of).collect();
        // A shared instance serves them all: it is one object, however many rows are marked.
        subjects.dedup_by(|a, b| a.key.is_some() && a.key == b.key);
        subjects
    }

    pub fn interest(&self) -> impl Iterator<Item = InstanceKey> + '_ {
        self.table.visible().iter().flat_map(|line| line.tenant.cells.iter().filter_map(|c| c.instance.clone()))
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect, focused: bool) {
        let title = format!("Customers x servers {}", self.table.count());
        let inner = widget::pane(look, frame, area, &title, focused);
        if self.table.rows().is_empty() {
            let text = match self.table.filter_text() {
                "" => "no customer is configured yet: add a [[tenant]] to the config and enable servers for it",
                _ => &self.table.nothing("no customer matches the filter"),
            };
            return widget::empty(look, frame, inner, text);
        }
        if inner.height < 2 {
            return;
        }
        let places = self.places(inner.width);
        let buffer = frame.buffer_mut();
        self.draw_head(look, buffer, inner, &places);
        let height = usize::from(inner.height - 1);
        let top = self.table.scroll(height);
        for (at, line) in self.table.rows().iter().enumerate().skip(top).take(height) {
            let row = Rect { y: inner.y + 1 + (at - top) as u16, height: 1, ..inner };
            self.draw_line(look, buffer, row, &places, line, (at == self.table.cursor(), focused));
        }
    }

    /// Columns of screen in which no server's name is cut.
    pub fn wanted_width(&self) -> u16 {
        BESIDES + 2 + self.servers.iter().map(wide).sum::<u16>()
    }

    /// Rows of screen in which every customer is seen.
    pub fn wanted_height(&self) -> u16 {
        u16::try_from(self.table.rows().len()).unwrap_or(u16::MAX).saturating_add(3)
    }

    /// Where the servers stand, so that the selected one is among those shown. Each has the room its name needs; where
    /// that is too much for all of them, long names are cut, but not shorter than a state and its rate.
    fn places(&self, width: u16) -> Places {
        let room = width.saturating_sub(BESIDES);
        let fits = |most: u16| self.servers.iter().map(|s| wide(s).min(most)).sum::<u16>() <= room;
        let most = (SERVER.0..=SERVER.1).rev().find(|most| fits(*most)).unwrap_or(SERVER.0);
        let widths: Vec<u16> = self.servers.iter().map(|s| wide(s).min(most)).collect();
        let chosen = self.column();
        let mut first = 0;
        while first < chosen && widths[first..=chosen].iter().sum::<u16>() > room {
            first += 1;
        }
        let mut used = 0;
        let shown = widths[first.min(widths.len())..].iter().take_while(|w| {
            used += **w;
            used <= room
        });
        Places { first, widths: shown.copied().collect() }
    }

    fn draw_head(&self, look: &Look, buffer: &mut Buffer, area: Rect, places: &Places) {
        let dim = look.style(Role::Dim);
        buffer.set_stringn(area.x + 1, area.y, "customer", usize::from(NAME), dim);
        buffer.set_stringn(area.x + 2 + NAME, area.y, "env", 3, dim);
        let mut x = area.x + 3 + NAME + ENVIRONMENT;
        for (server, each) in self.servers.iter().skip(places.first).zip(&places.widths) {
            let each = *each;
            let style = if self.server.as_ref() == Some(server) { look.style(Role::Title) } else { dim };
            buffer.set_stringn(
                x,
                area.y,
                fmt::fit(server.as_str(), usize::from(each) - 1, look.ascii),
                usize::from(each) - 1,
                style,
            );
            x += each;
        }
        let sum = area.right().saturating_sub(SUM);
        if x <= sum {
            buffer.set_string(sum + 2, area.y, "c/s", dim);
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one row needs its place, its columns and its content")]
    fn draw_line(
        &self,
        look: &Look,
        buffer: &mut Buffer,
        row: Rect,
        places: &Places,
        line: &Line,
        (chosen, focused): (bool, bool),
    ) {
        let tenant = &line.tenant;
        let selection = look.style(if focused { Role::Selection } else { Role::SelectionIdle });
        if self.table.is_marked(line) {
            buffer.set_string(row.x, row.y, if look.ascii { "*" } else { "▌" }, look.style(Role::Mark));
        }
        let name = fmt::fit(&tenant.def.name, usize::from(NAME), look.ascii);
        buffer.set_stringn(row.x + 1, row.y, name, usize::from(NAME), look.style(Role::Text));
        let environment = tenant.def.environment;
        let short: String = environment.name().chars().take(4).collect();
        buffer.set_string(row.x + 2 + NAME, row.y, short, look.style(Role::of_environment(environment)));
        if chosen {
            buffer.set_style(Rect { width: NAME + 1, ..row }, selection);
        }
        let mut x = row.x + 3 + NAME + ENVIRONMENT;
        for (server, each) in self.servers.iter().skip(places.first).zip(&places.widths) {
            let each = *each;
            let (text, role) = pair(tenant, server, look);
            buffer.set_stringn(x, row.y, text, usize::from(each) - 1, look.style(role));
            if chosen && self.server.as_ref() == Some(server) {
                buffer.set_style(Rect { x, width: each - 1, ..row }, selection);
            }
            x += each;
        }
        if x <= row.right().saturating_sub(SUM) {
            let sum = format!("{:>width$}", fmt::rate(tenant.rate), width = usize::from(SUM));
            buffer.set_stringn(row.right() - SUM, row.y, sum, usize::from(SUM), look.style(Role::Text));
        }
    }
}

/// Columns of screen for a server whose name is whole, with the gap behind it.
fn wide(server: &ServerId) -> u16 {
    u16::try_from(fmt::width(server.as_str()) + 1).unwrap_or(u16::MAX).clamp(SERVER.0, SERVER.1)
}

fn worst(tenant: &TenantRow) -> u8 {
    let states = tenant.cells.iter().filter(|c| c.enabled).filter_map(|c| c.state);
    // Below "an operator's hand" everything is as it should be.
    states.map(State::severity).filter(|s| *s > State::Ready.severity()).max().unwrap_or(0)
}

/// Symbol and, if there are calls, how many a second (or in flight, if none finish).
fn pair(tenant: &TenantRow, server: &ServerId, look: &Look) -> (String, Role) {
    let cell = tenant.cell(server).filter(|c| c.enabled);
    let Some((cell, state)) = cell.and_then(|c| c.state.map(|s| (c, s))) else {
        return (if look.ascii { "." } else { "·" }.to_owned(), Role::Dim);
    };
    let busy = cell.in_flight > 0 || cell.rate > 0.0;
    let symbol = state.symbol(busy, look.ascii);
    let text = match (cell.rate > 0.0, cell.in_flight) {
        (true, _) => format!("{symbol} {}", fmt::rate(cell.rate)),
        (false, 0) => symbol.to_owned(),
        (false, n) => format!("{symbol} {n}f"),
    };
    (text, Role::of_state(state, busy))
}
