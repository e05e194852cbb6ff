//! The nearest known name to a mistyped one. Imports nothing of ours.

/// The candidate closest to `word`, if one is close enough to be a slip of the fingers: a third of its length in
/// edits, or `word` is its beginning. Ties go to the first candidate.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word: Vec<char> = word.chars().flat_map(char::to_lowercase).take(64).collect();
    if word.is_empty() {
        return None;
    }
    let scored = candidates.into_iter().map(|name| {
        let other: Vec<char> = name.chars().flat_map(char::to_lowercase).take(64).collect();
        let begins = word.len() >= 2 && other.starts_with(&word);
        let allowed = (word.len().max(other.len()) / 3).max(1);
        let distance = distance(&word, &other);
        (if begins { distance.min(1) } else { distance }, allowed, name)
    });
    scored.filter(|(distance, allowed, _)| distance <= allowed).min_by_key(|(distance, ..)| *distance).map(|s| s.2)
}

/// Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replace = row[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            next[j] = replace.min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                next[j] = next[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_slips_and_nothing_else() {
        let names = ["idle_stop", "timeout", "memory", "cpus"];
        for (word, want) in [
            ("idle_stpo", Some("idle_stop")),
            ("Timeout", Some("timeout")),
            ("mem", Some("memory")),
            ("cpu", Some("cpus")),
            ("colour", None),
            ("", None),
        ] {
            assert_eq!(nearest(word, names), want, "{word}");
        }
    }
}
