//! The whole surface of the command line: every command here, what each takes in the files below by family.

mod acts;
mod calls;
mod credentials;
mod looks;

pub use acts::{Act, Deploy, Exec, How, Switch, Toggle};
pub use calls::{Call, Era, Test};
use clap::{Args as ClapArgs, Parser, Subcommand, ValueEnum};
pub use credentials::{KeyCreate, KeysAction, RoleName, SecretsAction, SecretsRoll, UserAdd, UsersAction};
pub use looks::{Color, Counted, Frame, FrameFormat, Get, Kind, Logs};
use std::path::PathBuf;

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

#[derive(Debug, ClapArgs)]
pub struct Tenant {
    /// The tenant: id, alias or display name
    #[arg(short, long, visible_alias = "customer", value_name = "TENANT")]
    pub tenant: String,
}

const TEST_CODES: &str = "Exit codes: 0 every answer is as expected, 1 some are not, 3 a file is wrong (nothing was \
sent), 4 no such customer or server, 5 refused: read-only, not enabled, or not confirmed";

fn setting(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.trim().is_empty());
    let (key, value) = pair.ok_or("a setting is KEY=VALUE, such as platform.name=lab")?;
    Ok((key.trim().to_owned(), value.to_owned()))
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
    fn settings_are_read_or_refused() {
        assert_eq!(setting("a.b=c=d"), Ok(("a.b".into(), "c=d".into())));
        for bad in ["", "a", "=b"] {
            assert!(setting(bad).is_err(), "{bad}");
        }
    }
}
