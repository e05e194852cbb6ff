//! `exec`: a command inside a container, on this terminal or between pipes; its exit code is ours.

use super::args::{Exec as Args, Global};
use super::error::{Code, Error};
use super::names;
use super::session::{self, Need, Session};
use super::terminal::{self, Raw};
use crate::control::handle::Pipe;
use crate::model::Refusal;
use crate::model::message::{Exec, ExecIn, ExecOut};
use std::io::{self, Write};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

/// Runs it to its end.
pub fn run(global: &Global, args: &Args) -> Result<u8, Error> {
    let session = Session::open(global, Need::Owner)?;
    if session.read_only {
        return Err(Refusal::ReadOnly("this command line is read-only: exec is not given".to_owned()).into());
    }
    let state = session.state_with(&args.target)?;
    let container = names::any_container(&state, &args.target)?;
    let terminal = terminal::is_interactive();
    let (columns, rows) = terminal::size();
    let exec = Exec {
        container,
        command: args.command.clone(),
        terminal,
        columns,
        rows,
        operator: session::operator(),
        confirm: args.confirm.clone(),
    };
    let pipe = session.handle.pipe(exec);
    let ended = session.wait(carry(pipe, terminal));
    match ended? {
        ExecOut::Exited(Some(code)) => Ok(exit_code(code)),
        ExecOut::Exited(None) => Err(Error::failed("the command ended; its exit code is not known")),
        ExecOut::Refused(refusal) => Err(refusal.into()),
        ExecOut::Failed(why) => Err(Error::failed(why)),
        ExecOut::Bytes(_) | ExecOut::Errors(_) => Ok(Code::Ok as u8),
    }
}

/// As a shell would see it.
fn exit_code(code: i64) -> u8 {
    u8::try_from(code).unwrap_or(u8::MAX)
}

/// Passes bytes both ways until the command's last word; the terminal is as it was when this returns.
async fn carry(pipe: Pipe, interactive: bool) -> Result<ExecOut, Error> {
    let Pipe { input, mut output } = pipe;
    let mut ends = [signal(SignalKind::terminate())?, signal(SignalKind::hangup())?, signal(SignalKind::interrupt())?];
    let mut resized = signal(SignalKind::window_change())?;
    let _raw = interactive.then(Raw::enter).transpose()?;
    let typing = type_in(terminal::keys()?, input.clone(), interactive);
    tokio::pin!(typing);
    let mut typed = false;
    loop {
        let [term, hang, int] = &mut ends;
        tokio::select! {
            said = output.recv() => match said {
                Some(said) if !said.is_last() => show(said)?,
                Some(last) => return Ok(last),
                None => return Ok(ExecOut::Failed("the way to the command broke".to_owned())),
            },
            () = &mut typing, if !typed => typed = true,
            Some(()) = resized.recv(), if interactive => {
                let (columns, rows) = terminal::size();
                // A full queue means that the command does not read; it asks for the size when it does.
                let _ = input.try_send(ExecIn::Resize { columns, rows });
            }
            _ = term.recv() => return Err(stopped()),
            _ = hang.recv() => return Err(stopped()),
            // In a raw terminal ctrl-c is a key like others.
            _ = int.recv() => return Err(stopped()),
        }
    }
}

fn stopped() -> Error {
    Error::failed("stopped by a signal; the command's terminal is closed")
}

/// What is typed, to its end.
async fn type_in(mut keys: mpsc::Receiver<Vec<u8>>, input: mpsc::Sender<ExecIn>, interactive: bool) {
    while let Some(bytes) = keys.recv().await {
        if input.send(ExecIn::Bytes(bytes)).await.is_err() {
            return;
        }
    }
    if !interactive {
        // A command that ended before its input did is told by its exit code.
        let _ = input.send(ExecIn::End).await;
    }
}

/// As it is: this is between the command and the terminal.
fn show(said: ExecOut) -> Result<(), Error> {
    match said {
        ExecOut::Bytes(bytes) => write(&mut io::stdout().lock(), &bytes),
        ExecOut::Errors(bytes) => write(&mut io::stderr().lock(), &bytes),
        ExecOut::Exited(_) | ExecOut::Refused(_) | ExecOut::Failed(_) => Ok(()),
    }
}

fn write(to: &mut impl Write, bytes: &[u8]) -> Result<(), Error> {
    to.write_all(bytes)?;
    Ok(to.flush()?)
}
