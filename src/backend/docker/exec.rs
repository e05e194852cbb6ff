//! A command inside a container: its bytes both ways, its terminal's size, its exit code, its end.

use super::connect::Client;
use super::{PATIENCE, Yard, hijack};
use crate::backend::BackendError;
use crate::backend::engine::{ExecIn, ExecOut, ExecPipe, ExecSpec};
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecInspectResponse;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use rustix::process::{Pid, Signal, kill_process};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};

/// Messages that wait for a slow side; then the other waits.
const WAITING: usize = 64;

/// Bytes of one message.
pub const CHUNK: usize = 16 << 10;

/// The first shell that is there.
const SHELL: [&str; 3] = ["sh", "-c", "command -v bash >/dev/null 2>&1 && exec bash; exec sh"];

/// Exit codes with which an engine says that there is no such program, and words.
const NO_PROGRAM: [i64; 2] = [126, 127];
const NO_PROGRAM_WORDS: &str = "executable file not found";
const NO_SHELL: &str = "there is no shell in this container: neither bash nor sh";

/// An engine tells the exit code, and takes a size, a moment after it closes or opens the stream.
const MOMENT: Duration = Duration::from_millis(50);
const MOMENTS: u32 = 40;

/// Between SIGHUP and SIGKILL for a command whose terminal is gone.
const GRACE: Duration = Duration::from_millis(500);

/// Interrupts what runs in a terminal, then says that nothing more is typed: twice, for a shell that reads a line.
const FAREWELL: &[u8] = b"\x03\x04\x04";

pub type Output = BoxStream<'static, Result<LogOutput, Error>>;
pub type Input = Pin<Box<dyn AsyncWrite + Send>>;

/// A command that runs.
struct Running {
    yard: Arc<Yard>,
    client: Client,
    container: String,
    exec: String,
    spec: ExecSpec,
}

pub async fn run(yard: &Arc<Yard>, container: String, spec: ExecSpec) -> Result<ExecPipe, BackendError> {
    let client = yard.client().await?;
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        tty: Some(spec.terminal),
        env: spec.terminal.then(|| vec!["TERM=xterm-256color".to_owned()]),
        cmd: Some(match spec.command.is_empty() {
            true => SHELL.map(str::to_owned).to_vec(),
            false => spec.command.clone(),
        }),
        ..CreateExecOptions::default()
    };
    let exec = client.within(PATIENCE, client.docker.create_exec(&container, options)).await?.id;
    let started = client.within(PATIENCE, start(&client, &exec, spec.terminal)).await;
    let (output, input) = started.map_err(|error| match error {
        BackendError::Engine { engine, reason } if spec.command.is_empty() && reason.contains(NO_PROGRAM_WORDS) => {
            BackendError::Engine { engine, reason: NO_SHELL.to_owned() }
        }
        other => other,
    })?;
    let (to_command, typed) = mpsc::channel(WAITING);
    let (told, from_command) = mpsc::channel(WAITING);
    let running = Running { yard: Arc::clone(yard), client, container, exec, spec };
    tokio::spawn(async move { running.carry(output, input, typed, told).await });
    Ok(ExecPipe { input: to_command, output: from_command })
}

async fn start(client: &Client, exec: &str, terminal: bool) -> Result<(Output, Input), Error> {
    if terminal && let Some(started) = hijack::start(client, exec).await {
        return started;
    }
    let options = StartExecOptions { detach: false, tty: terminal, output_capacity: Some(CHUNK) };
    match client.docker.start_exec(exec, Some(options)).await? {
        StartExecResults::Attached { output, input } => Ok((output, input)),
        StartExecResults::Detached => Err(std::io::Error::other("the engine did not attach to the command").into()),
    }
}

impl Running {
    async fn carry(
        self,
        mut output: Output,
        mut input: Input,
        mut typed: mpsc::Receiver<ExecIn>,
        told: mpsc::Sender<ExecOut>,
    ) {
        let mut first_words = Vec::new();
        let outcome = tokio::select! {
            outcome = tell(&mut output, &told, &mut first_words) => Some(outcome),
            () = self.feed(&mut input, &mut typed) => None,
            () = told.closed() => None,
        };
        let last = match outcome {
            None => return self.hang_up(input).await,
            Some(Err(reason)) => ExecOut::Failed(reason),
            Some(Ok(())) => self.end(&first_words).await,
        };
        // Whoever dropped the pipe does not want to know.
        let _ = told.send(last).await;
    }

    /// Never returns: what is typed ends before what is told.
    async fn feed(&self, input: &mut Input, typed: &mut mpsc::Receiver<ExecIn>) {
        if self.spec.terminal {
            self.resize(self.spec.columns, self.spec.rows).await;
        }
        while let Some(message) = typed.recv().await {
            let written = match message {
                ExecIn::Bytes(bytes) => write(input, &bytes).await,
                ExecIn::Resize { columns, rows } => {
                    self.resize(columns, rows).await;
                    Ok(())
                }
                ExecIn::End => input.shutdown().await,
            };
            if written.is_err() {
                break;
            }
        }
        std::future::pending().await
    }

    /// A command that has not begun yet takes no size; one that ended never will.
    async fn resize(&self, width: u16, height: u16) {
        for _ in 0..MOMENTS {
            let request = self.client.docker.resize_exec(&self.exec, ResizeExecOptions { height, width });
            if self.client.within(PATIENCE, request).await.is_ok() || self.has_ended().await {
                return;
            }
            sleep(MOMENT).await;
        }
    }

    async fn has_ended(&self) -> bool {
        self.state().await.is_none_or(|state| state.exit_code.is_some() && state.running != Some(true))
    }

    async fn state(&self) -> Option<ExecInspectResponse> {
        self.client.within(PATIENCE, self.client.docker.inspect_exec(&self.exec)).await.ok()
    }

    /// The last message of a command that closed its output.
    async fn end(&self, first_words: &[u8]) -> ExecOut {
        let mut code = None;
        for _ in 0..MOMENTS {
            match self.state().await {
                Some(state) if state.running == Some(true) => sleep(MOMENT).await,
                Some(state) => {
                    code = state.exit_code;
                    break;
                }
                None => break,
            }
        }
        let absent = || String::from_utf8_lossy(first_words).contains(NO_PROGRAM_WORDS);
        match code {
            Some(code) if self.spec.command.is_empty() && NO_PROGRAM.contains(&code) && absent() => {
                ExecOut::Failed(NO_SHELL.to_owned())
            }
            code => ExecOut::Exited(code),
        }
    }

    /// Nobody listens any more: the command's terminal or pipes go, and so does the command. An engine leaves it running;
    /// on this machine it gets what a closed terminal sends.
    async fn hang_up(&self, mut input: Input) {
        if !self.signal(Signal::HUP).await {
            let farewell = async {
                if self.spec.terminal {
                    write(&mut input, FAREWELL).await?;
                }
                input.shutdown().await
            };
            let _ = timeout(PATIENCE, farewell).await;
            return;
        }
        drop(input);
        sleep(GRACE).await;
        self.signal(Signal::KILL).await;
    }

    /// Sends `signal` to the command if it still runs, is on this machine and may be signalled by us.
    async fn signal(&self, signal: Signal) -> bool {
        let running = self.state().await.filter(|state| state.running == Some(true));
        let pid = running.and_then(|state| Pid::from_raw(state.pid?.try_into().ok()?));
        let Some(pid) = pid.filter(|_| self.yard.door.is_local()) else { return false };
        // The number may mean another process here than where the engine runs.
        let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", pid.as_raw_nonzero())).unwrap_or_default();
        groups.contains(&self.container) && kill_process(pid, signal).is_ok()
    }
}

/// Until the command closes its output, or nobody listens.
async fn tell(output: &mut Output, told: &mpsc::Sender<ExecOut>, first_words: &mut Vec<u8>) -> Result<(), String> {
    while let Some(chunk) = output.next().await {
        let message = match chunk.map_err(|error| format!("the way to the command broke: {error}"))? {
            LogOutput::StdErr { message } => ExecOut::Errors(message.to_vec()),
            other => ExecOut::Bytes(other.into_bytes().to_vec()),
        };
        if let ExecOut::Bytes(bytes) | ExecOut::Errors(bytes) = &message {
            let room = CHUNK.saturating_sub(first_words.len());
            first_words.extend_from_slice(&bytes[..bytes.len().min(room)]);
        }
        if told.send(message).await.is_err() {
            // `closed` ends it in a moment.
            std::future::pending::<()>().await;
        }
    }
    Ok(())
}

async fn write(input: &mut Input, bytes: &[u8]) -> std::io::Result<()> {
    input.write_all(bytes).await?;
    input.flush().await
}
