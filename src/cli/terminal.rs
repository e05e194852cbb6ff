//! The terminal handed to a command in a container: raw while it runs, and as it was after, whatever ends it.

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use std::io::{self, IsTerminal, Read};
use tokio::sync::mpsc;

/// Bytes read from standard input at once.
const READ: usize = 4096;
/// Pieces that wait for the command.
const PIECES: usize = 4;

/// A terminal that gives every key as it is; restored when dropped.
pub struct Raw(Termios);

impl Raw {
    pub fn enter() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that went away needs no restoring.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}

/// True if a person sits at both ends.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Columns and rows.
pub fn size() -> (u16, u16) {
    tcgetwinsize(io::stdout()).map_or((80, 24), |size| (size.ws_col.max(1), size.ws_row.max(1)))
}

/// Standard input, piece by piece. The thread that reads cannot be woken from a read; it ends with the program.
pub fn keys() -> io::Result<mpsc::Receiver<Vec<u8>>> {
    let (to, keys) = mpsc::channel(PIECES);
    std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let mut buffer = vec![0; READ];
        loop {
            match io::stdin().lock().read(&mut buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(read) => {
                    if to.blocking_send(buffer[..read].to_vec()).is_err() {
                        return;
                    }
                }
            }
        }
    })?;
    Ok(keys)
}
