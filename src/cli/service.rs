//! Tells systemd how far we are (`sd_notify(3)`): one datagram a state, if `NOTIFY_SOCKET` names where to.

use rustix::time::{ClockId, clock_gettime};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// What a service manager is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Ready,
    Reloading,
    Stopping,
}

/// Tells it; where nobody listens, nothing happens.
pub fn tell(state: State) {
    let Some(path) = std::env::var_os("NOTIFY_SOCKET").and_then(|path| path.into_string().ok()) else { return };
    if let Err(error) = send(&path, &text(state)) {
        tracing::warn!("cannot tell NOTIFY_SOCKET {path}: {error}");
    }
}

fn text(state: State) -> String {
    match state {
        State::Ready => "READY=1\n".to_owned(),
        // It takes the answer for the newest reload alone by this time.
        State::Reloading => {
            let now = clock_gettime(ClockId::Monotonic);
            format!("RELOADING=1\nMONOTONIC_USEC={}\n", now.tv_sec * 1_000_000 + now.tv_nsec / 1000)
        }
        State::Stopping => "STOPPING=1\n".to_owned(),
    }
}

fn send(path: &str, text: &str) -> std::io::Result<()> {
    // `@` begins a name that is in no folder.
    let address = match path.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(path)?,
    };
    UnixDatagram::unbound()?.send_to_addr(text.as_bytes(), &address).map(drop)
}
