//! How anything that went wrong leaves the program: an exit code, a sentence, and what to do next.

use crate::api::ListenError;
use crate::config::Problem;
use crate::control::StartError;
use crate::control::client::AttachError;
use crate::control::door::BindError;
use crate::control::lock::LockError;
use crate::control::owner::OwnError;
use crate::control::wire::WireError;
use crate::model::filter::FilterError;
use crate::model::{Outcome, Refusal, shell_word};
use crate::store::StoreError;
use crate::ui;
use serde::Serialize;
use std::fmt;
use std::io;

/// The exit codes, for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    Ok = 0,
    Failed = 1,
    Usage = 2,
    Config = 3,
    NotFound = 4,
    Refused = 5,
    Unreachable = 6,
    /// The tool answered `isError`.
    Tool = 7,
}

/// Why a command did not do what it was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    pub code: Code,
    /// A word for programs, finer than the code.
    pub kind: &'static str,
    pub message: String,
    pub help: Option<String>,
}

impl Error {
    pub fn new(code: Code, kind: &'static str, message: impl Into<String>) -> Self {
        Self { code, kind, message: message.into(), help: None }
    }

    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Code::Usage, "usage", message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, "not_found", message)
    }

    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Code::Refused, "refused", message)
    }

    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(Code::Failed, "failed", message)
    }

    /// Nobody owns the platform, and the command needs an owner.
    pub fn no_owner(message: impl Into<String>) -> Self {
        Self::new(Code::Unreachable, "no_owner", message).help(
            "run `mcpdeck serve` (or open the console with `mcpdeck`) with the same configuration, then try again",
        )
    }

    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// The one line on standard error with `-o json`.
    pub fn json(&self) -> String {
        #[derive(Serialize)]
        struct Line<'a> {
            error: Inner<'a>,
        }
        #[derive(Serialize)]
        struct Inner<'a> {
            code: u8,
            kind: &'a str,
            message: &'a str,
            help: Option<&'a str>,
        }
        let (message, help) = (self.message.as_str(), self.help.as_deref());
        let line = Line { error: Inner { code: self.code as u8, kind: self.kind, message, help } };
        serde_json::to_string(&line).unwrap_or_default()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let message = refusal.to_string();
        match refusal {
            Refusal::NotFound(_) => Self::not_found(message),
            Refusal::ReadOnly(_) => Self::new(Code::Refused, "read_only", message),
            Refusal::Denied(_) => Self::new(Code::Refused, "denied", message)
                .help("the configuration says so: `guard` of the environment or the tenant"),
            Refusal::NeedsConfirm { name, .. } => Self::new(Code::Refused, "needs_confirm", message)
                .help(format!("if you mean it, add --confirm {}", shell_word(&name))),
            Refusal::Refused(_) => Self::refused(message),
            Refusal::Busy(_) => Self::new(Code::Unreachable, "busy", message).help("try again in a moment"),
            Refusal::NoOwner(_) => Self::no_owner(message),
            Refusal::Silent(_) => {
                Self::new(Code::Unreachable, "engine", message).help("`mcpdeck get engines` lists them all")
            }
            Refusal::Failed(_) => Self::failed(message),
        }
    }
}

impl From<AttachError> for Error {
    fn from(error: AttachError) -> Self {
        let message = error.to_string();
        match error {
            AttachError::NoOwner(_) => Self::no_owner(message),
            AttachError::Denied(_) => Self::new(Code::Refused, "denied", message)
                .help("the owner's uid, root and members of [platform] socket_group may attach"),
            AttachError::Full(_) | AttachError::Ending => Self::new(Code::Unreachable, "busy", message),
            AttachError::Wire(WireError::Version(_)) => Self::new(Code::Unreachable, "version", message)
                .help("update one of them, or run the owner's own mcpdeck"),
            AttachError::Wire(_) => Self::new(Code::Unreachable, "unreachable", message)
                .help("`mcpdeck paths` names the socket; is what listens there a healthy mcpdeck?"),
        }
    }
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        let message = error.to_string();
        match error {
            LockError::Held(_) => {
                Self::new(Code::Refused, "owned", message).help("`mcpdeck` attaches to it; `mcpdeck shutdown` ends it")
            }
            LockError::Io { .. } => {
                Self::failed(message).help("[platform] socket sets another place; `mcpdeck paths` names it")
            }
        }
    }
}

impl From<BindError> for Error {
    fn from(error: BindError) -> Self {
        let message = error.to_string();
        match error {
            BindError::Group(_) => Self::new(Code::Config, "config", message),
            BindError::Io { .. } => {
                Self::failed(message).help("[platform] socket sets another path (107 bytes at most)")
            }
        }
    }
}

impl From<OwnError> for Error {
    fn from(error: OwnError) -> Self {
        match error {
            OwnError::Lock(error) => error.into(),
            OwnError::Start(error) => error.into(),
            OwnError::Bind(error) => error.into(),
            OwnError::Attach(error) => error.into(),
            OwnError::ServeOnly => Self::no_owner(error.to_string()),
            OwnError::Program(_) => Self::failed(error.to_string()),
        }
    }
}

impl From<StartError> for Error {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Store(error) => error.into(),
            StartError::Folder { .. } => Self::failed(error.to_string()).help("`mcpdeck paths` names the folders"),
        }
    }
}

impl From<ui::Error> for Error {
    fn from(error: ui::Error) -> Self {
        Self::new(Code::Failed, "screen", error.to_string())
    }
}

impl From<ListenError> for Error {
    fn from(error: ListenError) -> Self {
        Self::new(Code::Failed, "api", error.to_string())
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        Self::new(Code::Failed, "store", error.to_string())
    }
}

impl From<FilterError> for Error {
    fn from(error: FilterError) -> Self {
        Self::usage(format!("--filter {error}"))
    }
}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // Whoever read our output has had enough.
            io::ErrorKind::BrokenPipe => Self::new(Code::Ok, "pipe", error.to_string()),
            _ => Self::failed(error.to_string()),
        }
    }
}

/// All problems of a configuration as one error; `check` prints them with pictures instead.
pub fn config_error(problems: &[Problem]) -> Error {
    let first = problems.first().map(Problem::headline);
    let more = match problems.len() {
        0 | 1 => String::new(),
        n => format!(" (and {} more)", n - 1),
    };
    Error::new(Code::Config, "config", format!("{}{more}", first.unwrap_or_default()))
        .help("`mcpdeck check` shows every problem in its place")
}

/// What a call's end means for the exit code. `isError` is 7 whatever its outcome.
pub fn call_code(outcome: Outcome, is_error: bool) -> Code {
    match outcome {
        _ if is_error => Code::Tool,
        Outcome::Ok => Code::Ok,
        Outcome::Tool => Code::Tool,
        Outcome::Auth | Outcome::Refused => Code::Refused,
        Outcome::Timeout | Outcome::Transport => Code::Unreachable,
        Outcome::Protocol | Outcome::Cancelled => Code::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_has_its_code_for_ever() {
        let text = || "x".to_owned();
        let table = [
            (Refusal::NotFound(text()), 4, "not_found"),
            (Refusal::ReadOnly(text()), 5, "read_only"),
            (Refusal::NeedsConfirm { what: text(), name: "Vattenfall DE".into() }, 5, "needs_confirm"),
            (Refusal::Refused(text()), 5, "refused"),
            (Refusal::Busy(text()), 6, "busy"),
            (Refusal::NoOwner(text()), 6, "no_owner"),
            (Refusal::Silent(text()), 6, "engine"),
            (Refusal::Failed(text()), 1, "failed"),
        ];
        for (refusal, code, kind) in table {
            let error = Error::from(refusal);
            assert_eq!((error.code as u8, error.kind), (code, kind));
        }
    }

    #[test]
    fn calls_end_as_the_product_says() {
        use Outcome::*;
        for (outcome, is_error, code) in [
            (Ok, false, 0),
            (Tool, true, 7),
            (Auth, true, 7),
            (Auth, false, 5),
            (Refused, false, 5),
            (Timeout, false, 6),
            (Transport, false, 6),
            (Protocol, false, 1),
            (Cancelled, false, 1),
        ] {
            assert_eq!(call_code(outcome, is_error) as u8, code, "{outcome} {is_error}");
        }
    }

    #[test]
    fn the_json_line_is_one_line() {
        let error = Error::refused("a\nb").help("c");
        assert_eq!(error.json(), r#"{"error":{"code":5,"kind":"refused","message":"a\nb","help":"c"}}"#);
    }
}
