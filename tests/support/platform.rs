//! A whole platform in this process, in a folder of its own, and calls through its handle.

use mcpdeck::config::{LoadOptions, load, problems_text};
use mcpdeck::control::logs::Logs;
use mcpdeck::control::{Handle, Platform, StartOptions, start};
use mcpdeck::model::call::Origin;
use mcpdeck::model::message::{CallEvent, ConsoleCall, Face, Operator};
use mcpdeck::model::{CallRecord, Chunk, Feed};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Nothing takes long; a machine under load may.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A platform in `dir` with the config `text`.
pub fn platform(dir: &Path, text: &str) -> Platform {
    platform_called("test", dir, text)
}

/// The config `text` of a platform in `dir`, as a file.
pub fn config_file(name: &str, dir: &Path, text: &str) -> PathBuf {
    let file = dir.join("deck.toml");
    let state = dir.join("state");
    let head =
        format!("[platform]\nname = {name:?}\nsocket = {:?}\n[paths]\nstate = {:?}\n", dir.join("s.sock"), state);
    std::fs::write(&file, format!("{head}{text}")).unwrap();
    file
}

/// A platform of its own name: containers of two such are told apart by it.
pub fn platform_called(name: &str, dir: &Path, text: &str) -> Platform {
    let file = config_file(name, dir, text);
    let env = std::env::vars().collect();
    let again = LoadOptions { file: Some(file), env, set: Vec::new() };
    let config = load(&again);
    let config = config.unwrap_or_else(|problems| panic!("{}", problems_text(&problems)));
    let options = StartOptions {
        reload: Some(again),
        runtime: tokio::runtime::Handle::current(),
        program: env!("CARGO_BIN_EXE_mcpdeck").into(),
        momentary: false,
        logs: Logs::new(),
    };
    start(Arc::new(config), options).unwrap()
}

/// Who acts.
pub fn ana() -> Operator {
    Operator { name: "ana".into(), face: Face::Cli, pid: 1, grant: None }
}

/// One call to its end; `Err` is the reason why it was not sent at all.
pub async fn call(
    handle: &Handle,
    tenant: &str,
    server: &str,
    tool: &str,
    confirm: Option<&str>,
) -> Result<CallRecord, String> {
    let call = ConsoleCall {
        tenant: tenant.into(),
        server: server.into(),
        method: Some("tools/call".into()),
        body: format!(r#"{{"name":"{tool}","arguments":{{"text":"hello","password":"hunter2"}}}}"#),
        era: None,
        timeout_ms: None,
        origin: Origin::Console,
        operator: ana(),
        confirm: confirm.map(str::to_owned),
        keep: true,
    };
    let mut chunks = handle.follow(Feed::Call(Box::new(call)));
    let mut record = None;
    loop {
        match tokio::time::timeout(PATIENCE, chunks.recv()).await.expect("the call ends").expect("an end") {
            Chunk::Call(CallEvent::Done(done)) => record = Some(*done),
            Chunk::End(None) => return Ok(record.expect("a record")),
            Chunk::End(Some(why)) => return Err(why.to_string()),
            _ => {}
        }
    }
}
