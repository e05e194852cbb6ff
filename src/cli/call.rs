//! `call`: one MCP call as a tenant, and what its end means.

use super::args::{self, Call as Args, Global, Output};
use super::arguments::{self, Typed};
use super::error::{Code, Error, call_code};
use super::output::{self, json, note, plain, print};
use super::session::{self, Need, Session};
use super::{every, names, stream};
use crate::model::call::Origin;
use crate::model::message::{Answer, CallEvent, ConsoleCall, Preview};
use crate::model::near::nearest;
use crate::model::shell_word;
use crate::model::{CallRecord, Chunk, Era, Feed, Query, Refusal, ServerId, Snapshot, TenantId};
use serde::Serialize;
use serde_json::{Value, value::RawValue};

/// Runs `call`.
pub fn run(global: &Global, args: &Args) -> Result<Code, Error> {
    let typed = arguments::parse(&args.arguments, read_stdin)?;
    let session = Session::open(global, Need::Any)?;
    let state = session.state();
    let named = args.tenant.as_deref().map(|name| names::tenant(&state, name)).transpose()?;
    let server = names::server(&state, &args.server)?;
    let tenants: Vec<TenantId> = match named {
        Some(tenant) => vec![tenant],
        None => state.users(&server).cloned().collect(),
    };
    let nobody = || Error::not_found(format!("no customer has {server} enabled"));
    let tenant = tenants.first().cloned().ok_or_else(nobody)?;
    must_be_enabled(&state, &tenant, &server)?;
    let (method, body) = match (&args.message, &args.what) {
        (Some(message), _) => (None, message.clone()),
        (None, Some(what)) => request(&session, what, typed, &tenant, &server)?,
        (None, None) => return Err(Error::usage("a call needs a tool, a method or --message")),
    };
    let call = ConsoleCall {
        tenant,
        server,
        method,
        body,
        era: args.era.map(|era| match era {
            args::Era::Legacy => Era::Legacy,
            args::Era::Modern => Era::Modern,
        }),
        timeout_ms: args.timeout.map(|t| t.as_millis().try_into().unwrap_or(u64::MAX)),
        origin: Origin::Cli,
        operator: session::operator(),
        confirm: args.confirm.clone(),
        keep: false,
    };
    if args.every_customer {
        let reads = match call.method.as_deref() {
            Some("tools/call") => reads_only(&session, &call, preview(&session, &call)?.read_only_tool)?,
            method => method.is_some(),
        };
        every::guard(&session, &call, &tenants, reads, session::load(global)?.platform.bulk_cap)?;
        return every::run(&session, call, tenants);
    }
    must_be_allowed(&session, &call)?;
    send(&session, call, args.wire)
}

/// The owner guards itself, too; asked before, its refusals are told with their reason and their way out.
pub fn must_be_allowed(session: &Session, call: &ConsoleCall) -> Result<(), Error> {
    if call.method.as_deref().is_some_and(|method| method != "tools/call") {
        return Ok(());
    }
    let state = session.state();
    let read_only = [
        session.read_only.then(|| "this command line is read-only".to_owned()),
        state.platform.read_only.then(|| format!("the platform {} is read-only", state.platform.name)),
        state.tenant(call.tenant.as_str()).and_then(|t| state.platform.guards.frozen(&t.def)),
    ];
    let why = read_only.into_iter().flatten().next();
    let preview = preview(session, call)?;
    let unconfirmed = preview.confirm.filter(|name| call.confirm.as_ref() != Some(name));
    if (why.is_none() && unconfirmed.is_none()) || reads_only(session, call, preview.read_only_tool)? {
        return Ok(());
    }
    let tool = format!("a tool of {} that is not marked read-only", call.server);
    Err(match (why, unconfirmed) {
        (Some(why), _) => Refusal::ReadOnly(format!("{why}: no call of {tool}")).into(),
        (None, Some(name)) => Refusal::NeedsConfirm { what: format!("a call of {tool}"), name }.into(),
        (None, None) => return Ok(()),
    })
}

fn preview(session: &Session, call: &ConsoleCall) -> Result<Preview, Error> {
    match session.ask(Query::Preview(call.clone()))? {
        Answer::Preview(preview) => Ok(preview),
        _ => Err(super::get::odd_answer()),
    }
}

/// True if the tool is marked read-only; a server that never listed its tools is asked for them first.
fn reads_only(session: &Session, call: &ConsoleCall, known: bool) -> Result<bool, Error> {
    if known {
        return Ok(true);
    }
    let listed = session.ask(Query::Catalog {
        tenant: call.tenant.clone(),
        server: call.server.clone(),
        wake: true,
        person: None,
    })?;
    if preview(session, call)?.read_only_tool {
        return Ok(true);
    }
    match listed {
        Answer::Catalog(catalog) => must_exist(&catalog.tools, call).map(|()| false),
        _ => Ok(false),
    }
}

/// A slip in a tool's name is told as one, before anybody is asked to confirm it.
fn must_exist(tools: &str, call: &ConsoleCall) -> Result<(), Error> {
    let tools: Vec<Value> = serde_json::from_str(tools).unwrap_or_default();
    let names: Vec<&str> = tools.iter().filter_map(|t| t.get("name").and_then(Value::as_str)).collect();
    let body: Value = serde_json::from_str(&call.body).unwrap_or_default();
    let asked = body.get("name").and_then(Value::as_str).filter(|_| call.method.is_some());
    let Some(asked) = asked.filter(|name| !names.is_empty() && !names.contains(name)) else { return Ok(()) };
    let list =
        format!("`mcpdeck tools --customer {} {}` lists them all", shell_word(call.tenant.as_str()), call.server);
    let help = match nearest(asked, names) {
        Some(near) => format!("did you mean `{near}`? {list}"),
        None => list,
    };
    Err(Error::not_found(format!("{} has no tool `{asked}`", call.server)).help(help))
}

fn read_stdin() -> Result<String, Error> {
    Ok(std::io::read_to_string(std::io::stdin())?)
}

pub fn must_be_enabled(state: &Snapshot, tenant: &TenantId, server: &ServerId) -> Result<(), Error> {
    let row = state.tenant(tenant.as_str());
    if row.and_then(|t| t.cell(server)).is_some_and(|cell| cell.enabled) {
        return Ok(());
    }
    Err(Error::new(Code::Refused, "not_enabled", format!("{server} is not enabled for {tenant}"))
        .help(format!("mcpdeck enable {server} {tenant} (the tenant's agents are told that it does not exist)")))
}

/// Method and params of what was typed: a method is known by its form, everything else is a tool.
fn request(
    session: &Session,
    what: &str,
    typed: Typed,
    tenant: &TenantId,
    server: &ServerId,
) -> Result<(Option<String>, String), Error> {
    no_method_meant(session, what, tenant, server)?;
    if is_method(what) {
        let params = match typed {
            Typed::Json(text) => text,
            Typed::Pairs(pairs) => Value::Object(arguments::build(&pairs, &Value::Null)?).to_string(),
        };
        return Ok((Some(what.to_owned()), params));
    }
    let arguments = match typed {
        Typed::Json(text) if text.is_empty() => "{}".to_owned(),
        Typed::Json(text) => text,
        Typed::Pairs(pairs) => {
            let schema = schema_of(session, what, tenant, server)?;
            Value::Object(arguments::build(&pairs, &schema)?).to_string()
        }
    };
    // The text of the arguments goes in as it was typed: big numbers keep their digits.
    Ok((Some("tools/call".to_owned()), format!("{{\"name\":{},\"arguments\":{arguments}}}", Value::from(what))))
}

/// Families of MCP methods, in every revision.
const FAMILIES: [&str; 12] = [
    "tools",
    "prompts",
    "resources",
    "completion",
    "logging",
    "server",
    "notifications",
    "sampling",
    "elicitation",
    "roots",
    "tasks",
    "subscriptions",
];

/// What people call by name; a slip in one is told.
const METHODS: [&str; 10] = [
    "tools/list",
    "tools/call",
    "prompts/list",
    "prompts/get",
    "resources/list",
    "resources/read",
    "resources/templates/list",
    "completion/complete",
    "logging/setLevel",
    "server/discover",
];

/// `tool/list` is a slip, unless the server has a tool of that name.
fn no_method_meant(session: &Session, what: &str, tenant: &TenantId, server: &ServerId) -> Result<(), Error> {
    let near = (what.contains('/') && !is_method(what)).then(|| nearest(what, METHODS)).flatten();
    let Some(near) = near else { return Ok(()) };
    let listed =
        session.ask(Query::Catalog { tenant: tenant.clone(), server: server.clone(), wake: true, person: None });
    let Ok(Answer::Catalog(catalog)) = listed else { return Ok(()) };
    let tools: Vec<Value> = serde_json::from_str(&catalog.tools).unwrap_or_default();
    if tools.iter().any(|tool| tool.get("name").and_then(Value::as_str) == Some(what)) {
        return Ok(());
    }
    Err(Error::not_found(format!("{server} has no tool `{what}`, and no method is called so"))
        .help(format!("did you mean `{near}`?")))
}

fn is_method(what: &str) -> bool {
    matches!(what, "ping" | "initialize") || what.split_once('/').is_some_and(|(family, _)| FAMILIES.contains(&family))
}

/// The tool's input schema as the tenant sees it; `Null` if the server does not tell, and the server then decides.
fn schema_of(session: &Session, tool: &str, tenant: &TenantId, server: &ServerId) -> Result<Value, Error> {
    let query = Query::Catalog { tenant: tenant.clone(), server: server.clone(), wake: true, person: None };
    let Answer::Catalog(catalog) = session.ask(query)? else { return Ok(Value::Null) };
    let tools: Vec<Value> = serde_json::from_str(&catalog.tools).unwrap_or_default();
    let found = tools.into_iter().find(|t| t.get("name").and_then(Value::as_str) == Some(tool));
    Ok(found.and_then(|mut t| t.get_mut("inputSchema").map(Value::take)).unwrap_or(Value::Null))
}

/// Follows the call to its end and prints the answer.
fn send(session: &Session, call: ConsoleCall, wire: bool) -> Result<Code, Error> {
    let (tenant, server) = (call.tenant.clone(), call.server.clone());
    let mut body = String::new();
    let mut record = None;
    stream::each_chunk(session, Feed::Call(Box::new(call)), |chunk| {
        match chunk {
            Chunk::Call(CallEvent::Body(part)) => body.push_str(&part),
            Chunk::Call(CallEvent::Done(done)) => record = Some(*done),
            // A program gets one line of JSON on standard error, and only if the call fails.
            Chunk::Call(event) if session.output == Output::Table || wire => tell(&event, wire),
            _ => {}
        }
        Ok(())
    })?;
    let Some(record) = record else {
        return Err(Error::failed(format!("the call to {server} as {tenant} was cancelled")));
    };
    finish(session.output, &record, &body)
}

/// Progress and the like, on standard error.
fn tell(event: &CallEvent, wire: bool) {
    match event {
        CallEvent::Wire { sent, text, .. } if wire => note(&format!("{} {text}", if *sent { '>' } else { '<' })),
        CallEvent::Waking { instance } => note(&format!("starting {instance}")),
        CallEvent::Progress { percent: Some(percent), text } => note(&format!("{percent:.0} % {text}")),
        CallEvent::Progress { percent: None, text } if !text.is_empty() => note(text),
        CallEvent::Log { level, text } => note(&format!("{level}: {text}")),
        _ => {}
    }
}

/// What `call -o json` prints.
#[derive(Serialize)]
struct Finished<'a> {
    call: String,
    outcome: &'static str,
    instance: Option<String>,
    took_ms: f64,
    /// The JSON-RPC answer as it came.
    response: Option<&'a RawValue>,
}

fn finish(format: Output, record: &CallRecord, body: &str) -> Result<Code, Error> {
    let answer: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let is_error = answer.pointer("/result/isError") == Some(&Value::Bool(true));
    match format {
        Output::Json => {
            let finished = Finished {
                call: record.id.to_string(),
                outcome: record.outcome.name(),
                instance: record.instance.as_ref().map(ToString::to_string),
                took_ms: record.took_us as f64 / 1000.0,
                response: serde_json::from_str(body).ok(),
            };
            print(&output::json_line(&finished)?)?;
        }
        Output::Table => {
            if let Some(result) = answer.get("result") {
                print(&plain(&readable(result)?))?;
            }
        }
    }
    match call_code(record.outcome, is_error) {
        Code::Ok => Ok(Code::Ok),
        code => Err(failure(code, record, &answer)),
    }
}

/// A result for people: the texts of its content, or the JSON.
fn readable(result: &Value) -> Result<String, Error> {
    let Some(content) = result.get("content").and_then(Value::as_array).filter(|c| !c.is_empty()) else {
        return json(result.get("structuredContent").unwrap_or(result));
    };
    let mut text = String::new();
    for block in content {
        match (block.get("text").and_then(Value::as_str), block.get("type").and_then(Value::as_str)) {
            (Some(words), _) => text.push_str(words),
            (None, Some(kind)) => text.push_str(&format!("[{kind}: -o json has it]")),
            (None, None) => text.push_str(&block.to_string()),
        }
        text.push('\n');
    }
    Ok(text)
}

fn failure(code: Code, record: &CallRecord, answer: &Value) -> Error {
    let said = answer.pointer("/error/message").and_then(Value::as_str).map(str::to_owned);
    let reason = record.error.clone().or(said).unwrap_or_else(|| record.outcome.to_string());
    let (server, tenant) = (&record.server, &record.tenant);
    let tool = match record.tool.as_deref().unwrap_or(&record.method) {
        "" => "a message",
        tool => tool,
    };
    let message = format!("{tool} of {server} as {tenant}: {reason}");
    let help = match code {
        Code::Tool => None,
        Code::Refused | Code::Unreachable => {
            Some(format!("mcpdeck explain {}", shell_word(&format!("{server}@{tenant}"))))
        }
        _ => Some(format!("mcpdeck get calls {}", record.id)),
    };
    Error { code, kind: record.outcome.name(), message, help }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_are_known_by_their_form() {
        for (what, method) in [
            ("ping", true),
            ("tools/list", true),
            ("server/discover", true),
            ("classify", false),
            ("repo/search", false),
            ("resources/read", true),
        ] {
            assert_eq!(is_method(what), method, "{what}");
        }
    }

    #[test]
    fn results_read_as_text_where_they_are_text() {
        let text = |json: &str| readable(&serde_json::from_str(json).unwrap()).unwrap();
        assert_eq!(
            text(r#"{"content":[{"type":"text","text":"a"},{"type":"image","data":"x"}]}"#),
            "a\n[image: -o json has it]\n"
        );
        assert_eq!(text(r#"{"content":[],"structuredContent":{"a":1}}"#), "{\n  \"a\": 1\n}\n");
        assert_eq!(text("{}"), "{}\n");
    }
}
