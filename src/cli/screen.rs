//! `mcpdeck` without a command: the screen, attached or as the owner, and what becomes of the owner when it ends.

use super::args::Global;
use super::error::{Code, Error};
use super::serve::{self, Life, Signals};
use super::{detach, frame, output, session};
use crate::config::{Config, OnHangup};
use crate::control::lock::{self, Purpose};
use crate::control::owner::{self, Found, OwnError, Owner};
use crate::control::{Handle, peer};
use crate::model::message::Face;
use crate::ui::{self, Ended, Options};
use rustix::process::{Signal, getpid, kill_process};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;

/// An owner whose terminal went, and that shall not stay, is quicker than one that is told to stop.
const HURRY: Duration = Duration::from_millis(500);
/// Whoever waits longer for the platform is told for whom.
const SOON: Duration = Duration::from_secs(1);

/// Opens the screen and stays until it ends; an owner stays longer if it shall.
pub fn run(global: &Global, view: Option<&str>, theme: Option<String>, ascii: bool) -> Result<Code, Error> {
    let view = view.map(frame::page).transpose()?;
    ui::fits(std::env::var("TERM").ok().as_deref())?;
    let again = session::load_options(global, None);
    let config = Arc::new(session::load(global)?);
    let logs = serve::start_log(&config, false)?;
    let runtime = serve::runtime()?;
    let found = runtime.block_on(async {
        let mut found = pin!(owner::open_or_attach(&config, Face::Screen, Purpose::Own, &logs, Some(again)));
        tokio::select! {
            found = &mut found => return found,
            () = tokio::time::sleep(SOON) => {}
        }
        if let Some(holder) = lock::holder(&config.paths.socket) {
            output::note(&format!("waiting for {holder}, which starts or ends just now"));
        }
        found.await
    });
    let mut options = Options::new(&config.ui, peer::own_operator(Face::Screen));
    options.read_only = config.platform.read_only;
    options.bulk_cap = config.platform.bulk_cap;
    options.view = view.unwrap_or(options.view);
    options.theme = theme.or(options.theme);
    options.ascii |= ascii;
    options.filters_file = Some(config.paths.state.join("filters"));
    match found {
        Ok(Found::Attached(handle)) => attached(handle, options),
        Ok(Found::Owner(owner)) => own(*owner, options, &config, &runtime),
        Err(OwnError::ServeOnly) => attached(
            owner::attach_later(&config, Face::Screen, runtime.handle()),
            Options { read_only: true, ..options },
        ),
        Err(error) => Err(error.into()),
    }
}

fn attached(handle: Handle, options: Options) -> Result<Code, Error> {
    let ended =
        ui::run(handle, options).map_err(|error| Error::from(error).help("the platform is not touched by that"));
    ended.map(|_| Code::Ok)
}

fn own(owner: Owner, options: Options, config: &Config, runtime: &Runtime) -> Result<Code, Error> {
    let life = runtime.block_on(Life::begin(owner))?;
    let ended = runtime.block_on(show(&life.owner, options))?;
    // Only now: the signal that ended the screen is not the second one.
    let signals = runtime.block_on(async { Signals::new() })?;
    let keep = config.platform.on_hangup == OnHangup::Keep;
    match ended {
        Ok(Ended::Detach) => {
            detach::leave_terminal()?;
            runtime.block_on(serve::until_told(life, signals))
        }
        Ok(Ended::Hangup) if keep => {
            detach::let_go_of_terminal();
            runtime.block_on(serve::until_told(life, signals))
        }
        Ok(Ended::Hangup) => runtime.block_on(serve::stop(life, signals, HURRY)),
        Ok(Ended::Quit | Ended::Stop | Ended::Terminated) => runtime.block_on(serve::stop(life, signals, serve::STOP)),
        // The screen dies, the platform lives.
        Err(error @ ui::Error::Panicked(_)) if keep => {
            output::note(&Error::from(error).to_string());
            detach::leave_terminal()?;
            runtime.block_on(serve::until_told(life, signals))
        }
        Err(error) => {
            runtime.block_on(serve::stop(life, signals, serve::STOP))?;
            Err(Error::from(error).help("its platform was stopped with it; `mcpdeck serve` runs one without a screen"))
        }
    }
}

/// Runs the owner's screen to its end. The shutdown command, from wherever it comes, ends it like a SIGTERM.
async fn show(owner: &Owner, options: Options) -> Result<Result<Ended, ui::Error>, Error> {
    let handle = owner.handle();
    let mut screen = tokio::task::spawn_blocking(move || ui::run(handle, options));
    let ended = tokio::select! {
        ended = &mut screen => ended,
        () = owner.asked_to_stop() => {
            let _ = kill_process(getpid(), Signal::TERM);
            screen.await
        }
    };
    ended.map_err(|e| Error::failed(format!("the screen failed: {e}")))
}
