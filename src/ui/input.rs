//! The thread that reads the terminal and notices when it vanishes. Imports `decode` only.
//!
//! It polls the terminal and a wake socket. Parked (an editor has the terminal) it asks for no input, but a hang-up is
//! reported by `poll` all the same, so it is the watchdog, too. Lent (to a shell in a container) it hands bytes on as
//! they are: there never is a second reader that could take some of them.

use super::decode::{Decoder, Typed, Wait};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc as sync;
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// How long a lone escape waits for the rest of a sequence: longer than the gap within one, shorter than a person.
const ESCAPE_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 40_000_000 };

/// How long the rest of what no person types is waited for: longer than a bad line is silent.
const REST_WAIT: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Keys waiting for the screen; a full queue makes the thread wait, and the terminal keeps what follows.
const QUEUE: usize = 256;

/// What the terminal gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Typed(Typed),
    /// The terminal hung up.
    Gone,
}

/// Chunks of bytes on their way to a shell.
const LENT: usize = 64;

enum Order {
    Park(sync::SyncSender<()>),
    Lend(mpsc::Sender<Vec<u8>>, sync::SyncSender<()>),
    Resume,
    End,
}

/// The running thread; ends with it.
pub struct Reader {
    orders: sync::Sender<Order>,
    wake: UnixStream,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Reads `tty` until it hangs up.
    pub fn start(tty: OwnedFd) -> io::Result<(Self, mpsc::Receiver<Input>)> {
        let (wake, woken) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        let (orders, taken) = sync::channel();
        let (sender, inputs) = mpsc::channel(QUEUE);
        let thread =
            std::thread::Builder::new().name("input".to_owned()).spawn(move || read(&tty, &woken, &taken, &sender))?;
        Ok((Self { orders, wake, thread: Some(thread) }, inputs))
    }

    /// Returns once the thread no longer reads: a live reader would steal the keys of an editor.
    pub fn park(&self) {
        let (done, parked) = sync::sync_channel(1);
        self.order(Order::Park(done));
        // An error means that the thread is gone and reads nothing either.
        let _ = parked.recv();
    }

    /// Returns once what is typed comes out here, byte by byte as it is, until [`Reader::resume`].
    pub fn lend(&self) -> mpsc::Receiver<Vec<u8>> {
        let (bytes, lent) = mpsc::channel(LENT);
        let (done, acknowledged) = sync::sync_channel(1);
        self.order(Order::Lend(bytes, done));
        // An error means that the thread is gone: then its end of the channel is, too.
        let _ = acknowledged.recv();
        lent
    }

    pub fn resume(&self) {
        self.order(Order::Resume);
    }

    fn order(&self, order: Order) {
        let _ = self.orders.send(order);
        let _ = io::Write::write(&mut (&self.wake), &[1]);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.order(Order::End);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Who gets what is typed.
enum Mode {
    Keys,
    Nobody,
    Lent(mpsc::Sender<Vec<u8>>),
}

fn read(tty: &OwnedFd, woken: &UnixStream, orders: &sync::Receiver<Order>, out: &mpsc::Sender<Input>) {
    let mut decoder = Decoder::default();
    let mut mode = Mode::Keys;
    loop {
        let wanted = if matches!(mode, Mode::Nobody) { PollFlags::empty() } else { PollFlags::IN };
        let mut fds = [PollFd::new(tty, wanted), PollFd::new(woken, PollFlags::IN)];
        let timeout = decoder.waits().map(|wait| match wait {
            Wait::Key => &ESCAPE_WAIT,
            Wait::Rest => &REST_WAIT,
        });
        let ready = match poll(&mut fds, timeout) {
            Ok(ready) => ready,
            Err(rustix::io::Errno::INTR) => continue,
            Err(_) => return drop(out.blocking_send(Input::Gone)),
        };
        let [tty_got, wake_got] = [fds[0].revents(), fds[1].revents()];
        if tty_got.intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) {
            return drop(out.blocking_send(Input::Gone));
        }
        if !wake_got.is_empty() {
            let _ = io::Read::read(&mut (&*woken), &mut [0; 16]);
        }
        while let Ok(order) = orders.try_recv() {
            match order {
                Order::Park(done) => {
                    mode = Mode::Nobody;
                    let _ = done.send(());
                }
                Order::Lend(bytes, done) => {
                    mode = Mode::Lent(bytes);
                    let _ = done.send(());
                }
                Order::Resume => mode = Mode::Keys,
                Order::End => return,
            }
        }
        let got = tty_got.contains(PollFlags::IN);
        let bytes = match (got && !matches!(mode, Mode::Nobody)).then(|| take(tty)) {
            Some(None) => return drop(out.blocking_send(Input::Gone)),
            Some(Some(bytes)) => bytes,
            None if ready == 0 => Vec::new(),
            None => continue,
        };
        let typed = match &mode {
            Mode::Lent(shell) => {
                // A shell that is gone takes nothing; the screen has the terminal again in a moment.
                if !bytes.is_empty() && shell.blocking_send(bytes).is_err() {
                    mode = Mode::Nobody;
                }
                continue;
            }
            _ if ready == 0 => decoder.settle(),
            _ => decoder.feed(&bytes),
        };
        for typed in typed {
            if out.blocking_send(Input::Typed(typed)).is_err() {
                return;
            }
        }
    }
}

/// What there is to read; `None` at the end.
fn take(tty: &OwnedFd) -> Option<Vec<u8>> {
    let mut bytes = [0; 4096];
    match rustix::io::read(tty, &mut bytes) {
        Ok(0) => None,
        Ok(n) => Some(bytes[..n].to_vec()),
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Some(Vec::new()),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossterm::event::KeyCode;
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};

    /// Somebody's end of a terminal in raw mode, and the end that is read here.
    fn terminal() -> (OwnedFd, OwnedFd) {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let tty = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
        let mut modes = tcgetattr(&tty).unwrap();
        modes.make_raw();
        tcsetattr(&tty, OptionalActions::Now, &modes).unwrap();
        (person, tty)
    }

    #[test]
    fn a_lent_terminal_gives_bytes_as_they_are_and_keys_again_when_it_is_back() {
        let (person, tty) = terminal();
        let (reader, mut inputs) = Reader::start(tty).unwrap();
        let types = |bytes: &[u8]| assert_eq!(rustix::io::write(&person, bytes).unwrap(), bytes.len());
        let mut key = || match inputs.blocking_recv() {
            Some(Input::Typed(Typed::Key(key))) => key.code,
            other => panic!("{other:?}"),
        };
        types(b"j");
        assert_eq!(key(), KeyCode::Char('j'));
        let mut lent = reader.lend();
        // Half a key, an unfinished character, what the screen would take for a paste: all of it is the shell's.
        let raw = b"\x1b[A\xc3\x1b[200~\x1d\x03";
        types(raw);
        let mut got = Vec::new();
        while got.len() < raw.len() {
            got.extend(lent.blocking_recv().expect("bytes"));
        }
        assert_eq!(got, raw);
        reader.resume();
        types(b"k");
        assert_eq!(key(), KeyCode::Char('k'));
        assert!(lent.blocking_recv().is_none());
        // A terminal that goes while it is lent is told, and the shell's end closes.
        let mut lent = reader.lend();
        drop(person);
        assert!(lent.blocking_recv().is_none());
        assert!(matches!(inputs.blocking_recv(), Some(Input::Gone)));
    }
}
