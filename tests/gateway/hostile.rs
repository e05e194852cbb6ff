//! Callers who stall, flood and send what is none: each gets the right refusal, everybody else is served, nothing is left.

use super::line::{INITIALIZE, JSON, Line, bare, echo, post, post_bytes};
use crate::cli::deck::{Deck, Serving};
use crate::support::platform::PATIENCE;
use serde_json::Value;
use std::net::{Shutdown, SocketAddr};
use std::time::{Duration, Instant};

const CONFIG: &str = r#"
[platform]
name = "test"
[api]
listen = ["127.0.0.1:0"]
anonymous = { tenant = "eaton" }
max_body = "64KiB"
read_timeout = "1s"
[[server]]
id = "etim"
run = { backend = "simulated", tools = ["echo"], latency = "0s" }
[[server]]
id = "slow"
run = { backend = "simulated", tools = ["echo"], latency = "60s" }
[[tenant]]
id = "eaton"
enabled = ["etim", "slow"]
"#;

/// How many stall at a time.
const STALLING: usize = 200;
/// An answer to others while they do; a busy machine is slow, too.
const PROMPT: Duration = Duration::from_secs(5);

struct World {
    deck: Deck,
    serving: Serving,
    at: SocketAddr,
    /// Open sockets when nobody called.
    sockets: usize,
}

impl World {
    fn start() -> Self {
        let deck = Deck::new(CONFIG);
        let (serving, at) = deck.serve_http();
        let world = Self { deck, serving, at, sockets: 0 };
        world.serves_others();
        // That connection ends, too.
        std::thread::park_timeout(Duration::from_millis(50));
        Self { sockets: world.sockets(), ..world }
    }

    /// Other files come and go with whatever containers the machine runs: their usage is read.
    fn sockets(&self) -> usize {
        let files = std::fs::read_dir(format!("/proc/{}/fd", self.serving.pid())).expect("it lives");
        let links = files.filter_map(|file| std::fs::read_link(file.ok()?.path()).ok());
        links.filter(|link| link.to_string_lossy().starts_with("socket:")).count()
    }

    /// A call of somebody else is answered at once.
    #[track_caller]
    fn serves_others(&self) {
        let begun = Instant::now();
        let answer = Line::open(self.at).ask(post("/mcp/etim", JSON, &echo(1, "hello")));
        assert!(answer.status == 200 && answer.body.contains("hello"), "{answer:?}");
        assert!(begun.elapsed() < PROMPT, "{:?}", begun.elapsed());
    }

    /// Nothing is left of those who called: no connection, no call, no panic.
    #[track_caller]
    fn must_be_as_before(self) {
        self.serves_others();
        let deadline = Instant::now() + PATIENCE;
        let pending =
            || self.deck.run(&["status", "-o", "json"]).ok().json()["totals"]["in_flight"].as_u64().unwrap_or(1);
        while self.sockets() > self.sockets + 1 || pending() > 0 {
            assert!(
                Instant::now() < deadline,
                "{} sockets, {} before; {} calls",
                self.sockets(),
                self.sockets,
                pending()
            );
            std::thread::park_timeout(Duration::from_millis(20));
        }
        let log = std::fs::read_to_string(self.deck.path().join("serve.log")).unwrap();
        assert!(!log.contains("panicked"), "{log}");
    }
}

#[test]
fn who_stalls_holds_up_nobody_and_is_hung_up_on() {
    let world = World::start();
    let begun =
        ["", "POST /mcp", "POST /mcp/etim HTTP/1.1\r\nHost: localhost\r\nX-Slow: ", &post("/mcp/etim", "", "")[..40]];
    let mut lines: Vec<Line> = (0..STALLING)
        .map(|n| {
            let mut line = Line::open(world.at);
            line.send(begun[n % begun.len()]);
            line
        })
        .collect();
    let unfinished = post("/mcp/etim", "", &echo(1, "x"));
    let mut half = Line::open(world.at);
    half.send(&unfinished[..unfinished.len() - 5]);
    world.serves_others();
    // A byte now and then buys no time.
    for line in &mut lines {
        line.send("x");
    }
    assert_eq!(half.answer().map(|answer| answer.status), Some(408), "a body that does not come");
    for mut line in lines {
        assert!(line.answer().is_none_or(|answer| matches!(answer.status, 400 | 408)), "a head that does not come");
    }
    world.must_be_as_before();
}

#[test]
fn who_leaves_half_way_leaves_nothing_behind() {
    let world = World::start();
    for (n, how) in [Shutdown::Write, Shutdown::Both].into_iter().cycle().take(STALLING).enumerate() {
        let mut line = Line::open(world.at);
        let request = post("/mcp/slow", JSON, &echo(n as u64, "x"));
        // All of it, or a part.
        line.send(&request[..request.len() - n % 3 * 20]);
        line.socket().shutdown(how).unwrap();
    }
    world.must_be_as_before();
}

#[test]
fn who_does_not_read_its_answers_is_hung_up_on() {
    let world = World::start();
    let request = post("/mcp/etim", JSON, &echo(1, &"x".repeat(60_000)));
    let mut line = Line::open(world.at);
    // More than two sockets hold; it goes on until the other end gives up.
    line.socket().set_write_timeout(Some(PATIENCE)).unwrap();
    let begun = Instant::now();
    line.send(request.repeat(500));
    assert!(begun.elapsed() < PATIENCE, "nobody hung up");
    drop(line);
    world.must_be_as_before();
}

/// A body that says its length piece by piece.
fn in_chunks(pieces: usize) -> String {
    let piece = format!("8000\r\n{}\r\n", "x".repeat(0x8000));
    format!("POST /mcp/etim HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n{}", piece.repeat(pieces))
}

fn headers(count: usize, size: usize) -> String {
    (0..count).map(|n| format!("X-{n}: {}\r\n", "x".repeat(size))).collect()
}

/// Asks each; the HTTP status and a word of the reason are given, and JSON-RPC's code where there is a message.
#[track_caller]
fn refuses(world: &World, requests: impl IntoIterator<Item = (&'static str, Vec<u8>, u16, i64, &'static str)>) {
    for (what, request, status, code, says) in requests {
        let answer = Line::open(world.at).ask(request);
        let body: Value = serde_json::from_str(&answer.body).unwrap_or_default();
        let got = (answer.status, body["error"]["code"].as_i64().unwrap_or_default());
        assert!(got == (status, code) && answer.body.contains(says), "{what}: {answer:?}");
        world.serves_others();
    }
}

#[test]
fn what_is_too_large_or_no_http_is_refused_with_its_reason() {
    let world = World::start();
    let call = |headers: &str| post("/mcp/etim", headers, &echo(1, "x")).into_bytes();
    let announced = post("/mcp/etim", "", "").replace("Length: 0", "Length: 999999999999");
    refuses(
        &world,
        [
            ("a large body", post("/mcp/etim", "", &"x".repeat(70_000)).into(), 413, -32600, "larger than 65536"),
            ("one that is only announced", announced.into(), 413, -32600, "larger than 65536"),
            ("one in pieces", in_chunks(3).into(), 413, -32600, "larger than 65536"),
            ("many headers", call(&headers(500, 10)), 431, 0, ""),
            ("large headers", call(&headers(90, 8000)), 431, 0, ""),
            // A proxy and a server could take different ones for the true.
            ("two lengths", call("Content-Length: 3\r\n"), 400, 0, ""),
            ("no HTTP", b"HELO localhost\r\n\r\n".into(), 400, 0, ""),
            ("another verb", bare("PUT", "/mcp/etim", JSON).into(), 405, -32600, "POST"),
        ],
    );
    world.must_be_as_before();
}

#[test]
fn a_request_ends_where_its_first_length_says_and_nothing_hides_in_it() {
    let world = World::start();
    let message = echo(1, "x");
    let chunked = |head: &str, last: &str| {
        let size = message.len();
        format!("POST /mcp/etim HTTP/1.1\r\nHost: localhost\r\n{head}\r\n{size:x}\r\n{message}\r\n{last}\r\n\r\n")
    };
    let hidden = bare("GET", "/health", "");
    for (what, request, status) in [
        ("a length, and chunks", chunked("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", "0"), 200),
        ("chunks, and a length", chunked("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0"), 200),
        ("a coding that is none", chunked("Transfer-Encoding: xchunked\r\n", "0"), 400),
        ("chunks inside of something", chunked("Transfer-Encoding: chunked, identity\r\n", "0"), 400),
        ("a space before the colon", chunked("Transfer-Encoding : chunked\r\n", "0"), 400),
        ("chunks in HTTP/1.0", chunked("Transfer-Encoding: chunked\r\n", "0").replace("1.1", "1.0"), 400),
        ("a chunk of a negative size", chunked("Transfer-Encoding: chunked\r\n", "-1"), 400),
        ("a chunk of no size", chunked("Transfer-Encoding: chunked\r\n", "zz"), 400),
        ("a line that is folded", post("/mcp/etim", "X-A: b\r\n c\r\n", &message), 400),
        ("a signed length", post("/mcp/etim", "", &message).replace("Length: ", "Length: +"), 400),
    ] {
        let mut line = Line::open(world.at);
        line.send(request + &hidden);
        let answer = line.answer().unwrap_or_else(|| panic!("{what}: hung up on"));
        assert_eq!(answer.status, status, "{what}: {answer:?}");
        assert!(line.answer().is_none(), "{what}: somebody else's request was found in it");
    }
    let mut line = Line::open(world.at);
    let ids = [1, 2, 3];
    line.send(ids.map(|id| post("/mcp/etim", JSON, &echo(id, "x"))).concat());
    assert_eq!(ids.map(|_| line.answer().map(|answer| answer.json()["id"].clone())), ids.map(|id| Some(id.into())));
    world.must_be_as_before();
}

#[test]
fn a_path_and_a_method_are_what_is_written() {
    let world = World::start();
    let call = |path: &str| post(path, JSON, &echo(1, "x")).into_bytes();
    let nobody = "name a server";
    refuses(
        &world,
        [
            ("a letter in other words", call("/mcp/%65tim"), 200, -32602, "unknown server `%65tim`"),
            ("a zero at the end", call("/mcp/etim%00"), 200, -32602, "unknown server `etim%00`"),
            ("somebody's own", call("/mcp/etim@eaton"), 200, -32602, "unknown server `etim@eaton`"),
            ("a way up", call("/mcp/.."), 200, -32602, "unknown server `..`"),
            ("a way up and down", call("/mcp/../mcp/etim"), 404, -32601, nobody),
            ("two slashes", call("/mcp//etim"), 404, -32601, nobody),
            ("a slash at the end", call("/mcp/etim/"), 404, -32601, nobody),
            ("nobody", call("/mcp/"), 404, -32601, nobody),
            ("other letters", call("/MCP/etim"), 404, 0, "nothing at /MCP/etim"),
            ("OPTIONS", bare("OPTIONS", "/mcp/etim", "").into(), 405, -32600, "POST"),
            ("CONNECT", bare("CONNECT", "localhost:80", "").into(), 404, 0, "nothing at"),
            ("TRACE", bare("TRACE", "/mcp/etim", "").into(), 405, -32600, "POST"),
            ("GET without a session", bare("GET", "/mcp", "").into(), 405, -32600, "POST"),
        ],
    );
    for (what, request) in [
        ("a query", call("/mcp/etim?tenant=other")),
        ("the whole address", call("http://localhost/mcp/etim")),
        ("HTTP/1.0", String::from_utf8(call("/mcp/etim")).unwrap().replace("HTTP/1.1", "HTTP/1.0").into()),
        (
            "a wish to speak otherwise",
            post("/mcp/etim", "Connection: Upgrade\r\nUpgrade: h2c\r\n", &echo(1, "x")).into(),
        ),
    ] {
        let answer = Line::open(world.at).ask(request);
        assert!(answer.status == 200 && answer.body.contains("\"id\":1"), "{what}: {answer:?}");
    }
    world.must_be_as_before();
}

#[test]
fn what_is_no_message_is_refused_with_its_reason() {
    let world = World::start();
    let started = Line::open(world.at).ask(post("/mcp/etim", JSON, INITIALIZE));
    let session = format!("{JSON}Mcp-Session-Id: {}\r\n", started.header("mcp-session-id").expect("a session"));
    let foreign = format!("{JSON}Mcp-Session-Id: {}\r\n", "f".repeat(48));
    let sent = |body: &[u8]| post_bytes("/mcp/etim", &session, body);
    let deep = echo(1, "x").replace("\"x\"", &format!("{}{}", "[".repeat(30_000), "]".repeat(30_000)));
    refuses(
        &world,
        [
            ("nothing", sent(b""), 400, -32700, ""),
            ("half an object", sent(br#"{"jsonrpc":"2.0","#), 400, -32700, ""),
            ("no UTF-8", sent(b"{\"a\":\"\xff\"}"), 400, -32700, "UTF-8"),
            ("a batch", sent(br#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#), 400, -32600, "one message at a time"),
            ("a number", sent(b"7"), 400, -32700, "expected an object"),
            ("what is too deep", sent(deep.as_bytes()), 400, -32600, "in each other"),
            ("two methods", sent(br#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"x"}"#), 400, -32600, "twice"),
            ("an id that is none", sent(br#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#), 400, -32600, ""),
            ("a foreign session", post("/mcp/etim", &foreign, &echo(1, "x")).into(), 404, -32001, "no such session"),
            ("its end", bare("DELETE", "/mcp/etim", &foreign).into(), 404, -32001, "no such session"),
            ("its stream", bare("GET", "/mcp/etim", &foreign).into(), 404, -32001, "no such session"),
        ],
    );
    world.must_be_as_before();
}
