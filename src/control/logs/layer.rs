//! mcpdeck's own log: a `tracing` layer that writes into the hub.

use super::Logs;
use super::text::clean;
use crate::model::message::{Level, LogSource, LogTarget};
use std::fmt::Write;
use std::sync::Arc;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer};

/// Puts every event that the filter lets through into mcpdeck's own ring and file.
pub struct LogLayer {
    logs: Arc<Logs>,
}

impl LogLayer {
    pub(super) fn new(logs: Arc<Logs>) -> Self {
        Self { logs }
    }
}

impl<S: Subscriber> Layer<S> for LogLayer {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        let meta = event.metadata();
        let text = format!("{}: {}{}", short(meta.target()), line.message, line.fields);
        self.logs.push(&LogTarget::Deck, LogSource::Deck, Some(level(*meta.level())), clean(text.as_bytes(), false));
    }
}

/// Of our own modules the last name says enough; others are named in full.
fn short(target: &str) -> &str {
    match target.strip_prefix("mcpdeck::") {
        Some(own) => own.rsplit("::").next().unwrap_or(own),
        None => target,
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        // Writing to a String cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, " {name}={value:?}"),
        };
    }
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Error,
        tracing::Level::WARN => Level::Warn,
        tracing::Level::INFO => Level::Info,
        _ => Level::Debug,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing_subscriber::layer::SubscriberExt;

    #[test]
    fn events_become_lines() {
        let logs = Logs::new();
        let subscriber = tracing_subscriber::registry().with(logs.layer());
        tracing::subscriber::with_default(subscriber, || tracing::warn!(port = 7, "no answer"));
        let (_, lines) = logs.lock().tail(&[LogTarget::Deck], 1);
        assert_eq!(lines[0].level, Some(Level::Warn));
        assert!(lines[0].text.ends_with("no answer port=7"), "{}", lines[0].text);
    }
}
