//! The tiny shell of a made-up container: `echo`, `cat`, `stty size`, `hostname`, `true`, `false`, `exit N`.

use crate::backend::engine::{ExecIn, ExecOut, ExecPipe, ExecSpec};
use tokio::sync::mpsc;

const WAITING: usize = 64;

/// Longest line that is typed.
const LINE: usize = 4096;

const NO_PROGRAM: i64 = 127;

struct Shell {
    host: String,
    columns: u16,
    rows: u16,
    terminal: bool,
    line: Vec<u8>,
    told: mpsc::Sender<ExecOut>,
}

/// Nobody listens any more.
struct Gone;

pub fn open(host: &str, spec: ExecSpec) -> ExecPipe {
    let (input, typed) = mpsc::channel(WAITING);
    let (told, output) = mpsc::channel(WAITING);
    let shell = Shell {
        host: host.to_owned(),
        columns: spec.columns,
        rows: spec.rows,
        terminal: spec.terminal,
        line: Vec::new(),
        told,
    };
    tokio::spawn(shell.run(spec.command, typed));
    ExecPipe { input, output }
}

impl Shell {
    async fn run(mut self, command: Vec<String>, typed: mpsc::Receiver<ExecIn>) {
        let told = self.told.clone();
        let session = async {
            match command.iter().map(String::as_str).collect::<Vec<_>>()[..] {
                [] | ["sh" | "bash" | "/bin/sh"] => self.converse(typed).await,
                ["cat"] => self.copy(typed).await,
                ref words => self.command(words).await.map(|(code, _)| code),
            }
        };
        let code = tokio::select! {
            code = session => code,
            () = told.closed() => Err(Gone),
        };
        if let Ok(code) = code {
            let _ = told.send(ExecOut::Exited(Some(code))).await;
        }
    }

    /// Reads lines as a terminal gives them, echoing what is typed.
    async fn converse(&mut self, mut typed: mpsc::Receiver<ExecIn>) -> Result<i64, Gone> {
        self.prompt().await?;
        while let Some(message) = typed.recv().await {
            match message {
                ExecIn::Resize { columns, rows } => (self.columns, self.rows) = (columns, rows),
                ExecIn::End => return Ok(0),
                ExecIn::Bytes(bytes) => {
                    for byte in bytes {
                        if let Some(code) = self.key(byte).await? {
                            return Ok(code);
                        }
                    }
                }
            }
        }
        // Nothing more is typed; a terminal stays until it is closed.
        std::future::pending().await
    }

    /// One key; an exit code if it ends the shell.
    async fn key(&mut self, key: u8) -> Result<Option<i64>, Gone> {
        match key {
            b'\r' | b'\n' => {
                self.say("\n").await?;
                let line = String::from_utf8_lossy(&std::mem::take(&mut self.line)).into_owned();
                let words: Vec<_> = line.split_whitespace().collect();
                if let (code, true) = self.command(&words).await? {
                    return Ok(Some(code));
                }
                self.prompt().await?;
            }
            0x04 if self.line.is_empty() => return Ok(Some(0)),
            0x03 => {
                self.line.clear();
                self.say("^C\n").await?;
                self.prompt().await?;
            }
            0x7f | 0x08 if self.line.pop().is_some() => self.say("\x08 \x08").await?,
            _ if self.line.len() < LINE && key >= b' ' && key != 0x7f => {
                self.line.push(key);
                if self.terminal {
                    self.tell(ExecOut::Bytes(vec![key])).await?;
                }
            }
            _ => {}
        }
        Ok(None)
    }

    async fn copy(&mut self, mut typed: mpsc::Receiver<ExecIn>) -> Result<i64, Gone> {
        while let Some(message) = typed.recv().await {
            match message {
                ExecIn::Bytes(bytes) => self.tell(ExecOut::Bytes(bytes)).await?,
                ExecIn::Resize { .. } => {}
                ExecIn::End => break,
            }
        }
        Ok(0)
    }

    /// Runs one command: its exit code, and whether it ends the shell.
    async fn command(&mut self, words: &[&str]) -> Result<(i64, bool), Gone> {
        let code = match words {
            [] | ["true"] => 0,
            ["false"] => 1,
            ["exit"] => return Ok((0, true)),
            ["exit", code] => return Ok((code.parse().unwrap_or(2), true)),
            ["echo", rest @ ..] => {
                self.say(&format!("{}\n", rest.join(" "))).await?;
                0
            }
            ["hostname"] => {
                self.say(&format!("{}\n", self.host)).await?;
                0
            }
            ["stty", "size"] => {
                self.say(&format!("{} {}\n", self.rows, self.columns)).await?;
                0
            }
            [program, ..] => {
                let text = format!("sh: {program}: not found\n");
                match self.terminal {
                    true => self.say(&text).await?,
                    false => self.tell(ExecOut::Errors(text.into_bytes())).await?,
                }
                NO_PROGRAM
            }
        };
        Ok((code, false))
    }

    async fn prompt(&mut self) -> Result<(), Gone> {
        match self.terminal {
            true => self.say("$ ").await,
            false => Ok(()),
        }
    }

    /// A terminal needs a carriage return before each line feed.
    async fn say(&self, text: &str) -> Result<(), Gone> {
        let text = if self.terminal { text.replace('\n', "\r\n") } else { text.to_owned() };
        self.tell(ExecOut::Bytes(text.into_bytes())).await
    }

    async fn tell(&self, message: ExecOut) -> Result<(), Gone> {
        self.told.send(message).await.map_err(|_| Gone)
    }
}
