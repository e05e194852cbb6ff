//! What went wrong with an engine, in words that say where, why and what to do next.

use super::connect::Place;
use crate::model::text;
use bollard::errors::Error;
use std::io::ErrorKind;
use std::time::Duration;

/// Longest part of an engine's own message that is passed on.
const WORDS: usize = 600;

/// A reason for people.
pub fn reason(place: &Place, error: &Error) -> String {
    let whole = error.to_string();
    match error {
        Error::DockerResponseServerError { message, .. } => shortened(message),
        Error::RequestTimeoutError => silent(place, super::PATIENCE),
        Error::SocketNotFoundError(_) => missing(place),
        Error::DockerStreamError { error } | Error::DockerContainerWaitError { error, .. } => shortened(error),
        Error::JsonSerdeError { .. } | Error::JsonDataError { .. } => {
            format!("{} answers what cannot be read ({}): is it a Docker or Podman engine?", place.url(), whole)
        }
        _ => match kind(error) {
            Some(ErrorKind::PermissionDenied) => forbidden(place),
            Some(ErrorKind::NotFound) => missing(place),
            Some(ErrorKind::ConnectionRefused) => {
                format!("{} refuses: nothing listens there; {}", place.url(), start(place))
            }
            _ => format!("{}: {}", place.url(), root(error)),
        },
    }
}

/// It took longer than `limit`.
pub fn silent(place: &Place, limit: Duration) -> String {
    format!("no answer from {} within {} s: it hangs or is overloaded", place.url(), limit.as_secs())
}

/// True if it says nothing but that the engine could not be asked.
pub fn is_silence(error: &Error) -> bool {
    match error {
        Error::RequestTimeoutError | Error::SocketNotFoundError(_) => true,
        _ => kind(error).is_some_and(|kind| kind != ErrorKind::Other),
    }
}

fn forbidden(place: &Place) -> String {
    let Place::Socket(path) = place else { return format!("no permission on {}", place.url()) };
    let path = path.display();
    match is_podman(place) {
        true => format!("no permission on {path}: run as root, or use your own: systemctl --user start podman.socket"),
        false => format!("no permission on {path}: add the user to the group docker, or run as root"),
    }
}

fn missing(place: &Place) -> String {
    match place {
        Place::Socket(path) => format!("no socket at {}; {}", path.display(), start(place)),
        Place::Plain(_) | Place::Tls { .. } => format!("{} is not there; {}", place.url(), start(place)),
    }
}

fn start(place: &Place) -> &'static str {
    match place {
        Place::Socket(_) if is_podman(place) => "start it: systemctl start podman.socket",
        Place::Socket(_) => "start it: systemctl start docker",
        Place::Plain(_) | Place::Tls { .. } => "is the engine running there, and is the address right?",
    }
}

fn is_podman(place: &Place) -> bool {
    matches!(place, Place::Socket(path) if path.to_string_lossy().contains("podman"))
}

/// The kernel's word for it, wherever in the chain it is.
fn kind(error: &Error) -> Option<ErrorKind> {
    causes(error).find_map(|cause| cause.downcast_ref::<std::io::Error>().map(std::io::Error::kind))
}

/// The innermost cause: the outer ones say `client error (Connect)` and the like.
fn root(error: &Error) -> String {
    shortened(&causes(error).last().map(ToString::to_string).unwrap_or_default())
}

fn causes<'a>(error: &'a Error) -> impl Iterator<Item = &'a (dyn std::error::Error + 'static)> {
    std::iter::successors(Some(error as &(dyn std::error::Error + 'static)), |cause| cause.source())
}

/// An engine's message in one line that fits on a screen.
fn shortened(message: &str) -> String {
    text::clipped(&message.split_whitespace().collect::<Vec<_>>().join(" "), WORDS)
}
