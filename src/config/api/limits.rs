//! `call_limits`: how much callers over HTTP may do, of `[api]`, a tenant or a server.

use crate::config::reader::Field;
use crate::model::limits::CallLimits;

/// What is given over what is in `base`.
pub fn call_limits(field: &Field<'_>, base: &CallLimits) -> Option<CallLimits> {
    if field.is_off() {
        return Some(CallLimits::default());
    }
    let mut from = field.table_like("{ rate = 50, burst = 100, in_flight = 20, body = \"1MiB\" }, or \"off\"")?;
    let out = CallLimits {
        rate: from.or("rate", base.rate, |f| f.or_off(|f| f.number(0.001..=1e6))),
        burst: from.or("burst", base.burst, |f| f.or_off(|f| f.count(1..=1_000_000))),
        in_flight: from.or("in_flight", base.in_flight, |f| f.or_off(|f| f.count(1..=1_000_000))),
        body: from.or("body", base.body, |f| f.or_off(|f| f.size(1 << 10..=1 << 30))),
    };
    if out.burst.is_some() && out.rate.is_none() {
        field.problem("a burst without a rate", "give rate = ..., calls per second, or no burst");
    }
    from.finish();
    Some(out)
}
