//! Which logs there are to choose from, and since when their lines are wanted. Pure.

use crate::model::message::LogTarget;
use crate::model::{InstanceKey, Snapshot, Stamp};

/// Every log there is, with what to say beside it: mcpdeck's own, servers, their instances, and containers that no
/// instance answers for.
pub fn offers(snap: &Snapshot) -> Vec<(LogTarget, String)> {
    let own = (LogTarget::Deck, "its own log".to_owned());
    let servers = snap.servers.iter().map(|row| {
        let key = InstanceKey::shared(row.def.id.clone());
        (LogTarget::Instance(key), format!("every instance, {}", row.state))
    });
    let instances = snap.instances.iter().filter(|row| row.key.tenant.is_some());
    let instances = instances.map(|row| (LogTarget::Instance(row.key.clone()), row.state.name().to_owned()));
    let containers = snap.containers.iter().filter(|row| row.owner.instance.is_none());
    let containers = containers.map(|row| {
        let target = LogTarget::Container(row.key.clone(), row.name.clone());
        (target, format!("container, {}", row.state.name()))
    });
    std::iter::once(own).chain(servers).chain(instances).chain(containers).collect()
}

/// `10m`, `2h`, or a time of day, which is the last such time; nothing lifts it.
pub fn read_since(text: &str, now: Stamp, utc_offset_s: i32) -> Result<Option<Stamp>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let wrong = || format!("`{text}` is no time: write how long ago (`10m`, `2h`) or a time of day (`03:00`)");
    if let Some((hours, minutes)) = text.split_once(':') {
        let (hours, minutes): (u64, u64) =
            hours.parse().ok().zip(minutes.parse().ok()).filter(|(h, m)| *h < 24 && *m < 60).ok_or_else(wrong)?;
        const DAY: i64 = 86_400_000;
        let here = i64::try_from(now.0).unwrap_or(i64::MAX).saturating_add(i64::from(utc_offset_s) * 1000);
        let wanted = i64::try_from((hours * 60 + minutes) * 60_000).unwrap_or(0);
        let back = (here.rem_euclid(DAY) - wanted).rem_euclid(DAY);
        return Ok(Some(Stamp(now.0.saturating_sub(back.unsigned_abs()))));
    }
    let age = humantime::parse_duration(text).map_err(|_| wrong())?;
    Ok(Some(Stamp(now.0.saturating_sub(u64::try_from(age.as_millis()).unwrap_or(u64::MAX)))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_an_age_or_the_last_such_time_of_day() {
        // 1970-01-02 03:30 UTC, read by somebody two hours east.
        let now = Stamp(86_400_000 + 3 * 3_600_000 + 30 * 60_000);
        let ago = |minutes: u64| Ok(Some(Stamp(now.0 - minutes * 60_000)));
        for (text, since) in [
            ("10m", ago(10)),
            (" 2h ", ago(120)),
            ("05:00", ago(30)),
            ("05:30", ago(0)),
            ("05:31", ago(24 * 60 - 1)),
            ("", Ok(None)),
        ] {
            assert_eq!(read_since(text, now, 7200), since, "{text}");
        }
        for text in ["soon", "25:00", "3:99", "-1h"] {
            assert!(read_since(text, now, 0).unwrap_err().contains("write how long ago"), "{text}");
        }
    }
}
