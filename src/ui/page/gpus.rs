//! GPUs: what each does, whose processes hold its memory, and who held it in the last 24 hours. Unknown is `n/a`, never 0.

mod card;
mod device;
mod past;
mod process;
mod shares;

use super::{Page, View};
use crate::control::handle::Interest;
use crate::model::gpu::GpuState;
use crate::model::{Answer, Refusal};
use crate::ui::action::Action;
use crate::ui::acts::{self, Subject};
use crate::ui::app::{Cx, Look, Shared, Target, Token};
use crate::ui::widget::table::{Table, reorders};
use crate::ui::widget::{self, words};
use device::Device;
use past::Past;
use process::Process;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};

/// Rows that the processes have at least, with frame and titles.
const LEAST: u16 = 8;

/// State of the view.
#[derive(Default)]
pub struct Gpus {
    devices: Table<Device>,
    processes: Table<Process>,
    past: Past,
    focus: Focus,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Focus {
    /// Nobody chose yet: the processes, or the devices where there is room for one of the two.
    #[default]
    Auto,
    Devices,
    Processes,
}

/// True where only one of the two is drawn.
fn is_tiny(shared: &Shared) -> bool {
    shared.size.0 < 60 || shared.size.1 < 16
}

impl Gpus {
    fn in_devices(&self, shared: &Shared) -> bool {
        match self.focus {
            Focus::Auto => is_tiny(shared),
            chosen => chosen == Focus::Devices,
        }
    }

    fn derive(&mut self, cx: &mut Cx) {
        let gpus = &cx.snap.gpus;
        self.devices.set_rows(gpus.devices.iter().cloned().map(Device), cx.shared.now);
        self.processes.set_rows(Process::all(gpus, cx.shared.limit.as_ref()), cx.shared.now);
    }

    fn subjects(&self, cx: &Cx) -> Vec<Subject> {
        if self.past.is_open() {
            return self.past.subject(cx.snap).into_iter().collect();
        }
        if self.in_devices(cx.shared) {
            return Vec::new();
        }
        self.processes.selected().map(Process::subject).into_iter().collect()
    }

    /// From a device to its processes, from a process to its container or instance.
    fn open(&mut self, cx: &mut Cx) {
        if self.past.is_open() {
            return go_to(self.past.subject(cx.snap), cx);
        }
        if !self.in_devices(cx.shared) {
            return go_to(self.processes.selected().map(Process::subject), cx);
        }
        let Some(index) = self.devices.selected().map(|device| device.0.index) else { return };
        self.focus = Focus::Processes;
        let first = self.processes.rows().iter().find(|process| process.gpu == index);
        if let Some(key) = first.map(crate::ui::widget::table::Row::key) {
            self.processes.select(&key);
        }
    }
}

/// Where more is known of whoever holds memory.
fn go_to(subject: Option<Subject>, cx: &mut Cx) {
    match subject {
        Some(Subject { container: Some(key), .. }) => cx.go(Page::Containers, Target::Container(key)),
        Some(Subject { key: Some(key), .. }) => cx.go(Page::Servers, Target::Instance(key)),
        Some(Subject { tenant: Some(tenant), .. }) => cx.go(Page::Customers, Target::Tenant(tenant)),
        _ => cx.notice(crate::model::message::Level::Info, "nothing more is known of it: it is none of ours"),
    }
}

impl View for Gpus {
    fn sync(&mut self, cx: &mut Cx) {
        self.derive(cx);
        self.past.sync(cx);
    }

    fn leave(&mut self, _cx: &mut Cx) {
        self.past.close();
    }

    fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        match action {
            Action::GpuHistory => {
                self.past.toggle(cx);
                return true;
            }
            Action::Open => {
                self.open(cx);
                return true;
            }
            _ if self.past.is_open() && self.past.act(action, cx) => return true,
            Action::Escape => return false,
            Action::NextPane | Action::PrevPane => {
                let other = if self.in_devices(cx.shared) { Focus::Processes } else { Focus::Devices };
                self.focus = other;
                return true;
            }
            _ => {}
        }
        let subjects = self.subjects(cx);
        if !subjects.is_empty() && acts::act(action, &subjects, cx) {
            return true;
        }
        let taken = match (self.past.is_open(), self.in_devices(cx.shared)) {
            (true, _) => self.past.table.act(action, cx),
            (_, true) => self.devices.act(action, cx),
            (_, false) => self.processes.act(action, cx),
        };
        if reorders(action) {
            self.sync(cx);
        }
        taken
    }

    fn answer(&mut self, token: Token, answer: Result<Answer, Refusal>, cx: &mut Cx) {
        self.past.answer(token, answer, cx);
    }

    fn picked(&mut self, token: Token, value: String, cx: &mut Cx) {
        if self.devices.picked(token, &value) | self.processes.picked(token, &value) {
            self.derive(cx);
        }
        self.past.picked(token, &value, cx);
    }

    fn filter(&self) -> &str {
        if self.past.is_open() { self.past.table.filter_text() } else { self.processes.filter_text() }
    }

    fn set_filter(&mut self, text: &str, cx: &mut Cx) -> Result<(), String> {
        let read = if self.past.is_open() { self.past.table.set_filter(text) } else { self.processes.set_filter(text) };
        self.sync(cx);
        read
    }

    fn interest(&self) -> Interest {
        Interest { gpus: true, ..Interest::default() }
    }

    fn keys(&self) -> &'static [Action] {
        use Action as A;
        if self.past.is_open() {
            return &[A::Escape, A::AtTime, A::Open, A::Logs, A::Explain];
        }
        &[A::Open, A::GpuHistory, A::Logs, A::Explain, A::Restart, A::NextPane, A::Sort, A::Wide]
    }

    fn crumb(&self) -> Option<String> {
        self.past.is_open().then(|| "who held it".to_owned())
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let gpus = &look.snap.gpus;
        if self.past.is_open() {
            return self.past.draw(look, frame, area);
        }
        match &gpus.state {
            GpuState::Present => {}
            GpuState::Unasked => return nothing(look, frame, area, "asking the driver ..."),
            GpuState::Absent(why) => return nothing(look, frame, area, why),
        }
        let in_devices = self.in_devices(look.shared);
        if is_tiny(look.shared) {
            return if in_devices {
                self.draw_lines(look, frame, area, true)
            } else {
                self.draw_processes(look, frame, area, true)
            };
        }
        let cards = card::grid(gpus, area.width);
        let room = area.height.saturating_sub(LEAST);
        let (height, as_cards) = match cards.height() <= room {
            true => (cards.height(), true),
            false => ((gpus.devices.len() as u16 + 3).min(room.max(4)), false),
        };
        let [top, below] = Layout::vertical([Constraint::Length(height), Constraint::Min(0)]).areas(area);
        if as_cards {
            cards.draw(look, frame, top, self.devices.selected().filter(|_| in_devices));
        } else {
            self.draw_lines(look, frame, top, in_devices);
        }
        let beside = if area.width >= 100 { 40 } else { 0 };
        let [table, side] = Layout::horizontal([Constraint::Min(0), Constraint::Length(beside)]).areas(below);
        self.draw_processes(look, frame, table, !in_devices);
        if beside > 0 {
            shares::draw(look, frame, side);
        }
    }
}

impl Gpus {
    fn draw_lines(&self, look: &Look, frame: &mut Frame, area: Rect, focused: bool) {
        let driver = look.snap.gpus.driver.as_ref().map(|version| match look.snap.gpus.is_simulated() {
            true => "simulated: no such device is there".to_owned(),
            false => format!("driver {version}"),
        });
        let driver = driver.unwrap_or_default();
        let title = words::title(look, &format!("GPUs {}", self.devices.count()), &[driver]);
        let inner = widget::pane(look, frame, area, &title, focused);
        self.devices.draw(look, frame, inner, focused);
    }

    fn draw_processes(&self, look: &Look, frame: &mut Frame, area: Rect, focused: bool) {
        let beside = if area.width < 100 { shares::words(look) } else { Vec::new() };
        let title = words::title(look, &format!("Processes {}", self.processes.count()), &beside);
        let inner = widget::pane(look, frame, area, &title, focused);
        if !self.processes.rows().is_empty() {
            return self.processes.draw(look, frame, inner, focused);
        }
        let unknown = look.snap.gpus.devices.iter().any(|device| device.processes.is_none());
        let text = match (self.processes.filter_text(), &look.shared.limit, unknown) {
            ("", None, true) => "n/a: the driver does not tell who uses every device".to_owned(),
            ("", None, false) => "no process uses a GPU".to_owned(),
            ("", Some(_), _) => "no process of this customer uses a GPU; esc lifts the limit".to_owned(),
            _ => self.processes.nothing("no process matches the filter"),
        };
        widget::empty(look, frame, inner, &text);
    }
}

fn nothing(look: &Look, frame: &mut Frame, area: Rect, why: &str) {
    let inner = widget::pane(look, frame, area, "GPUs", true);
    widget::empty(look, frame, inner, why);
}
