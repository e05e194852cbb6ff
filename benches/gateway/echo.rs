//! The upstream: a fast MCP server without state, over HTTP or on its standard streams; a process of its own.

use crate::process::{Process, free_address};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::process::Command;
use tokio::net::TcpListener;

/// With these arguments the program is the upstream.
pub const STDIO: &str = "--echo-stdio";
pub const HTTP: &str = "--echo-http";

pub struct Upstream {
    pub address: SocketAddr,
    _process: Process,
}

pub fn spawn() -> Upstream {
    let address = free_address();
    let program = std::env::current_exe().expect("a program has a path");
    let process = Process::start(Command::new(program).args([HTTP, &address.to_string()]), Some(address));
    Upstream { address, _process: process }
}

/// The answer to a message; `None` if it wants none.
fn answer(message: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(message).ok()?;
    let id = text.split_once("\"id\":")?.1.split([',', '}']).next()?;
    let result = match () {
        () if text.contains("\"initialize\"") => {
            r#"{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"echo","version":"1"}}"#
        }
        () if text.contains("\"tools/list\"") => {
            r#"{"tools":[{"name":"echo","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}}]}"#
        }
        () if text.contains("\"server/discover\"") => {
            return Some(format!(
                r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-32601,"message":"no such method"}}}}"#
            ));
        }
        () => r#"{"content":[{"type":"text","text":"hello-0123456789abcd"}],"isError":false}"#,
    };
    Some(format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#))
}

pub fn stdio() {
    let mut out = std::io::stdout().lock();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Some(answer) = answer(line.as_bytes()) else { continue };
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}

pub fn http(address: &str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.expect("a free address");
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let serve = hyper::server::conn::http1::Builder::new();
            tokio::spawn(serve.serve_connection(TokioIo::new(stream), service_fn(respond)));
        }
    });
}

async fn respond(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_post = request.method() == hyper::Method::POST;
    let body = request.into_body().collect().await.map(|b| b.to_bytes()).unwrap_or_default();
    let answer = answer(&body);
    let status = match (is_post, &answer) {
        (false, _) => 405,
        (true, None) => 202,
        (true, Some(_)) => 200,
    };
    let response = Response::builder().status(status).header("content-type", "application/json");
    Ok(response.body(Full::new(Bytes::from(answer.unwrap_or_default()))).expect("a valid response"))
}
