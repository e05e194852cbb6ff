//! What only looks: tables, logs, pictures.

use crate::model::near::nearest;
use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct Get {
    /// tenants (also: customers), servers, instances, containers, stacks, gpus, usage, orphans, engines, calls, events
    /// or jobs
    #[arg(value_parser = kind)]
    pub kind: Kind,
    /// One of them
    pub name: Option<String>,
    /// Only rows that match: `state=failed mem>512M age<2h !lab`
    #[arg(short, long, value_name = "EXPR")]
    pub filter: Option<String>,
    /// Print changes as they come
    #[arg(short, long)]
    pub watch: bool,
    /// Calls counted together: how many, how they ended, how long they took
    #[arg(long, value_name = "WHAT", conflicts_with = "watch")]
    pub by: Option<Counted>,
    /// Newest rows of calls and events
    #[arg(short = 'n', long, default_value_t = 50)]
    pub limit: u32,
    /// Who held GPU memory then: 03:00, 2026-11-20 03:00, or 2h (ago)
    #[arg(long, value_name = "TIME", conflicts_with_all = ["watch", "since"])]
    pub at: Option<String>,
    /// Who held GPU memory since then: 24h (ago), or a time
    #[arg(long, value_name = "TIME", conflicts_with = "watch")]
    pub since: Option<String>,
}

/// What `get calls --by` counts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Counted {
    #[value(alias = "customer")]
    Tenant,
    Server,
    Tool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    #[value(alias = "customers", alias = "tenant", alias = "customer")]
    Tenants,
    #[value(alias = "server")]
    Servers,
    #[value(alias = "instance")]
    Instances,
    #[value(alias = "container")]
    Containers,
    #[value(alias = "stack")]
    Stacks,
    #[value(alias = "gpu")]
    Gpus,
    Usage,
    #[value(alias = "orphan")]
    Orphans,
    #[value(alias = "engine")]
    Engines,
    #[value(alias = "call")]
    Calls,
    #[value(alias = "event")]
    Events,
    #[value(alias = "job")]
    Jobs,
}

#[derive(Debug, Args)]
pub struct Logs {
    /// Instances, containers and stacks, several are merged; none: mcpdeck's own log
    #[arg(value_name = "SERVER[@TENANT] | STACK | CONTAINER")]
    pub targets: Vec<String>,
    /// Newest lines to begin with; 200, or with --since all that are kept
    #[arg(short = 'n', long)]
    pub tail: Option<u32>,
    /// Only lines since then: 10m (ago), or a time
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Go on with new lines
    #[arg(short, long)]
    pub follow: bool,
    /// Only lines that match
    #[arg(long, value_name = "EXPR")]
    pub filter: Option<String>,
}

#[derive(Debug, Args)]
pub struct Frame {
    pub view: String,
    /// Columns and rows
    #[arg(long, default_value = "80x24", value_name = "WxH", value_parser = size)]
    pub size: (u16, u16),
    #[arg(long, value_enum, default_value_t)]
    pub color: Color,
    #[arg(long, value_enum, default_value_t)]
    pub format: FrameFormat,
    /// One of `mcpdeck themes`, or the path of a .toml file
    #[arg(long, value_name = "THEME")]
    pub theme: Option<String>,
    /// ASCII symbols alone
    #[arg(long)]
    pub ascii: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    #[default]
    None,
    #[value(name = "16")]
    Sixteen,
    #[value(name = "256")]
    Palette,
    True,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum FrameFormat {
    #[default]
    Ansi,
    Svg,
}

fn kind(text: &str) -> Result<Kind, String> {
    let names = [
        "customers",
        "tenants",
        "servers",
        "instances",
        "containers",
        "stacks",
        "gpus",
        "usage",
        "orphans",
        "engines",
        "calls",
        "events",
        "jobs",
    ];
    Kind::from_str(text, true).map_err(|_| match nearest(text, names) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names.join(", ")),
    })
}

fn size(text: &str) -> Result<(u16, u16), String> {
    let parsed = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    parsed
        .filter(|(w, h)| (1..=1000).contains(w) && (1..=1000).contains(h))
        .ok_or_else(|| "a size is WIDTHxHEIGHT in cells, such as 120x40, at most 1000x1000".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_table_gets_its_near_miss() {
        assert_eq!(kind("customers"), Ok(Kind::Tenants));
        assert_eq!(kind("custmers"), Err("did you mean `customers`?".into()));
        assert!(kind("pods").is_err_and(|e| e.contains("instances")));
    }

    #[test]
    fn sizes_are_read_or_refused() {
        assert_eq!(size("120x40"), Ok((120, 40)));
        for bad in ["", "80", "80x", "0x4", "80x99999", "-1x3"] {
            assert!(size(bad).is_err(), "{bad}");
        }
    }
}
