//! What `.ci/test-servers` installs: public MCP servers, public MCP clients, the conformance suite.

use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    let given = std::env::var_os("MCPDECK_TEST_SERVERS").map(PathBuf::from);
    given.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-servers"))
}

/// The folder of the reference servers' launchers, if they are installed.
pub fn reference() -> Option<PathBuf> {
    root().join(".installed-1").exists().then(|| root().join("bin"))
}

/// Unchanged programs of others that speak MCP to a server.
pub struct Clients {
    root: PathBuf,
}

impl Clients {
    /// `None` if they are not installed.
    pub fn find() -> Option<Self> {
        let root = root();
        root.join(".clients-1").exists().then_some(Self { root })
    }

    /// Node with a script of an installed package, `@modelcontextprotocol/{name}`.
    pub fn package(&self, script: &str) -> Command {
        let mut command = self.node();
        command.arg(self.root.join("npm/node_modules/@modelcontextprotocol").join(script));
        command
    }

    /// Node with a script that may import every installed package.
    pub fn script(&self, text: &str) -> Command {
        let mut command = self.node();
        // Imports are looked for from the folder that Node stands in.
        command.current_dir(self.root.join("npm")).args(["--input-type=module", "--eval", text]);
        command
    }

    /// The Python that has the `mcp` package.
    pub fn python(&self, text: &str) -> Command {
        let mut command = Command::new(self.root.join("venv/bin/python"));
        command.args(["-c", text]);
        command
    }

    fn node(&self) -> Command {
        Command::new(self.root.join("bin/node"))
    }
}
