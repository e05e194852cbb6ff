//! Fuzzy words: where a word is found in a text, and which letters of it to draw bright. Imports nothing of ours.

use std::ops::Range;

/// A word of a filter, folded.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word {
    folded: String,
    letters: Vec<char>,
}

impl Word {
    pub(super) fn new(text: &str) -> Self {
        let folded = fold(text.to_owned());
        let letters = folded.chars().collect();
        Self { folded, letters }
    }

    /// True if it is a part of the folded text, or its letters stand in order in one word of it.
    pub(super) fn is_in(&self, folded: &str) -> bool {
        folded.contains(self.folded.as_str()) || folded.split_ascii_whitespace().any(|token| self.spread_in(token))
    }

    /// Letters in order, the first at the start of a part (`vattenfall-de`: `v` or `d`). Bytes are compared where they
    /// are letters: this runs for every row at every key press.
    fn spread_in(&self, token: &str) -> bool {
        if token.len() < self.folded.len() {
            return false;
        }
        if self.folded.is_ascii() {
            return spread(self.folded.as_bytes(), token.bytes(), |b| is_letter(char::from(*b)));
        }
        spread(&self.letters, token.chars(), |c| is_letter(*c))
    }

    /// Byte ranges of `text` (as shown) that it found: every occurrence, else the letters of the first fuzzy one.
    pub(super) fn places(&self, text: &str) -> Vec<Range<usize>> {
        let shown: Vec<(usize, char)> = text.char_indices().map(|(at, c)| (at, fold_char(c))).collect();
        let end_of = |i: usize| shown.get(i).map_or(text.len(), |(at, _)| *at);
        let mut found = Vec::new();
        let mut i = 0;
        while i + self.letters.len() <= shown.len() && !self.letters.is_empty() {
            if self.letters.iter().zip(&shown[i..]).all(|(letter, (_, c))| letter == c) {
                found.push(shown[i].0..end_of(i + self.letters.len()));
                i += self.letters.len();
            } else {
                i += 1;
            }
        }
        if found.is_empty() { self.spread(&shown, &end_of) } else { found }
    }

    fn spread(&self, shown: &[(usize, char)], end_of: &dyn Fn(usize) -> usize) -> Vec<Range<usize>> {
        for start in 0..shown.len() {
            let begins = start == 0 || !is_letter(shown[start - 1].1);
            if !begins || Some(&shown[start].1) != self.letters.first() {
                continue;
            }
            let token = shown[start..].iter().take_while(|(_, c)| !c.is_ascii_whitespace());
            let mut letters = self.letters.iter().peekable();
            let places: Vec<_> = (start..)
                .zip(token)
                .filter(|(_, (_, c))| letters.next_if(|letter| *letter == c).is_some())
                .map(|(i, (at, _))| *at..end_of(i + 1))
                .collect();
            if letters.peek().is_none() {
                return places;
            }
        }
        Vec::new()
    }
}

/// True if the letters of `word` stand in order in `token`, the first one where a part begins.
fn spread<T: PartialEq>(word: &[T], token: impl Iterator<Item = T> + Clone, letter: impl Fn(&T) -> bool) -> bool {
    let Some((first, rest)) = word.split_first() else { return false };
    let mut token = token;
    let mut starts = true;
    while let Some(c) = token.next() {
        if starts && c == *first {
            let mut tail = token.clone();
            if rest.iter().all(|wanted| tail.any(|c| c == *wanted)) {
                return true;
            }
        }
        starts = !letter(&c);
    }
    false
}

/// What does not part a word; beyond ASCII everything belongs to it, so that bytes and characters agree.
fn is_letter(c: char) -> bool {
    c.is_ascii_alphanumeric() || !c.is_ascii()
}

/// Lower case, one letter for one letter, so that places stay comparable.
pub(super) fn fold(mut text: String) -> String {
    if text.is_ascii() {
        text.make_ascii_lowercase();
        return text;
    }
    text.chars().map(fold_char).collect()
}

fn fold_char(c: char) -> char {
    c.to_lowercase().next().unwrap_or(c)
}

/// True if `text` begins with the folded `value`, whatever the case.
pub(super) fn begins(text: &str, value: &str) -> bool {
    let mut shown = text.chars();
    value.chars().all(|letter| shown.next().is_some_and(|c| fold_char(c) == letter))
}
