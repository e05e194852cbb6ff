//! Leaving a screen that owns its platform: keep it running, stop it, or stay.

use super::Next;
use crate::model::message::Impact;
use crate::model::{Answer, Command, Query, Refusal};
use crate::ui::app::{Cx, Effect, Look, Token};
use crate::ui::theme::Role;
use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// State of the dialog.
pub struct QuitDialog {
    at: Choice,
    token: Token,
    impact: Option<Impact>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Choice {
    Stay,
    Detach,
    Stop,
}

impl QuitDialog {
    /// Opens it, and asks what stopping everything would do.
    pub fn open(cx: &mut Cx) {
        let owner = cx.owner.take();
        let token = cx.ask(Query::Impact(Command::Shutdown));
        cx.owner = owner;
        cx.open(super::Layer::Quit(Self { at: Choice::Stay, token, impact: None }));
    }

    pub fn answer(&mut self, token: Token, answer: &Result<Answer, Refusal>) {
        if let (true, Ok(Answer::Impact(impact))) = (token == self.token, answer) {
            self.impact = Some(impact.clone());
        }
    }

    pub fn key(&mut self, key: KeyEvent, cx: &mut Cx) -> Next {
        let order = [Choice::Stay, Choice::Detach, Choice::Stop];
        let now = order.iter().position(|c| *c == self.at).unwrap_or(0);
        match key.code {
            KeyCode::Esc | KeyCode::Char('n') => return Next::Close,
            KeyCode::Down | KeyCode::Right | KeyCode::Tab | KeyCode::Char('j') => self.at = order[(now + 1) % 3],
            KeyCode::Up | KeyCode::Left | KeyCode::BackTab | KeyCode::Char('k') => self.at = order[(now + 2) % 3],
            KeyCode::Char('d') => return leave(cx, Choice::Detach),
            KeyCode::Char('s') => return leave(cx, Choice::Stop),
            KeyCode::Enter => return leave(cx, self.at),
            _ => {}
        }
        Next::Stay
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let platform = &look.snap.platform;
        let running = look.snap.instances.iter().filter(|i| i.state.is_live()).count();
        let attached = look.snap.consoles.iter().filter(|c| !c.local).count();
        let choice = |choice: Choice, key: &'static str, text: String| {
            let style = look.style(if self.at == choice { Role::Selection } else { Role::Text });
            Line::from(vec![Span::styled(format!(" {key} "), look.style(Role::Key)), Span::styled(text, style)])
        };
        let mut lines = vec![
            Line::from(format!("This screen owns {} ({}).", platform.name, platform.environment.name())),
            Line::styled(
                format!(
                    "{}, {} in flight, {} attached",
                    super::super::fmt::plural(running, "instance"),
                    look.snap.totals.in_flight,
                    super::super::fmt::plural(attached, "other console")
                ),
                look.style(Role::Dim),
            ),
            Line::default(),
            choice(Choice::Stay, "esc", "stay".to_owned()),
            choice(Choice::Detach, "d", "detach: the platform keeps running; `mcpdeck` attaches again".to_owned()),
            choice(Choice::Stop, "s", format!("stop everything: {} ends", platform.name)),
        ];
        let follows = self.impact.iter().flat_map(|i| &i.follows);
        lines.extend(follows.map(|text| Line::styled(format!("     {text}"), look.style(Role::Dim))));
        let inner = super::window(look, frame, area, 70, lines.len() as u16 + 2, "Leave");
        crate::ui::widget::lines(frame, inner, &lines);
    }
}

fn leave(cx: &mut Cx, choice: Choice) -> Next {
    match choice {
        Choice::Stay => {}
        Choice::Detach => cx.effects.push(Effect::Detach),
        Choice::Stop => cx.effects.push(Effect::Quit { stop: true }),
    }
    Next::Close
}
