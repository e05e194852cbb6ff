//! jq filters over an answer, each in a process of its own: a filter may run for ever, eat all memory or overflow its
//! stack, and a process is the one thing that can be stopped in the middle of it. It sees no environment and no files.

use jaq_core::load::{self, Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, compile, data, unwrap_valr};
use jaq_json::{Val, read};
use rustix::process::{Resource, Rlimit, setrlimit};
use std::ffi::OsStr;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{ExitCode, ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStdin, Command};

/// The hidden first argument with which our own program is the process that filters.
pub const WORD: &str = "__jq";

/// A filter that takes longer is ended; whoever waits calls it off sooner.
const LIMIT: Duration = Duration::from_secs(60);
/// Memory of the process, in bytes: 50 MB of JSON take about a tenth of it.
const MEMORY: u64 = 4 << 30;
/// Results that are taken, and their bytes; the rest is cut and said.
const MAX_RESULTS: usize = 100_000;
const MAX_BYTES: usize = 16 << 20;
/// What of an error is read, and of it shown, in bytes: it may hold a whole answer.
const MAX_ERROR: u64 = 4 << 10;
const SHOWN: usize = 400;

/// What a filter gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Results {
    /// JSON texts.
    pub values: Vec<String>,
    /// There were more than are kept.
    pub cut: bool,
}

impl Results {
    /// One JSON text: the only result as it is, several as a list.
    pub fn text(&self) -> String {
        match self.values.as_slice() {
            [one] => one.clone(),
            many => format!("[{}]", many.join(",")),
        }
    }
}

/// Filters a JSON text. `helper` is our own program. Dropping the future ends the process.
pub async fn filter(helper: &Path, program: &str, text: &str) -> Result<Results, String> {
    let run = run(helper, program, text);
    let limit = || format!("the filter took longer than {} s and was ended", LIMIT.as_secs());
    tokio::time::timeout(LIMIT, run).await.unwrap_or_else(|_| Err(limit()))
}

async fn run(helper: &Path, program: &str, text: &str) -> Result<Results, String> {
    let cannot = |error: io::Error| format!("cannot filter ({} {WORD}): {error}", helper.display());
    let mut child = Command::new(helper)
        .args([WORD, program])
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot)?;
    let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(cannot(io::ErrorKind::BrokenPipe.into()));
    };
    // One byte more than is kept tells that there is more; the process then ends because nobody reads it.
    let (_, found, said) = tokio::join!(give(input, text), take(output, MAX_BYTES as u64 + 1), take(errors, MAX_ERROR));
    let (found, said) = (found.map_err(cannot)?, said.map_err(cannot)?);
    let said = String::from_utf8_lossy(&said);
    let status = child.wait().await.map_err(cannot)?;
    let results = read_results(&found);
    match status.code() {
        Some(0) => Ok(results),
        _ if results.cut => Ok(results),
        _ => Err(why(said.trim(), status)),
    }
}

async fn give(mut input: ChildStdin, text: &str) {
    // A process that does not want all of it has said why.
    let _ = input.write_all(text.as_bytes()).await;
}

/// So much of what a process writes; its end of the pipe breaks then.
async fn take(from: impl AsyncRead + Unpin, most: u64) -> io::Result<Vec<u8>> {
    let mut found = Vec::new();
    from.take(most).read_to_end(&mut found).await?;
    Ok(found)
}

fn read_results(found: &[u8]) -> Results {
    let long = found.len() > MAX_BYTES;
    // The last one is not whole.
    let whole = if long { found.iter().rposition(|byte| *byte == b'\n').unwrap_or(0) } else { found.len() };
    let text = String::from_utf8_lossy(&found[..whole]);
    let mut values: Vec<String> = text.lines().take(MAX_RESULTS + 1).map(str::to_owned).collect();
    let many = values.len() > MAX_RESULTS;
    values.truncate(MAX_RESULTS);
    Results { values, cut: long || many }
}

fn why(said: &str, status: ExitStatus) -> String {
    match said.lines().next() {
        Some(line) if status.code() == Some(1) => line.to_owned(),
        Some(line) if line.starts_with("memory allocation") => {
            format!("the filter wanted more than {} GiB of memory", MEMORY >> 30)
        }
        _ => format!("the filter ended with {status}: does it call itself without end?"),
    }
}

/// The whole life of the process that filters.
pub fn main(program: Option<&OsStr>) -> ExitCode {
    let bound = |limit| Rlimit { current: Some(limit), maximum: Some(limit) };
    // Limits that cannot be set leave the one on time, which is not ours to keep.
    let _ = setrlimit(Resource::Core, bound(0));
    let _ = setrlimit(Resource::As, bound(MEMORY));
    let _ = setrlimit(Resource::Cpu, bound(LIMIT.as_secs() + 1));
    let done = match program.and_then(OsStr::to_str) {
        Some(program) => filter_pipe(program),
        None => Err("the filter is no UTF-8".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            // Who cannot be told sees how it ended.
            let _ = writeln!(io::stderr(), "{}", &why[..why.floor_char_boundary(SHOWN)].replace('\n', " "));
            ExitCode::from(1)
        }
    }
}

fn filter_pipe(program: &str) -> Result<(), String> {
    let mut text = Vec::new();
    io::stdin().read_to_end(&mut text).map_err(|error| error.to_string())?;
    let value = read::parse_single(&text).map_err(|error| format!("the answer is no JSON: {error}"))?;
    let mut out = io::BufWriter::new(io::stdout().lock());
    let mut write = |value: Val| writeln!(out, "{value}");
    let mut left = MAX_RESULTS + 1;
    apply(program, value, |value| {
        left -= 1;
        // Nobody reads on: enough was found.
        write(value).is_ok() && left > 0
    })?;
    out.flush().map_err(|error| error.to_string())
}

/// Gives each result to `take` until that has enough.
fn apply(program: &str, value: Val, mut take: impl FnMut(Val) -> bool) -> Result<(), String> {
    let defs = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let funs = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let file = File { code: program, path: () };
    let modules = Loader::new(defs).load(&arena, file).map_err(|errors| not_read(program, &errors))?;
    let compiled = Compiler::default().with_funs(funs).compile(modules);
    let filter = compiled.map_err(|errors| not_known(program, &errors))?;
    let context = Ctx::<data::JustLut<Val>>::new(&filter.lut, Vars::new([]));
    for result in filter.id.run((context, value)).map(unwrap_valr) {
        if !take(result.map_err(|error| error.to_string())?) {
            break;
        }
    }
    Ok(())
}

/// Why a program is none, with the place.
fn not_read(program: &str, errors: &load::Errors<&str, ()>) -> String {
    let expected = |what: &str, found: &str| format!("expected {what} at {}", place(program, found));
    let first = errors.iter().find_map(|(_, error)| match error {
        load::Error::Io(list) => list.first().map(|(path, why)| format!("{path}: {why}")),
        load::Error::Lex(list) => list.first().map(|(what, found)| expected(what.as_str(), found)),
        load::Error::Parse(list) => list.first().map(|(what, found)| expected(what.as_str(), found)),
    });
    first.unwrap_or_else(|| "this is no jq filter".to_owned())
}

fn not_known(program: &str, errors: &compile::Errors<&str, ()>) -> String {
    let first = errors.iter().flat_map(|(_, list)| list).next();
    first.map_or_else(
        || "this is no jq filter".to_owned(),
        |(name, what)| format!("no {} is called `{name}` (at {})", what.as_str(), place(program, name)),
    )
}

fn place(program: &str, part: &str) -> String {
    let at = load::span(program, part).start;
    match program.get(..at) {
        Some(before) if at < program.len() => format!("character {}", before.chars().count() + 1),
        _ => "the end".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(program: &str, text: &str) -> Result<Vec<String>, String> {
        let mut out = Vec::new();
        apply(program, read::parse_single(text.as_bytes()).unwrap(), |value| {
            out.push(value.to_string());
            out.len() < 3
        })?;
        Ok(out)
    }

    #[test]
    fn filters_keep_order_and_digits_and_stop_when_there_is_enough() {
        let text = r#"{"z":[{"n":1.50},{"n":12345678901234567890123}],"a":"é\n"}"#;
        for (program, found) in [
            (".", vec![r#"{"z":[{"n":1.50},{"n":12345678901234567890123}],"a":"é\n"}"#]),
            (".z[].n", vec!["1.50", "12345678901234567890123"]),
            ("[.z[] | select(.n > 2)] | length", vec!["1"]),
            (".a | ascii_upcase | test(\"\\n$\")", vec!["true"]),
            ("empty", vec![]),
            ("repeat(1)", vec!["1", "1", "1"]),
        ] {
            assert_eq!(run(program, text).unwrap(), found, "{program}");
        }
    }

    #[test]
    fn errors_say_what_and_where() {
        for (program, why) in [
            (".a |", "expected term at the end"),
            (".a[", "expected closing bracket at the end"),
            (". | foo", "no filter is called `foo` (at character 5)"),
            ("$x", "no variable is called `$x` (at character 1)"),
            (".a.b", "cannot index 1 with \"b\""),
        ] {
            assert_eq!(run(program, "{\"a\":1}").unwrap_err(), why, "{program}");
        }
    }

    #[test]
    fn what_is_too_much_is_cut_at_a_whole_result() {
        let long = "1\n".repeat(MAX_RESULTS + 5).into_bytes();
        let results = read_results(&long);
        assert_eq!((results.values.len(), results.cut), (MAX_RESULTS, true));
        let mut wide = vec![b'1'; MAX_BYTES - 2];
        wide.extend(b"\n22222");
        let results = read_results(&wide);
        assert_eq!((results.values.len(), results.cut), (1, true));
        assert_eq!(Results { values: vec!["1".into(), "2".into()], cut: false }.text(), "[1,2]");
    }
}
