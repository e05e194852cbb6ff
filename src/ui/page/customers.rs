//! Customers: who they are, what they have enabled, what their agents see, what they called, which credentials they use.

mod columns;
mod detail;
mod switches;

use super::{Page, View};
use crate::control::handle::Interest;
use crate::model::snapshot::TenantRow;
use crate::model::{Answer, Refusal, TenantId};
use crate::ui::action::Action;
use crate::ui::acts::{self, Subject};
use crate::ui::app::{Cx, Look, Target, Token};
use crate::ui::widget::{
    self,
    table::{Table, reorders},
};
use columns::Customer;
use detail::Detail;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use std::sync::Arc;

/// State of the view.
#[derive(Default)]
pub struct Customers {
    table: Table<Customer>,
    detail: Detail,
    /// The detail has the keys; on a small screen it stands in front of the table.
    in_detail: bool,
}

impl Customers {
    fn tenant(&self) -> Option<&Arc<TenantRow>> {
        self.table.selected().map(|c| &c.0)
    }

    fn subjects(&self) -> Vec<Subject> {
        if let (true, Some(tenant)) = (self.in_detail, self.tenant()) {
            return self.detail.subjects(tenant);
        }
        self.table.targets().iter().map(|c| Subject::tenant(c.0.def.id.clone())).collect()
    }

    fn derive(&mut self, cx: &mut Cx) {
        let limit = cx.shared.limit.clone();
        let mine = cx.snap.tenants.iter().filter(|t| limit.as_ref().is_none_or(|l| t.def.id == *l));
        self.table.set_rows(mine.cloned().map(Customer), cx.shared.now);
        self.follow_selection(cx);
    }

    fn follow_selection(&mut self, cx: &mut Cx) {
        let tenant = self.tenant().cloned();
        self.detail.show(tenant.as_deref(), cx);
    }

    fn reveal(&mut self, tenant: &TenantId, cx: &mut Cx) {
        if !self.table.select(tenant) {
            // The filter hides it; the empty one always reads.
            let _ = self.table.set_filter("");
        }
        self.derive(cx);
        self.table.select(tenant);
        self.derive(cx);
    }
}

impl View for Customers {
    fn sync(&mut self, cx: &mut Cx) {
        self.derive(cx);
        self.detail.refresh(self.table.selected().map(|c| &*c.0), cx);
    }

    fn place(&self) -> Target {
        self.tenant().map_or(Target::Nothing, |t| Target::Tenant(t.def.id.clone()))
    }

    fn arrive(&mut self, target: &Target, cx: &mut Cx) {
        self.in_detail = false;
        match target {
            Target::Tenant(id) => self.reveal(id, cx),
            Target::Cell(id, server) => {
                self.reveal(id, cx);
                self.detail.reveal(server);
                self.in_detail = true;
            }
            Target::Filter(text) => drop(self.set_filter(text, cx)),
            _ => {}
        }
    }

    fn leave(&mut self, _cx: &mut Cx) {
        self.in_detail = false;
    }

    fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::NextPane | Action::PrevPane => self.in_detail = !self.in_detail,
            Action::Open if !self.in_detail => self.in_detail = true,
            Action::Escape if self.in_detail => self.in_detail = false,
            Action::Escape => return self.table.clear_marks(),
            // In the list of switches `space` is the switch.
            Action::Mark if self.in_detail && self.detail.has_switches() => {
                return acts::act(Action::Enable, &self.subjects(), cx);
            }
            Action::Open if self.in_detail => {
                let subject = self.subjects().into_iter().next();
                match subject.and_then(|s| s.key.map(Target::Instance).or(s.server.map(Target::Server))) {
                    Some(target) => cx.go(Page::Servers, target),
                    None => return self.detail.act(Action::Right, cx),
                }
            }
            _ if acts::act(action, &self.subjects(), cx) => {}
            _ if self.in_detail => {
                let taken = self.detail.act(action, cx);
                self.follow_selection(cx);
                return taken;
            }
            _ => {
                let taken = self.table.act(action, cx);
                if reorders(action) {
                    self.derive(cx);
                }
                self.follow_selection(cx);
                return taken;
            }
        }
        true
    }

    fn answer(&mut self, token: Token, answer: Result<Answer, Refusal>, _cx: &mut Cx) {
        self.detail.answer(token, answer);
    }

    fn picked(&mut self, token: Token, value: String, cx: &mut Cx) {
        if self.table.picked(token, &value) || self.detail.picked(token, &value) {
            self.derive(cx);
        }
    }

    fn filter(&self) -> &str {
        self.table.filter_text()
    }

    fn set_filter(&mut self, text: &str, cx: &mut Cx) -> Result<(), String> {
        let read = self.table.set_filter(text);
        self.derive(cx);
        read
    }

    fn interest(&self) -> Interest {
        let cells = self.table.visible().iter().flat_map(|c| &c.0.cells);
        Interest { instances: cells.filter_map(|c| c.instance.clone()).take(200).collect(), ..Interest::default() }
    }

    fn keys(&self) -> &'static [Action] {
        use Action as A;
        if self.in_detail {
            return &[
                A::Escape,
                A::Right,
                A::Mark,
                A::Revert,
                A::Start,
                A::Stop,
                A::Restart,
                A::Logs,
                A::Explain,
                A::Console,
                A::Deploy,
                A::Undeploy,
            ];
        }
        &[A::Open, A::Explain, A::Logs, A::Console, A::Limit, A::Sort, A::Wide]
    }

    fn crumb(&self) -> Option<String> {
        self.tenant().map(|t| t.def.name.clone())
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        // A small screen has room for one of the two.
        if area.height < 30 && area.width < 200 {
            return if self.in_detail {
                self.detail.draw(look, frame, area, self.tenant(), true)
            } else {
                self.draw_table(look, frame, area)
            };
        }
        let [table, detail] = if area.width >= 200 {
            Layout::horizontal([Constraint::Min(0), Constraint::Length(84)]).areas(area)
        } else {
            Layout::vertical([Constraint::Min(0), Constraint::Length(area.height / 2)]).areas(area)
        };
        self.draw_table(look, frame, table);
        self.detail.draw(look, frame, detail, self.tenant(), self.in_detail);
    }
}

impl Customers {
    fn draw_table(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let title = format!("Customers {}", self.table.count());
        let inner = widget::pane(look, frame, area, &title, !self.in_detail);
        if !self.table.rows().is_empty() {
            return self.table.draw(look, frame, inner, !self.in_detail);
        }
        let text = match self.table.filter_text() {
            "" => {
                "no customer is configured yet: add a [[tenant]] to the config; `mcpdeck check` says whether it reads"
            }
            _ => &self.table.nothing("no customer matches the filter"),
        };
        widget::empty(look, frame, inner, text);
    }
}
