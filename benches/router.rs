//! What the router adds to a call, over pipes and over HTTP, beside the same upstream asked directly.
//! `cargo bench --bench router`; the last lines are medians of interleaved rounds, the figures that count.

use bytes::Bytes;
use criterion::Criterion;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use mcpdeck::model::call::Origin;
use mcpdeck::model::secret::Hidden;
use mcpdeck::model::server::{EraChoice, Inject, Scope, Settings};
use mcpdeck::model::{Environment, InstanceKey, Outcome, ServerDef, State, TenantDef};
use mcpdeck::router::{CallBody, CallRequest, Connect, OpenOptions, Router, RouterEnds, Table};
use std::convert::Infallible;
use std::hint::black_box;
use std::io::{BufRead, Write};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// With this argument the program is the echo child.
const ECHO: &str = "--echo";
const ROUNDS: usize = 40;
const CALLS: u32 = 250;

/// A call of about 280 bytes.
const PARAMS: &str = r#"{"name":"search","arguments":{"query":"submersible pump 4 inch stainless steel","limit":10,"language":"en","filters":{"manufacturer":["Grundfos","Wilo"],"voltage":"230V"},"cursor":"eyJvZmZzZXQiOjB9","explain":false}}"#;

/// The answer of the echo server to a line or body.
fn echo(request: &[u8]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(request).ok()?;
    let id = text.split_once("\"id\":")?.1.split([',', '}']).next()?;
    let result = match () {
        () if text.contains("\"initialize\"") => {
            r#"{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"echo","version":"1"}}"#
        }
        () => r#"{"content":[{"type":"text","text":"EC000123 submersible pump"}],"isError":false}"#,
    };
    Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#).into_bytes())
}

fn echo_child() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        if let Some(mut answer) = echo(line.as_bytes()) {
            answer.push(b'\n');
            if out.write_all(&answer).and_then(|()| out.flush()).is_err() {
                return;
            }
        }
    }
}

fn spawn_child() -> (Child, ChildStdin, ChildStdout) {
    let mut child = Command::new(std::env::current_exe().expect("a program has a path"))
        .arg(ECHO)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the echo child starts");
    let (stdin, stdout) = (child.stdin.take().expect("piped"), child.stdout.take().expect("piped"));
    (child, stdin, stdout)
}

async fn echo_http() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let serve = hyper::server::conn::http1::Builder::new();
            tokio::spawn(serve.serve_connection(TokioIo::new(stream), service_fn(answer_http)));
        }
    });
    url
}

async fn answer_http(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let answer = echo(&body).map(Bytes::from);
    let status = if answer.is_some() { 200 } else { 202 };
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Full::new(answer.unwrap_or_default())).expect("a valid response"))
}

/// A way to make one call.
enum Way {
    Pipe { stdin: ChildStdin, stdout: BufReader<ChildStdout>, _child: Child },
    Http(Client<HttpConnector, Full<Bytes>>, String),
    Routed { router: Arc<Router>, _child: Option<Child> },
}

impl Way {
    async fn call(&mut self) {
        let message = || format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{PARAMS}}}"#);
        match self {
            Self::Pipe { stdin, stdout, .. } => {
                stdin.write_all((message() + "\n").as_bytes()).await.expect("the child reads");
                let mut line = String::new();
                stdout.read_line(&mut line).await.expect("the child answers");
                black_box(line);
            }
            Self::Http(client, url) => {
                let request = Request::post(url.as_str())
                    .header("content-type", "application/json")
                    .header("accept", "application/json, text/event-stream")
                    .body(Full::new(Bytes::from(message())))
                    .expect("a valid request");
                let response = client.request(request).await.expect("the server answers");
                black_box(response.into_body().collect().await.expect("a whole body"));
            }
            Self::Routed { router, .. } => {
                let reply = router.call(request()).await;
                assert_eq!(reply.record.outcome, Outcome::Ok, "{:?}", reply.record.error);
                black_box(reply);
            }
        }
    }

    async fn time(&mut self, calls: u32) -> Duration {
        let began = Instant::now();
        for _ in 0..calls {
            self.call().await;
        }
        began.elapsed()
    }
}

fn request() -> CallRequest {
    CallRequest {
        tenant: "eaton".into(),
        server: "etim".into(),
        body: CallBody::Method { method: "tools/call".to_owned(), params: PARAMS.to_owned() },
        era: None,
        timeout: None,
        origin: Origin::Cli,
        principal: "bench".into(),
        role: None,
        session: None,
        events: None,
    }
}

/// A router with a thousand tenants, context injected in `_meta`, records taken away as control does.
async fn routed(connect: Connect, child: Option<Child>) -> Way {
    let (router, ends) = Router::new();
    tokio::spawn(drain(ends));
    let server = Arc::new(server());
    let mut tenants: Vec<_> =
        (0..1000).map(|n| (Arc::new(tenant(&format!("t{n}"))), vec![server.id.clone()])).collect();
    tenants.push((Arc::new(tenant("eaton")), vec![server.id.clone()]));
    let key = InstanceKey::shared(server.id.clone());
    router.set_table(Table {
        servers: vec![server],
        tenants,
        read_only: false,
        guards: Default::default(),
        routing: Default::default(),
    });
    let options = OpenOptions {
        era: EraChoice::Legacy,
        hint: None,
        probe_timeout: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        max_message: 1 << 20,
        max_in_flight: 1024,
    };
    router.open(&key, connect, options).await.expect("the echo server greets");
    router.set_state(&key, State::Ready, "");
    Way::Routed { router, _child: child }
}

async fn drain(mut ends: RouterEnds) {
    while ends.records.recv().await.is_some() {}
}

fn server() -> ServerDef {
    ServerDef {
        id: "etim".into(),
        name: "etim".to_owned(),
        description: String::new(),
        version: None,
        capabilities: Vec::new(),
        use_cases: Vec::new(),
        price: None,
        environment: None,
        scope: Scope::Shared,
        run: mcpdeck::model::Run::Process(Default::default()),
        via: Default::default(),
        hints: Default::default(),
        inject: Inject { meta: true, ..Inject::default() },
        needs: Vec::new(),
        settings: Settings::default(),
        secrets: Default::default(),
        labels: Default::default(),
        defined_at: String::new(),
    }
}

fn tenant(id: &str) -> TenantDef {
    TenantDef {
        id: id.into(),
        aliases: Vec::new(),
        name: id.to_owned(),
        environment: Environment::Lab,
        read_only: false,
        guard: Default::default(),
        context: [("lakehouse_path".to_owned(), format!("/lake/{id}"))].into(),
        labels: Default::default(),
        secrets: Default::default(),
        enabled: Default::default(),
        servers: Default::default(),
        audit: Default::default(),
        call_limits: None,
    }
}

async fn ways() -> Vec<(&'static str, Way, Way)> {
    let (child, stdin, stdout) = spawn_child();
    let pipe = Way::Pipe { stdin, stdout: BufReader::new(stdout), _child: child };
    let (child, stdin, stdout) = spawn_child();
    let stdio = routed(
        Connect::Stdio { stdin: Box::new(stdin), stdout: Box::new(stdout), hidden: Hidden::default() },
        Some(child),
    )
    .await;
    let url = echo_http().await;
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let http = routed(Connect::Http { url: url.clone(), headers: Vec::new() }, None).await;
    vec![("stdio", pipe, stdio), ("http", Way::Http(client, url), http)]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Rounds of both ways in turn; the machine's moods fall on both.
async fn report(name: &str, mut direct: Way, mut routed: Way) {
    let us = |took: Duration| took.as_secs_f64() * 1e6 / f64::from(CALLS);
    let (mut directs, mut added) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let plain = us(direct.time(CALLS).await);
        let through = us(routed.time(CALLS).await);
        directs.push(plain);
        added.push(through - plain);
    }
    println!(
        "{name}: direct {:.1} us, added by the router {:.1} us per call (medians)",
        median(directs),
        median(added)
    );
}

fn main() {
    if std::env::args().any(|arg| arg == ECHO) {
        return echo_child();
    }
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let mut criterion = Criterion::default().configure_from_args().measurement_time(Duration::from_secs(3));
    for (name, direct, routed) in runtime.block_on(ways()) {
        for (way, mut how) in [("direct", direct), ("routed", routed)] {
            criterion.bench_function(&format!("{name}/{way}"), |bencher| {
                bencher.iter_custom(|calls| {
                    let calls = u32::try_from(calls).unwrap_or(u32::MAX);
                    runtime.block_on(how.time(calls))
                });
            });
        }
    }
    for (name, direct, routed) in runtime.block_on(ways()) {
        let reported = runtime.spawn(report(name, direct, routed));
        runtime.block_on(reported).expect("no panic");
    }
    criterion.final_summary();
}
