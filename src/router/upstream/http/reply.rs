//! Reads an answer over HTTP: one JSON body, or a stream of events until ours is among them.

use super::super::serverside::{Heard, Observer, hear, no_client};
use super::super::{Answer, Expects, Fault};
use super::client::Body;
use super::events::{Event, Events};
use crate::router::aside::aside;
use crate::router::client::Relay;
use crate::router::flight::Flight;
use crate::router::outcome::first_line;
use crate::router::session::{Reply, Session};
use crate::router::wire;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::header::{CONTENT_TYPE, LOCATION};
use hyper::{Response, StatusCode};
use std::ops::Range;
use std::sync::Arc;

/// A body that explains an error is read so far.
const ERROR_BYTES: usize = 64 << 10;

/// Who waits for what.
pub struct Reader<'a> {
    pub url: &'a str,
    pub id: u64,
    pub expects: Expects,
    pub flight: Option<&'a Arc<Flight>>,
    pub observer: &'a Observer,
    pub max_message: u64,
    /// The client whose own the session is: it can be asked.
    pub client: Option<&'a Arc<Session>>,
    /// Makes what sends a reply to a request of the server.
    pub reply: &'a (dyn Fn() -> Reply + Send + Sync),
}

impl Reader<'_> {
    pub async fn read(&self, response: Response<Body>) -> Result<Answer, Fault> {
        let status = response.status();
        if means_refusal(status) {
            return Err(refusal(self.url, response).await);
        }
        if !status.is_success() {
            return self.read_error(status, response).await;
        }
        if self.expects == Expects::Nothing {
            return Ok(Answer::default());
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        match kind.split(';').next().unwrap_or_default().trim() {
            "text/event-stream" => self.read_events(response.into_body()).await,
            "application/json" => self.read_json(response.into_body()).await,
            other => Err(Fault::Protocol(format!("{} answered {status} with content type `{other}`", self.url))),
        }
    }

    async fn read_json(&self, body: Body) -> Result<Answer, Fault> {
        let max = usize::try_from(self.max_message).unwrap_or(usize::MAX);
        let body = Limited::new(body, max).collect().await.map_err(|error| {
            match error.is::<http_body_util::LengthLimitError>() {
                true => self.too_long(),
                false => Fault::Transport(format!("{} broke off its answer: {error}", self.url)),
            }
        })?;
        let line = wire::apart(body.to_bytes());
        let text = line.clone();
        match aside(line.len(), move || hear(&text)).await {
            Heard::Answer(id, answer) if id == self.id || self.expects == Expects::Anything => Ok(answer),
            Heard::Stray(answer) => Ok(answer),
            Heard::Answer(id, _) => {
                Err(Fault::Protocol(format!("{} answered request {id} instead of {}", self.url, self.id)))
            }
            _ => {
                self.observer.garbage(&line);
                Err(Fault::Protocol(format!("{} answered with no JSON-RPC answer", self.url)))
            }
        }
    }

    /// Reads a stream of notices until it ends.
    pub async fn follow(&self, response: Response<Body>) {
        let _ = self.read_events(response.into_body()).await;
    }

    async fn read_events(&self, mut body: Body) -> Result<Answer, Fault> {
        let mut events = Events::new(self.max_message);
        while let Some(frame) = body.frame().await {
            let frame =
                frame.map_err(|error| Fault::Transport(format!("{} broke off its stream: {error}", self.url)))?;
            let Ok(chunk) = frame.into_data() else { continue };
            for event in events.push(&chunk) {
                match event {
                    Event::Message(text) | Event::Endpoint(text) => {
                        if let Some(answer) = self.take(&text) {
                            return Ok(answer);
                        }
                    }
                    Event::TooLong { .. } => return Err(self.too_long()),
                }
            }
        }
        Err(Fault::Transport(format!("{} ended its stream before the answer", self.url)))
    }

    /// The answer, if this event is it.
    fn take(&self, event: &Bytes) -> Option<Answer> {
        match hear(event) {
            Heard::Answer(id, answer) if id == self.id || self.expects == Expects::Anything => return Some(answer),
            // An error whose id could not be read can only be about the one request of this stream.
            Heard::Stray(answer) if answer.error.is_some() => return Some(answer),
            Heard::Answer(..) | Heard::Stray(_) | Heard::Nothing => {}
            Heard::Reply(reply) => (self.reply)()(reply),
            Heard::Question { place, method } => self.asked(event, place, &method),
            Heard::Progress { token, place, percent, text } => {
                if let Some(flight) = self.flight.filter(|_| token == self.id) {
                    flight.progress(percent, text);
                    flight.relay.iter().for_each(|relay| relay.progress(event, place.clone()));
                }
            }
            Heard::Log { level, text } => self.observer.log(self.flight, event, level, text),
            Heard::Changed { notice, .. } => {
                if notice.is_list() {
                    self.observer.lists.set_stale();
                }
                self.relay().iter().for_each(|relay| relay.changed(&notice, event));
            }
            Heard::Acknowledged { .. } => self.relay().iter().for_each(|relay| relay.acknowledged(event)),
            Heard::Garbage => self.observer.garbage(event),
        }
        None
    }

    fn relay(&self) -> Option<&Arc<Relay>> {
        self.flight.and_then(|flight| flight.relay.as_ref())
    }

    fn asked(&self, event: &Bytes, place: Range<usize>, method: &str) {
        let Some(session) = self.client else {
            return (self.reply)()(no_client(event, place, method));
        };
        if let Some(flight) = self.flight {
            flight.extend_to_cap();
        }
        session.ask(event, place, self.relay().map_or(&session.outbox, |relay| relay.outbox()), (self.reply)());
    }

    /// An error status: with a JSON-RPC error in it, it is an answer. `{"error":"gone"}` is none: the status says more.
    async fn read_error(&self, status: StatusCode, response: Response<Body>) -> Result<Answer, Fault> {
        let body = error_body(response).await;
        if let Heard::Answer(_, answer) | Heard::Stray(answer) = hear(&body)
            && answer.error().is_some_and(|error| error.starts_with('{'))
        {
            return Ok(answer);
        }
        Err(status_fault(self.url, status, &body))
    }

    fn too_long(&self) -> Fault {
        Fault::Protocol(format!("{} answered more than max_message = {} bytes", self.url, self.max_message))
    }
}

/// True if no answer can stand in the body.
fn means_refusal(status: StatusCode) -> bool {
    status == StatusCode::UNAUTHORIZED || status == StatusCode::FORBIDDEN || status.is_redirection()
}

/// Why a response that is no success means failure.
pub async fn refusal(url: &str, response: Response<Body>) -> Fault {
    let status = response.status();
    if status.is_redirection() {
        let to = response.headers().get(LOCATION).and_then(|v| v.to_str().ok()).unwrap_or("nowhere");
        return Fault::Transport(format!("{url} redirects to {to}; redirects are not followed"));
    }
    status_fault(url, status, &error_body(response).await)
}

fn status_fault(url: &str, status: StatusCode, body: &[u8]) -> Fault {
    let text = format!("{url} answered {status}{}", shown(body));
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Fault::Auth(text),
        _ if status.is_server_error() => Fault::Transport(text),
        _ => Fault::Protocol(text),
    }
}

/// The body of an error; what is too long or breaks off is as good as none.
pub async fn error_body(response: Response<Body>) -> Bytes {
    let body = Limited::new(response.into_body(), ERROR_BYTES).collect().await;
    body.map(|b| b.to_bytes()).unwrap_or_default()
}

fn shown(body: &[u8]) -> String {
    let line = first_line(&String::from_utf8_lossy(body));
    if line.is_empty() { line } else { format!(": {line}") }
}
