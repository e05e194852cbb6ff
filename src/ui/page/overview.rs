//! What needs attention, the matrix of customers and servers, and the platform now.

mod attention;
mod matrix;
mod now;

use super::{Page, View};
use crate::control::handle::Interest;
use crate::model::{TenantId, why};
use crate::ui::action::Action;
use crate::ui::acts::{self, Subject};
use crate::ui::app::{Cx, Look, Target, Token};
use crate::ui::layer::explain::Explain;
use crate::ui::theme::Role;
use crate::ui::widget::{
    self,
    table::{Table, reorders},
};
use attention::Attention;
use matrix::Matrix;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use std::time::Duration;

/// The finding whose place is the orphan finder.
const ORPHANS: &str = "ORPHANS";

/// How long a finding that is gone is kept under the cursor.
const RESOLVED_FOR: Duration = Duration::from_secs(30);

/// State of the view.
#[derive(Default)]
pub struct Overview {
    attention: Table<Attention>,
    matrix: Matrix,
    focus: Focus,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Focus {
    /// Nobody chose yet: what needs attention, if anything does.
    #[default]
    Auto,
    Attention,
    Matrix,
}

impl Overview {
    fn focus(&self) -> Focus {
        match self.focus {
            Focus::Auto if self.attention.rows().is_empty() => Focus::Matrix,
            Focus::Auto => Focus::Attention,
            chosen => chosen,
        }
    }

    /// The selected finding, if it is gone since a moment ago: nobody's key shall hit what comes next.
    fn resolved(&self, cx: &Cx, limit: Option<&TenantId>) -> Option<Attention> {
        let chosen = self.attention.selected()?;
        let gone = !cx.snap.findings.iter().any(|finding| finding.id == chosen.row.id);
        let since = chosen.resolved.unwrap_or(cx.shared.now);
        let fresh = cx.shared.now.since(since) < RESOLVED_FOR;
        (gone && fresh && attention::concerns(&chosen.row, limit))
            .then(|| Attention { resolved: Some(since), ..chosen.clone() })
    }

    /// What is wrong with an object may have another name by now: then nothing is resolved, and the cursor goes along.
    fn follow_object(&mut self, cx: &Cx) -> bool {
        let Some(chosen) = self.attention.selected() else { return false };
        let (id, object) = (&chosen.row.id, &chosen.row.object);
        let gone = !cx.snap.findings.iter().any(|finding| finding.id == *id);
        let next = cx.snap.findings.iter().find(|finding| gone && finding.object == *object);
        let Some(next) = next.map(|finding| finding.id.clone()) else { return false };
        // It is not among the rows yet: setting them finds it.
        self.attention.select(&next);
        true
    }

    fn subjects(&self) -> Vec<Subject> {
        match self.focus() {
            Focus::Matrix => self.matrix.subjects(),
            _ => self.attention.selected().map(|finding| finding.subject.clone()).into_iter().collect(),
        }
    }

    /// An engine has no instance to explain: what is known of it is told.
    fn explain_engine(&self, cx: &mut Cx) -> bool {
        let Some(engine) = self.attention.selected().and_then(|finding| finding.engine(cx.snap)) else { return false };
        let finding = why::engine(engine, cx.snap);
        Explain::tell(cx, engine.as_str(), vec![finding]);
        true
    }

    fn open(&self, cx: &mut Cx) {
        match self.focus() {
            Focus::Matrix => {
                if let Some((tenant, server)) = self.matrix.selected() {
                    cx.go(
                        Page::Customers,
                        server.map_or(Target::Tenant(tenant.clone()), |s| Target::Cell(tenant.clone(), s)),
                    );
                }
            }
            _ => {
                let Some(finding) = self.attention.selected() else { return };
                if finding.row.word == ORPHANS {
                    return cx.go(Page::Containers, Target::Orphans);
                }
                let named = finding.row.next.iter().filter_map(|name| Action::helping(name)?.page()).next();
                match (&finding.row.target, &finding.subject.container, named, finding.row.tenants.first()) {
                    (Some(key), ..) => cx.go(Page::Servers, Target::Instance(key.clone())),
                    (None, Some(key), ..) => cx.go(Page::Containers, Target::Container(key.clone())),
                    (None, None, Some(page), _) => cx.go(page, Target::Nothing),
                    _ if finding.engine(cx.snap).is_some() => cx.go(Page::Containers, Target::Nothing),
                    (None, None, None, Some(tenant)) => cx.go(Page::Customers, Target::Tenant(tenant.clone())),
                    (None, None, None, None) => cx.go(Page::Activity, Target::Nothing),
                }
            }
        }
    }
}

impl View for Overview {
    fn sync(&mut self, cx: &mut Cx) {
        let changed = self.follow_object(cx);
        let limit = cx.shared.limit.clone();
        let mine = |f: &&std::sync::Arc<_>| attention::concerns(f, limit.as_ref());
        let mut rows: Vec<Attention> =
            cx.snap.findings.iter().filter(mine).cloned().map(|row| Attention::new(row, cx.snap)).collect();
        // What is still wrong comes first; the cursor goes with what it was on.
        if !changed {
            rows.extend(self.resolved(cx, limit.as_ref()));
        }
        self.attention.set_rows(rows, cx.shared.now);
        self.matrix.sync(cx);
    }

    fn place(&self) -> Target {
        match (self.focus(), self.matrix.selected()) {
            (Focus::Matrix, Some((tenant, Some(server)))) => Target::Cell(tenant, server),
            _ => Target::Nothing,
        }
    }

    fn arrive(&mut self, target: &Target, _cx: &mut Cx) {
        if let Target::Cell(tenant, server) = target {
            self.focus = Focus::Matrix;
            self.matrix.select(tenant, server);
        }
    }

    fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::NextPane | Action::PrevPane => {
                self.focus = if self.focus() == Focus::Matrix { Focus::Attention } else { Focus::Matrix };
                return true;
            }
            Action::Open => {
                self.open(cx);
                return true;
            }
            Action::Escape => return self.matrix.clear_marks(),
            Action::Explain if self.focus() == Focus::Attention && self.explain_engine(cx) => return true,
            _ => {}
        }
        if acts::act(action, &self.subjects(), cx) {
            return true;
        }
        let taken = match self.focus() {
            Focus::Matrix => self.matrix.act(action, cx),
            _ => self.attention.act(action, cx),
        };
        let left = self.attention.rows().iter().any(|a| a.resolved.is_some())
            && self.attention.selected().is_some_and(|a| a.resolved.is_none());
        if reorders(action) || left {
            self.sync(cx);
        }
        taken
    }

    fn picked(&mut self, token: Token, value: String, cx: &mut Cx) {
        if self.attention.picked(token, &value) || self.matrix.picked(token, &value) {
            self.sync(cx);
        }
    }

    fn filter(&self) -> &str {
        if self.focus() == Focus::Matrix { self.matrix.filter() } else { self.attention.filter_text() }
    }

    fn set_filter(&mut self, text: &str, cx: &mut Cx) -> Result<(), String> {
        // Without findings there is no list left to type in: the choice of pane is made by typing.
        self.focus = self.focus();
        let read =
            if self.focus == Focus::Matrix { self.matrix.set_filter(text) } else { self.attention.set_filter(text) };
        self.sync(cx);
        read
    }

    fn interest(&self) -> Interest {
        let wrong = self.attention.visible().iter().filter_map(|a| a.row.target.clone());
        let instances = wrong.chain(self.matrix.interest()).take(200).collect();
        let containers = self.attention.visible().iter().filter_map(|a| a.subject.container.clone()).collect();
        Interest { instances, containers, gpus: true, ..Interest::default() }
    }

    fn keys(&self) -> &'static [Action] {
        use Action as A;
        &[
            A::Open,
            A::Start,
            A::Stop,
            A::Restart,
            A::Logs,
            A::Explain,
            A::Console,
            A::Fence,
            A::NextPane,
            A::ExampleTraffic,
        ]
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        if look.tiny {
            return match self.focus() {
                Focus::Matrix => self.matrix.draw(look, frame, area, true),
                _ => self.draw_attention(look, frame, area),
            };
        }
        // At least four causes on a small screen; on a large one as many as there are, up to a third.
        let below = u16::from(!attention::is_roomy(look) && !self.attention.rows().is_empty());
        let lines = if attention::is_roomy(look) {
            self.attention.lines_wanted(look, area.width - 2)
        } else {
            self.attention.rows().len()
        };
        let wanted = lines.clamp(4, (usize::from(area.height) / 3).max(4)) as u16 + below + 2;
        let [top, rest] = Layout::vertical([Constraint::Length(wanted), Constraint::Min(0)]).areas(area);
        self.draw_attention(look, frame, top);
        let beside = (area.width * 2 / 5).clamp(46, 64);
        // Names are not cut while there is room below: then what is now stands there.
        let cut = self.matrix.wanted_width() + beside > area.width;
        let wide = now::height(look, area.width - 2) + 2;
        let below = cut && area.width >= 100 && self.matrix.wanted_height() + wide <= rest.height;
        let [left, right] = if area.width >= 100 && !below {
            Layout::horizontal([Constraint::Min(0), Constraint::Length(beside)]).areas(rest)
        } else if below {
            Layout::vertical([Constraint::Min(0), Constraint::Length(wide)]).areas(rest)
        } else {
            Layout::vertical([
                Constraint::Min(0),
                Constraint::Length(wide.min((rest.height / 3).max(4 + now::gpu_lines(look).min(2)))),
            ])
            .areas(rest)
        };
        self.matrix.draw(look, frame, left, self.focus() == Focus::Matrix);
        let inner = widget::pane(look, frame, right, "Now", false);
        now::draw(look, frame, inner);
    }
}

impl Overview {
    fn draw_attention(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let focused = self.focus() == Focus::Attention;
        let title = match self.attention.rows().len() {
            0 => "Needs attention".to_owned(),
            _ => format!("Needs attention {}", self.attention.count()),
        };
        let inner = widget::pane(look, frame, area, &title, focused);
        if let Some(selected) = self.attention.selected() {
            let rows = self.attention.rows().len().min(usize::from(inner.height)) as u16;
            // The smallest screen gives the reason only what no row needs.
            let least = u16::from(!look.tiny);
            let below = if attention::is_roomy(look) { 0 } else { (inner.height - rows).max(least) };
            let [list, reason] = Layout::vertical([Constraint::Min(0), Constraint::Length(below)]).areas(inner);
            self.attention.draw(look, frame, list, focused);
            let text = widget::wrap(&selected.why(), usize::from(reason.width.saturating_sub(2)));
            let lines: Vec<Line> = text.iter().map(|l| Line::styled(format!("  {l}"), look.style(Role::Dim))).collect();
            return widget::lines(frame, reason, &lines);
        }
        let text = match (self.attention.filter_text(), look.snap.servers.is_empty() && look.snap.stacks.is_empty()) {
            ("", true) => {
                "no server is configured yet: `mcpdeck paths` says where the config file goes, `mcpdeck check` reads it"
            }
            ("", false) => "nothing is wrong that mcpdeck can see",
            _ => &self.attention.nothing("no finding matches the filter"),
        };
        widget::empty(look, frame, inner, text);
    }
}
