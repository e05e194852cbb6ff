//! Calls by hand, and files of them.

use super::setting;
use clap::{Args, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Args)]
pub struct Call {
    /// The tenant: id, alias or display name
    #[arg(short, long, visible_alias = "customer", value_name = "TENANT", required_unless_present = "every_customer")]
    pub tenant: Option<String>,
    /// As every customer that has the server, a few at a time; same answers get the same letter
    #[arg(long, conflicts_with = "tenant")]
    pub every_customer: bool,
    pub server: String,
    /// A tool's name, or a method such as `tools/list`
    #[arg(value_name = "TOOL_OR_METHOD", required_unless_present = "message")]
    pub what: Option<String>,
    /// JSON text (`-`: from standard input), or pairs typed by the tool's schema
    #[arg(value_name = "JSON | KEY=VALUE")]
    pub arguments: Vec<String>,
    /// A whole JSON-RPC message, sent as it is, malformed or not
    #[arg(long, value_name = "TEXT", conflicts_with = "what")]
    pub message: Option<String>,
    /// Fail after this long without an answer or progress
    #[arg(long, value_parser = humantime::parse_duration)]
    pub timeout: Option<Duration>,
    /// Speak this MCP revision family instead of the server's own
    #[arg(long, value_enum)]
    pub era: Option<Era>,
    /// Show what passes on the upstream's wire, on standard error
    #[arg(long)]
    pub wire: bool,
    /// Answers the typed confirmation that production asks for
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
}

#[derive(Debug, Args)]
pub struct Test {
    /// Files, or folders of *.toml; without, requests/
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// Send them as this customer, whatever the files say: id, alias or display name
    #[arg(short = 't', long, visible_alias = "tenant", value_name = "CUSTOMER")]
    pub customer: Option<String>,
    /// A variable's value, over the files: limit=3
    #[arg(long, value_name = "NAME=VALUE", value_parser = setting)]
    pub var: Vec<(String, String)>,
    /// Answers the typed confirmation that production asks for
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Era {
    Legacy,
    Modern,
}
