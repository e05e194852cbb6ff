//! `[defaults]` and the same keys in a `[[server]]`: times, limits, health, restarts.

use super::api::call_limits;
use super::pass::Report;
use super::reader::{Field, Reader};
use super::units;
use crate::model::server::{EraChoice, HealthSettings, Limits, RestartPolicy, Settings};
use std::ops::RangeInclusive;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const DAY: Duration = Duration::from_secs(86_400);
/// Times that something is waited for.
const WAIT: RangeInclusive<Duration> = Duration::from_millis(10)..=DAY;
/// Times after which something is done.
const PERIOD: RangeInclusive<Duration> = SECOND..=Duration::from_secs(30 * 86_400);
const MEMORY: RangeInclusive<u64> = 1 << 20..=1 << 50;

/// Reads the settings that are given in `from`; the others stay as in `base`.
pub(super) fn settings(from: &mut Reader<'_>, base: &Settings) -> Settings {
    let wait = |field: &Field<'_>| field.duration(WAIT);
    let period_or_off = |field: &Field<'_>| field.or_off(|f| f.duration(PERIOD));
    let (stop_close, stop_term) = from.or("stop", (base.stop_close, base.stop_term), |f| stop(f, base));
    let out = Settings {
        idle_doze: from.or("idle_doze", base.idle_doze, period_or_off),
        idle_stop: from.or("idle_stop", base.idle_stop, period_or_off),
        timeout: from.or("timeout", base.timeout, wait),
        timeout_cap: from.or("timeout_cap", base.timeout_cap, wait),
        start_timeout: from.or("start_timeout", base.start_timeout, wait),
        probe_timeout: from.or("probe_timeout", base.probe_timeout, wait),
        health: from.or("health", base.health.clone(), |f| health(f, &base.health)),
        limits: from.or("limits", base.limits.clone(), |f| limits(f, &base.limits)),
        restart: from.or("restart", base.restart.clone(), |f| restart(f, &base.restart)),
        era: from.or("era", base.era, |f| {
            f.choice(&[("auto", EraChoice::Auto), ("legacy", EraChoice::Legacy), ("modern", EraChoice::Modern)])
        }),
        autostart: from.flag("autostart", base.autostart),
        stop_close,
        stop_term,
        max_in_flight: from.or("max_in_flight", base.max_in_flight, |f| f.count(1..=1_000_000)),
        max_message: from.or("max_message", base.max_message, |f| f.size(1 << 10..=1 << 30)),
        call_limits: from.or("call_limits", base.call_limits.clone(), |f| call_limits(f, &base.call_limits)),
    };
    check(from, &out);
    Settings { probe_timeout: out.probe_timeout.min(out.start_timeout), ..out }
}

fn check(from: &Reader<'_>, settings: &Settings) {
    let report = |name: &str, other: &str, message: String, help: &str| {
        let named = if from.has(name) { name } else { other };
        if from.has(named) {
            from.pass.problem(Report::new(from.place(named), &from.key_of(named), message).help(help));
        }
    };
    let show = units::show_duration;
    if settings.timeout > settings.timeout_cap {
        let message = format!("timeout {} is above timeout_cap {}", show(settings.timeout), show(settings.timeout_cap));
        report(
            "timeout",
            "timeout_cap",
            message,
            "progress extends a call up to timeout_cap: raise it, or lower timeout",
        );
    }
    // A short start takes the default probe along; only a probe that was asked for is worth a word.
    if from.has("probe_timeout") && settings.probe_timeout > settings.start_timeout {
        let (probe, start) = (show(settings.probe_timeout), show(settings.start_timeout));
        let message = format!("probe_timeout {probe} is above start_timeout {start}");
        report("probe_timeout", "start_timeout", message, "the era probe is a part of the start");
    }
    if let (Some(doze), Some(stop)) = (settings.idle_doze, settings.idle_stop)
        && doze >= stop
    {
        let message = format!("idle_doze {} is not below idle_stop {}", show(doze), show(stop));
        report(
            "idle_doze",
            "idle_stop",
            message,
            "it would be stopped before it dozes: lower idle_doze or turn it \"off\"",
        );
    }
}

fn stop(field: &Field<'_>, base: &Settings) -> Option<(Duration, Duration)> {
    let mut from = field.table_like("{ close = \"2s\", term = \"3s\" }")?;
    let wait = |field: &Field<'_>| field.duration(Duration::ZERO..=Duration::from_secs(600));
    let out = (from.or("close", base.stop_close, wait), from.or("term", base.stop_term, wait));
    from.finish();
    Some(out)
}

fn health(field: &Field<'_>, base: &HealthSettings) -> Option<HealthSettings> {
    if field.is_off() {
        return Some(HealthSettings { every: None, ..base.clone() });
    }
    let mut from = field.table_like("{ every = \"30s\", timeout = \"5s\" }, or \"off\"")?;
    let out = HealthSettings {
        every: from.or("every", base.every, |f| f.or_off(|f| f.duration(PERIOD))),
        timeout: from.or("timeout", base.timeout, |f| f.duration(WAIT)),
    };
    if let Some(every) = out.every
        && out.timeout > every
    {
        let (timeout, every) = (units::show_duration(out.timeout), units::show_duration(every));
        field.problem(format!("timeout {timeout} is above every {every}"), "a probe must end before the next one");
    }
    from.finish();
    Some(out)
}

/// A limit that the embedded default gives is no wish of anybody: where it cannot be honoured it is only shown.
pub(super) fn limits(field: &Field<'_>, base: &Limits) -> Option<Limits> {
    let explicit = base.explicit || !field.at().source.embedded;
    if field.is_off() {
        return Some(Limits { memory: None, cpus: None, pids: None, explicit: false });
    }
    let mut from = field.table_like("{ memory = \"512MiB\", cpus = 1.0, pids = 256 }, or \"off\"")?;
    let out = Limits {
        memory: from.or("memory", base.memory, |f| f.or_off(|f| f.size(MEMORY))),
        cpus: from.or("cpus", base.cpus, |f| f.or_off(|f| f.number(0.01..=4096.0))),
        pids: from.or("pids", base.pids, |f| f.or_off(|f| f.count(1..=4_194_304))),
        explicit,
    };
    from.finish();
    Some(out)
}

fn restart(field: &Field<'_>, base: &RestartPolicy) -> Option<RestartPolicy> {
    let mut from = field.table()?;
    let wait = |field: &Field<'_>| field.duration(WAIT);
    let out = RestartPolicy {
        backoff_min: from.or("backoff_min", base.backoff_min, wait),
        backoff_max: from.or("backoff_max", base.backoff_max, wait),
        max_failures: from.or("max_failures", base.max_failures, |f| f.count(1..=1000)),
        window: from.or("window", base.window, wait),
        retry_failed: from.or("retry_failed", base.retry_failed, |f| f.or_off(|f| f.duration(PERIOD))),
    };
    if out.backoff_min > out.backoff_max {
        let (min, max) = (units::show_duration(out.backoff_min), units::show_duration(out.backoff_max));
        field.problem(format!("backoff_min {min} is above backoff_max {max}"), "the pause grows from min to max");
    }
    from.finish();
    Some(out)
}
