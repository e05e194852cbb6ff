//! Secrets of servers, keys and users of the gateway.

use super::How;
use clap::{Args, Subcommand, ValueEnum};
use std::time::Duration;

#[derive(Debug, Subcommand)]
pub enum SecretsAction {
    /// Restart what still holds an older value, a few at a time; ends at the first that does not come up again
    Roll(SecretsRoll),
    /// Read every secret again; running instances keep theirs until restarted
    Reload {
        #[command(flatten)]
        how: How,
    },
}

#[derive(Debug, Args)]
pub struct SecretsRoll {
    /// Only this secret; else whichever has an older value in use
    pub name: Option<String>,
    /// Only instances of this server
    #[arg(long)]
    pub server: Option<String>,
    /// Only instances of this tenant: id, alias or display name
    #[arg(short, long, visible_alias = "customer", value_name = "TENANT")]
    pub tenant: Option<String>,
    /// So many are restarted at a time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub at_once: u32,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, Subcommand)]
pub enum KeysAction {
    /// Make a key. Its text is printed this once; only its hash is kept
    Create(KeyCreate),
    /// Which keys there are, whose, and when each was last used
    List,
    /// Let a key work no longer, at once
    Revoke { id: String },
    /// Make a key in place of one, which works on for a while
    Rotate {
        id: String,
        /// How long the old one works on
        #[arg(long, default_value = "24h", value_parser = humantime::parse_duration)]
        overlap: Duration,
    },
}

#[derive(Debug, Args)]
pub struct KeyCreate {
    /// The tenant that it calls as: id, alias or display name
    #[arg(short, long, visible_alias = "customer", value_name = "TENANT")]
    pub tenant: Option<String>,
    /// What it may do
    #[arg(long, value_enum, default_value_t)]
    pub role: RoleName,
    /// A word to know it by, in lists and in the audit
    #[arg(long)]
    pub name: Option<String>,
    /// Until when it works: 90d (from now), 2027-01-31, or an instant; else until it is revoked
    #[arg(long, value_name = "TIME")]
    pub expires: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum RoleName {
    /// Calls as its tenant
    #[default]
    Tenant,
    /// Calls as any tenant, and acts on what runs
    Operator,
    /// Decides who else may, too
    Admin,
}

#[derive(Debug, Subcommand)]
pub enum UsersAction {
    /// Let somebody log in; the password comes from the terminal, or from standard input
    Add(UserAdd),
    /// Set a new password; whoever is logged in with the old one is logged out
    Passwd { email: String },
    /// Who may log in
    List,
    /// Let somebody log in no longer, at once
    Remove { email: String },
}

#[derive(Debug, Args)]
pub struct UserAdd {
    pub email: String,
    /// The tenant that they call as: id, alias or display name
    #[arg(short, long, visible_alias = "customer", value_name = "TENANT")]
    pub tenant: Option<String>,
    /// What they may do
    #[arg(long, value_enum, default_value_t)]
    pub role: RoleName,
}
