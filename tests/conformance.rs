//! The official conformance suite (`@modelcontextprotocol/conformance`), as a client of each era, against the gateway with
//! a server of each era behind it: four cells. What fails in a cell is in its file in `tests/conformance/`, with the
//! reason; the suite itself fails on anything else, and on what is in a file and passes.

pub mod fixture;

use crate::cli::deck::Deck;
use crate::support::servers::Clients;
use crate::support::skip;
use fixture::{LEGACY, MODERN};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Command;
use tokio::time::timeout;

/// One run of the suite takes seconds; on a busy machine, many.
const LIMIT: Duration = Duration::from_secs(150);

/// Era of the server, revision that the suite demands.
const CELLS: [(&str, &str); 4] =
    [("legacy", "2025-11-25"), ("modern", "2026-07-28"), ("legacy", "2026-07-28"), ("modern", "2025-11-25")];

const CONFIG: &str = r#"
[platform]
name = "test"
[api]
listen = ["127.0.0.1:0"]
anonymous = { tenant = "lab" }
[[server]]
id = "legacy"
url = "{legacy}"
[[server]]
id = "modern"
url = "{modern}"
[[tenant]]
id = "lab"
enabled = ["legacy", "modern"]
"#;

/// Runs the suite at `url`; `Err` is what it says if anything is not as `expected`.
async fn judge(clients: &Clients, url: &str, revision: &str, expected: &Path) -> Result<(), String> {
    let mut command = clients.package("conformance/dist/index.js");
    command.args(["server", "--url", url, "--requirements", revision, "--expected-failures"]).arg(expected);
    let mut command = Command::from(command);
    let run = command.stdin(Stdio::null()).kill_on_drop(true).output();
    let output = timeout(LIMIT, run).await.map_err(|_| format!("no end within {LIMIT:?}"))?.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let summary = said.split_once("=== SUMMARY ===").map_or(&*said, |(_, summary)| summary);
    println!("{url} as {revision}:{summary}{}", String::from_utf8_lossy(&output.stderr));
    output.status.success().then_some(()).ok_or_else(|| format!("{url} as {revision}:{summary}\n{}", failures(&said)))
}

/// What each failed check says.
fn failures(said: &str) -> String {
    let wanted = |line: &&str| line.starts_with("Running") || line.starts_with("  - ") || line.starts_with("    Error");
    said.lines().filter(wanted).map(|line| format!("{line}\n")).collect()
}

fn expected(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name).with_extension("yml")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fixture_alone_satisfies_the_suite() {
    let Some(clients) = Clients::find() else {
        return skip("conformance", "node is not installed (run .ci/test-servers)");
    };
    for (versions, revision) in [(LEGACY, "2025-11-25"), (MODERN, "2026-07-28")] {
        let url = fixture::serve(versions).await;
        judge(&clients, &url, revision, &expected(&format!("alone-{revision}")))
            .await
            .unwrap_or_else(|e| panic!("{e}"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_satisfies_the_suite_in_four_cells() {
    let Some(clients) = Clients::find() else {
        return skip("conformance", "node is not installed (run .ci/test-servers)");
    };
    let config = CONFIG.replace("{legacy}", &fixture::serve(LEGACY).await);
    let deck = Deck::new(&config.replace("{modern}", &fixture::serve(MODERN).await));
    let (_serving, at) = deck.serve_http();
    let mut wrong = Vec::new();
    for (server, revision) in CELLS {
        let url = format!("http://{at}/mcp/{server}");
        let file = expected(&format!("{server}-{revision}"));
        wrong.extend(judge(&clients, &url, revision, &file).await.err());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
