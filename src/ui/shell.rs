//! The terminal in the hands of a command in a container: bytes both ways until it ends, or the operator leaves it.
//! Knows neither the terminal nor the engine: it stands between a [`Lent`] and a [`Pipe`].

use crate::control::handle::Pipe;
use crate::model::Refusal;
use crate::model::message::{ExecIn, ExecOut, Level};
use std::collections::VecDeque;
use std::io;
use std::time::Duration;
use tokio::sync::mpsc;

/// `ctrl-]`, as in telnet: leaves, whatever runs inside.
const LEAVE: u8 = 0x1d;

/// Bytes typed that wait for a command that does not read; what comes on top is dropped and counted.
const WAITING: usize = 64 << 10;

/// How long the first word of the command is waited for before the terminal is handed over: a refusal is read on the
/// screen, not beside it.
const FIRST_WORD: Duration = Duration::from_millis(400);

/// A terminal that was lent.
pub trait Lent {
    /// What it gives next. May be dropped while it waits.
    fn next(&mut self) -> impl Future<Output = Given>;
    fn show(&mut self, bytes: &[u8]) -> io::Result<()>;
}

/// What a lent terminal gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    Bytes(Vec<u8>),
    Size(u16, u16),
    /// It hung up, or the screen is to end.
    Gone,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    Exited(Option<i64>),
    /// It may not be run.
    Refused(Refusal),
    Failed(String),
    /// By `ctrl-]`; so many typed bytes were never taken.
    Operator(usize),
    Gone,
}

impl Left {
    /// What the operator reads when the screen is back.
    pub fn notice(&self, name: &str) -> (Level, String) {
        match self {
            Self::Exited(Some(0)) => (Level::Info, format!("the shell in {name} ended")),
            Self::Exited(Some(code)) => (Level::Info, format!("the shell in {name} ended with {code}")),
            Self::Exited(None) => (Level::Info, format!("the shell in {name} ended; its exit code is unknown")),
            Self::Refused(why) => (Level::Warn, why.to_string()),
            Self::Failed(why) => (Level::Error, format!("shell in {name}: {why}")),
            Self::Operator(0) => (Level::Info, format!("left the shell in {name}")),
            Self::Operator(n) => (Level::Warn, format!("left the shell in {name}, which never read {n} typed bytes")),
            Self::Gone => (Level::Warn, format!("the terminal went away from the shell in {name}")),
        }
    }
}

/// A command that has begun.
pub struct Session {
    pipe: Pipe,
    first: Option<ExecOut>,
}

/// Waits for the first word of a command; its reason, if it could not be run.
pub async fn begin(mut pipe: Pipe) -> Result<Session, Left> {
    match tokio::time::timeout(FIRST_WORD, pipe.output.recv()).await {
        Ok(Some(ExecOut::Failed(why))) => Err(Left::Failed(why)),
        Ok(Some(ExecOut::Refused(why))) => Err(Left::Refused(why)),
        Ok(None) => Err(Left::Failed(BROKE.to_owned())),
        Ok(first) => Ok(Session { pipe, first }),
        Err(_) => Ok(Session { pipe, first: None }),
    }
}

const BROKE: &str = "the way to it broke";

/// Runs until either side ends. Dropping the pipe then ends the command's terminal.
pub async fn relay(session: Session, lent: &mut impl Lent) -> Left {
    let Session { pipe: Pipe { input, mut output }, first } = session;
    if let Some(left) = first.and_then(|word| take(Some(word), lent)) {
        return left;
    }
    let mut typed = Typed::default();
    let mut reads = true;
    loop {
        tokio::select! {
            biased;
            given = lent.next() => match given {
                Given::Bytes(bytes) if bytes.contains(&LEAVE) => return Left::Operator(typed.dropped),
                Given::Bytes(bytes) => typed.push(bytes),
                Given::Size(columns, rows) => typed.queue.push_back(ExecIn::Resize { columns, rows }),
                Given::Gone => return Left::Gone,
            },
            room = input.reserve(), if reads && !typed.queue.is_empty() => match room {
                Ok(room) => typed.send(room),
                // It no longer reads; what it says last still comes.
                Err(_) => reads = false,
            },
            word = output.recv() => {
                if let Some(left) = take(word, lent) {
                    return left;
                }
            }
        }
    }
}

/// Shows what the command said; how it ended, if it did.
fn take(word: Option<ExecOut>, lent: &mut impl Lent) -> Option<Left> {
    match word {
        Some(ExecOut::Bytes(bytes) | ExecOut::Errors(bytes)) => lent.show(&bytes).err().map(|_| Left::Gone),
        Some(ExecOut::Exited(code)) => Some(Left::Exited(code)),
        Some(ExecOut::Refused(why)) => Some(Left::Refused(why)),
        Some(ExecOut::Failed(why)) => Some(Left::Failed(why)),
        None => Some(Left::Failed(BROKE.to_owned())),
    }
}

/// What was typed and is not taken yet, in order, with sizes between.
#[derive(Default)]
struct Typed {
    queue: VecDeque<ExecIn>,
    bytes: usize,
    dropped: usize,
}

impl Typed {
    fn push(&mut self, bytes: Vec<u8>) {
        if self.bytes + bytes.len() > WAITING {
            self.dropped += bytes.len();
        } else {
            self.bytes += bytes.len();
            self.queue.push_back(ExecIn::Bytes(bytes));
        }
    }

    fn send(&mut self, room: mpsc::Permit<'_, ExecIn>) {
        let Some(next) = self.queue.pop_front() else { return };
        if let ExecIn::Bytes(bytes) = &next {
            self.bytes -= bytes.len();
        }
        room.send(next);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A terminal of which everything is known; then it waits for ever.
    struct Script {
        given: VecDeque<Given>,
        shown: Vec<u8>,
    }

    impl Lent for Script {
        async fn next(&mut self) -> Given {
            match self.given.pop_front() {
                Some(given) => given,
                None => std::future::pending().await,
            }
        }

        fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
            self.shown.extend_from_slice(bytes);
            Ok(())
        }
    }

    fn typed(text: &str) -> Given {
        Given::Bytes(text.as_bytes().to_vec())
    }

    fn said(text: &str) -> ExecOut {
        ExecOut::Bytes(text.as_bytes().to_vec())
    }

    /// What came of it, what the terminal showed, what the command was given.
    async fn run(given: Vec<Given>, words: Vec<ExecOut>, room: usize) -> (Left, String, Vec<ExecIn>) {
        let (input, mut taken) = mpsc::channel(room);
        let (out, output) = mpsc::channel(16);
        let asked = tokio::spawn(begin(Pipe { input, output }));
        for word in words {
            out.send(word).await.unwrap();
        }
        let session = match asked.await.unwrap() {
            Ok(session) => session,
            Err(left) => return (left, String::new(), Vec::new()),
        };
        let mut lent = Script { given: given.into(), shown: Vec::new() };
        let left = relay(session, &mut lent).await;
        let mut got = Vec::new();
        while let Ok(next) = taken.try_recv() {
            got.push(next);
        }
        (left, String::from_utf8(lent.shown).unwrap(), got)
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_command_or_by_the_operator() {
        let (left, shown, got) = run(
            vec![typed("ls\r"), Given::Size(100, 30)],
            vec![said("$ "), said("bin\r\n"), ExecOut::Exited(Some(3))],
            8,
        )
        .await;
        assert_eq!((left, shown.as_str()), (Left::Exited(Some(3)), "$ bin\r\n"));
        assert_eq!(got, [ExecIn::Bytes(b"ls\r".to_vec()), ExecIn::Resize { columns: 100, rows: 30 }]);
        let (left, _, _) = run(vec![typed("x\x1d")], vec![said("$ ")], 8).await;
        assert_eq!(left, Left::Operator(0));
        let (left, shown, _) = run(vec![], vec![ExecOut::Failed("no shell in it".into())], 8).await;
        assert_eq!((left, shown.as_str()), (Left::Failed("no shell in it".into()), ""));
        let (left, _, _) = run(vec![Given::Gone], vec![said("$ ")], 8).await;
        assert_eq!(left, Left::Gone);
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_never_reads_can_still_be_left() {
        let mut given: Vec<Given> = (0..80).map(|_| Given::Bytes(vec![b'x'; 1024])).collect();
        given.push(typed("\x1d"));
        let (left, _, got) = run(given, vec![said("stuck")], 1).await;
        // One went out, 64 KiB wait, the rest is dropped and said.
        assert!(matches!(left, Left::Operator(n) if (14 * 1024..=16 * 1024).contains(&n)), "{left:?}");
        assert!(got.len() <= 1);
    }
}
