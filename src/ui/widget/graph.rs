//! Sparklines and gauges as text.

use std::iter;

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const ASCII_LEVELS: [char; 8] = ['_', '.', ':', '-', '=', '+', '*', '#'];

/// The newest `columns` values as bars against `max` (their own largest if `None`); missing history is blank at the left.
pub fn spark(values: &[f32], columns: usize, max: Option<f32>, ascii: bool) -> String {
    let shown = &values[values.len().saturating_sub(columns)..];
    let top = max.unwrap_or_else(|| shown.iter().copied().fold(0.0, f32::max)).max(f32::MIN_POSITIVE);
    let levels = if ascii { ASCII_LEVELS } else { LEVELS };
    let bar = |v: &f32| levels[((v / top).clamp(0.0, 1.0) * 7.0).round() as usize];
    iter::repeat_n(' ', columns - shown.len()).chain(shown.iter().map(bar)).collect()
}

/// A bar of `columns` filled to `percent`.
pub fn gauge(percent: f32, columns: usize, ascii: bool) -> String {
    let filled = ((percent / 100.0).clamp(0.0, 1.0) * columns as f32).round() as usize;
    let (on, off) = if ascii { ('#', '.') } else { ('█', '░') };
    iter::repeat_n(on, filled).chain(iter::repeat_n(off, columns - filled)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_as_wide_as_asked() {
        for (values, columns, text) in
            [(&[][..], 3, "   "), (&[0.0, 1.0], 3, " ▁█"), (&[1.0, 2.0, 4.0, 8.0], 2, "▅█"), (&[f32::NAN], 1, "▁")]
        {
            assert_eq!(spark(values, columns, None, false), text);
        }
        assert_eq!(spark(&[50.0], 1, Some(100.0), true), "=");
        assert_eq!(gauge(50.0, 4, false), "██░░");
        assert_eq!(gauge(300.0, 2, true), "##");
    }
}
