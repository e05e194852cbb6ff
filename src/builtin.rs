//! MCP servers we ship: `mcpdeck mcp NAME` speaks MCP on its standard streams, in both eras, until stdin ends.
//! Imports `model` only.

pub mod catalog;
mod guard;
pub mod memory;

use rmcp::service::ServerInitializeError;
use rmcp::transport::io::stdio_pipes;
use rmcp::{ServerHandler, ServiceExt};
use std::path::PathBuf;

/// Names of the servers, in order.
pub const NAMES: [&str; 2] = ["catalog", "memory"];

/// Variable that names the folder for a server's files; without it they lie in the working directory.
pub const DATA_VARIABLE: &str = "MCPDECK_DATA";

/// Key in `_meta` under which the router says for which tenant it calls.
pub const TENANT_META: &str = "io.mcpdeck/tenant";

/// Why a built-in server did not run.
#[derive(Debug, thiserror::Error)]
pub enum BuiltinError {
    #[error("there is no built-in server `{0}`; there are: {names}", names = NAMES.join(", "))]
    Unknown(String),
    #[error("cannot start: {0}")]
    Start(#[from] std::io::Error),
    #[error("the client's first message cannot be served: {0}")]
    Handshake(Box<ServerInitializeError>),
    #[error("the server ended badly: {0}")]
    Ended(#[from] tokio::task::JoinError),
}

/// Serves `name` on stdin and stdout until stdin ends. What it has to say goes to stderr.
pub fn run(name: &str) -> Result<(), BuiltinError> {
    if !NAMES.contains(&name) {
        return Err(BuiltinError::Unknown(name.to_owned()));
    }
    let data = match std::env::var_os(DATA_VARIABLE) {
        Some(folder) if !folder.is_empty() => PathBuf::from(folder),
        _ => std::env::current_dir()?,
    };
    // Stdout belongs to the protocol. A subscriber that is set already stays.
    let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_writer(std::io::stderr).try_init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let outcome = runtime.block_on(async {
        match name {
            "memory" => serve(memory::Memory::new(data)).await,
            _ => serve(catalog::Catalog::new(data)).await,
        }
    });
    // Stdin that is no pipe is read by a thread that nothing can interrupt: do not wait for it.
    runtime.shutdown_background();
    outcome
}

async fn serve(server: impl ServerHandler) -> Result<(), BuiltinError> {
    match server.serve(stdio_pipes()).await {
        Ok(running) => running.waiting().await.map(|_| ()).map_err(BuiltinError::from),
        // A client that looks in and goes.
        Err(ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(BuiltinError::Handshake(Box::new(error))),
    }
}
