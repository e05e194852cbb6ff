//! The command palette: views, actions and themes, and every customer, server, instance and container, by name.

use super::Next;
use super::pick::{Item, Pick};
use crate::ui::action::{Action, ROWS};
use crate::ui::app::{After, Cx, Effect, Look, Target};
use crate::ui::page::Page;
use crate::ui::theme::files::NAMES;
use crossterm::event::{KeyCode, KeyEvent};
use ratatui::Frame;
use ratatui::layout::Rect;

/// State of the palette.
pub struct Palette {
    list: Pick,
    choices: Vec<Choice>,
}

#[derive(Clone)]
enum Choice {
    Act(Action),
    Go(Page, Target),
    Theme(String),
}

impl Palette {
    /// Everything that can be chosen in `page`.
    pub fn new(cx: &Cx, page: Page) -> Self {
        let actions = ROWS.iter().filter(|row| row.on.page(page) && row.action != Action::Palette).map(|row| {
            let chord = cx.shared.keymap.shown(row.action);
            (Choice::Act(row.action), row.name.to_owned(), format!("{chord:<8} {}", row.doc))
        });
        let tenants = cx.snap.tenants.iter().map(|t| {
            (
                Choice::Go(Page::Customers, Target::Tenant(t.def.id.clone())),
                format!("customer {}", t.def.name),
                t.def.id.to_string(),
            )
        });
        let servers = cx.snap.servers.iter().map(|s| {
            (
                Choice::Go(Page::Servers, Target::Server(s.def.id.clone())),
                format!("server {}", s.def.id),
                s.def.description.clone(),
            )
        });
        // Those that serve everybody are their servers.
        let own_ones = cx.snap.instances.iter().filter(|row| row.key.tenant.is_some());
        let instances = own_ones.map(|row| {
            let go = Choice::Go(Page::Servers, Target::Instance(row.key.clone()));
            (go, format!("instance {}", row.key), row.state.name().to_owned())
        });
        let containers = cx.snap.containers.iter().map(|row| {
            let go = Choice::Go(Page::Containers, Target::Container(row.key.clone()));
            (go, format!("container {}", row.name), row.image.clone())
        });
        let own = cx.shared.own_themes.iter();
        let built_in = NAMES.iter().copied().filter(|name| !own.clone().any(|own| own == name));
        let themes = built_in.map(|name| (name, "")).chain(own.clone().map(|name| (name.as_str(), "your own")));
        let themes =
            themes.map(|(name, note)| (Choice::Theme(name.to_owned()), format!("theme {name}"), note.to_owned()));
        let mut choices = Vec::new();
        let mut items = Vec::new();
        for (choice, label, note) in
            actions.chain(tenants).chain(servers).chain(themes).chain(instances).chain(containers)
        {
            items.push(Item::new(choices.len().to_string(), label).with_note(note));
            choices.push(choice);
        }
        Self { list: Pick::new("Command", items, None), choices }
    }

    pub fn paste(&mut self, text: &str) -> bool {
        self.list.paste(text)
    }

    pub fn key(&mut self, key: KeyEvent, cx: &mut Cx) -> Next {
        match key.code {
            KeyCode::Esc => Next::Close,
            KeyCode::Enter => {
                let chosen = self.list.current().and_then(|item| item.value.parse::<usize>().ok());
                if let Some(choice) = chosen.and_then(|at| self.choices.get(at)).cloned() {
                    choose(cx, choice);
                }
                Next::Close
            }
            _ => {
                self.list.browse(key);
                Next::Stay
            }
        }
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        self.list.draw(look, frame, area);
    }
}

fn choose(cx: &mut Cx, choice: Choice) {
    match choice {
        Choice::Act(action) => cx.after.push(After::Act(action)),
        Choice::Go(page, target) => cx.go(page, target),
        Choice::Theme(name) => cx.effects.push(Effect::Theme(name)),
    }
}
