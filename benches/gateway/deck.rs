//! The platform that is measured: `mcpdeck serve` with its gateway, one tenant and its API key.

use crate::echo;
use crate::load::Target;
use crate::process::{Process, free_address};
use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Upstreams that are called once and then left alone.
pub const IDLE: u64 = 200;

pub struct Deck {
    pub process: Process,
    address: SocketAddr,
    key: String,
}

impl Deck {
    pub fn start(folder: &Path, upstream: SocketAddr) -> Self {
        let address = free_address();
        let file = folder.join("deck.toml");
        std::fs::write(&file, config(folder, address, upstream)).expect("the folder can be written");
        let program = std::env::var_os("MCPDECK").map_or_else(|| env!("CARGO_BIN_EXE_mcpdeck").into(), PathBuf::from);
        let command = || {
            let mut command = Command::new(&program);
            command.arg("--config").arg(&file);
            command
        };
        let create = ["keys", "create", "--tenant", "bench", "-o", "json"];
        let created = command().args(create).stderr(Stdio::inherit()).output().expect("mcpdeck runs");
        let key: serde_json::Value = serde_json::from_slice(&created.stdout).expect("a key as JSON");
        let key = key["key"].as_str().expect("the key itself").to_owned();
        let process = Process::start(command().arg("serve").stderr(Stdio::null()), Some(address));
        Self { process, address, key }
    }

    pub fn target(&self, server: &str) -> Target {
        Target { address: self.address, path: format!("/mcp/{server}"), key: self.key.clone() }
    }
}

fn config(folder: &Path, address: SocketAddr, upstream: SocketAddr) -> String {
    let program = std::env::current_exe().expect("a program has a path");
    let (folder, program) = (folder.display(), program.display());
    let mut text = format!(
        "[platform]
         name = \"bench\"
         socket = \"{folder}/deck.sock\"
         [paths]
         state = \"{folder}/state\"
         [api]
         listen = [\"{address}\"]
         [[server]]
         id = \"echo\"
         url = \"http://{upstream}/mcp\"
         inject = {{ meta = true, headers = {{ X-Customer-Id = \"{{tenant.id}}\" }} }}
         [[server]]
         id = \"pipe\"
         run = {{ command = [\"{program}\", \"{}\"] }}
         inject = {{ meta = true }}
         [[tenant]]
         id = \"bench\"
         enabled = [\"echo\", \"pipe\"",
        echo::STDIO
    );
    let mut idle = String::new();
    for n in 0..IDLE {
        let _ = write!(text, ", \"idle-{n}\"");
        let _ = write!(idle, "[[server]]\nid = \"idle-{n}\"\nurl = \"http://{upstream}/mcp\"\n");
    }
    text.push_str("]\n");
    text + &idle
}
