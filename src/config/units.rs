//! Durations (`250ms`, `30s`, `1h30m`) and sizes (`512MiB`, `1GB`) as people write them. Imports nothing of ours.

use std::time::Duration;

/// A duration: one or more whole numbers, each with `ms`, `s`, `m`, `h` or `d`. `None` if it is none.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: u64 = rest[..digits].parse().ok()?;
        let tail = &rest[digits..];
        let end = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let millis = match tail[..end].trim() {
            "ms" => 1,
            "s" => 1000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        total = total.checked_add(Duration::from_millis(number.checked_mul(millis)?))?;
        rest = &tail[end..];
    }
    Some(total)
}

/// A size in bytes: a number with `B`, `KiB MiB GiB TiB` (powers of 1024) or `KB MB GB TB` (powers of 1000).
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (digits, unit) = text.split_at(end);
    let factor: u64 = match unit.trim() {
        "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        "TiB" => 1 << 40,
        "kB" | "KB" => 1000,
        "MB" => 1_000_000,
        "GB" => 1_000_000_000,
        "TB" => 1_000_000_000_000,
        _ => return None,
    };
    if let Ok(number) = digits.parse::<u64>() {
        return number.checked_mul(factor);
    }
    let bytes = digits.parse::<f64>().ok()? * factor as f64;
    // A fraction of a unit is far below 2^53 bytes, where an f64 is exact.
    (bytes < 9e15).then_some(bytes as u64)
}

/// A duration as it would be written: `1h30m`, `250ms`.
pub(super) fn show_duration(value: Duration) -> String {
    let millis = value.as_millis();
    if millis == 0 {
        return "0s".to_owned();
    }
    let mut left = millis;
    let mut out = String::new();
    for (unit, size) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)] {
        if left >= size {
            out.push_str(&format!("{}{unit}", left / size));
            left %= size;
        }
    }
    out
}

/// A size as it would be written, in the largest unit that keeps it whole: `512MiB`.
pub(super) fn show_size(bytes: u64) -> String {
    [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)]
        .into_iter()
        .find(|(_, shift)| bytes >= 1 << shift && bytes.is_multiple_of(1 << shift))
        .map_or_else(|| format!("{bytes}B"), |(unit, shift)| format!("{}{unit}", bytes >> shift))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_write() {
        for (text, millis) in [
            ("250ms", Some(250)),
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("1 h 30 min", Some(5_400_000)),
            ("2d", Some(172_800_000)),
            ("0s", Some(0)),
            ("", None),
            ("30", None),
            ("s", None),
            ("-1s", None),
            ("1.5s", None),
            ("30 seconds", None),
            ("99999999999999999999s", None),
        ] {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
        assert_eq!(show_duration(Duration::from_millis(5_400_250)), "1h30m250ms");
    }

    #[test]
    fn sizes_read_and_write() {
        for (text, bytes) in [
            ("512MiB", Some(512 << 20)),
            ("1GB", Some(1_000_000_000)),
            ("1.5 GiB", Some(3 << 29)),
            ("64 KiB", Some(65_536)),
            ("512", None),
            ("512M", None),
            ("1e3MB", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(size(text), bytes, "{text}");
        }
        assert_eq!(show_size(512 << 20), "512MiB");
        assert_eq!(show_size(1_000), "1000B");
    }
}
