use super::*;

#[test]
fn spans_have_one_unit() {
    use std::time::Duration as D;
    for (length, text) in [
        (D::from_millis(20), "20 ms"),
        (D::from_secs(119), "119 s"),
        (D::from_secs(120), "2 min"),
        (D::from_secs(7200), "2 h"),
        (D::from_secs(200_000), "2 d"),
    ] {
        assert_eq!(span(length), text);
    }
}
