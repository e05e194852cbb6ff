//! Servers and their instances in one tree, and everything about the selected one.

mod columns;
mod detail;
mod tree;

use super::View;
use crate::control::handle::Interest;
use crate::model::{Answer, Chunk, Refusal};
use crate::ui::action::Action;
use crate::ui::acts::{self, Subject};
use crate::ui::app::{Cx, Look, Target, Token};
use crate::ui::widget::{
    self,
    table::{Row as _, reorders},
};
use detail::Detail;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use tree::{Node, NodeKey, Tree};

/// State of the view.
#[derive(Default)]
pub struct Servers {
    tree: Tree,
    detail: Detail,
    /// The detail has the keys; on a small screen it stands in front of the tree.
    in_detail: bool,
}

impl Servers {
    fn subjects(&self) -> Vec<Subject> {
        self.tree.table.targets().iter().map(|node| node.subject()).collect()
    }

    fn follow_selection(&mut self, cx: &mut Cx) {
        let node = self.tree.table.selected().cloned();
        self.detail.show(node, cx);
    }

    fn resync(&mut self, cx: &mut Cx) {
        self.tree.sync(cx);
        self.follow_selection(cx);
    }
}

impl View for Servers {
    fn sync(&mut self, cx: &mut Cx) {
        self.resync(cx);
        self.detail.refresh(cx);
    }

    fn place(&self) -> Target {
        match self.tree.table.selected() {
            Some(Node::Server { row, .. }) => Target::Server(row.def.id.clone()),
            Some(Node::Instance(row)) => Target::Instance(row.key.clone()),
            None => Target::Nothing,
        }
    }

    fn arrive(&mut self, target: &Target, cx: &mut Cx) {
        self.in_detail = false;
        match target {
            Target::Server(id) => self.tree.reveal(&NodeKey::Server(id.clone()), cx),
            Target::Instance(key) => self.tree.reveal(&NodeKey::Instance(key.clone()), cx),
            Target::Filter(text) => drop(self.set_filter(text, cx)),
            _ => {}
        }
        self.follow_selection(cx);
    }

    fn leave(&mut self, _cx: &mut Cx) {
        self.in_detail = false;
    }

    fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::NextPane | Action::PrevPane => self.in_detail = !self.in_detail,
            Action::Open if !self.in_detail => self.in_detail = true,
            Action::Escape if self.in_detail => self.in_detail = false,
            Action::Escape => return self.tree.table.clear_marks(),
            _ if acts::act(action, &self.subjects(), cx) => {}
            _ if self.in_detail => return self.detail.act(action, cx),
            Action::Fold | Action::FoldAll => {
                self.tree.fold(action == Action::FoldAll);
                self.resync(cx);
            }
            _ => {
                let taken = self.tree.table.act(action, cx);
                if reorders(action) {
                    self.tree.sync(cx);
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

    fn chunk(&mut self, _token: Token, _chunk: Chunk, _cx: &mut Cx) {}

    fn picked(&mut self, token: Token, value: String, cx: &mut Cx) {
        if self.tree.table.picked(token, &value) {
            self.resync(cx);
        }
    }

    fn filter(&self) -> &str {
        self.tree.table.filter_text()
    }

    fn set_filter(&mut self, text: &str, cx: &mut Cx) -> Result<(), String> {
        let read = self.tree.table.set_filter(text);
        self.resync(cx);
        read
    }

    fn interest(&self) -> Interest {
        let visible = self.tree.table.visible().iter();
        Interest { instances: visible.filter_map(|node| node.subject().key).take(200).collect(), ..Interest::default() }
    }

    fn keys(&self) -> &'static [Action] {
        use Action as A;
        if self.in_detail {
            return &[
                A::Escape,
                A::Left,
                A::Right,
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
        &[
            A::Open,
            A::Start,
            A::Stop,
            A::Restart,
            A::Logs,
            A::Explain,
            A::Console,
            A::Sleep,
            A::Fence,
            A::Probe,
            A::Kill,
            A::Shell,
            A::Fold,
            A::Sort,
            A::Wide,
        ]
    }

    fn crumb(&self) -> Option<String> {
        self.tree.table.selected().map(|node| match node.key() {
            NodeKey::Server(id) => id.to_string(),
            NodeKey::Instance(key) => key.to_string(),
        })
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        // A small screen has room for one of the two.
        if area.height < 30 && area.width < 160 {
            return if self.in_detail {
                self.detail.draw(look, frame, area, true)
            } else {
                self.draw_tree(look, frame, area)
            };
        }
        let [table, detail] = if area.width >= 160 && area.height < 36 {
            Layout::horizontal([Constraint::Min(0), Constraint::Length(64)]).areas(area)
        } else {
            Layout::vertical([Constraint::Min(0), Constraint::Length(area.height * 2 / 5)]).areas(area)
        };
        self.draw_tree(look, frame, table);
        self.detail.draw(look, frame, detail, self.in_detail);
    }
}

impl Servers {
    fn draw_tree(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let title = format!("Servers {}", self.tree.table.count());
        let inner = widget::pane(look, frame, area, &title, !self.in_detail);
        if !self.tree.table.rows().is_empty() {
            return self.tree.table.draw(look, frame, inner, !self.in_detail);
        }
        let text = match (self.tree.table.filter_text(), &look.shared.limit) {
            ("", None) => {
                "no server is configured yet: add a [[server]] to the config; `mcpdeck check` says whether it reads"
            }
            ("", Some(_)) => "this customer has no server enabled: enable one in Customers, or lift the limit with esc",
            _ => &self.tree.table.nothing("no server or instance matches the filter"),
        };
        widget::empty(look, frame, inner, text);
    }
}
