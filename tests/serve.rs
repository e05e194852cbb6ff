//! `mcpdeck serve` as a service manager runs it: told when it is ready, reloaded by SIGHUP, drained by SIGTERM, with a log
//! that programs read.

use crate::cli::deck::{Deck, Lines};
use rustix::process::Signal;
use serde_json::Value;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

const CONFIG: &str = "
log = \"info,mcpdeck::access=debug,mcpdeck::call=debug\"
[platform]
name = \"test\"
log_format = \"json\"
watch = false
[api]
listen = [\"127.0.0.1:0\"]
anonymous = { tenant = \"eaton\" }
[[server]]
id = \"slow\"
run = { backend = \"simulated\", tools = [\"think\"], latency = \"700ms\" }
[[tenant]]
id = \"eaton\"
enabled = [\"slow\"]
";

const CALL: &str = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"think","arguments":{}}}"#;

/// `serve`, what it told systemd, and where its gateway is.
struct Service {
    deck: Deck,
    child: Child,
    told: UnixDatagram,
    log: Lines,
    at: String,
}

impl Service {
    fn start() -> Self {
        let deck = Deck::new(CONFIG);
        let socket = deck.path().join("notify");
        let told = UnixDatagram::bind(&socket).unwrap();
        told.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = deck.command(&["serve", "-o", "json"]);
        command.env("NOTIFY_SOCKET", &socket).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let log = Lines::of(child.stderr.take().unwrap());
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let at = ready["api"][0].as_str().unwrap().to_owned();
        Self { deck, child, told, log, at }
    }

    /// The next word to systemd.
    fn told(&self) -> String {
        let mut word = [0; 200];
        let length = self.told.recv(&mut word).expect("a word to systemd");
        String::from_utf8_lossy(&word[..length]).into_owned()
    }

    fn signal(&self, signal: Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    fn send(&self, head: &str, body: &str) -> TcpStream {
        let mut stream = TcpStream::connect(&self.at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let rest = format!("Host: localhost\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        write!(stream, "{head}\r\n{rest}").unwrap();
        stream
    }

    fn ask(&self, head: &str, body: &str) -> String {
        answer(self.send(head, body))
    }
}

fn answer(mut stream: TcpStream) -> String {
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn systemd_is_told_and_sighup_reloads_also_a_broken_file() {
    let service = Service::start();
    assert_eq!(service.told(), "READY=1\n");
    fs::write(&service.deck.config, format!("{CONFIG}[[tenant]]\nid = \"late\"\n")).unwrap();
    service.signal(Signal::HUP);
    assert!(service.told().starts_with("RELOADING=1\nMONOTONIC_USEC="));
    assert_eq!(service.told(), "READY=1\n");
    assert!(service.deck.run(&["get", "tenants"]).ok().out.contains("late"));
    fs::write(&service.deck.config, format!("{CONFIG}[[tenant]]\nid = \"late\"\nenable = 1\n")).unwrap();
    service.signal(Signal::HUP);
    assert!(service.told().starts_with("RELOADING=1\n"));
    assert_eq!(service.told(), "READY=1\n");
    // The command line reaches the owner although the file is broken, and shows what is wrong with it.
    let status = service.deck.run(&["status"]).ok();
    assert!(status.out.contains("not taken over: ") && status.out.contains("unknown key `enable`"), "{}", status.out);
    let dry = service.deck.run(&["reload", "--dry-run"]);
    assert_eq!(dry.code, 3, "{}", dry.err);
    assert!(dry.out.contains("problem: ") && dry.out.contains("deck.toml:"), "{}", dry.out);
    service.signal(Signal::TERM);
    assert_eq!(service.told(), "STOPPING=1\n");
}

#[test]
fn who_needs_no_credential_is_said_on_screen_and_in_the_log() {
    let deck = Deck::new(CONFIG);
    let _serving = deck.serve();
    for words in [&["status"][..], &["frame", "overview", "--size", "200x40"]] {
        let shown = deck.run(words).ok().out;
        assert!(shown.contains("OPEN") && shown.contains("calls as tenant of eaton without a credential"), "{shown}");
    }
    let log = fs::read_to_string(deck.path().join("serve.log")).unwrap();
    assert!(log.contains("calls as tenant of eaton without a credential"), "{log}");
}

#[test]
fn a_drain_refuses_what_is_new_and_lets_finish_what_is_under_way() {
    let mut service = Service::start();
    assert!(service.ask("GET /ready HTTP/1.1", "").starts_with("HTTP/1.1 200"));
    let flying = service.send("POST /mcp/slow HTTP/1.1", CALL);
    let begun = Instant::now();
    // It is under way when the platform counts it.
    while !service.deck.run(&["status"]).ok().out.contains("in flight     1") {
        assert!(begun.elapsed() < PATIENCE, "the call never began");
    }
    let flying = match begun.elapsed() < Duration::from_millis(500) {
        true => flying,
        // A slow machine: another one, and the signal at once.
        false => service.send("POST /mcp/slow HTTP/1.1", CALL),
    };
    service.signal(Signal::TERM);
    let refused = loop {
        let text = service.ask("GET /ready HTTP/1.1", "");
        if text.starts_with("HTTP/1.1 503") {
            break service.ask("POST /mcp/slow HTTP/1.1", CALL);
        }
        assert!(begun.elapsed() < PATIENCE, "{text}");
    };
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("shutting down"), "{refused}");
    let answered = answer(flying);
    assert!(answered.starts_with("HTTP/1.1 200") && answered.contains("\"id\":7"), "{answered}");
    assert_eq!(service.child.wait().unwrap().code(), Some(0));
}

#[test]
fn requests_and_calls_are_lines_of_json_tied_by_the_callers_trace() {
    let service = Service::start();
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let head = format!("POST /mcp/slow HTTP/1.1\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01");
    assert!(service.ask(&head, CALL).starts_with("HTTP/1.1 200"));
    let of = |line: &str, target: &str| {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        (line["target"] == target).then_some(line)
    };
    service.log.until("the call", |line| {
        of(line, "mcpdeck::call").is_some_and(|line| {
            line["trace"] == trace && line["tenant"] == "eaton" && line["outcome"] == "ok" && line["took_us"].is_u64()
        })
    });
    service.log.until("the request", |line| {
        of(line, "mcpdeck::access")
            .is_some_and(|line| line["trace"] == trace && line["path"] == "/mcp/slow" && line["status"] == 200)
    });
}
