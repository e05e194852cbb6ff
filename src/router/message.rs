//! A caller's message: what it is, and what goes upstream in its place. Pure.

use super::CallBody;
use super::cells::Cell;
use super::client::{Client, Level};
use super::context::{ArgumentType, Injection};
use super::era;
use super::outcome::Stop;
use super::wire::{self, Change, Edit, Member, Shape, WireError};
use crate::model::trace::{self, Trace};
use crate::model::{CallId, Era, Outcome, Short};
use bytes::Bytes;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

/// Lists and objects in each other. Servers read them recursively, and some never answer to what is deeper.
const MAX_DEPTH: u32 = 128;

/// JSON-RPC 2.0, section 5.1.
const PARSE_ERROR: i64 = -32700;
const INVALID_REQUEST: i64 = -32600;
/// So many edits at most are made in `_meta`, and in `params`.
const META_EDITS: usize = 7;
const PARAMS_EDITS: usize = 4;
/// The member that is looked into.
const PARAMS: &str = "params";

/// A message that was read.
#[derive(Debug)]
pub struct Message {
    pub text: Bytes,
    pub kind: Kind,
    /// Empty where there is none.
    pub method: Short,
    /// Tool, prompt or resource name.
    pub name: Option<Short>,
    /// The caller's id, as JSON text; `null` if there is none.
    pub id: Short,
    /// What the caller says in `_meta`.
    pub meta: Meta,
    /// Where `params` stands in the text.
    params: Option<Range<usize>>,
    /// What was read of the text, so that it need not be read again to be dressed.
    shape: Shape,
    /// `params` is a list (or a scalar), so that nothing can be put into it.
    positional: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    /// A request whose id is no string or number: nothing can be put in its place.
    Nameless,
    Notification,
    /// Neither; an answer perhaps.
    Response,
    /// No JSON object at all. Sent as it is: only operators may.
    Malformed,
}

/// What the router reads of `_meta`.
#[derive(Debug, Default)]
pub struct Meta {
    /// The revision that the caller names: it is a modern one.
    pub version: Option<String>,
    /// It says what it can, as modern callers must.
    pub has_capabilities: bool,
    /// The log messages that it wants of this call.
    pub level: Option<Level>,
    /// Its progress token, as JSON text.
    pub token: Option<Box<str>>,
    /// Where it says that it stands in a trace.
    pub trace: Option<Trace>,
}

/// Why a client's bytes are no message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Unreadable {
    /// JSON-RPC's.
    pub code: i64,
    pub text: String,
}

/// The end of a message that is none, under JSON-RPC's own code.
fn told(code: i64, stop: Stop) -> Stop {
    Stop { told: Some((code, stop.error.clone())), ..stop }
}

fn invalid(why: impl Into<String>) -> Stop {
    told(INVALID_REQUEST, Stop::new(Outcome::Protocol, why))
}

fn ambiguous(why: impl Into<String>) -> Stop {
    told(INVALID_REQUEST, Stop::refused(why))
}

/// What goes upstream.
pub struct Dressing<'a> {
    pub id: u64,
    pub era: Era,
    pub injection: &'a Injection,
    pub client: &'a Client,
    /// Ask for progress, though the caller may not have.
    pub progress: bool,
    pub trace: Option<Trace>,
}

impl Message {
    /// Reads a caller's message. `operator`: it may be malformed.
    pub fn read(body: CallBody, id: CallId, operator: bool) -> Result<Box<Self>, Stop> {
        let bytes = match body {
            CallBody::Read(message) => return message.judged(operator),
            CallBody::Raw(bytes) => bytes,
            CallBody::Method { method, params } => compose(&method, &params, id)?.into(),
        };
        let text = match std::str::from_utf8(&bytes) {
            Ok(text) => text,
            Err(error) => return Self::malformed(bytes, operator, &format!("not UTF-8: {error}")),
        };
        if !operator && wire::is_deeper(text, MAX_DEPTH) {
            let why = format!("more than {MAX_DEPTH} lists and objects in each other");
            return Err(invalid(why));
        }
        match wire::members_within(text, Some(PARAMS)) {
            Ok((members, inside)) => {
                let mut read = Self::of_members(text, members, inside)?;
                read.text = bytes;
                read.judged(operator)
            }
            // A list of messages would carry what nobody looked at.
            Err(_) if text.trim_start().starts_with('[') => {
                Err(ambiguous("batches are not carried: send one message at a time"))
            }
            Err(WireError::Json(error)) => Self::malformed(bytes, operator, &error),
            Err(error) => Err(ambiguous(error.to_string())),
        }
    }

    /// What only operators may send.
    fn judged(self: Box<Self>, operator: bool) -> Result<Box<Self>, Stop> {
        match self.kind {
            Kind::Response if !operator => Err(invalid("not a request: it has no method")),
            // Nothing tells its answer from those of others.
            Kind::Nameless if !operator => Err(invalid("the id of a request is a string or a number")),
            _ => Ok(self),
        }
    }

    /// Reads what a client sent; it may be an answer as well.
    pub fn of_client(bytes: &Bytes) -> Result<Box<Self>, Unreadable> {
        let text = std::str::from_utf8(bytes);
        let text = text.map_err(|e| Unreadable { code: PARSE_ERROR, text: format!("not UTF-8: {e}") })?;
        let invalid = |text: String| Unreadable { code: INVALID_REQUEST, text };
        if wire::is_deeper(text, MAX_DEPTH) {
            return Err(invalid(format!("more than {MAX_DEPTH} lists and objects in each other")));
        }
        if text.trim_start().starts_with('[') {
            return Err(invalid("batches are not carried: send one message at a time".to_owned()));
        }
        let (members, inside) = wire::members_within(text, Some(PARAMS)).map_err(|error| match error {
            WireError::Json(error) => {
                Unreadable { code: PARSE_ERROR, text: format!("not a JSON-RPC message: {error}") }
            }
            other => invalid(other.to_string()),
        })?;
        let mut read = Self::of_members(text, members, inside).map_err(|stop| invalid(stop.error))?;
        match read.kind {
            Kind::Nameless => Err(invalid("the id of a request is a string or a number".to_owned())),
            Kind::Response if read.id == "null" => Err(invalid("neither a request nor an answer".to_owned())),
            _ => {
                read.text = bytes.clone();
                Ok(read)
            }
        }
    }

    /// JSON text of the params, if it has some.
    pub fn params(&self) -> Option<&str> {
        std::str::from_utf8(self.text.get(self.params.clone()?)?).ok()
    }

    fn malformed(text: Bytes, operator: bool, error: &str) -> Result<Box<Self>, Stop> {
        if !operator {
            let why = format!("not a JSON-RPC message: {error}");
            return Err(told(PARSE_ERROR, Stop::new(Outcome::Protocol, why)));
        }
        // Some servers read a stream of values: the second would reach them as a message that nobody dressed.
        let mut values = serde_json::Deserializer::from_slice(&text).into_iter::<serde::de::IgnoredAny>();
        if matches!((values.next(), values.next()), (Some(Ok(_)), Some(_))) {
            return Err(ambiguous("more than one message: send one at a time"));
        }
        Ok(Box::new(Self {
            text,
            kind: Kind::Malformed,
            method: Short::default(),
            name: None,
            id: "null".into(),
            meta: Meta::default(),
            params: None,
            shape: Shape::default(),
            positional: false,
        }))
    }

    fn of_members<'t>(text: &'t str, members: Vec<Member<'t>>, inside: Vec<Member<'t>>) -> Result<Box<Self>, Stop> {
        let find = |key: &str| members.iter().find(|m| m.key == key).map(|m| m.text(text));
        let method = find("method").and_then(wire::unquote).map(Short::from);
        let id = find("id");
        let kind = match (&method, id) {
            (None, _) => Kind::Response,
            (Some(_), None) => Kind::Notification,
            (Some(_), Some(id)) if id.starts_with(['"', '-']) || id.starts_with(|c: char| c.is_ascii_digit()) => {
                Kind::Request
            }
            (Some(_), Some(_)) => Kind::Nameless,
        };
        let place = members.iter().find(|m| m.key == PARAMS).map(Member::place);
        let params = place.clone().map_or("", |place| &text[place]);
        let positional = !params.is_empty() && !params.starts_with(['{', 'n']);
        let params = if params.starts_with('{') { params } else { "" };
        let inside = match params {
            "" => Ok(inside),
            params if inside.is_empty() => wire::members(params),
            _ => wire::unique(&inside).map(|()| inside),
        };
        let inside = inside.map_err(|error| ambiguous(format!("params: {error}")))?;
        let of_params = |key: &str| inside.iter().find(|m| m.key == key).map(|m| m.text(params));
        // Of two names, the one by which the method knows its object.
        let name = match method.as_deref() {
            Some(method) if method.starts_with("resources/") => of_params("uri"),
            _ => of_params("name").or_else(|| of_params("uri")),
        };
        let name = name.and_then(wire::unquote).map(Short::from);
        Ok(Box::new(Self {
            text: Bytes::new(),
            kind,
            method: method.unwrap_or_default(),
            name,
            id: id.unwrap_or("null").into(),
            meta: of_params("_meta").map(Meta::read).unwrap_or_default(),
            params: place,
            positional,
            shape: Shape::new(members, PARAMS, inside),
        }))
    }

    pub fn is_tool_call(&self) -> bool {
        self.method == "tools/call"
    }

    /// The message for the upstream: our id, the tenant's context in place of what the caller wrote there, the keys
    /// that the era asks for. Everything else is the caller's, byte for byte.
    pub fn dress(&self, with: &Dressing<'_>, type_of: impl Fn(&str) -> ArgumentType) -> Result<Vec<u8>, Stop> {
        let edits = match self.kind {
            Kind::Malformed => return Ok(self.text.to_vec()),
            Kind::Response => vec![Edit::new("method", Change::Keep), Edit::new("params", Change::Keep)],
            Kind::Request | Kind::Nameless | Kind::Notification => {
                vec![
                    Edit::new("method", Change::Keep),
                    Edit::new("id", self.id_change(with)),
                    Edit::new("params", self.params_change(with, type_of)),
                ]
            }
        };
        let not_sent = |why: String| Stop::refused(format!("the message was not sent: {why}"));
        let text = std::str::from_utf8(&self.text).map_err(|e| not_sent(e.to_string()))?;
        let mut out = String::with_capacity(text.len() + 512);
        self.shape.splice(text, &edits, &mut out).map_err(|e| not_sent(e.to_string()))?;
        Ok(out.into_bytes())
    }

    fn id_change(&self, with: &Dressing<'_>) -> Change<'static> {
        match self.kind {
            Kind::Request => Change::Set(with.id.to_string().into()),
            _ => Change::Keep,
        }
    }

    fn params_change<'a>(&self, with: &'a Dressing<'_>, type_of: impl Fn(&str) -> ArgumentType) -> Change<'a> {
        // A list holds no keys, so nothing of ours can be forged in it; but where ours must go in, it is refused.
        if self.positional && with.injection.meta.is_none() && with.injection.arguments.is_empty() {
            return Change::Keep;
        }
        let mut meta = Vec::with_capacity(META_EDITS);
        meta.push(with.injection.meta_edit());
        if self.kind == Kind::Request && (self.meta.token.is_some() || with.progress) {
            meta.push(Edit::set("progressToken", with.id.to_string()));
        }
        meta.extend(Cell { client: with.client, era: with.era }.meta_edits());
        meta.extend(with.trace.map(|trace| Edit::set(trace::KEY, wire::quote(&trace.text()))));
        let mut params = Vec::with_capacity(PARAMS_EDITS);
        params.push(Edit::new("name", Change::Keep));
        params.push(Edit::new("uri", Change::Keep));
        params.push(Edit::new("_meta", Change::Within(meta)));
        if self.is_tool_call() && !with.injection.arguments.is_empty() {
            params.push(Edit::new("arguments", Change::Within(with.injection.argument_edits(type_of))));
        }
        Change::Within(params)
    }
}

impl Meta {
    fn read(text: &str) -> Self {
        let members = wire::members(text).unwrap_or_default();
        let find = |key: &str| members.iter().find(|m| m.key == key).map(|m| m.text(text));
        Self {
            version: find(era::VERSION_KEY).and_then(wire::unquote).map(Cow::into_owned),
            has_capabilities: find(era::CAPABILITIES_KEY).is_some_and(|text| text.starts_with('{')),
            level: find(era::LEVEL_KEY).and_then(wire::unquote).and_then(|level| Level::parse(&level)),
            token: find("progressToken").map(Into::into),
            trace: find(trace::KEY).and_then(wire::unquote).and_then(|text| Trace::parse(&text)),
        }
    }
}

fn compose(method: &str, params: &str, id: CallId) -> Result<String, Stop> {
    let head = format!(r#"{{"jsonrpc":"2.0","id":{},"method":{}"#, id.0, wire::quote(method));
    if params.trim().is_empty() {
        return Ok(head + "}");
    }
    serde_json::from_str::<&RawValue>(params).map_err(|e| Stop::refused(format!("params are not JSON: {e}")))?;
    Ok(format!(r#"{head},"params":{params}}}"#))
}
