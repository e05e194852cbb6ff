//! `test`: sends named requests and holds their answers against what their files expect.

use super::args::{Global, Output, Test as Args};
use super::call::{must_be_allowed, must_be_enabled};
use super::check::{counted, picture};
use super::error::{Code, Error};
use super::output::{json_line, note, plain, print};
use super::session::{self, Need, Session};
use super::{names, stream};
use crate::config::Problem;
use crate::config::request::{self, Check, Expect, Must, NamedRequest, What};
use crate::model::call::Origin;
use crate::model::message::{CallEvent, ConsoleCall};
use crate::model::{CallRecord, Chunk, Feed, Outcome};
use crate::ui::jq;

use miette::Severity;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where requests lie unless files are named.
const FOLDER: &str = "requests";
/// What of a value is shown, in bytes.
const SHOWN: usize = 200;

/// Runs `test`.
pub fn run(global: &Global, args: &Args) -> Result<Code, Error> {
    let files = files(&args.files)?;
    let vars: BTreeMap<String, String> =
        args.var.iter().map(|(name, text)| (name.clone(), request::value(text))).collect();
    // Nothing is sent while anything is wrong with a file.
    let requests = read(global, &files, &vars)?;
    let session = Session::open(global, Need::Any)?;
    let mut done = Vec::new();
    for (file, request) in &requests {
        let ended = one(&session, args, file, request);
        if global.output == Output::Table {
            print(&plain(&line(&ended)))?;
        }
        done.push(ended);
    }
    finish(global.output, &done)
}

/// Files as they were named; of a folder every `*.toml` in it, by name.
fn files(named: &[PathBuf]) -> Result<Vec<PathBuf>, Error> {
    let named = if named.is_empty() { &[PathBuf::from(FOLDER)][..] } else { named };
    let mut out = Vec::new();
    for path in named {
        if !path.is_dir() {
            out.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|error| Error::failed(format!("{}: {error}", path.display())))?;
        let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        found.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
        found.sort();
        if found.is_empty() {
            let help = "in the console, W saves the request on screen there";
            return Err(Error::not_found(format!("there is no *.toml in {}", path.display())).help(help));
        }
        out.append(&mut found);
    }
    Ok(out)
}

fn read(
    global: &Global,
    files: &[PathBuf],
    vars: &BTreeMap<String, String>,
) -> Result<Vec<(PathBuf, NamedRequest)>, Error> {
    let mut requests = Vec::new();
    let mut problems: Vec<Problem> = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|error| {
            Error::not_found(format!("{}: {error}", file.display()))
                .help("name a file, or a folder of them; without, requests/ is taken")
        })?;
        match request::parse(&text, file) {
            Ok(request) => {
                let filled = request
                    .fill(vars)
                    .map_err(|why| Error::new(Code::Config, "config", format!("{}: {why}", file.display())))?;
                requests.push((file.clone(), filled));
            }
            Err(mut found) => problems.append(&mut found),
        }
    }
    if problems.is_empty() {
        return Ok(requests);
    }
    match global.output {
        Output::Table => problems.iter().for_each(|problem| note(picture(problem, Severity::Error).trim_end())),
        Output::Json => {}
    }
    let first = problems.first().map(Problem::headline).unwrap_or_default();
    let message = match global.output {
        Output::Table => counted("what was to be sent", &problems, &[]),
        Output::Json => first,
    };
    Err(Error::new(Code::Config, "config", message).help("nothing was sent"))
}

/// How one request ended; what `-o json` prints of it.
#[derive(Serialize)]
struct Ended {
    file: String,
    description: String,
    customer: Option<String>,
    server: String,
    what: String,
    passed: bool,
    call: Option<String>,
    outcome: Option<&'static str>,
    took_ms: Option<f64>,
    failures: Vec<Failure>,
    /// Why it was not sent.
    error: Option<String>,
    #[serde(skip)]
    code: Code,
}

#[derive(Serialize)]
struct Failure {
    line: usize,
    check: String,
    expected: String,
    found: String,
}

fn one(session: &Session, args: &Args, file: &Path, request: &NamedRequest) -> Ended {
    let mut ended = Ended {
        file: file.display().to_string(),
        description: request.description.clone(),
        customer: args.customer.clone().or_else(|| request.customer.clone()),
        server: request.server.clone(),
        what: request.what.name().to_owned(),
        passed: false,
        call: None,
        outcome: None,
        took_ms: None,
        failures: Vec::new(),
        error: None,
        code: Code::Ok,
    };
    match sent(session, args, &mut ended, request) {
        Ok((record, body)) => {
            ended.call = Some(record.id.to_string());
            ended.outcome = Some(record.outcome.name());
            ended.took_ms = Some(record.took_us as f64 / 1000.0);
            ended.failures = failures(session, request, &record, &body);
            ended.passed = ended.failures.is_empty();
            ended.code = if ended.passed { Code::Ok } else { Code::Failed };
        }
        Err(error) => {
            ended.code = error.code;
            ended.error = Some(match &error.help {
                Some(help) => format!("{} ({help})", error.message),
                None => error.message.clone(),
            });
        }
    }
    ended
}

fn sent(
    session: &Session,
    args: &Args,
    ended: &mut Ended,
    request: &NamedRequest,
) -> Result<(CallRecord, String), Error> {
    let state = session.state();
    let named = ended.customer.as_deref().ok_or_else(|| {
        Error::usage(format!("{} names no customer", ended.file)).help("customer = \"...\" in the file, or --customer")
    })?;
    let tenant = names::tenant(&state, named)?;
    ended.customer = Some(tenant.to_string());
    let server = names::server(&state, &request.server)?;
    must_be_enabled(&state, &tenant, &server)?;
    let (method, body) = match &request.what {
        What::Tool(tool) => {
            let name = serde_json::Value::from(tool.as_str());
            (Some("tools/call".to_owned()), format!("{{\"name\":{name},\"arguments\":{}}}", request.body))
        }
        What::Method(method) => (Some(method.clone()), request.body.clone()),
        What::Message => (None, request.body.clone()),
    };
    let call = ConsoleCall {
        tenant,
        server,
        method,
        body,
        era: request.era,
        timeout_ms: request.timeout.map(|t| t.as_millis().try_into().unwrap_or(u64::MAX)),
        origin: Origin::Cli,
        operator: session::operator(),
        confirm: args.confirm.clone(),
        keep: false,
    };
    must_be_allowed(session, &call)?;
    let mut body = String::new();
    let mut record = None;
    stream::each_chunk(session, Feed::Call(Box::new(call)), |chunk| {
        match chunk {
            Chunk::Call(CallEvent::Body(part)) => body.push_str(&part),
            Chunk::Call(CallEvent::Done(done)) => record = Some(*done),
            _ => {}
        }
        Ok(())
    })?;
    let record = record.ok_or_else(|| Error::failed("the call was cancelled"))?;
    Ok((record, body))
}

/// What is other than it must be. Without a word on the outcome it must be ok.
fn failures(session: &Session, request: &NamedRequest, record: &CallRecord, body: &str) -> Vec<Failure> {
    let named = request.expect.iter().any(|expect| matches!(expect.check, Check::Outcome(_)));
    let ok = Expect { line: 0, check: Check::Outcome(Outcome::Ok) };
    let first = (!named).then_some(&ok);
    first.into_iter().chain(&request.expect).filter_map(|expect| failure(session, expect, record, body)).collect()
}

fn failure(session: &Session, expect: &Expect, record: &CallRecord, body: &str) -> Option<Failure> {
    let failed = |check: &str, expected: String, found: String| {
        Some(Failure { line: expect.line, check: check.to_owned(), expected, found })
    };
    match &expect.check {
        Check::Outcome(wanted) if record.outcome == *wanted => None,
        Check::Outcome(wanted) => {
            let why = record.error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
            failed("outcome", format!("to be {wanted}"), format!("{}{why}", record.outcome))
        }
        Check::Within(limit) if u128::from(record.took_us) <= limit.as_micros() => None,
        Check::Within(limit) => {
            let took = std::time::Duration::from_millis(record.took_us / 1000);
            failed(
                "time",
                format!("to be within {}", humantime::format_duration(*limit)),
                humantime::format_duration(took).to_string(),
            )
        }
        Check::Answer { path, must } => match held(session, path, must, body) {
            Ok((true, _)) => None,
            Ok((false, found)) => failed(path, must.wanted(), cut(&found)),
            Err(why) => failed(path, must.wanted(), why),
        },
    }
}

/// Whether it holds, and what was found.
fn held(session: &Session, path: &str, must: &Must, body: &str) -> Result<(bool, String), String> {
    #[derive(serde::Deserialize)]
    struct Found<'a>(bool, #[serde(borrow)] &'a RawValue);
    if body.is_empty() {
        return Ok((false, "no answer".to_owned()));
    }
    let helper = std::env::current_exe().map_err(|error| error.to_string())?;
    let program = format!("[first({path}\n)] | .[0] | [({}), .]", must.filter());
    let results = session.wait(jq::filter(&helper, &program, body))?;
    let text = results.text();
    let Found(holds, found) = serde_json::from_str(&text).map_err(|_| format!("{text} instead of a value"))?;
    Ok((holds, if found.get() == "null" { "nothing".to_owned() } else { found.get().to_owned() }))
}

fn cut(text: &str) -> String {
    match text.len() {
        0..=SHOWN => text.to_owned(),
        size => format!("{}... ({size} bytes)", &text[..text.floor_char_boundary(SHOWN)]),
    }
}

/// One line, and one for each thing that is other than it must be.
fn line(ended: &Ended) -> String {
    let word = if ended.passed { "ok  " } else { "FAIL" };
    let took = ended.took_ms.map(|ms| format!("  {ms:.1} ms")).unwrap_or_default();
    let customer = ended.customer.as_deref().unwrap_or("nobody");
    let mut out = format!("{word}  {}  {} as {customer}: {}{took}\n", ended.file, ended.server, ended.what);
    for failure in &ended.failures {
        let place = if failure.line > 0 { format!("{}:{}", ended.file, failure.line) } else { ended.file.clone() };
        out.push_str(&format!(
            "      {place}: expected {} {}, found {}\n",
            failure.check, failure.expected, failure.found
        ));
    }
    if let Some(error) = &ended.error {
        out.push_str(&format!("      {}: not sent: {error}\n", ended.file));
    }
    out
}

fn finish(format: Output, done: &[Ended]) -> Result<Code, Error> {
    #[derive(Serialize)]
    struct All<'a> {
        passed: usize,
        failed: usize,
        requests: &'a [Ended],
    }
    let passed = done.iter().filter(|ended| ended.passed).count();
    let failed = done.len() - passed;
    match format {
        Output::Json => print(&json_line(&All { passed, failed, requests: done })?)?,
        Output::Table => print(&format!("{}: {passed} passed, {failed} failed\n", many(done.len())))?,
    }
    // What an answer says goes before what was not sent at all.
    let broken = done.iter().find(|ended| ended.code == Code::Failed);
    let code = broken.or_else(|| done.iter().find(|ended| !ended.passed)).map_or(Code::Ok, |ended| ended.code);
    match code {
        Code::Ok => Ok(Code::Ok),
        code => Err(Error::new(code, "test", format!("{failed} of {} failed", many(done.len())))),
    }
}

fn many(n: usize) -> String {
    format!("{n} request{}", if n == 1 { "" } else { "s" })
}
