//! A comparison laid out in two columns: what was taken out stands beside what was put in its place.

use super::diff::Change;

/// One row; an empty side has nothing there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Row<'a> {
    pub left: Option<&'a str>,
    pub right: Option<&'a str>,
    /// Both sides say the same.
    pub same: bool,
    /// The first of the comparison's lines that it shows.
    pub line: usize,
}

/// The lines of a comparison in two columns, in their order.
pub fn rows(lines: &[(Change, String)]) -> Vec<Row<'_>> {
    let mut out = Vec::new();
    let (mut left, mut right) = (Vec::new(), Vec::new());
    for (line, (change, text)) in lines.iter().enumerate() {
        match change {
            Change::Removed => left.push((line, text.as_str())),
            Change::Added => right.push((line, text.as_str())),
            Change::Same => {
                beside(&mut left, &mut right, &mut out);
                out.push(Row { left: Some(text), right: Some(text), same: true, line });
            }
        }
    }
    beside(&mut left, &mut right, &mut out);
    out
}

fn beside<'a>(left: &mut Vec<(usize, &'a str)>, right: &mut Vec<(usize, &'a str)>, out: &mut Vec<Row<'a>>) {
    for at in 0..left.len().max(right.len()) {
        let (l, r) = (left.get(at), right.get(at));
        let text = |side: Option<&(usize, &'a str)>| side.map(|(_, text)| *text);
        let line = l.or(r).map_or(0, |(line, _)| *line);
        out.push(Row { left: text(l), right: text(r), same: false, line });
    }
    left.clear();
    right.clear();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changed_stands_side_by_side() {
        let lines: Vec<(Change, String)> = [
            (Change::Same, "{"),
            (Change::Removed, "a"),
            (Change::Removed, "b"),
            (Change::Added, "c"),
            (Change::Same, "}"),
            (Change::Added, "d"),
        ]
        .map(|(change, text)| (change, text.to_owned()))
        .into();
        let shown: Vec<_> =
            rows(&lines).iter().map(|r| (r.left.unwrap_or("-"), r.right.unwrap_or("-"), r.same)).collect();
        assert_eq!(
            shown,
            [("{", "{", true), ("a", "c", false), ("b", "-", false), ("}", "}", true), ("-", "d", false)]
        );
    }
}
