//! What differs between two JSON texts, line by line after the same layout.

use super::json::print::pretty;

/// Longer texts are compared only up to here.
const MAX_LINES: usize = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Same,
    Added,
    Removed,
}

/// Lines of both texts in order.
pub fn diff(before: &str, after: &str) -> Vec<(Change, String)> {
    let (before, after) = (pretty(before), pretty(after));
    let a: Vec<&str> = before.lines().take(MAX_LINES).collect();
    let b: Vec<&str> = after.lines().take(MAX_LINES).collect();
    let mut out = walk(&a, &b);
    if before.lines().nth(MAX_LINES).is_some() || after.lines().nth(MAX_LINES).is_some() {
        out.push((Change::Same, format!("compared up to line {MAX_LINES}")));
    }
    out
}

/// A trailing comma says nothing about the value before it.
fn same(a: &str, b: &str) -> bool {
    a.trim_end_matches(',') == b.trim_end_matches(',')
}

fn walk(a: &[&str], b: &[&str]) -> Vec<(Change, String)> {
    // Same lines at both ends are most of it; the table is for what lies between.
    let head = a.iter().zip(b).take_while(|(x, y)| same(x, y)).count();
    let (a_rest, b_rest) = (&a[head..], &b[head..]);
    let tail = a_rest.iter().rev().zip(b_rest.iter().rev()).take_while(|(x, y)| same(x, y)).count();
    let (a_mid, b_mid) = (&a_rest[..a_rest.len() - tail], &b_rest[..b_rest.len() - tail]);
    let line = |change, text: &str| (change, text.to_owned());
    let mut out: Vec<_> = b[..head].iter().map(|l| line(Change::Same, l)).collect();
    let common = lengths(a_mid, b_mid);
    let (mut i, mut j) = (0, 0);
    while i < a_mid.len() || j < b_mid.len() {
        if i < a_mid.len() && j < b_mid.len() && same(a_mid[i], b_mid[j]) {
            out.push(line(Change::Same, b_mid[j]));
            (i, j) = (i + 1, j + 1);
        } else if j == b_mid.len() || (i < a_mid.len() && common[i + 1][j] >= common[i][j + 1]) {
            out.push(line(Change::Removed, a_mid[i]));
            i += 1;
        } else {
            out.push(line(Change::Added, b_mid[j]));
            j += 1;
        }
    }
    out.extend(b_rest[b_rest.len() - tail..].iter().map(|l| line(Change::Same, l)));
    out
}

/// Length of the longest common run of lines from each pair of places on.
fn lengths(a: &[&str], b: &[&str]) -> Vec<Vec<u16>> {
    let mut table = vec![vec![0u16; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            table[i][j] = if same(a[i], b[j]) { table[i + 1][j + 1] + 1 } else { table[i + 1][j].max(table[i][j + 1]) };
        }
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(before: &str, after: &str) -> String {
        diff(before, after)
            .into_iter()
            .map(|(change, text)| {
                let sign = match change {
                    Change::Same => ' ',
                    Change::Added => '+',
                    Change::Removed => '-',
                };
                format!("{sign}{text}\n")
            })
            .collect()
    }

    #[test]
    fn what_was_injected_stands_out() {
        insta::assert_snapshot!(
            shown(r#"{"name":"find","arguments":{"q":"x","customer_id":"evil"}}"#, r#"{"name":"find","arguments":{"q":"x","customer_id":"eaton"},"_meta":{"t":1}}"#),
            @r#"
         {
           "name": "find",
           "arguments": {
             "q": "x",
        -    "customer_id": "evil"
        +    "customer_id": "eaton"
        +  },
        +  "_meta": {
        +    "t": 1
           }
         }
        "#
        );
    }

    proptest! {
        #[test]
        fn both_texts_can_be_put_together_again(a in "(\\[[1-3](,[1-3]){0,9}\\]|x\ny\n)", b in "\\[[1-3](,[1-3]){0,9}\\]") {
            let lines = diff(&a, &b);
            let strip = |s: &str| s.lines().map(|l| l.trim_end_matches(',').to_owned()).collect::<Vec<_>>();
            let side = |other| lines.iter().filter(|(c, _)| *c != other).map(|(_, t)| t.trim_end_matches(',').to_owned()).collect::<Vec<_>>();
            prop_assert_eq!(side(Change::Added), strip(&pretty(&a)));
            prop_assert_eq!(side(Change::Removed), strip(&pretty(&b)));
        }
    }
}
