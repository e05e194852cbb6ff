//! `[guard.ENVIRONMENT]` and `[tenant.guard]`: what is refused, and why.

use super::platform::ENVIRONMENTS;
use super::reader::{Field, Reader};
use crate::model::guard::{Cap, Guard, Guards, VERBS};
use crate::model::near;
use std::collections::BTreeMap;

/// One table for each environment that has one.
pub(super) fn guards(from: Option<&Field<'_>>) -> Guards {
    let Some(mut from) = from.and_then(Field::table) else { return Guards::default() };
    let read = ENVIRONMENTS.iter().filter_map(|(name, environment)| Some((*environment, from.opt(name, guard)?)));
    let read = read.collect();
    from.finish();
    Guards(read)
}

pub(super) fn guard(field: &Field<'_>) -> Option<Guard> {
    let mut from = field.table()?;
    let out = Guard {
        read_only: from.opt("read_only", reason),
        bulk_cap: from.opt("bulk_cap", cap),
        deny: from.or("deny", BTreeMap::new(), |f| f.map(denied)),
    };
    from.finish();
    Some(out)
}

/// A refusal without a reason helps nobody at night.
fn reason(field: &Field<'_>) -> Option<String> {
    field.full_text().map(str::to_owned)
}

fn cap(field: &Field<'_>) -> Option<Cap> {
    let mut from: Reader<'_> = field.table_like("{ instances = 3, reason = \"...\" }")?;
    let (instances, why) = (from.opt("instances", |f| f.count(1..=100_000)), from.opt("reason", reason));
    if !from.has("instances") || !from.has("reason") {
        field.problem("`instances` and `reason` go together", "write { instances = 3, reason = \"...\" }");
    }
    from.finish();
    Some(Cap { instances: instances?, reason: why? })
}

fn denied(verb: &str, field: &Field<'_>) -> Option<String> {
    if !VERBS.contains(&verb) {
        let near = near::nearest(verb, VERBS).map_or_else(String::new, |near| format!("; did you mean `{near}`?"));
        field.problem(format!("no act is called `{verb}`{near}"), format!("acts are {}", VERBS.join(", ")));
        return None;
    }
    reason(field)
}
