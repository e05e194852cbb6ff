//! A stack as lines to read: what it does, and each of its parts with progress and use.

use super::app::Look;
use super::fmt;
use super::theme::Role;
use super::widget::{graph, words, wrap};
use crate::model::stack::{PartRow, StackOwner, StackRow, StackState};
use crate::ui::action::Action;
use ratatui::text::{Line, Span};

/// Columns of a progress bar.
const BAR: usize = 12;

/// Every stack that stands behind an owner.
pub fn lines(look: &Look, owner: &StackOwner, columns: u16) -> Vec<Line<'static>> {
    let mut out = Vec::new();
    for stack in look.snap.stacks.iter().filter(|stack| stack.owner == *owner) {
        if !out.is_empty() {
            out.push(Line::default());
        }
        out.extend(whole(look, stack, usize::from(columns)));
    }
    if out.is_empty() {
        let text = "no stack stands behind it: [[stack]] in the config declares one, or takes in a compose file";
        return wrap(text, usize::from(columns)).into_iter().map(|l| Line::styled(l, look.style(Role::Dim))).collect();
    }
    let key = |action: Action| Span::styled(look.shared.keymap.shown(action), look.style(Role::Key));
    out.push(Line::default());
    out.push(Line::from(vec![
        key(Action::Deploy),
        Span::raw(" deploys it, "),
        key(Action::Undeploy),
        Span::raw(" takes it down; both show first what they would do"),
    ]));
    out
}

fn whole(look: &Look, stack: &StackRow, columns: usize) -> Vec<Line<'static>> {
    let (state, role) = state(stack.state, look.ascii);
    let from = match (stack.adopted, &stack.compose) {
        (true, _) => "adopted".to_owned(),
        (false, Some(file)) => file.clone(),
        (false, None) => String::new(),
    };
    let facts: Vec<String> =
        [stack.environment.name().to_owned(), from].into_iter().filter(|fact| !fact.is_empty()).collect();
    let mut out = vec![Line::from(vec![
        Span::styled(format!("{}  ", stack.id), look.style(Role::Title)),
        Span::styled(state, look.style(role)),
        Span::styled(format!("  {}", facts.join(words::dot(look))), look.style(Role::Dim)),
    ])];
    if !stack.reason.is_empty() {
        let reason = wrap(&stack.reason, columns.saturating_sub(2));
        out.extend(reason.into_iter().map(|text| Line::styled(format!("  {text}"), look.style(role))));
    }
    let wide = stack.parts.iter().map(|part| fmt::width(&part.name)).max().unwrap_or(0).clamp(8, 24);
    out.extend(stack.parts.iter().flat_map(|one| part(look, one, wide, columns)));
    out
}

fn part(look: &Look, part: &PartRow, wide: usize, columns: usize) -> Vec<Line<'static>> {
    let (state, role) = state(part.state, look.ascii);
    let usage = part.container.as_ref().and_then(|key| look.snap.container(key)).map(|row| row.usage);
    let cpu = usage.and_then(|u| u.cpu).map(|cpu| format!("{:>5} %", fmt::cpu(cpu))).unwrap_or_default();
    let memory =
        usage.and_then(|u| u.memory).map(|n| format!("{:>6} MiB", fmt::mebibytes(Some(n)))).unwrap_or_default();
    let name = fmt::fit(&part.name, wide, look.ascii);
    let mut head = vec![
        Span::raw(format!("  {name}{}  ", " ".repeat(wide.saturating_sub(fmt::width(&name))))),
        Span::styled(format!("{state:<11} "), look.style(role)),
        Span::raw(format!("{cpu:>7} {memory:>10}  ")),
    ];
    if let Some(percent) = part.percent {
        let bar = graph::gauge(f32::from(percent), BAR, look.ascii);
        head.push(Span::styled(format!("{bar} {percent:>3} %"), look.style(Role::Work)));
    } else {
        head.push(Span::styled(part.image.clone(), look.style(Role::Dim)));
    }
    let indent = wide + 4;
    let said = if part.message.is_empty() { Vec::new() } else { wrap(&part.message, columns.saturating_sub(indent)) };
    let role = if part.state == StackState::Ready { Role::Dim } else { role };
    let said = said.into_iter().map(|text| Line::styled(format!("{}{text}", " ".repeat(indent)), look.style(role)));
    std::iter::once(Line::from(head)).chain(said).collect()
}

/// Symbol and word; symbols are those of the product's state table.
fn state(state: StackState, ascii: bool) -> (String, Role) {
    let (symbol, plain, role) = match state {
        StackState::Ready => ("●", "@", Role::Good),
        StackState::Starting => ("…", "~", Role::Work),
        StackState::Degraded => ("!", "!", Role::Warn),
        StackState::Stopping => ("↓", "v", Role::Work),
        StackState::Stopped => ("■", "#", Role::Held),
        StackState::Failed => ("✗", "x", Role::Bad),
        StackState::Unknown => ("?", "?", Role::Warn),
    };
    (format!("{} {}", if ascii { plain } else { symbol }, state.name()), role)
}
