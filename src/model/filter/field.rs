//! The fields that rows have: their names, what each holds, and the units of numbers. Imports `model` only.

use crate::model::near;

/// What a field holds, and so what it may be compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Count,
    Percent,
    Bytes,
    Time,
}

/// Every field that some row has. A name means one thing everywhere.
pub const FIELDS: &[(&str, FieldKind)] = &[
    ("age", FieldKind::Time),
    ("backend", FieldKind::Text),
    ("by", FieldKind::Text),
    ("capability", FieldKind::Text),
    ("claim", FieldKind::Text),
    ("cpu", FieldKind::Percent),
    ("desired", FieldKind::Text),
    ("engine", FieldKind::Text),
    ("env", FieldKind::Text),
    ("era", FieldKind::Text),
    ("error", FieldKind::Text),
    ("errors", FieldKind::Count),
    ("exit", FieldKind::Count),
    ("face", FieldKind::Text),
    ("garbage", FieldKind::Count),
    ("gpu", FieldKind::Bytes),
    ("health", FieldKind::Text),
    ("id", FieldKind::Text),
    ("image", FieldKind::Text),
    ("in_flight", FieldKind::Count),
    ("instance", FieldKind::Text),
    ("instances", FieldKind::Count),
    ("io", FieldKind::Bytes),
    ("kind", FieldKind::Text),
    ("label", FieldKind::Text),
    ("last", FieldKind::Time),
    ("level", FieldKind::Text),
    ("limit", FieldKind::Percent),
    ("mem", FieldKind::Bytes),
    ("method", FieldKind::Text),
    ("name", FieldKind::Text),
    ("net", FieldKind::Bytes),
    ("network", FieldKind::Text),
    ("object", FieldKind::Text),
    ("oldest", FieldKind::Time),
    ("origin", FieldKind::Text),
    ("outcome", FieldKind::Text),
    ("owner", FieldKind::Text),
    ("p95", FieldKind::Time),
    ("part", FieldKind::Text),
    ("pid", FieldKind::Count),
    ("pids", FieldKind::Count),
    ("port", FieldKind::Text),
    ("project", FieldKind::Text),
    ("rate", FieldKind::Count),
    ("read_only", FieldKind::Text),
    ("ready", FieldKind::Count),
    ("reason", FieldKind::Text),
    ("restarts", FieldKind::Count),
    ("scope", FieldKind::Text),
    ("server", FieldKind::Text),
    ("size", FieldKind::Bytes),
    ("source", FieldKind::Text),
    ("stack", FieldKind::Text),
    ("state", FieldKind::Text),
    ("tenant", FieldKind::Text),
    ("tenants", FieldKind::Count),
    ("took", FieldKind::Time),
    ("tool", FieldKind::Text),
    ("tools", FieldKind::Count),
    ("transport", FieldKind::Text),
    ("upstream", FieldKind::Time),
    ("uptime", FieldKind::Time),
    ("verb", FieldKind::Text),
    ("waiting", FieldKind::Count),
    ("wake", FieldKind::Time),
];

/// Other names that people type.
const ALIASES: &[(&str, &str)] = &[
    ("customer", "tenant"),
    ("customers", "tenants"),
    ("environment", "env"),
    ("memory", "mem"),
    ("duration", "took"),
    ("operator", "by"),
    ("inflight", "in_flight"),
];

/// The field that `name` means, if rows here have it.
pub(super) fn lookup(
    name: &str,
    known: &dyn Fn(&str) -> bool,
    allowed: &str,
) -> Result<(&'static str, FieldKind), String> {
    let lower = name.to_lowercase();
    let name_of = ALIASES.iter().find(|(alias, _)| *alias == lower).map_or(lower.as_str(), |(_, field)| field);
    if let Some((field, kind)) = FIELDS.iter().find(|(field, _)| *field == name_of && known(field)) {
        return Ok((field, *kind));
    }
    let names = FIELDS.iter().map(|(field, _)| *field).filter(|field| known(field));
    let guess = near::nearest(&lower, names.clone()).map(|n| format!("; did you mean `{n}`?")).unwrap_or_default();
    let allowed = if allowed.is_empty() { names.collect::<Vec<_>>().join(", ") } else { allowed.to_owned() };
    Err(format!("no field `{name}` here{guess} (fields: {allowed}; in quotes it is looked for as text)"))
}

impl FieldKind {
    pub(super) fn noun(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Count => "number",
            Self::Percent => "percentage",
            Self::Bytes => "size",
            Self::Time => "time",
        }
    }

    pub(super) fn example(self) -> &'static str {
        match self {
            Self::Text => "`failed`",
            Self::Count => "`3`",
            Self::Percent => "`50%`",
            Self::Bytes => "`512M`",
            Self::Time => "`200ms`, `30s` or `2h`",
        }
    }

    /// A number with its unit in the base unit (seconds, bytes, percent). A time without a unit is refused, for
    /// nobody could tell whether seconds or milliseconds are meant.
    pub(super) fn read(self, text: &str) -> Option<f64> {
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (digits, unit) = text.split_at(end);
        let number: f64 = digits.parse().ok()?;
        let factor = match (self, unit) {
            (Self::Count, "") | (Self::Percent, "" | "%") => 1.0,
            (Self::Count, "k") => 1e3,
            (Self::Bytes, unit) => bytes_unit(unit)?,
            (Self::Time, "us" | "µs") => 1e-6,
            (Self::Time, "ms") => 1e-3,
            (Self::Time, "s") => 1.0,
            (Self::Time, "m" | "min") => 60.0,
            (Self::Time, "h") => 3600.0,
            (Self::Time, "d") => 86_400.0,
            _ => return None,
        };
        Some(number * factor)
    }
}

/// `512M` is what a screen shows as 512M: powers of 1024 whatever the spelling.
fn bytes_unit(unit: &str) -> Option<f64> {
    let power = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        _ => return None,
    };
    Some(1024_f64.powi(power))
}
