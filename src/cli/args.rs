//! The whole surface of the command line; what each command does is in the file of its family.

use crate::model::near::nearest;
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::time::Duration;

/// A terminal operations console for multi-tenant MCP platforms.
///
/// Without a command it opens the screen: attached to the platform's owner if there is one, else as its owner.
#[derive(Debug, Parser)]
#[command(name = "mcpdeck", version, max_term_width = 100, disable_help_subcommand = true)]
#[command(after_help = EXIT_CODES)]
pub struct Args {
    #[command(flatten)]
    pub global: Global,
    /// View that the screen opens with
    #[arg(long, value_name = "VIEW")]
    pub view: Option<String>,
    /// Theme of the screen: one of `mcpdeck themes`, or the path of a .toml file
    #[arg(long, value_name = "THEME")]
    pub theme: Option<String>,
    /// Draw the screen with ASCII symbols alone
    #[arg(long)]
    pub ascii: bool,
    #[command(subcommand)]
    pub command: Option<Command>,
}

const EXIT_CODES: &str = "Exit codes: 0 ok, 1 failed, 2 usage, 3 config, 4 not found, 5 refused, \
6 unreachable or timed out, 7 the tool answered isError";

/// What every command takes.
#[derive(Debug, ClapArgs)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// Configuration file, or $MCPDECK_CONFIG; without one the embedded default runs
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// One setting, over file and environment: platform.name=lab
    #[arg(long, global = true, value_name = "KEY=VALUE", value_parser = setting)]
    pub set: Vec<(String, String)>,
    /// Refuse every act from here
    #[arg(long, global = true)]
    pub read_only: bool,
    /// How data is printed
    #[arg(short, long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Output,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    #[default]
    // What `import` prints by default is TOML.
    #[value(alias = "toml")]
    Table,
    Json,
}

#[derive(Debug, ClapArgs)]
pub struct Import {
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// The shape of the files
    #[arg(long, value_enum, default_value_t, value_name = "SHAPE")]
    pub format: Shape,
    /// Write to a new file instead of standard output
    #[arg(long, value_name = "PATH")]
    pub write: Option<PathBuf>,
}

/// Shapes of files that `import` reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Shape {
    /// By name and content
    #[default]
    Auto,
    /// mcp_servers.json: customers with their servers
    Customers,
    /// mcpServers of desktop clients and editors
    Desktop,
    /// One server a file, in YAML
    Server,
    /// Shell-style settings of an on-demand router
    OnDemand,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Own the platform without a screen
    Serve,
    /// Check a configuration and print every problem at once
    Check {
        /// The file; else the one that would be used
        file: Option<PathBuf>,
    },
    /// Convert files in other shapes to a configuration (TOML, or -o json)
    #[command(after_help = "config/import.md shows what is mapped, ignored and refused in each shape.")]
    Import(Import),
    /// Where configuration, state, logs and the socket lie
    Paths,
    /// How the platform, or one server, is
    Status {
        #[arg(value_name = "SERVER[@TENANT]")]
        target: Option<String>,
    },
    /// Read the configuration again and take it over; a broken one changes nothing
    Reload {
        /// Only tell what would change
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        how: How,
    },
    /// Which secrets are loaded (never their values), or load them again
    Secrets {
        #[command(subcommand)]
        action: Option<SecretsAction>,
    },
    /// Print a table of the platform
    Get(Get),
    /// Send a call as a tenant
    Call(Call),
    /// Send named requests from files and check their answers
    #[command(after_help = TEST_CODES)]
    Test(Test),
    /// Tools that a tenant can call
    Tools {
        #[command(flatten)]
        tenant: Tenant,
        server: Option<String>,
    },
    /// Where a request would go that names no server, and why; nothing is called
    Route {
        #[command(flatten)]
        tenant: Tenant,
        /// The request: {"query": "...", "context": {...}, "target": "..."}
        #[arg(value_name = "JSON")]
        request: String,
    },
    /// Start instances, a container, or every part of a stack, now
    Start(Act),
    /// Stop instances and hold them (calls are refused until a start), a container, or a stack
    Stop(Act),
    /// Put instances to sleep: the next call starts them again
    Sleep(Act),
    /// Stop and start instances, a container, or a stack
    Restart(Act),
    /// Kill instances, or a container, at once (SIGKILL)
    Kill(Act),
    /// Take instances out of rotation; they keep running
    Fence {
        /// Put them back
        #[arg(long)]
        off: bool,
        #[command(flatten)]
        act: Act,
    },
    /// Put fenced instances back into rotation
    Unfence(Act),
    /// Probe instances now
    Probe(Act),
    /// Let a tenant use a server; kept over restarts, wins over the file
    Enable(Toggle),
    /// Take a server away from a tenant; kept over restarts, wins over the file
    Disable(Toggle),
    /// Forget a run-time enable or disable; the file decides again
    Revert(Toggle),
    /// Turn the example traffic of the embedded default on or off
    ExampleTraffic {
        #[arg(value_enum)]
        state: Switch,
        #[command(flatten)]
        how: How,
    },
    /// Cancel a call under way
    CancelCall {
        #[arg(value_name = "CALL")]
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// Cancel a job under way
    CancelJob {
        #[arg(value_name = "JOB")]
        id: String,
        #[command(flatten)]
        how: How,
    },
    /// Pause a container: its memory stays, nothing in it runs
    Pause(Act),
    /// Let a paused container go on
    Unpause(Act),
    /// Start every part of a stack, in the order of its needs
    Deploy(Deploy),
    /// Stop every part of a stack, and remove what is ours
    Undeploy(Deploy),
    /// Remove what is ours and wanted by nobody: processes and containers
    Reap {
        /// Tell what would be removed, and remove nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        how: How,
    },
    /// Run a command inside a container; ends with its exit code
    Exec(Exec),
    /// Everything an engine knows of a container, secrets masked
    Inspect {
        #[arg(value_name = "CONTAINER | SERVER[@TENANT]")]
        target: String,
    },
    /// Stop all instances and end the owner; stacks go on: undeploy them first if they shall end
    Shutdown {
        #[command(flatten)]
        how: How,
    },
    /// Log lines of instances, containers and stacks, or mcpdeck's own
    Logs(Logs),
    /// Why an instance, a container, a stack, a tenant or a call is as it is, check by check
    Explain {
        #[arg(value_name = "SERVER[@TENANT] | TENANT | STACK | CONTAINER | CALL")]
        what: String,
    },
    /// What operators did, newest first
    Journal {
        #[arg(short = 'n', long, default_value_t = 50)]
        limit: u32,
    },
    /// API keys: who calls over HTTP as which tenant
    Keys {
        #[command(subcommand)]
        action: KeysAction,
    },
    /// People who log in over HTTP
    Users {
        #[command(subcommand)]
        action: UsersAction,
    },
    /// Run a built-in MCP server on stdin and stdout
    Mcp {
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Draw one frame of a view
    Frame(Frame),
    /// Print completions for a shell
    #[command(
        after_help = "For example: mcpdeck completions bash > ~/.local/share/bash-completion/completions/mcpdeck"
    )]
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
    /// Print the man page, or write one for each command into a folder
    Man {
        #[arg(long, value_name = "FOLDER")]
        write: Option<PathBuf>,
    },
    /// The themes that there are, each with what it makes of every state
    Themes {
        /// One of them, or the path of a .toml file
        name: Option<String>,
        /// How many colours to show them in; without it what the terminal has
        #[arg(long, value_enum)]
        color: Option<Color>,
    },
}

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

#[derive(Debug, ClapArgs)]
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

#[derive(Debug, ClapArgs)]
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

#[derive(Debug, ClapArgs)]
pub struct UserAdd {
    pub email: String,
    /// The tenant that they call as: id, alias or display name
    #[arg(short, long, visible_alias = "customer", value_name = "TENANT")]
    pub tenant: Option<String>,
    /// What they may do
    #[arg(long, value_enum, default_value_t)]
    pub role: RoleName,
}

#[derive(Debug, ClapArgs)]
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

#[derive(Debug, ClapArgs)]
pub struct Tenant {
    /// The tenant: id, alias or display name
    #[arg(short, long, visible_alias = "customer", value_name = "TENANT")]
    pub tenant: String,
}

#[derive(Debug, ClapArgs)]
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

const TEST_CODES: &str = "Exit codes: 0 every answer is as expected, 1 some are not, 3 a file is wrong (nothing was \
sent), 4 no such customer or server, 5 refused: read-only, not enabled, or not confirmed";

#[derive(Debug, ClapArgs)]
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

#[derive(Debug, ClapArgs)]
pub struct Act {
    /// Instances; what is no server is a stack, or a container by its name or the beginning of its id
    #[arg(value_name = "SERVER[@TENANT] | STACK | CONTAINER")]
    pub target: String,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, ClapArgs)]
pub struct Deploy {
    pub stack: String,
    /// Tell what would be done, and do nothing; exits 5 if it would be refused
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub how: How,
}

#[derive(Debug, ClapArgs)]
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
#[derive(Debug, ClapArgs)]
pub struct How {
    /// Answers the typed confirmation that production asks for
    #[arg(long, value_name = "NAME")]
    pub confirm: Option<String>,
    /// Do not wait for what becomes of it
    #[arg(long)]
    pub no_wait: bool,
}

#[derive(Debug, ClapArgs)]
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

#[derive(Debug, ClapArgs)]
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

#[derive(Debug, ClapArgs)]
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

fn setting(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.trim().is_empty());
    let (key, value) = pair.ok_or("a setting is KEY=VALUE, such as platform.name=lab")?;
    Ok((key.trim().to_owned(), value.to_owned()))
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
    fn the_surface_is_consistent() {
        use clap::CommandFactory;
        Args::command().debug_assert();
    }

    #[test]
    fn a_mistyped_table_gets_its_near_miss() {
        assert_eq!(kind("customers"), Ok(Kind::Tenants));
        assert_eq!(kind("custmers"), Err("did you mean `customers`?".into()));
        assert!(kind("pods").is_err_and(|e| e.contains("instances")));
    }

    #[test]
    fn sizes_and_settings_are_read_or_refused() {
        assert_eq!(size("120x40"), Ok((120, 40)));
        for bad in ["", "80", "80x", "0x4", "80x99999", "-1x3"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert_eq!(setting("a.b=c=d"), Ok(("a.b".into(), "c=d".into())));
        for bad in ["", "a", "=b"] {
            assert!(setting(bad).is_err(), "{bad}");
        }
    }
}
