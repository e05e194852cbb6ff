//! Text that somebody else wrote (an engine, an image, a server), made fit for one line of a screen.

/// Longest name, image or label that is shown, in characters.
pub const NAME: usize = 128;

/// Marks that turn the order of the text around: a name could lie with them.
pub fn is_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `text` with at most `most` characters, none of which drives a terminal or turns the order around. What was replaced
/// stays visible as such.
pub fn clipped(text: &str, most: usize) -> String {
    let fit = |c: char| if c.is_control() || is_direction(c) { '\u{fffd}' } else { c };
    match text.char_indices().nth(most) {
        Some(_) => text.chars().take(most.saturating_sub(1)).map(fit).chain(['…']).collect(),
        None => text.chars().map(fit).collect(),
    }
}

/// [`clipped`] to what a name may have.
pub fn name(text: &str) -> String {
    clipped(text, NAME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strange_text_fits_on_a_line_and_drives_nothing() {
        for (text, most, fit) in [
            ("vllm", 4, "vllm"),
            ("vllm-1", 4, "vll…"),
            ("", 4, ""),
            ("大阪大阪大", 4, "大阪大…"),
            ("a\u{1b}[2J\u{9b}b", 9, "a\u{fffd}[2J\u{fffd}b"),
            ("exe.\u{202e}gpj", 9, "exe.\u{fffd}gpj"),
            ("a\nb", 9, "a\u{fffd}b"),
        ] {
            assert_eq!(clipped(text, most), fit, "{text:?}");
        }
        assert_eq!(name(&"x".repeat(100_000)).chars().count(), NAME);
    }
}
