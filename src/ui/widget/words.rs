//! Titles and separators, in ASCII where that is asked for.

use crate::ui::app::Look;

/// Stands between two facts.
pub fn dot(look: &Look) -> &'static str {
    if look.ascii { " - " } else { " · " }
}

/// `Traffic ── 65 · 12 lost`: what a pane is, and what is to say about it. Empty parts are left out.
pub fn title(look: &Look, what: &str, parts: &[String]) -> String {
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return what.to_owned();
    }
    format!("{what} {} {}", if look.ascii { "--" } else { "──" }, parts.join(dot(look)))
}
