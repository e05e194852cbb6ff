//! Times as the API reads and writes them.

use crate::api::Error;
use crate::model::Stamp;
use jiff::Timestamp;

/// RFC 3339 in UTC.
pub fn rfc3339(at: Stamp) -> String {
    let known = i64::try_from(at.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    known.unwrap_or(Timestamp::MAX).to_string()
}

/// How long ago (`10m`), or RFC 3339.
pub fn read(name: &str, text: &str) -> Result<Stamp, Error> {
    let ago = || {
        Some(Stamp(Stamp::now().0.saturating_sub(humantime::parse_duration(text).ok()?.as_millis().try_into().ok()?)))
    };
    let at = || Some(Stamp(text.parse::<Timestamp>().ok()?.as_millisecond().try_into().ok()?));
    let allowed = "how long ago (10m, 24h), or a time as RFC 3339 has it (2026-11-20T03:00:00Z)";
    ago().or_else(at).ok_or_else(|| Error::BadRequest(format!("{name}: `{text}` is no time; allowed: {allowed}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written() {
        let at = Stamp(1_763_607_600_000);
        assert_eq!(rfc3339(at), "2025-11-20T03:00:00Z");
        assert_eq!(read("since", "2025-11-20T03:00:00Z"), Ok(at));
        let ago = Stamp::now().since(read("since", "10m").unwrap()).as_secs();
        assert!((600..660).contains(&ago), "{ago}");
        for text in ["", "yesterday", "10", "03:00"] {
            let why = read("since", text).unwrap_err().to_string();
            assert!(why.contains("since: `"), "{text}: {why}");
        }
    }
}
