//! One message in, effects out: the only place where the screen's state changes. Pure.

use super::action::Action;
use super::app::{After, App, Cx, Effect, Msg, Notice, Target, Token};
use super::keymap::Chord;
use super::layer::pick::{Item, Pick};
use super::layer::quit::QuitDialog;
use super::layer::{Layer, Next, confirm, help::Help, palette::Palette, shell::ShellDialog};
use super::page::{Page, View};
use super::shell::Left;
use super::widget::line::{self, LineEdit};
use crate::control::handle::Link;
use crate::model::message::{Exec, JobOutcome, Level};
use crate::model::{Command, Refusal, Snapshot};
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};
use std::time::Duration;

/// A notice that no key has replaced goes by itself after this.
const NOTICE_FOR: Duration = Duration::from_secs(20);

/// Most acts whose end is waited for.
const JOBS: usize = 100;

/// Most places in the history of views.
const HISTORY: usize = 50;

/// Takes one message. `snap` is what was last drawn, but for [`Msg::Snapshot`], which brings it.
pub fn update(app: &mut App, snap: &Snapshot, msg: Msg) -> Vec<Effect> {
    let mut effects = Vec::new();
    let mut turn = Turn { app, snap, effects: &mut effects, chord: None };
    turn.take(msg);
    turn.tell_interest();
    effects
}

/// The handling of one message.
struct Turn<'a> {
    app: &'a mut App,
    snap: &'a Snapshot,
    effects: &'a mut Vec<Effect>,
    chord: Option<Chord>,
}

impl Turn<'_> {
    fn take(&mut self, msg: Msg) {
        match msg {
            Msg::Key(key) if key.kind == KeyEventKind::Release => {}
            Msg::Key(key) => self.key(key),
            Msg::Paste(text) => self.paste(&text),
            Msg::Resize(width, height) => self.app.shared.size = (width, height),
            Msg::Paint => self.view(|view, cx| view.settle(cx)),
            Msg::Snapshot => {
                self.view(|view, cx| view.sync(cx));
                self.tell_jobs();
                self.tell_watched();
            }
            Msg::Link(link) => self.link(link),
            Msg::Tick(now, offset) => self.tick(now, offset),
            Msg::Answer(token, answer) => match token.page {
                Some(page) => self.of(page, |view, cx| view.answer(token, answer, cx)),
                None => self.app.layers.iter_mut().for_each(|layer| layer.answer(token, &answer)),
            },
            Msg::Chunk(token, chunk) => {
                if let Some(page) = token.page {
                    self.of(page, |view, cx| view.chunk(token, chunk, cx));
                }
            }
            Msg::Ran(command, result) => self.ran(command, result),
            Msg::Read(token, tree) => {
                if let Some(page) = token.page {
                    self.of(page, |view, cx| view.read(token, tree, cx));
                }
            }
            Msg::Found(token, found) => {
                if let Some(page) = token.page {
                    self.of(page, |view, cx| view.found(token, found, cx));
                }
            }
            Msg::Requests(token, files) => {
                if let Some(page) = token.page {
                    self.of(page, |view, cx| view.requests(token, files, cx));
                }
            }
            Msg::Filtered(token, filtered) => {
                if let Some(page) = token.page {
                    self.of(page, |view, cx| view.filtered(token, filtered, cx));
                }
            }
            Msg::Edited(token, text) => self.edited(token, text),
            Msg::Shell(exec, name, left) => self.shell_ended(exec, name, left),
            Msg::Notice(level, text) => self.notice(level, text),
            Msg::Theme(Ok(theme)) => self.app.shared.theme = theme,
            Msg::Theme(Err(error)) => self.notice(Level::Error, format!("{error}; the theme stays as it was")),
        }
    }

    /// Runs something of the current view, then whatever it asked for.
    fn view<T>(&mut self, act: impl FnOnce(&mut dyn View, &mut Cx) -> T) -> T {
        self.of(self.app.page, act)
    }

    fn of<T>(&mut self, page: Page, act: impl FnOnce(&mut dyn View, &mut Cx) -> T) -> T {
        let App { views, shared, .. } = &mut *self.app;
        let mut cx = Cx {
            snap: self.snap,
            shared,
            owner: Some(page),
            chord: self.chord,
            effects: self.effects,
            after: Vec::new(),
        };
        let out = act(views.get_mut(page), &mut cx);
        let after = cx.after;
        self.after(after);
        out
    }

    /// Runs something of the frame itself.
    fn frame<T>(&mut self, act: impl FnOnce(&mut Cx) -> T) -> T {
        let mut cx = Cx {
            snap: self.snap,
            shared: &mut self.app.shared,
            owner: None,
            chord: self.chord,
            effects: self.effects,
            after: Vec::new(),
        };
        let out = act(&mut cx);
        let after = cx.after;
        self.after(after);
        out
    }

    fn after(&mut self, after: Vec<After>) {
        for wish in after {
            match wish {
                After::Open(layer) => self.app.layers.push(layer),
                After::Go(page, target) => self.go(page, target, true),
                After::Act(action) => self.act(action),
                After::Limit(tenant) => {
                    self.app.shared.limit = tenant;
                    self.view(|view, cx| view.sync(cx));
                }
            }
        }
    }

    fn notice(&mut self, level: Level, text: String) {
        self.app.shared.notice = Some(Notice { level, text, at: self.app.shared.now, stays: false });
    }

    fn link(&mut self, link: Link) {
        let back = matches!(self.app.shared.link, Link::Lost { .. }) && !matches!(link, Link::Lost { .. });
        if matches!(link, Link::Lost { .. }) && !matches!(self.app.shared.link, Link::Lost { .. }) {
            // Nothing may hide that this is the past.
            self.app.shared.notice = None;
        }
        self.app.shared.link = link;
        if back {
            self.notice(Level::Info, "the owner is back".to_owned());
        }
    }

    fn tick(&mut self, now: crate::model::Stamp, offset: i32) {
        let shared = &mut self.app.shared;
        shared.now = now;
        shared.utc_offset_s = offset;
        if shared.notice.as_ref().is_some_and(|n| !n.stays && n.at.0 != 0 && now.since(n.at) > NOTICE_FOR) {
            shared.notice = None;
        }
        // A notice from before the first tick has no time of its own yet.
        if let Some(notice) = shared.notice.as_mut().filter(|n| n.at.0 == 0) {
            notice.at = now;
        }
    }

    fn ran(&mut self, command: Command, result: Result<crate::model::JobId, Refusal>) {
        let what = format!("{} {}", command.verb(), command.object());
        let what = what.trim_end();
        match result {
            Ok(job) => {
                self.notice(Level::Info, format!("{what}: under way ({job})"));
                self.app.jobs.push(job);
                if self.app.jobs.len() > JOBS {
                    self.app.jobs.remove(0);
                }
            }
            // The act asked for a name where we thought it harmless: now it gets its dialog.
            Err(Refusal::NeedsConfirm { .. }) => self.frame(|cx| confirm::ask(cx, vec![command])),
            Err(refusal) => self.notice(Level::Error, format!("{what}: {refusal}")),
        }
    }

    fn shell_ended(&mut self, exec: Exec, name: String, left: Left) {
        match left {
            // The owner wants a name typed first.
            Left::Refused(Refusal::NeedsConfirm { name: wanted, .. }) if exec.confirm.is_none() => {
                self.frame(|cx| ShellDialog::ask(cx, exec, name, wanted));
            }
            left => {
                let (level, text) = left.notice(&name);
                self.notice(level, text);
            }
        }
    }

    /// Says how the acts of this screen ended: nobody who pressed a key should have to go and look.
    fn tell_jobs(&mut self) {
        let App { jobs, .. } = &mut *self.app;
        let mut ended = Vec::new();
        jobs.retain(|id| {
            let job = self.snap.jobs.iter().find(|job| job.id == *id && job.outcome.is_some());
            ended.extend(job.cloned());
            job.is_none()
        });
        // One line is all there is: what went wrong has it, the rest is in Activity.
        let said = ended.iter().max_by_key(|job| job.outcome != Some(JobOutcome::Ok));
        let Some(job) = said else { return };
        match job.outcome {
            Some(JobOutcome::Ok) => self.notice(Level::Info, format!("{}: done", job.title)),
            Some(JobOutcome::Cancelled) => self.notice(Level::Warn, format!("{}: cancelled", job.title)),
            _ => {
                // What the title already names is not named again.
                let object = job.title.split_once(' ').map_or("", |(_, object)| object);
                let why = job.message.strip_prefix(object).and_then(|m| m.strip_prefix(": ")).unwrap_or(&job.message);
                self.notice(Level::Error, format!("{}: {why}", job.title));
            }
        }
    }

    /// Says what changed of what is watched, and rings: it may be that nobody looks.
    fn tell_watched(&mut self) {
        let shared = &mut self.app.shared;
        let Some((level, text)) = shared.watches.look(self.snap, shared.now) else { return };
        shared.notice = Some(Notice { level, text, at: shared.now, stays: true });
        self.effects.push(Effect::Bell);
    }

    fn edited(&mut self, token: Token, text: Result<String, String>) {
        match (text, token.page) {
            (Ok(text), Some(page)) => self.of(page, |view, cx| view.edited(token, text, cx)),
            (Ok(_), None) => {}
            (Err(why), _) => self.notice(Level::Error, why),
        }
    }

    fn paste(&mut self, text: &str) {
        let taken = if let Some(layer) = self.app.layers.last_mut() {
            layer.paste(text)
        } else if let Some(line) = &mut self.app.filter_line {
            let taken = line.insert(text);
            self.refilter();
            taken
        } else {
            // A view says itself what it does not take.
            if self.app.views.get(self.app.page).editing() {
                self.view(|view, cx| view.paste(text, cx));
            }
            true
        };
        if !taken {
            self.notice(Level::Warn, line::no_room(text));
        }
    }

    fn key(&mut self, key: KeyEvent) {
        self.chord = Some(Chord::of(key));
        if !self.app.layers.is_empty() {
            return self.layer_key(key);
        }
        if self.app.filter_line.is_some() {
            return self.filter_key(key);
        }
        if self.app.views.get(self.app.page).editing() && self.view(|view, cx| view.edit(key, cx)) {
            return;
        }
        let Some(action) = self.app.shared.keymap.resolve(self.app.page, key) else { return self.unbound(key) };
        if key.kind == KeyEventKind::Repeat && !moves(action) {
            return;
        }
        // What was said before is read by now.
        self.app.shared.notice = None;
        self.act(action);
    }

    /// A key without a meaning says so; what terminals send by themselves stays silent.
    fn unbound(&mut self, key: KeyEvent) {
        if let (KeyCode::Char(_) | KeyCode::F(_), KeyEventKind::Press) = (key.code, key.kind) {
            let help = self.app.shared.keymap.shown(Action::Help);
            let page = self.app.page.title();
            self.notice(Level::Info, format!("{} does nothing in {page}; {help} lists the keys", Chord::of(key)));
        }
    }

    fn layer_key(&mut self, key: KeyEvent) {
        let Some(mut layer) = self.app.layers.pop() else { return };
        let at = self.app.layers.len();
        let mut cx = Cx {
            snap: self.snap,
            shared: &mut self.app.shared,
            owner: None,
            chord: self.chord,
            effects: self.effects,
            after: Vec::new(),
        };
        let next = layer.key(key, &mut cx);
        let after = cx.after;
        match next {
            Next::Stay => self.app.layers.insert(at, layer),
            Next::Close => {}
            Next::Picked(token, value) => self.picked(token, value),
        }
        self.after(after);
    }

    fn picked(&mut self, token: Token, value: String) {
        match token.page {
            Some(page) => self.of(page, |view, cx| view.picked(token, value, cx)),
            // The one list the frame itself asks with is that of tenants.
            None => self.after(vec![After::Limit((!value.is_empty()).then(|| value.into()))]),
        }
    }

    fn filter_key(&mut self, key: KeyEvent) {
        match key.code {
            KeyCode::Enter => self.app.filter_line = None,
            KeyCode::Esc => {
                self.app.filter_line = Some(LineEdit::default());
                self.refilter();
                self.app.filter_line = None;
            }
            // Moving keys move in the view below, so that one sees what is left.
            KeyCode::Down => self.act(Action::Down),
            KeyCode::Up => self.act(Action::Up),
            _ => {
                if self.app.filter_line.as_mut().is_some_and(|line| line.key(key)) {
                    self.refilter();
                }
            }
        }
    }

    fn refilter(&mut self) {
        let Some(text) = self.app.filter_line.as_ref().map(|line| line.text().to_owned()) else { return };
        self.app.shared.notice = None;
        if let Err(why) = self.view(|view, cx| view.set_filter(&text, cx)) {
            let what = if self.app.views.get(self.app.page).searches() { "" } else { "filter " };
            self.notice(Level::Warn, format!("{what}{why}"));
        }
    }

    fn act(&mut self, action: Action) {
        if let Some(page) = action.page() {
            return self.go(page, Target::Nothing, true);
        }
        match action {
            Action::Back => self.travel(true),
            Action::Forward => self.travel(false),
            Action::Palette => {
                let page = self.app.page;
                self.frame(|cx| {
                    let palette = Palette::new(cx, page);
                    cx.open(Layer::Palette(palette));
                });
            }
            Action::Help => {
                let page = self.app.page;
                let useful = self.app.views.get(page).keys();
                self.frame(|cx| {
                    let help = Help::new(cx, page, useful);
                    cx.open(Layer::Help(help));
                });
            }
            Action::Limit => self.frame(choose_limit),
            Action::Freeze => self.app.shared.frozen = !self.app.shared.frozen,
            Action::Wide if !self.view(|view, cx| view.act(action, cx)) => self.app.shared.wide = !self.app.shared.wide,
            Action::Filter => self.app.filter_line = Some(LineEdit::new(self.app.views.get(self.app.page).filter())),
            Action::Quit => self.quit(),
            Action::Suspend => self.suspend(),
            Action::ExampleTraffic => self.frame(example_traffic),
            Action::Reload => self.frame(|cx| cx.run(vec![Command::Reload])),
            Action::ReloadSecrets => self.frame(|cx| cx.run(vec![Command::ReloadSecrets])),
            Action::ReapOrphans => self.frame(|cx| cx.run(vec![Command::ReapOrphans])),
            Action::Refresh => {
                self.effects.push(Effect::Repaint);
                self.view(|view, cx| view.sync(cx));
            }
            Action::Escape => self.escape(),
            _ => {
                let done = self.view(|view, cx| view.act(action, cx));
                if !done && !moves(action) && self.app.shared.notice.is_none() {
                    self.notice(Level::Info, format!("{}: nothing here that it could do", action.name()));
                }
            }
        }
    }

    /// Up: first what the view has open, then its filter, then the limit, then the view before.
    fn escape(&mut self) {
        if self.view(|view, cx| view.act(Action::Escape, cx)) {
            return;
        }
        if !self.app.views.get(self.app.page).filter().is_empty() {
            let _ = self.view(|view, cx| view.set_filter("", cx));
        } else if self.app.shared.limit.is_some() {
            self.after(vec![After::Limit(None)]);
        }
    }

    fn go(&mut self, page: Page, target: Target, remember: bool) {
        if remember && (page != self.app.page || target != Target::Nothing) {
            let place = (self.app.page, self.app.views.get(self.app.page).place());
            self.app.history.back.push(place);
            if self.app.history.back.len() > HISTORY {
                self.app.history.back.remove(0);
            }
            self.app.history.forward.clear();
        }
        if page != self.app.page {
            self.view(|view, cx| view.leave(cx));
            self.app.page = page;
        }
        self.view(|view, cx| {
            view.sync(cx);
            if target != Target::Nothing {
                view.arrive(&target, cx);
            }
        });
    }

    fn travel(&mut self, back: bool) {
        let here = (self.app.page, self.app.views.get(self.app.page).place());
        let history = &mut self.app.history;
        let (from, to) =
            if back { (&mut history.back, &mut history.forward) } else { (&mut history.forward, &mut history.back) };
        if let Some((page, target)) = from.pop() {
            to.push(here);
            self.go(page, target, false);
        } else {
            let which = if back { "before" } else { "after" };
            self.notice(Level::Info, format!("no view {which} this one"));
        }
    }

    fn quit(&mut self) {
        match self.app.shared.link {
            Link::Owner => self.frame(QuitDialog::open),
            Link::Attached | Link::Lost { .. } => self.effects.push(Effect::Quit { stop: false }),
        }
    }

    fn suspend(&mut self) {
        match self.app.shared.link {
            Link::Owner => self.notice(
                Level::Warn,
                "this screen owns the platform, which would stop with it: q detaches instead".to_owned(),
            ),
            Link::Attached | Link::Lost { .. } => self.effects.push(Effect::Suspend),
        }
    }

    fn tell_interest(&mut self) {
        let mut interest = self.app.views.get(self.app.page).interest();
        interest.watching = true;
        // Customers share instances: each is wanted once.
        interest.instances.sort();
        interest.instances.dedup();
        interest.containers.sort();
        interest.containers.dedup();
        if interest != self.app.sent_interest {
            self.app.sent_interest = interest.clone();
            self.effects.push(Effect::Interest(interest));
        }
    }
}

/// Keys that may repeat while they are held.
fn moves(action: Action) -> bool {
    use Action as A;
    matches!(
        action,
        A::Down
            | A::Up
            | A::Left
            | A::Right
            | A::PageDown
            | A::PageUp
            | A::NextPane
            | A::PrevPane
            | A::SearchNext
            | A::SearchPrev
    )
}

fn choose_limit(cx: &mut Cx) {
    let all = std::iter::once(Item::new("", "all customers"));
    let tenants = cx.snap.tenants.iter().map(|t| {
        Item::new(t.def.id.as_str(), t.def.name.as_str()).with_note(format!(
            "{} {}",
            t.def.id,
            t.def.environment.name()
        ))
    });
    let items = all.chain(tenants).collect();
    let token = Token { page: None, number: 0 };
    cx.open(Layer::Pick(Pick::new("Limit every view to", items, Some(token))));
}

fn example_traffic(cx: &mut Cx) {
    match cx.snap.platform.example_traffic {
        Some(on) => cx.run(vec![Command::ExampleTraffic(!on)]),
        None => cx.notice(Level::Info, "this platform has no example traffic"),
    }
}
