//! Where one call's time went, station by station, to scale.

use crate::model::call::Call;
use crate::model::timeline::{Station, Timeline};
use crate::ui::app::Look;
use crate::ui::fmt;
use crate::ui::theme::Role;
use crate::ui::widget;
use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};

/// Columns of a bar; the words beside it need the rest.
const BAR: std::ops::RangeInclusive<usize> = 6..=40;
/// Columns of the name and of the duration.
const NAME: usize = 9;
const TOOK: usize = 9;

/// Draws the stations that the call came to; the last is where it ended, or is now.
pub fn draw(look: &Look, frame: &mut Frame, area: Rect, call: &Call, timeline: &Timeline) {
    if timeline.is_empty() {
        return widget::empty(look, frame, area, "not kept any more, or the call was an earlier owner's");
    }
    widget::lines(frame, area, &lines(look, usize::from(area.width), call, timeline));
}

fn lines(look: &Look, columns: usize, call: &Call, timeline: &Timeline) -> Vec<Line<'static>> {
    let took = u64::try_from(call.took(look.now).as_micros()).unwrap_or(u64::MAX);
    let spent = timeline.spent(took);
    let whole: u64 = spent.iter().map(|(_, us)| us).sum();
    let words = spent.iter().map(|(station, _)| fmt::width(station.doc())).max().unwrap_or(0);
    let bar = columns.saturating_sub(NAME + TOOK + words + 4).clamp(*BAR.start(), *BAR.end());
    let last = spent.len().saturating_sub(1);
    let mut before = 0;
    let mut lines = Vec::new();
    for (at, (station, us)) in spent.into_iter().enumerate() {
        let role = if at == last { ending(call, station) } else { Role::Graph };
        lines.push(Line::from(vec![
            Span::raw(format!(" {:<NAME$}", station.name())),
            Span::styled(to_scale(before, us, whole, bar, look.ascii), look.style(role)),
            Span::raw(format!("{:>TOOK$}  ", fmt::took(us))),
            Span::styled(station.doc(), look.style(Role::Dim)),
        ]));
        before += us;
        if let Some(why) = (at == last).then(|| stuck(call, station)).flatten() {
            lines.push(Line::styled(format!(" {:NAME$}{why}", ""), look.style(role)));
        }
    }
    lines
}

/// A bar of `columns` in which a station has its place; the shortest is a sliver.
fn to_scale(before: u64, us: u64, whole: u64, columns: usize, ascii: bool) -> String {
    let whole = u128::from(whole.max(1));
    let place = |at: u64| (u128::from(at) * columns as u128 / whole) as usize;
    let (start, filled) = (place(before).min(columns - 1), place(before + us) - place(before));
    let (fill, sliver) = if ascii { ("#", "|") } else { ("█", "▏") };
    let bar = if filled > 0 { fill.repeat(filled) } else { sliver.to_owned() };
    format!("{}{bar}{}", " ".repeat(start), " ".repeat(columns - start - filled.max(1)))
}

fn ending(call: &Call, station: Station) -> Role {
    match call.done() {
        None => Role::Busy,
        Some(_) if station == Station::Answer => Role::Graph,
        Some(record) => Role::of_outcome(record.outcome),
    }
}

/// What is to be said where a call came no further.
fn stuck(call: &Call, station: Station) -> Option<String> {
    match call.done() {
        None => Some("it is there now".to_owned()),
        Some(_) if station == Station::Answer => None,
        Some(record) if !record.outcome.is_error() => Some(format!("it ended there: {}", record.outcome)),
        Some(record) => Some(format!("it came no further: {}", record.outcome)),
    }
}

#[cfg(test)]
mod tests {
    use super::to_scale;

    #[test]
    fn bars_stand_where_the_time_was_spent() {
        for (before, us, bar) in [
            (0, 50, "#####     "),
            (50, 50, "     #####"),
            (50, 1, "     |    "),
            (100, 0, "         |"),
            (0, 0, "|         "),
        ] {
            assert_eq!(to_scale(before, us, 100, 10, true), bar, "{before}+{us}");
        }
    }
}
