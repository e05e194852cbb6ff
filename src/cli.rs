//! The command line: a twin for every view and act. One file a family; this one parses, dispatches, and turns what went
//! wrong into an exit code.

mod act;
mod args;
mod arguments;
mod call;
mod check;
mod deploy;
mod detach;
mod error;
mod every;
mod exec;
mod frame;
mod get;
mod gpus;
mod history;
mod import;
mod inspect;
mod keys;
mod log;
mod manual;
mod names;
mod output;
mod principals;
mod reload;
mod route;
mod rows;
mod screen;
mod serve;
mod service;
mod session;
mod status;
mod stream;
mod terminal;
mod test;
mod themes;
mod times;
mod toggle;
mod tools;
mod usage;
mod users;
mod yard_rows;

use crate::metrics::gpu::trial;
use crate::ui::jq;
use args::{Args, Command, Output, SecretsAction, Switch};
use clap::Parser;
use error::{Code, Error};
use std::ffi::OsString;
use std::process::ExitCode;

/// Runs the program.
pub fn main() -> ExitCode {
    let words: Vec<OsString> = std::env::args_os().collect();
    // Helper processes, before anything else is set up: one cleans up after us, one tries the driver's library, one
    // filters answers, one brings us back from a stop.
    match words.get(1).and_then(|word| word.to_str()) {
        Some(crate::backend::reaper::WORD) => return crate::backend::reaper::main(),
        Some(trial::WORD) => return trial::main(words.get(2).map(OsString::as_os_str)),
        Some(jq::WORD) => return jq::main(words.get(2).map(OsString::as_os_str)),
        Some(detach::WORD) => return detach::resume(words.get(2).and_then(|word| word.to_str())),
        _ => {}
    }
    let (format, ended) = match Args::try_parse_from(&words) {
        Ok(args) => (args.global.output, run(args)),
        Err(error) => (format_of(&words), misuse(&error).map(|code| code as u8)),
    };
    ExitCode::from(ended.unwrap_or_else(|error| tell(format, &error) as u8))
}

/// The exit code; that of a command inside a container is passed on as it is.
fn run(args: Args) -> Result<u8, Error> {
    match &args.command {
        Some(Command::Exec(exec)) if args.view.is_none() && args.theme.is_none() && !args.ascii => {
            exec::run(&args.global, exec)
        }
        _ => dispatch(args).map(|code| code as u8),
    }
}

fn dispatch(args: Args) -> Result<Code, Error> {
    let global = &args.global;
    let of_screen = [("--view", args.view.is_some()), ("--theme", args.theme.is_some()), ("--ascii", args.ascii)];
    if let (Some((flag, _)), true) = (of_screen.iter().find(|(_, given)| *given), args.command.is_some()) {
        return Err(Error::usage(format!("{flag} is about the screen and stands without a command")));
    }
    let Some(command) = args.command else {
        return screen::run(global, args.view.as_deref(), args.theme, args.ascii);
    };
    use crate::model::Command as Do;
    use crate::model::container::ContainerAct;
    match command {
        Command::Serve => serve::run(global),
        Command::Check { file } => check::run(global, file),
        Command::Import(args) => import::run(global, &args),
        Command::Paths => status::paths(global),
        Command::Status { target } => status::run(global, target.as_deref()),
        Command::Reload { dry_run: true, .. } => reload::plan(global),
        Command::Reload { dry_run: false, how } => act::on_platform(global, Do::Reload, &how),
        Command::Secrets { action: None } => status::secrets(global),
        Command::Secrets { action: Some(SecretsAction::Reload { how }) } => {
            act::on_platform(global, Do::ReloadSecrets, &how)
        }
        Command::Secrets { action: Some(SecretsAction::Roll(roll)) } => act::roll(global, &roll),
        Command::Get(get) => get::run(global, &get),
        Command::Call(call) => call::run(global, &call),
        Command::Test(args) => test::run(global, &args),
        Command::Tools { tenant, server } => tools::run(global, &tenant.tenant, server.as_deref()),
        Command::Route { tenant, request } => route::run(global, &tenant.tenant, &request),
        Command::Start(act) => act::on_target(global, &act, Some(Do::Start), ContainerAct::Start),
        Command::Stop(act) => act::on_target(global, &act, Some(Do::Stop), ContainerAct::Stop),
        Command::Sleep(act) => act::on_instances(global, &act, Do::Sleep),
        Command::Restart(act) => act::on_target(global, &act, Some(Do::Restart), ContainerAct::Restart),
        Command::Kill(act) => act::on_target(global, &act, Some(Do::Kill), ContainerAct::Kill),
        Command::Pause(act) => act::on_target(global, &act, None, ContainerAct::Pause),
        Command::Unpause(act) => act::on_target(global, &act, None, ContainerAct::Unpause),
        Command::Fence { off: false, act } => act::on_instances(global, &act, Do::Fence),
        Command::Fence { off: true, act } | Command::Unfence(act) => act::on_instances(global, &act, Do::Unfence),
        Command::Probe(act) => act::on_instances(global, &act, Do::Probe),
        Command::Enable(args) => toggle::run(global, &args, toggle::Change::Enable),
        Command::Disable(args) => toggle::run(global, &args, toggle::Change::Disable),
        Command::Revert(args) => toggle::run(global, &args, toggle::Change::Revert),
        Command::ExampleTraffic { state, how } => {
            act::on_platform(global, Do::ExampleTraffic(state == Switch::On), &how)
        }
        Command::CancelCall { id, how } => {
            let call =
                names::call(&id).ok_or_else(|| Error::usage(format!("`{id}` is no call; calls are written c12")))?;
            act::on_platform(global, Do::CancelCall(call), &how)
        }
        Command::CancelJob { id, how } => {
            let job = names::job(&id).ok_or_else(|| Error::usage(format!("`{id}` is no job; jobs are written j12")))?;
            act::on_platform(global, Do::CancelJob(job), &how)
        }
        Command::Reap { dry_run: true, .. } => get::orphans(global),
        Command::Reap { dry_run: false, how } => act::reap(global, &how),
        Command::Deploy(deploy) => deploy::run(global, &deploy, false),
        Command::Undeploy(deploy) => deploy::run(global, &deploy, true),
        Command::Inspect { target } => inspect::run(global, &target),
        Command::Exec(_) => Err(Error::usage("flags of the screen stand without a command")),
        Command::Shutdown { how } => act::on_platform(global, Do::Shutdown, &how),
        Command::Logs(logs) => history::logs(global, &logs),
        Command::Explain { what } => history::explain(global, &what),
        Command::Journal { limit } => history::journal(global, limit),
        Command::Keys { action } => keys::run(global, &action),
        Command::Users { action } => users::run(global, &action),
        Command::Mcp { name } => builtin(&name),
        Command::Frame(args) => frame::run(global, &args),
        Command::Completions { shell } => manual::completions(shell),
        Command::Man { write } => manual::run(write.as_deref()),
        Command::Themes { name, color } => themes::run(global, name.as_deref(), color),
    }
}

fn builtin(name: &str) -> Result<Code, Error> {
    use crate::builtin::{BuiltinError, run};
    match run(name) {
        Ok(()) => Ok(Code::Ok),
        Err(error @ BuiltinError::Unknown(_)) => Err(Error::not_found(error.to_string())),
        Err(error) => Err(Error::failed(error.to_string())),
    }
}

/// Help and version are no errors; everything else is one of usage, in clap's own words.
fn misuse(error: &clap::Error) -> Result<Code, Error> {
    if !error.use_stderr() {
        return output::print(&error.render().to_string()).map(|()| Code::Ok);
    }
    let text = error.render().to_string();
    let (what, rest) = text.split_once("\n\n").unwrap_or((&text, ""));
    let what: Vec<&str> = what.split_whitespace().collect();
    let help = rest.trim_end().trim_end_matches("For more information, try '--help'.").trim();
    let error = Error::usage(what.join(" ").trim_start_matches("error: "));
    Err(if help.is_empty() { error } else { error.help(help) })
}

/// The format that was asked for, when the rest of the line could not be read.
fn format_of(words: &[OsString]) -> Output {
    let words: Vec<&str> = words.iter().filter_map(|w| w.to_str()).collect();
    let pair = words.windows(2).any(|pair| matches!(pair, ["-o" | "--output", "json"]));
    let joined = words.iter().any(|word| matches!(*word, "-ojson" | "-o=json" | "--output=json"));
    if pair || joined { Output::Json } else { Output::Table }
}

/// Says on standard error what went wrong. A reader of standard output that went away is nothing wrong.
fn tell(format: Output, error: &Error) -> Code {
    if error.code != Code::Ok {
        match format {
            Output::Json => output::note(&error.json()),
            Output::Table => output::note(&error.to_string()),
        }
    }
    error.code
}
