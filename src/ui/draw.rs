//! The frame around every view: line 1, tabs, notice, key line; then the view, then the layers. Pure.

use super::action::Action;
use super::app::{App, Look, Shared};
use super::fmt;
use super::page::Page;
use super::theme::Role;
use crate::control::handle::Link;
use crate::model::Snapshot;
use crate::model::message::Level;
use crate::model::text::is_direction;
use ratatui::Frame;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Modifier;
use ratatui::text::{Line, Span};

/// The data's age is shown above this; younger data is simply the present.
const STALE_S: u64 = 5;

/// Below this nothing can be read; views are made for 40x12 and more.
const LEAST: (u16, u16) = (28, 9);

/// What views draw with.
pub fn look<'a>(snap: &'a Snapshot, shared: &'a Shared) -> Look<'a> {
    let (width, height) = shared.size;
    let tiny = width < 60 || height < 16;
    Look { snap, shared, theme: &shared.theme, ascii: shared.ascii, now: shared.now, borders: !tiny, tiny }
}

/// Draws everything.
pub fn draw(app: &App, snap: &Snapshot, frame: &mut Frame) {
    let area = frame.area();
    let look = look(snap, &app.shared);
    if area.height < LEAST.1 || area.width < LEAST.0 {
        let text = format!("{}x{} is too small; 40x12 will do", area.width, area.height);
        return super::widget::empty(&look, frame, area, &text);
    }
    let line = |y: u16| Rect { y, height: 1, ..area };
    draw_head(app, &look, frame, line(area.y));
    draw_tabs(app, &look, frame, line(area.y + 1));
    let notice = notice(app, &look);
    let below = 1 + u16::from(notice.is_some());
    let body = Rect { y: area.y + 2, height: area.height - 2 - below, ..area };
    app.views.get(app.page).draw(&look, frame, body);
    if matches!(app.shared.link, Link::Lost { .. }) {
        dim(frame, body);
    }
    if let Some(notice) = notice {
        frame.buffer_mut().set_line(area.x, area.bottom() - 2, &notice, area.width);
    }
    draw_keys(app, &look, frame, line(area.bottom() - 1));
    for layer in &app.layers {
        layer.draw(&look, frame, body);
    }
    tame(frame.buffer_mut());
}

/// Names and texts are other people's, wherever they stand: none turns the direction of a line, or piles up marks that
/// reach over its neighbours.
fn tame(buffer: &mut Buffer) {
    /// Bytes of one character with its marks; a family of four has 25.
    const LONGEST: usize = 32;
    for cell in &mut buffer.content {
        let symbol = cell.symbol();
        if symbol.len() > 1 && (symbol.len() > LONGEST || symbol.contains(is_direction)) {
            let kept = symbol.char_indices().filter(|(at, c)| at + c.len_utf8() <= LONGEST && !is_direction(*c));
            let plain: String = kept.map(|(_, c)| c).collect();
            cell.set_symbol(if plain.is_empty() { " " } else { &plain });
        }
    }
}

/// What is shown is the past: everything of it is dimmed.
fn dim(frame: &mut Frame, area: Rect) {
    frame.buffer_mut().set_style(area, Modifier::DIM);
}

/// Product and place at the left, platform in the middle, figures and the clock at the right.
fn draw_head(app: &App, look: &Look, frame: &mut Frame, area: Rect) {
    let left = breadcrumb(app, look);
    let middle = platform(app, look);
    let clock = fmt::clock(look.now, look.shared.utc_offset_s);
    let figures = figures(look);
    let width = usize::from(area.width);
    let used = |spans: &[Span]| spans.iter().map(|s| fmt::width(&s.content)).sum::<usize>();
    let mut spans = left;
    let room = width.saturating_sub(used(&spans) + clock.len() + 3);
    let middle = if used(&middle) <= room { middle } else { short_platform(look) };
    if used(&middle) <= room {
        spans.push(Span::raw("  "));
        spans.extend(middle);
    }
    let room = width.saturating_sub(used(&spans) + clock.len() + 3);
    let tail = if fmt::width(&figures) + 2 <= room && width >= 96 {
        format!("{figures}  {clock} ")
    } else {
        format!("{clock} ")
    };
    let fill = width.saturating_sub(used(&spans) + fmt::width(&tail));
    spans.push(Span::raw(" ".repeat(fill)));
    spans.push(Span::styled(tail, look.style(Role::Dim)));
    frame.buffer_mut().set_line(area.x, area.y, &Line::from(spans), area.width);
}

fn breadcrumb(app: &App, look: &Look) -> Vec<Span<'static>> {
    let mut spans =
        vec![Span::styled(" mcpdeck", look.style(Role::Product)), Span::raw(" > "), Span::raw(app.page.title())];
    if let Some(limit) = &look.shared.limit {
        let name = look.snap.tenant(limit.as_str()).map_or(limit.as_str(), |t| &t.def.name);
        spans.push(Span::styled(format!(" @{}", fmt::fit(name, 20, look.ascii)), look.style(Role::Badge)));
    }
    if let Some(crumb) = app.views.get(app.page).crumb().filter(|_| look.shared.size.0 >= 100) {
        spans.push(Span::raw(format!(" > {}", fmt::fit(&crumb, 32, look.ascii))));
    }
    spans
}

fn platform(app: &App, look: &Look) -> Vec<Span<'static>> {
    let dot = if look.ascii { " - " } else { " · " };
    let info = &look.snap.platform;
    let mut spans = vec![
        Span::raw(fmt::fit(&info.name, 24, look.ascii)),
        Span::raw(dot),
        Span::styled(info.environment.name(), look.style(Role::of_environment(info.environment))),
        Span::raw(dot),
        write_badge(look),
        Span::raw(dot),
    ];
    spans.push(match &app.shared.link {
        Link::Owner => Span::raw("owner"),
        Link::Attached => Span::raw("attached"),
        Link::Lost { since, .. } => Span::styled(format!("LOST {}", look.age(*since)), look.style(Role::Bad)),
    });
    spans.extend(age_badge(look));
    spans
}

/// What must be seen at any width: the environment and whether acts are possible.
fn short_platform(look: &Look) -> Vec<Span<'static>> {
    let info = &look.snap.platform;
    let short = match info.environment {
        crate::model::Environment::Production => "prod",
        other => other.name(),
    };
    let mut spans = vec![
        Span::styled(short, look.style(Role::of_environment(info.environment))),
        Span::raw(" "),
        write_badge(look),
    ];
    if matches!(look.shared.link, Link::Lost { .. }) {
        spans.push(Span::styled(" LOST", look.style(Role::Bad)));
    }
    spans
}

fn write_badge(look: &Look) -> Span<'static> {
    if look.shared.read_only || look.snap.platform.read_only {
        Span::styled("READ-ONLY", look.style(Role::Badge))
    } else {
        Span::raw("WRITE")
    }
}

fn age_badge(look: &Look) -> Option<Span<'static>> {
    let age = look.now.since(look.snap.taken);
    if look.shared.frozen {
        return Some(Span::styled(format!("  FROZEN {}", fmt::age(age)), look.style(Role::Badge)));
    }
    (age.as_secs() > STALE_S).then(|| Span::styled(format!("  data {}", fmt::age(age)), look.style(Role::Warn)))
}

fn figures(look: &Look) -> String {
    let host = &look.snap.host;
    let memory = match (host.memory_used, host.memory_total) {
        (Some(used), Some(total)) if total > 0 => Some(used as f32 * 100.0 / total as f32),
        _ => None,
    };
    let gpus = &look.snap.gpus;
    let name = if gpus.is_simulated() { "sim gpu" } else { "gpu" };
    let gpu = match gpus.devices.is_empty() {
        true => String::new(),
        false => format!(" {name} {:<4}", fmt::percent(gpus.utilisation())),
    };
    format!(
        "{:>4}/s  {} in flight  cpu {:<4} mem {:<4}{gpu}",
        fmt::rate(look.snap.totals.rate),
        look.snap.totals.in_flight,
        fmt::percent(host.cpu),
        fmt::percent(memory)
    )
}

/// The tabs: whole titles, shorter ones, or a few letters of each.
fn draw_tabs(app: &App, look: &Look, frame: &mut Frame, area: Rect) {
    // The last space of the line need not fit.
    let fits = |title: fn(Page) -> &'static str| {
        Page::ALL.iter().map(|p| title(*p).len() + 3).sum::<usize>() <= usize::from(area.width)
    };
    let (name, letters): (fn(Page) -> &'static str, usize) = if fits(Page::title) {
        (Page::title, usize::MAX)
    } else if fits(Page::short) {
        (Page::short, usize::MAX)
    } else {
        (Page::title, (usize::from(area.width) / Page::ALL.len()).saturating_sub(3).max(1))
    };
    let mut spans = vec![Span::raw(" ")];
    for page in Page::ALL {
        let title: String = name(page).chars().take(letters).collect();
        let style = look.style(if page == app.page { Role::TabActive } else { Role::Tab });
        spans.push(Span::styled(format!("{} {title}", page.digit()), style));
        spans.push(Span::raw(" "));
    }
    frame.buffer_mut().set_line(area.x, area.y, &Line::from(spans), area.width);
}

/// The line above the keys: what is being typed, a lost link, or the newest notice.
fn notice<'a>(app: &'a App, look: &Look) -> Option<Line<'a>> {
    if let Some(line) = &app.filter_line {
        let (head, tail) = line.split();
        let hint = match &app.shared.notice {
            Some(notice) => Span::styled(format!("   {}", notice.text), look.style(Role::Warn)),
            None => Span::styled(filter_hint(app), look.style(Role::Dim)),
        };
        return Some(Line::from(vec![
            Span::styled(" /", look.style(Role::Key)),
            Span::raw(head),
            Span::styled("█", look.style(Role::Key)),
            Span::raw(tail),
            hint,
        ]));
    }
    if let Some(notice) = &app.shared.notice {
        let (word, role) = match notice.level {
            Level::Error => ("error: ", Role::Bad),
            Level::Warn => ("", Role::Warn),
            Level::Info | Level::Debug => ("", Role::Notice),
        };
        let text = format!(" {word}{}", notice.text);
        return Some(Line::styled(fmt::fit(&text, usize::from(app.shared.size.0), look.ascii), look.style(role)));
    }
    if let Link::Lost { since, reason } = &app.shared.link {
        // What to do first: the line is cut at its end.
        let text =
            format!(" LOST the owner {} ago, trying again; `mcpdeck serve` starts one. {reason}", look.age(*since));
        return Some(Line::styled(fmt::fit(&text, usize::from(app.shared.size.0), look.ascii), look.style(Role::Bad)));
    }
    None
}

/// What a filter or search understands.
fn filter_hint(app: &App) -> &'static str {
    if app.views.get(app.page).searches() {
        "   enter keeps it, n and N go on, esc clears"
    } else {
        "   word !word field=value field>number; enter keeps, esc clears"
    }
}

/// A key as it is written in the key line, and what it does.
type Hint = (String, &'static str);

/// The keys of what has them now, the most useful first: a layer, the line being typed, what is edited, or the view.
/// The second list always keeps its place.
fn hints(app: &App, look: &Look) -> (Vec<Hint>, Vec<Hint>) {
    const ALWAYS: [Action; 3] = [Action::Filter, Action::Palette, Action::Help];
    let fixed =
        |keys: &[(&'static str, &'static str)]| keys.iter().map(|(key, name)| ((*key).to_owned(), *name)).collect();
    let view = app.views.get(app.page);
    let show = |action: Action| (look.shared.keymap.shown(action), short(action, view.searches()));
    if let Some(layer) = app.layers.last() {
        return (fixed(layer.keys()), Vec::new());
    }
    if app.filter_line.is_some() {
        return (fixed(&[("enter", "keep"), ("esc", "clear"), ("up down", "move")]), Vec::new());
    }
    if view.editing() {
        let mut keys: Vec<Hint> = fixed(view.edit_keys());
        // Every other key is text.
        keys.extend(view.keys().iter().filter(|a| look.shared.keymap.is_function(**a)).copied().map(show));
        return (keys, Vec::new());
    }
    let refused = look.shared.read_only || look.snap.platform.read_only;
    let keys = view.keys().iter().copied().filter(|action| !(refused && action.is_act())).map(show).collect();
    // On the narrowest screen the ways out keep their keys and lose their names.
    let bare = |action: Action| {
        (look.shared.keymap.shown(action), if look.tiny { "" } else { short(action, view.searches()) })
    };
    (keys, ALWAYS.into_iter().filter(|a| a.row().on.page(app.page)).map(bare).collect())
}

/// As many keys as fit; the way to all others stays at the end.
fn draw_keys(app: &App, look: &Look, frame: &mut Frame, area: Rect) {
    let length = |(chord, name): &Hint| fmt::width(chord) + name.len() + if name.is_empty() { 2 } else { 3 };
    let (offered, tail) = hints(app, look);
    let mut room = usize::from(area.width).saturating_sub(1 + tail.iter().map(length).sum::<usize>());
    let mut keys = Vec::new();
    for item in offered {
        let wide = length(&item);
        if wide > room {
            break;
        }
        room -= wide;
        keys.push(item);
    }
    let mut spans = vec![Span::raw(" ")];
    for (chord, name) in keys.into_iter().chain(tail) {
        spans.push(Span::styled(chord, look.style(Role::Key)));
        spans.push(Span::raw(if name.is_empty() { "  ".to_owned() } else { format!(" {name}  ") }));
    }
    frame.buffer_mut().set_line(area.x, area.y, &Line::from(spans), area.width);
}

/// One word for the key line, where the action's name is longer than the meaning.
fn short(action: Action, searches: bool) -> &'static str {
    match action {
        Action::Filter if searches => "search",
        Action::Palette => "command",
        Action::GpuHistory => "who held it",
        Action::AtTime => "time",
        Action::ExampleTraffic => "example",
        Action::NextPane => "pane",
        Action::Left => "tab before",
        Action::Right => "next tab",
        Action::SearchNext => "next match",
        Action::Mark => "toggle",
        Action::Escape => "back",
        Action::PickTenant => "customer",
        Action::PickServer => "server",
        Action::PickTool => "tool",
        Action::CopyPath => "path",
        other => other.name(),
    }
}
