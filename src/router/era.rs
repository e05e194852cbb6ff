//! Which revision family an upstream speaks, and the handshake that goes with it.

use super::session::Hello;
use super::slot::Offers;
use super::upstream::{Answer, Ask, Expects, Fault, Upstream, Whose};
use super::wire::{self, Change, Edit, ErrorObject};
use super::{OpenError, OpenOptions, outcome};
use crate::model::Era;
use crate::model::server::EraChoice;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;
use tokio::time::Instant;

/// The stateless revision that we speak.
pub const MODERN: &str = "2026-07-28";
/// The handshake revision that we offer, and those that we accept in return.
pub const LEGACY: &str = "2025-11-25";
pub const KNOWN_LEGACY: [&str; 4] = ["2024-11-05", "2025-03-26", "2025-06-18", LEGACY];

/// JSON-RPC codes that only a modern server gives: header mismatch, missing capability, unsupported version.
const MODERN_CODES: [i64; 3] = [HEADER_MISMATCH, -32021, UNSUPPORTED_VERSION];
pub const HEADER_MISMATCH: i64 = -32020;
pub const UNSUPPORTED_VERSION: i64 = -32022;

pub const VERSION_KEY: &str = "io.modelcontextprotocol/protocolVersion";
pub const CLIENT_KEY: &str = "io.modelcontextprotocol/clientInfo";
pub const CAPABILITIES_KEY: &str = "io.modelcontextprotocol/clientCapabilities";
pub const LEVEL_KEY: &str = "io.modelcontextprotocol/logLevel";
pub const CLIENT_INFO: &str = concat!(r#"{"name":"mcpdeck","version":""#, env!("CARGO_PKG_VERSION"), r#""}"#);

/// What a handshake found.
#[derive(Clone, Debug)]
pub struct Greeting {
    pub era: Era,
    pub server_info: Option<String>,
    pub instructions: Option<String>,
    pub capabilities: String,
    pub offers: Offers,
    /// JSON text of the result of `initialize` or `server/discover`.
    pub result: Option<String>,
}

/// The keys that each modern request must carry, where the caller gave none. `capabilities`: JSON text.
pub fn modern_meta(capabilities: &str) -> [Edit<'_>; 3] {
    fn default<'a>(key: &'static str, json: &'a str) -> Edit<'a> {
        Edit::new(key, Change::Default(json.into()))
    }
    [
        default(VERSION_KEY, concat!("\"", "2026-07-28", "\"")),
        default(CLIENT_KEY, CLIENT_INFO),
        default(CAPABILITIES_KEY, capabilities),
    ]
}

/// JSON text of the params of a request of our own.
pub fn own_params(era: Era, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { "," };
    match era {
        Era::Legacy => format!("{{{more}}}"),
        Era::Modern => format!(
            r#"{{"_meta":{{"{VERSION_KEY}":"{MODERN}","{CLIENT_KEY}":{CLIENT_INFO},"{CAPABILITIES_KEY}":{{}}}}{comma}{more}}}"#
        ),
    }
}

/// A request of our own, not for any tenant.
pub fn own_ask<'a>(upstream: &Upstream, era: Era, method: &'a str, more: &str) -> Ask<'a> {
    let id = upstream.next_id();
    Ask {
        id,
        body: wire::request(id, method, &own_params(era, more)).into_bytes(),
        expects: Expects::Answer,
        method,
        name: None,
        version: None,
        era,
        headers: Vec::new(),
        session: Whose::Own,
        client: None,
        flight: None,
        quiet: false,
    }
}

/// Finds out the era and shakes hands. `hello`: for the one client whose own this upstream is.
pub async fn greet(upstream: &Upstream, options: &OpenOptions, hello: Option<&Hello>) -> Result<Greeting, OpenError> {
    let began = Instant::now();
    match (options.era, options.hint) {
        (EraChoice::Legacy, _) => initialize(upstream, options.timeout, hello).await,
        (EraChoice::Modern, _) => insist_modern(upstream, options).await,
        (EraChoice::Auto, Some(Era::Legacy)) => match initialize(upstream, options.timeout, hello).await {
            // The server was exchanged for a newer one.
            Err(OpenError::Protocol(error)) => discover(upstream, options).await?.ok_or(OpenError::Protocol(error)),
            done => done,
        },
        (EraChoice::Auto, _) => match discover(upstream, options).await? {
            Some(greeting) => Ok(greeting),
            None => initialize(upstream, options.timeout.saturating_sub(began.elapsed()), hello).await,
        },
    }
}

/// Modern by decree: a server without `server/discover` is taken at the operator's word, a silent one is not.
async fn insist_modern(upstream: &Upstream, options: &OpenOptions) -> Result<Greeting, OpenError> {
    let mut ask = own_ask(upstream, Era::Modern, "server/discover", "");
    ask.quiet = true;
    let answer = within(options.timeout, "server/discover", upstream.ask(&mut ask)).await?;
    let answer = answer.map_err(open_error)?;
    Ok(read_discover(&answer).unwrap_or_else(|| modern_greeting(None, None)))
}

/// `None`: not modern, as far as can be told.
async fn discover(upstream: &Upstream, options: &OpenOptions) -> Result<Option<Greeting>, OpenError> {
    let mut ask = own_ask(upstream, Era::Modern, "server/discover", "");
    ask.quiet = true;
    let limit = options.probe_timeout.min(options.timeout);
    match tokio::time::timeout(limit, upstream.ask(&mut ask)).await {
        // Some servers say nothing to what they do not know.
        Err(_silence) => Ok(None),
        Ok(Ok(answer)) => Ok(read_discover(&answer)),
        Ok(Err(Fault::Closed(_))) if !upstream.is_http() => Err(OpenError::ExitedOnProbe),
        Ok(Err(Fault::Protocol(_))) => Ok(None),
        Ok(Err(fault)) => Err(open_error(fault)),
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Discovered<'a> {
    #[serde(default)]
    supported_versions: Vec<String>,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
    instructions: Option<String>,
    server_info: Option<ServerInfo>,
    #[serde(rename = "_meta", default)]
    meta: DiscoverMeta,
}

#[derive(Deserialize, Default)]
struct DiscoverMeta {
    #[serde(rename = "io.modelcontextprotocol/serverInfo")]
    server_info: Option<ServerInfo>,
}

#[derive(Deserialize)]
struct ServerInfo {
    name: String,
    #[serde(default)]
    version: String,
}

impl ServerInfo {
    fn text(self) -> String {
        format!("{} {}", self.name, self.version).trim_end().to_owned()
    }
}

fn read_discover(answer: &Answer) -> Option<Greeting> {
    if let Some(error) = answer.error() {
        return modern_error(error).then(|| modern_greeting(None, None));
    }
    let result = answer.result()?;
    let found: Discovered<'_> = serde_json::from_str(result).ok()?;
    found.supported_versions.iter().any(|v| v == MODERN).then(|| modern_greeting(Some(found), Some(result.to_owned())))
}

/// True if the error is one that only a modern server gives, and one that leaves us a version in common.
fn modern_error(error: &str) -> bool {
    #[derive(Deserialize)]
    struct Supported {
        supported: Option<Vec<String>>,
    }
    let error = ErrorObject::read(error);
    let supported = error.data.and_then(|d| serde_json::from_str::<Supported>(d.get()).ok()).and_then(|s| s.supported);
    MODERN_CODES.contains(&error.code) && supported.is_none_or(|s| s.iter().any(|v| v == MODERN))
}

fn modern_greeting(found: Option<Discovered<'_>>, result: Option<String>) -> Greeting {
    let capabilities = found.as_ref().and_then(|f| f.capabilities).map_or("{}", RawValue::get).to_owned();
    Greeting {
        era: Era::Modern,
        // What was not told is tried.
        offers: if found.is_some() { offers(&capabilities) } else { Offers { tools: true, ..Offers::default() } },
        capabilities,
        instructions: found.as_ref().and_then(|f| f.instructions.clone()),
        server_info: found.and_then(|f| f.meta.server_info.or(f.server_info)).map(ServerInfo::text),
        result,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Initialized<'a> {
    protocol_version: String,
    #[serde(borrow)]
    capabilities: Option<&'a RawValue>,
    instructions: Option<String>,
    server_info: Option<ServerInfo>,
}

/// The legacy handshake.
pub async fn initialize(upstream: &Upstream, limit: Duration, hello: Option<&Hello>) -> Result<Greeting, OpenError> {
    let greeting = within(limit, "initialize", ask_initialize(upstream, hello)).await??;
    let mut done = own_ask(upstream, Era::Legacy, "notifications/initialized", "");
    done.body = wire::notification("notifications/initialized", "{}").into_bytes();
    done.expects = Expects::Nothing;
    within(limit, "notifications/initialized", upstream.ask(&mut done)).await?.map_err(open_error)?;
    Ok(greeting)
}

/// True for a handshake revision that we know.
pub fn is_known_legacy(version: &str) -> bool {
    KNOWN_LEGACY.contains(&version)
}

/// The revision in the result (or the params) of `initialize`.
pub fn agreed_version(result: &str) -> Option<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Agreed {
        protocol_version: String,
    }
    serde_json::from_str::<Agreed>(result).ok().map(|agreed| agreed.protocol_version)
}

/// Params of our `initialize`: no capability where callers share the session, else those of its one client.
pub fn initialize_params(hello: Option<&Hello>) -> String {
    let capabilities = hello.map_or("{}", |hello| &hello.capabilities);
    let info = hello.map_or(CLIENT_INFO, |hello| &hello.info);
    format!(r#""protocolVersion":"{LEGACY}","capabilities":{capabilities},"clientInfo":{info}"#)
}

async fn ask_initialize(upstream: &Upstream, hello: Option<&Hello>) -> Result<Greeting, OpenError> {
    let mut ask = own_ask(upstream, Era::Legacy, "initialize", &initialize_params(hello));
    ask.quiet = true;
    let answer = upstream.ask(&mut ask).await.map_err(open_error)?;
    if let Some(error) = answer.error() {
        let error = ErrorObject::read(error);
        let text = format!("initialize was refused: {} ({})", error.message, error.code);
        return Err(match outcome::means_auth(error.code, &error.message) {
            true => OpenError::Auth(text),
            false => OpenError::Protocol(text),
        });
    }
    let result = answer.result().unwrap_or("null");
    let found: Initialized<'_> = serde_json::from_str(result)
        .map_err(|e| OpenError::Protocol(format!("the answer to initialize cannot be read: {e}")))?;
    if !KNOWN_LEGACY.contains(&found.protocol_version.as_str()) {
        let known = KNOWN_LEGACY.join(", ");
        return Err(OpenError::Protocol(format!("it speaks MCP {}; we speak {known}", found.protocol_version)));
    }
    let capabilities = found.capabilities.map_or("{}", RawValue::get).to_owned();
    Ok(Greeting {
        era: Era::Legacy,
        offers: offers(&capabilities),
        capabilities,
        instructions: found.instructions,
        server_info: found.server_info.map(ServerInfo::text),
        result: Some(result.to_owned()),
    })
}

fn offers(capabilities: &str) -> Offers {
    #[derive(Deserialize, Default)]
    struct Capabilities {
        tools: Option<Lists>,
        prompts: Option<serde::de::IgnoredAny>,
        resources: Option<serde::de::IgnoredAny>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Lists {
        list_changed: Option<bool>,
    }
    let c: Capabilities = serde_json::from_str(capabilities).unwrap_or_default();
    Offers {
        announces: c.tools.as_ref().is_some_and(|t| t.list_changed == Some(true)),
        tools: c.tools.is_some(),
        prompts: c.prompts.is_some(),
        resources: c.resources.is_some(),
    }
}

async fn within<T>(limit: Duration, step: &'static str, work: impl Future<Output = T>) -> Result<T, OpenError> {
    tokio::time::timeout(limit, work).await.map_err(|_| OpenError::Timeout { step, seconds: limit.as_secs() })
}

fn open_error(fault: Fault) -> OpenError {
    match fault {
        Fault::Auth(text) => OpenError::Auth(text),
        Fault::Protocol(text) | Fault::TooLong(text) => OpenError::Protocol(text),
        Fault::Closed(reason) => OpenError::Transport(reason.to_string()),
        Fault::Unreachable(text) | Fault::Transport(text) => OpenError::Transport(text),
    }
}
