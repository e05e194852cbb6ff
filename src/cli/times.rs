//! Times as people type them: how long ago, a time of day, a date and a time.

use super::error::Error;
use crate::model::Stamp;
use jiff::civil::{DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// `10m` (ago), `03:00` (the last one), `2026-11-20 03:00`, or RFC 3339.
pub fn read(option: &str, text: &str) -> Result<Stamp, Error> {
    let now = Timestamp::now().to_zoned(TimeZone::system());
    parse(text, &now).ok_or_else(|| {
        Error::usage(format!("--{option}: `{text}` is no time"))
            .help("write how long ago (10m, 24h), a time of day (03:00), or a date and a time (2026-11-20 03:00)")
    })
}

/// A date before a time of day: what reads a time also takes the time out of a date.
fn parse(text: &str, now: &Zoned) -> Option<Stamp> {
    ago(text, now).or_else(|| date_and_time(text, now)).or_else(|| time_of_day(text, now))
}

fn ago(text: &str, now: &Zoned) -> Option<Stamp> {
    let span = humantime::parse_duration(text).ok()?;
    let now: u64 = now.timestamp().as_millisecond().try_into().ok()?;
    Some(Stamp(now.saturating_sub(span.as_millis().try_into().ok()?)))
}

fn time_of_day(text: &str, now: &Zoned) -> Option<Stamp> {
    let time: Time = text.parse().ok()?;
    let today = now.datetime().date().to_datetime(time).to_zoned(now.time_zone().clone()).ok()?;
    let last = if today > *now { today.yesterday().ok()?.datetime().date() } else { today.datetime().date() };
    stamp(&last.to_datetime(time).to_zoned(now.time_zone().clone()).ok()?)
}

fn date_and_time(text: &str, now: &Zoned) -> Option<Stamp> {
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return stamp(&timestamp.to_zoned(now.time_zone().clone()));
    }
    let local: DateTime = text.parse().ok()?;
    stamp(&local.to_zoned(now.time_zone().clone()).ok()?)
}

fn stamp(at: &Zoned) -> Option<Stamp> {
    at.timestamp().as_millisecond().try_into().ok().map(Stamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: Zoned = "2026-11-20T14:30:00+01:00[Europe/Berlin]".parse().unwrap();
        let at = |text: &str| {
            let found = parse(text, &now)?.0.try_into().unwrap();
            Some(Timestamp::from_millisecond(found).unwrap().to_string())
        };
        for (text, expected) in [
            ("10m", Some("2026-11-20T13:20:00Z")),
            ("24h", Some("2026-11-19T13:30:00Z")),
            ("03:00", Some("2026-11-20T02:00:00Z")),
            ("23:59", Some("2026-11-19T22:59:00Z")),
            ("2026-11-18 03:00", Some("2026-11-18T02:00:00Z")),
            ("2026-11-18T03:00:00Z", Some("2026-11-18T03:00:00Z")),
            ("yesterday", None),
            ("", None),
            ("25:00", None),
        ] {
            assert_eq!(at(text).as_deref(), expected, "{text}");
        }
    }
}
