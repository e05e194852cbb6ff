//! Why something is in its state, check by check; each finding may name a key that jumps to it or helps.

use super::Next;
use crate::model::message::{ExplainWhat, Explained};
use crate::model::{Answer, InstanceKey, Query, Refusal};
use crate::ui::action::Action;
use crate::ui::app::{After, Cx, Look, Target, Token};
use crate::ui::keymap::Chord;
use crate::ui::page::Page;
use crate::ui::theme::Role;
use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// State of the overlay.
pub struct Explain {
    title: String,
    /// Where a finding without a target of its own leads.
    subject: Option<InstanceKey>,
    /// `None` if nothing was asked: the findings were known.
    token: Option<Token>,
    answer: Option<Result<Vec<Explained>, String>>,
    at: usize,
}

impl Explain {
    /// Opens it and asks.
    pub fn open(cx: &mut Cx, what: ExplainWhat) {
        let (title, subject) = match &what {
            ExplainWhat::Instance(key) => (key.to_string(), Some(key.clone())),
            ExplainWhat::Tenant(id) => (id.to_string(), None),
            ExplainWhat::Call(id) => (id.to_string(), None),
            ExplainWhat::Container(key) => (key.to_string(), None),
            ExplainWhat::Stack(id) => (format!("stack {id}"), None),
        };
        let owner = cx.owner.take();
        let token = Some(cx.ask(Query::Explain(what)));
        cx.owner = owner;
        cx.open(super::Layer::Explain(Self { title, subject, token, answer: None, at: 0 }));
    }

    /// Opens it with what is known already.
    pub fn tell(cx: &mut Cx, title: &str, findings: Vec<Explained>) {
        let mut told = Self { title: title.to_owned(), subject: None, token: None, answer: Some(Ok(findings)), at: 0 };
        told.choose_failed();
        cx.open(super::Layer::Explain(told));
    }

    pub fn answer(&mut self, token: Token, answer: &Result<Answer, Refusal>) {
        if self.token != Some(token) {
            return;
        }
        self.answer = Some(match answer {
            Ok(Answer::Explain(findings)) => Ok(findings.clone()),
            Ok(_) => Err("the owner answered something else".to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        });
        self.choose_failed();
    }

    fn choose_failed(&mut self) {
        // The first check that failed is what one came for.
        self.at = self.findings().iter().position(|f| f.passed == Some(false)).unwrap_or(0);
    }

    fn findings(&self) -> &[Explained] {
        self.answer.as_ref().and_then(|a| a.as_ref().ok()).map_or(&[], Vec::as_slice)
    }

    pub fn key(&mut self, key: KeyEvent, cx: &mut Cx) -> Next {
        let last = self.findings().len().saturating_sub(1);
        match key.code {
            KeyCode::Esc | KeyCode::Char('q') => return Next::Close,
            KeyCode::Down | KeyCode::Char('j') => self.at = (self.at + 1).min(last),
            KeyCode::Up | KeyCode::Char('k') => self.at = self.at.saturating_sub(1),
            KeyCode::Enter => return self.follow(cx, None),
            _ => {
                // The keys of the findings work here as they do in the view below.
                let chord = Chord::of(key);
                let helps = self.findings().iter().filter_map(helps);
                let pressed = helps.into_iter().find(|a| cx.shared.keymap.chords(*a).contains(&chord));
                if let Some(action) = pressed {
                    return self.follow(cx, Some(action));
                }
            }
        }
        Next::Stay
    }

    /// Goes to what the finding is about and does what it names.
    fn follow(&mut self, cx: &mut Cx, pressed: Option<Action>) -> Next {
        let by_key = self.findings().iter().find(|f| pressed.is_some() && helps(f) == pressed);
        let Some(finding) = by_key.or_else(|| self.findings().get(self.at)) else { return Next::Close };
        let target = finding.target.clone().or_else(|| self.subject.clone()).map(Target::Instance);
        let action = helps(finding).filter(|a| *a != Action::Explain);
        match (action.and_then(Action::page), target) {
            (Some(page), target) => cx.go(page, target.unwrap_or_default()),
            (None, Some(target)) => {
                cx.go(Page::Servers, target);
                cx.after.extend(action.map(After::Act));
            }
            (None, None) => cx.after.extend(action.map(After::Act)),
        }
        Next::Close
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let width = 100.min(area.width);
        let lines = self.lines(look, usize::from(width.saturating_sub(4)));
        let title = format!("Why: {}", self.title);
        let inner = super::window(look, frame, area, width, lines.len() as u16 + 3, &title);
        let text = Rect { height: inner.height.saturating_sub(1), ..inner };
        let hint = Line::styled("enter goes there, esc closes", look.style(Role::Dim));
        let skip = lines.len().saturating_sub(usize::from(text.height)).min(self.at * 2);
        crate::ui::widget::lines(frame, text, &lines[skip..]);
        crate::ui::widget::lines(frame, Rect { y: text.bottom(), height: inner.height.min(1), ..inner }, &[hint]);
    }

    fn lines(&self, look: &Look, columns: usize) -> Vec<Line<'static>> {
        let dim = look.style(Role::Dim);
        let mut lines = Vec::new();
        match &self.answer {
            None => lines.push(Line::styled("asking ...", dim)),
            Some(Err(why)) => lines.push(Line::styled(why.clone(), look.style(Role::Bad))),
            Some(Ok(findings)) => {
                for (at, finding) in findings.iter().enumerate() {
                    lines.extend(finding_lines(look, finding, columns, at == self.at));
                }
            }
        }
        lines
    }
}

fn helps(finding: &Explained) -> Option<Action> {
    finding.next.as_deref().and_then(Action::helping)
}

fn finding_lines(look: &Look, finding: &Explained, columns: usize, chosen: bool) -> Vec<Line<'static>> {
    let (symbol, role) = match (finding.passed, look.ascii) {
        (Some(true), false) => ("✓", Role::Good),
        (Some(true), true) => ("ok", Role::Good),
        (Some(false), false) => ("✗", Role::Bad),
        (Some(false), true) => ("NO", Role::Bad),
        (None, _) => ("-", Role::Dim),
    };
    let key = helps(finding).map(|a| format!("  {} {}", look.shared.keymap.shown(a), a.name())).unwrap_or_default();
    let head = look.style(if chosen { Role::Selection } else { Role::Text });
    let mut lines = vec![Line::from(vec![
        Span::styled(format!("{symbol:<3}"), look.style(role)),
        Span::styled(finding.check.clone(), head),
        Span::styled(key, look.style(Role::Key)),
    ])];
    let evidence = crate::ui::widget::wrap(&finding.evidence, columns.saturating_sub(5));
    lines.extend(evidence.into_iter().map(|text| Line::styled(format!("   {text}"), look.style(Role::Dim))));
    lines
}
