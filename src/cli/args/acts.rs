//! What changes something: on what, and how it is confirmed.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub struct Act {
    /// Instances; what is no server is a stack, or a container by its name or the beginning of its id
    #[arg(value_name = "SERVER[@TENANT] | STACK | CONTAINER")]
    pub target: String,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, Args)]
pub struct Deploy {
    pub stack: String,
    /// Tell what would be done, and do nothing; exits 5 if it would be refused
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, Args)]
pub struct Exec {
    #[arg(value_name = "CONTAINER | SERVER[@TENANT]")]
    pub target: String,
    /// The command and its arguments; else the first shell that is there
    #[arg(last = true)]
    pub command: Vec<String>,
    /// Answers the typed confirmation that production asks for
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
}

/// How an act is given.
#[derive(Debug, Args)]
pub struct How {
    /// Answers the typed confirmation that production asks for
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    /// Do not wait for what becomes of it
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, Args)]
pub struct Toggle {
    pub server: String,
    pub tenant: String,
    #[command(flatten)]
    pub how: How,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Switch {
    On,
    Off,
}
