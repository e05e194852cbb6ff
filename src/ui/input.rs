//! The thread that reads the terminal and notices when it vanishes. Imports `decode` only.
//!
//! It polls the terminal and a wake socket. Parked (an editor or a shell has the terminal) it asks for no input, but a
//! hang-up is reported by `poll` all the same, so it is the watchdog, too.

use super::decode::{Decoder, Typed};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::mpsc as sync;
use std::thread::JoinHandle;
use tokio::sync::mpsc;

/// How long a lone escape waits for the rest of a sequence: longer than the gap within one, shorter than a person.
const ESCAPE_WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 40_000_000 };

/// Keys waiting for the screen; a full queue makes the thread wait, and the terminal keeps what follows.
const QUEUE: usize = 256;

/// What the terminal gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    Typed(Typed),
    /// The terminal hung up.
    Gone,
}

enum Order {
    Park(sync::SyncSender<()>),
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

fn read(tty: &OwnedFd, woken: &UnixStream, orders: &sync::Receiver<Order>, out: &mpsc::Sender<Input>) {
    let mut decoder = Decoder::default();
    let mut parked = false;
    loop {
        let wanted = if parked { PollFlags::empty() } else { PollFlags::IN };
        let mut fds = [PollFd::new(tty, wanted), PollFd::new(woken, PollFlags::IN)];
        let timeout = decoder.waits().then_some(&ESCAPE_WAIT);
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
                    parked = true;
                    let _ = done.send(());
                }
                Order::Resume => parked = false,
                Order::End => return,
            }
        }
        let typed = if ready == 0 {
            decoder.settle()
        } else if tty_got.contains(PollFlags::IN) && !parked {
            match take(tty, &mut decoder) {
                Some(typed) => typed,
                None => return drop(out.blocking_send(Input::Gone)),
            }
        } else {
            continue;
        };
        for typed in typed {
            if out.blocking_send(Input::Typed(typed)).is_err() {
                return;
            }
        }
    }
}

/// What there is to read; `None` at the end.
fn take(tty: &OwnedFd, decoder: &mut Decoder) -> Option<Vec<Typed>> {
    let mut bytes = [0; 4096];
    match rustix::io::read(tty, &mut bytes) {
        Ok(0) => None,
        Ok(n) => Some(decoder.feed(&bytes[..n])),
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Some(Vec::new()),
        Err(_) => None,
    }
}
