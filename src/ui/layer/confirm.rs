//! The dialog before a harmful act: what it hits, who, and what will follow. Cancel is chosen.

use super::{Next, same};
use crate::model::container::ContainerAct;
use crate::model::guard::Cap;
use crate::model::message::{Impact, Level};
use crate::model::stack::{StackOwner, StackStep};
use crate::model::{Answer, Command, Environment, Query, Refusal, Snapshot, TenantId};
use crate::ui::app::{Cx, Effect, Look, Token};
use crate::ui::fmt;
use crate::ui::keymap::Chord;
use crate::ui::theme::Role;
use crate::ui::widget::line::LineEdit;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind};
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::{Line, Span};

/// A question, and its answer once it is there.
type Asked<T> = (Token, Option<Result<T, String>>);

/// State of the dialog.
pub struct Confirm {
    commands: Vec<Command>,
    /// One question per command, and its answer.
    asked: Vec<Asked<Impact>>,
    /// What each deployment (or its end) would do, step by step.
    plans: Vec<Asked<Vec<StackStep>>>,
    /// The key that opened it; it never answers it.
    opened_by: Option<Chord>,
    typed: LineEdit,
    /// True after enter with a name that is not the one asked for, until the next key.
    wrong: bool,
    /// True while the confirming button is chosen.
    yes: bool,
}

/// Acts that harm nothing go at once; the others ask first.
pub fn run(cx: &mut Cx, commands: Vec<Command>) {
    let Some(first) = commands.first() else { return cx.notice(Level::Info, "nothing is selected to act on") };
    if let Some(why) = refused(cx, &commands) {
        return cx.notice(Level::Warn, why);
    }
    let cap = usize::try_from(cx.shared.bulk_cap).unwrap_or(usize::MAX);
    if commands.len() > cap {
        let text = format!(
            "{} {} at once: the cap is {cap} (`bulk_cap`); mark fewer",
            first.verb(),
            fmt::plural(commands.len(), "object")
        );
        return cx.notice(Level::Warn, text);
    }
    if commands.iter().all(|c| !is_harmful(c, cx.snap)) {
        let text = match commands.len() {
            1 => format!("{} {}", first.verb(), first.object()),
            n => format!("{} {}", first.verb(), fmt::plural(n, "object")),
        };
        cx.notice(Level::Info, format!("{text}: asked for"));
        cx.effects.extend(commands.into_iter().map(|command| Effect::Run { command, confirm: None }));
        return;
    }
    ask(cx, commands);
}

/// Opens the dialog, whatever the commands are.
pub fn ask(cx: &mut Cx, commands: Vec<Command>) {
    let owner = cx.owner.take();
    let asked = commands.iter().map(|c| (cx.ask(Query::Impact(c.clone())), None)).collect();
    let plans = commands.iter().filter_map(plan_of).map(|query| (cx.ask(query), None)).collect();
    cx.owner = owner;
    let dialog =
        Confirm { commands, asked, plans, opened_by: cx.chord, typed: LineEdit::default(), wrong: false, yes: false };
    cx.open(super::Layer::Confirm(dialog));
}

/// The dry run of a deployment, or of its end.
fn plan_of(command: &Command) -> Option<Query> {
    match command {
        Command::Deploy(stack) => Some(Query::StackPlan { stack: stack.clone(), undeploy: false }),
        Command::Undeploy(stack) => Some(Query::StackPlan { stack: stack.clone(), undeploy: true }),
        _ => None,
    }
}

/// The tenant whose the object is.
fn tenant<'a>(command: &'a Command, snap: &'a Snapshot) -> Option<&'a TenantId> {
    match command {
        Command::Enable { tenant, .. } | Command::Disable { tenant, .. } | Command::Revert { tenant, .. } => {
            Some(tenant)
        }
        Command::Container { container, .. } => snap.container(container)?.owner.tenant.as_ref(),
        Command::Deploy(stack) | Command::Undeploy(stack) => match &snap.stack(stack.as_str())?.owner {
            StackOwner::Tenant(tenant) => Some(tenant),
            StackOwner::Server(_) => None,
        },
        other => other.target()?.tenant.as_ref(),
    }
}

fn refused(cx: &Cx, commands: &[Command]) -> Option<String> {
    if let Some(why) = cx.shared.refusal(cx.snap) {
        return Some(why);
    }
    let tenants = commands.iter().filter_map(|c| tenant(c, cx.snap));
    let mut tenants = tenants.filter_map(|t| cx.snap.tenant(t.as_str()));
    tenants.find_map(|t| cx.snap.platform.guards.frozen(&t.def)).map(|why| format!("read-only: {why}"))
}

fn is_harmful(command: &Command, snap: &Snapshot) -> bool {
    match command {
        Command::Stop(_)
        | Command::Sleep(_)
        | Command::Restart(_)
        | Command::Kill(_)
        | Command::Fence(_)
        | Command::Disable { .. }
        | Command::ReapOrphans
        | Command::Undeploy(_)
        | Command::RevokeKey(_)
        | Command::RotateKey { .. }
        | Command::RemoveUser(_)
        | Command::Roll(_)
        | Command::Shutdown => true,
        // It harms nothing, but what it would do is shown before it is done.
        Command::Deploy(_) => true,
        Command::Container { act, .. } => !matches!(act, ContainerAct::Start | ContainerAct::Unpause),
        // Going back to the file may disable it.
        Command::Revert { server, tenant } => {
            snap.tenant(tenant.as_str()).and_then(|t| t.cell(server)).is_some_and(|c| c.enabled && !c.in_file)
        }
        Command::Start(_)
        | Command::Unfence(_)
        | Command::Probe(_)
        | Command::Enable { .. }
        | Command::ExampleTraffic(_)
        | Command::Reload
        | Command::ReloadSecrets
        | Command::CreateKey(_)
        | Command::AddUser(_)
        | Command::SetPassword { .. }
        | Command::CancelCall(_)
        | Command::CancelJob(_) => false,
    }
}

/// What stands in the dialog: what always does, then what goes first where the screen is small, then the answer.
struct Text<'a> {
    head: Vec<Line<'a>>,
    /// Steps and what follows, each on a line or several.
    items: Vec<Vec<Line<'a>>>,
    tail: Vec<Line<'a>>,
}

impl<'a> Text<'a> {
    fn height(&self) -> usize {
        self.head.len() + self.items.iter().map(Vec::len).sum::<usize>() + self.tail.len()
    }

    /// At most so many lines; how many items are missing is said, and the answer is never among them.
    fn within(self, height: usize, style: Style) -> Vec<Line<'a>> {
        if self.height() <= height {
            return [self.head, self.items.concat(), self.tail].concat();
        }
        let mut room = height.saturating_sub(self.head.len() + self.tail.len() + 1);
        let fits = |item: &&Vec<Line>| {
            let fits = item.len() <= room;
            room = room.saturating_sub(item.len());
            fits
        };
        let shown: Vec<_> = self.items.iter().take_while(fits).cloned().collect();
        let more = self.items.len() - shown.len();
        let more = (more > 0).then(|| Line::styled(format!("  {more} more; the screen is too small"), style));
        let above: Vec<_> = self.head.into_iter().chain(shown.concat()).chain(more).collect();
        let kept = height.saturating_sub(self.tail.len()).min(above.len());
        [&above[..kept], &self.tail[self.tail.len().saturating_sub(height)..]].concat()
    }
}

/// What all the commands together would do.
#[derive(Default)]
struct Sum {
    instances: usize,
    /// How many of them at the same time.
    at_once: usize,
    names: Vec<String>,
    tenants: Vec<String>,
    environment: Environment,
    in_flight: u32,
    steps: Vec<StackStep>,
    follows: Vec<String>,
    type_name: Option<String>,
    refused: Option<String>,
    /// The smallest of what the commands may touch at once.
    cap: Option<Cap>,
}

impl Confirm {
    pub fn paste(&mut self, text: &str) -> bool {
        self.typed.insert(text)
    }

    pub fn answer(&mut self, token: Token, answer: &Result<Answer, Refusal>) {
        if let Some((_, slot)) = self.plans.iter_mut().find(|(t, _)| *t == token) {
            *slot = Some(match answer {
                Ok(Answer::StackPlan(steps)) => Ok(steps.clone()),
                Ok(_) => Err("the owner answered something else".to_owned()),
                Err(refusal) => Err(refusal.to_string()),
            });
            return;
        }
        let Some((_, slot)) = self.asked.iter_mut().find(|(t, _)| *t == token) else { return };
        *slot = Some(match answer {
            Ok(Answer::Impact(impact)) => Ok(impact.clone()),
            Ok(_) => Err("the owner answered something else".to_owned()),
            Err(refusal) => Err(refusal.to_string()),
        });
    }

    /// `None` until every answer is there.
    fn sum(&self) -> Option<Sum> {
        let mut sum = Sum::default();
        for ((_, answer), command) in self.asked.iter().zip(&self.commands) {
            match answer.as_ref()? {
                Err(why) => sum.refused = Some(why.clone()),
                Ok(impact) => sum.add(impact, command),
            }
        }
        for (_, answer) in &self.plans {
            match answer.as_ref()? {
                Err(why) => sum.refused = Some(why.clone()),
                Ok(steps) => sum.steps.extend(steps.iter().cloned()),
            }
        }
        // Each command alone may be fine where all of them together are too many.
        if let Some(cap) = sum.cap.as_ref().filter(|cap| sum.refused.is_none() && sum.at_once > cap.instances as usize)
        {
            let (n, most, why) = (fmt::plural(sum.at_once, "instance"), cap.instances, &cap.reason);
            sum.refused = Some(format!("{n} at once: at most {most}, because {why}; mark fewer"));
        }
        // A step that cannot be done stops the whole before it begins.
        let cannot = sum.steps.iter().find_map(|step| Some(format!("{}: {}", step.part, step.refused.as_ref()?)));
        sum.refused = sum.refused.take().or(cannot);
        if self.commands.len() > 1 && sum.type_name.is_some() {
            // One name stands for the whole bulk act; each command still carries its own.
            sum.type_name = Some(self.commands.len().to_string());
        }
        Some(sum)
    }

    pub fn key(&mut self, key: KeyEvent, cx: &mut Cx) -> Next {
        if key.kind == KeyEventKind::Repeat {
            return Next::Stay;
        }
        let sum = self.sum();
        let typing = sum.as_ref().is_some_and(|s| s.type_name.is_some() && s.refused.is_none());
        if !typing && same(key, self.opened_by) {
            return Next::Stay;
        }
        // Another key was pressed: from here on the first one is a key like others.
        self.opened_by = None;
        self.wrong = false;
        match key.code {
            KeyCode::Esc => Next::Close,
            KeyCode::Tab | KeyCode::BackTab => {
                self.yes = !self.yes;
                Next::Stay
            }
            KeyCode::Left | KeyCode::Right if !typing => {
                self.yes = !self.yes;
                Next::Stay
            }
            KeyCode::Enter if typing => self.confirm_typed(sum, cx),
            KeyCode::Enter if self.yes => self.confirm(sum, cx),
            KeyCode::Enter => Next::Close,
            KeyCode::Char('n' | 'q') if !typing => Next::Close,
            KeyCode::Char('y') if !typing => self.confirm(sum, cx),
            _ => {
                if typing {
                    self.typed.key(key);
                }
                Next::Stay
            }
        }
    }

    fn confirm_typed(&mut self, sum: Option<Sum>, cx: &mut Cx) -> Next {
        let name = sum.as_ref().and_then(|s| s.type_name.clone());
        if name.as_deref() == Some(self.typed.text().trim()) {
            return self.confirm(sum, cx);
        }
        self.wrong = true;
        Next::Stay
    }

    fn confirm(&mut self, sum: Option<Sum>, cx: &mut Cx) -> Next {
        // Nobody confirms what is not known yet.
        if sum.is_none_or(|s| s.refused.is_some()) {
            return Next::Stay;
        }
        if let Some(why) = cx.shared.refusal(cx.snap) {
            cx.notice(Level::Warn, why);
            return Next::Close;
        }
        for (command, (_, answer)) in self.commands.drain(..).zip(&self.asked) {
            let confirm = answer.as_ref().and_then(|a| a.as_ref().ok()).and_then(|impact| impact.type_name.clone());
            cx.effects.push(Effect::Run { command, confirm });
        }
        Next::Close
    }

    /// Keys for the key line.
    pub fn keys(&self) -> &'static [(&'static str, &'static str)] {
        match self.sum() {
            Some(sum) if sum.refused.is_some() => &[("esc", "close")],
            Some(sum) if sum.type_name.is_some() => &[("esc", "leave"), ("enter", "do it, once the name is typed")],
            _ => &[("esc", "leave"), ("y", "do it"), ("tab", "choose"), ("enter", "take the choice")],
        }
    }

    fn title(&self) -> String {
        let verb = self.commands.first().map_or("", Command::verb);
        match self.commands.as_slice() {
            [one] => format!("{verb} {}", one.object()).trim_end().to_owned(),
            many => format!("{verb} {}", fmt::plural(many.len(), "object")),
        }
    }

    pub fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        let width = 68.min(area.width);
        let text = self.text(look, usize::from(width.saturating_sub(4)));
        let inner = super::window(look, frame, area, width, text.height() as u16 + 2, &self.title());
        crate::ui::widget::lines(frame, inner, &text.within(usize::from(inner.height), look.style(Role::Warn)));
    }

    fn text<'a>(&'a self, look: &Look, columns: usize) -> Text<'a> {
        let dim = look.style(Role::Dim);
        let Some(sum) = self.sum() else {
            let head = vec![Line::styled("asking what it would hit ...", dim)];
            return Text { head, items: Vec::new(), tail: vec![Line::default(), self.buttons(look, false)] };
        };
        let row = |name: &str, value: String, role: Role| {
            let value = fmt::fit(&value, columns.saturating_sub(13), look.ascii);
            Line::from(vec![Span::styled(format!("{name:<13}"), dim), Span::styled(value, look.style(role))])
        };
        let mut head = vec![
            row("customers", format!("{}  {}", sum.tenants.len(), some(&sum.tenants)), Role::Text),
            row("environment", sum.environment.name().to_owned(), Role::of_environment(sum.environment)),
        ];
        // A container or a stack may have no instance: then nothing of it is in flight either.
        if sum.instances > 0 {
            head.insert(0, row("instances", format!("{}  {}", sum.instances, some(&sum.names)), Role::Text));
            let role = if sum.in_flight > 0 { Role::Warn } else { Role::Text };
            head.push(row("in flight", fmt::plural(sum.in_flight as usize, "call"), role));
        }
        let mut items = Vec::new();
        for step in &sum.steps {
            let role = if step.refused.is_some() { Role::Bad } else { Role::Text };
            items.push(vec![row(&step.part, step.does.clone(), role)]);
        }
        for text in &sum.follows {
            let wrapped = crate::ui::widget::wrap(text, columns.saturating_sub(2)).into_iter();
            let mark = |at| if at == 0 { '-' } else { ' ' };
            items.push(wrapped.enumerate().map(|(at, l)| Line::from(format!("{} {l}", mark(at)))).collect());
        }
        let why = sum.refused.iter().flat_map(|why| crate::ui::widget::wrap(why, columns));
        let mut tail: Vec<Line> = why.map(|l| Line::styled(l, look.style(Role::Bad))).collect();
        tail.push(match self.wrong {
            true => Line::styled("that is not the name; nothing was done", look.style(Role::Bad)),
            false => Line::default(),
        });
        tail.extend(match (&sum.type_name, &sum.refused) {
            (_, Some(_)) => vec![Line::styled("it would be refused; esc closes", dim)],
            (Some(name), None) => self.name_to_type(look, name, columns),
            (None, None) => vec![self.buttons(look, true)],
        });
        Text { head, items, tail }
    }

    /// What is to be typed, and behind it what was; below it where the name would not fit there.
    fn name_to_type<'a>(&'a self, look: &Look, name: &str, columns: usize) -> Vec<Line<'a>> {
        let mut prompt = Line::from(vec![
            Span::raw("type "),
            Span::styled(name.to_owned(), look.style(Role::Production)),
            Span::raw(" and enter, esc leaves: "),
        ]);
        let (head, tail) = self.typed.split();
        let typed = [Span::raw(head), Span::styled("█", look.style(Role::Key)), Span::raw(tail)];
        if prompt.width() + fmt::width(name) < columns {
            prompt.extend(typed);
            return vec![prompt];
        }
        vec![prompt, Line::from_iter(typed)]
    }

    fn buttons<'a>(&self, look: &Look, ready: bool) -> Line<'a> {
        let style = |chosen: bool| look.style(if chosen { Role::Selection } else { Role::Text });
        let verb = self.commands.first().map_or("", Command::verb);
        let mut spans = vec![Span::styled("[ Cancel ]", style(!self.yes))];
        if ready {
            spans.push(Span::raw("  "));
            spans.push(Span::styled(format!("[ {verb} ]"), style(self.yes)));
            spans.push(Span::styled("   y does it, tab chooses, esc leaves", look.style(Role::Dim)));
        }
        Line::from(spans)
    }
}

impl Sum {
    fn add(&mut self, impact: &Impact, command: &Command) {
        self.instances += impact.instances.len();
        self.at_once += match command {
            Command::Roll(roll) => impact.instances.len().min(roll.at_once as usize),
            _ => impact.instances.len(),
        };
        self.names.extend(impact.instances.iter().map(ToString::to_string));
        for tenant in impact.tenants.iter().map(ToString::to_string) {
            if !self.tenants.contains(&tenant) {
                self.tenants.push(tenant);
            }
        }
        self.environment = self.environment.max(impact.environment);
        self.in_flight += impact.in_flight;
        for text in &impact.follows {
            if !self.follows.contains(text) {
                self.follows.push(text.clone());
            }
        }
        self.type_name = self.type_name.take().or_else(|| impact.type_name.clone());
        self.refused = self.refused.take().or_else(|| impact.refused.clone());
        let narrower = self.cap.as_ref().is_none_or(|cap| impact.bulk_cap.instances < cap.instances);
        if narrower {
            self.cap = Some(impact.bulk_cap.clone());
        }
    }
}

fn some(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let mut text = names.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(", {} more", names.len() - SHOWN));
    }
    text
}
