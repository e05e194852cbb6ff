//! Incidents of product.md, played through as an operator meets them: a real platform on simulated servers, the real loop
//! of the screen at 80x24, key strings, and nothing known but what the screen says.

use crate::support::glass::Glass;
use crate::support::platform::{PATIENCE, call, platform};
use mcpdeck::control::Handle;
use mcpdeck::model::{CallRecord, Outcome};
use tokio::task::JoinSet;

/// Agents of customers who call on and on, as agents do, until something is other than a good answer or none at all.
struct Agents(JoinSet<CallRecord>);

impl Agents {
    fn call(handle: &Handle, tenants: &[&'static str], each: usize) -> Self {
        let mut agents = JoinSet::new();
        for tenant in tenants.iter().flat_map(|t| std::iter::repeat_n(*t, each)) {
            let handle = handle.clone();
            agents.spawn(async move {
                loop {
                    let record = call(&handle, tenant, "etim", "echo", Some(tenant)).await.unwrap();
                    if !matches!(record.outcome, Outcome::Ok | Outcome::Timeout) {
                        return record;
                    }
                }
            });
        }
        Self(agents)
    }

    /// What ended them.
    async fn ended(self) -> Vec<CallRecord> {
        tokio::time::timeout(PATIENCE, self.0.join_all()).await.expect("the agents end")
    }
}

/// A shared server in production that stops answering calls a second after the start, and answers probes all the same.
const HANGS: &str = r#"
[[server]]
id = "etim"
autostart = true
timeout = "6s"
health = { every = "1s", timeout = "1s" }
inject = { meta = true, arguments = { customer_id = "{tenant.id}" } }
run = { backend = "simulated", latency = "100ms", start = "1ms", faults = [{ hang_after = "1s" }] }
[[tenant]]
id = "eaton"
name = "EATON"
environment = "production"
enabled = ["etim"]
[[tenant]]
id = "segur"
enabled = ["etim"]
[[tenant]]
id = "vatt"
enabled = ["etim"]
"#;

#[tokio::test(flavor = "multi_thread")]
async fn incident_b_a_shared_server_hangs_for_everybody() {
    let dir = tempfile::tempdir().unwrap();
    let platform = platform(dir.path(), HANGS);
    platform.ready().await.unwrap();
    let agents = Agents::call(&platform.handle, &["eaton", "segur", "vatt"], 4);
    let mut screen = Glass::open(platform.handle.clone());

    // It says by itself what is wrong, how bad, and since when.
    screen.shows(&["HANGING", "etim", "3 customers", "12 in flight", "oldest"]).await;
    // Why: the process lives and the probe is green; it is the calls.
    screen.keys("e").await.shows(&["Why: etim", "✓  probe", "✗  in flight  D fence", "12 in flight, oldest"]).await;
    screen.keys("<esc> 7").await.shows(&["eaton", "segur", "vatt", "echo"]).await;
    let grows_old = |line: &str| line.contains("in flight") && (2..5).any(|s| line.contains(&format!(" {s}s ")));
    screen.until("shows the age of a pending call".to_owned(), |text| text.lines().any(grows_old)).await;
    // Agents give up and try again: that heals nothing.
    screen.until("shows timeouts".to_owned(), |text| text.contains("timeout") && text.lines().any(grows_old)).await;
    screen.keys("1").await.shows(&["HANGING", "12 in flight"]).await;

    // Out of rotation: the dialog tells what it does to whom; nothing is done without the name.
    screen.keys("D").await;
    screen
        .shows(&["fence etim", "production", "3  eaton, segur, vatt", "12 calls in flight will go on", "type etim"])
        .await;
    let offers_the_way_back = |line: &str| line.contains("FENCED") && line.contains(" D e");
    screen.types("etim").await;
    screen.until("shows it fenced".to_owned(), |text| text.lines().any(offers_the_way_back)).await;
    for record in agents.ended().await {
        assert_eq!(record.outcome, Outcome::Refused);
        let error = record.error.unwrap_or_default();
        assert!(error.contains("fenced by ana"), "{error}");
    }

    // A restart heals it; then it may serve again.
    screen.keys("R").await.shows(&["restart etim", "type etim"]).await;
    screen.types("etim").await.lacks("type etim").await;
    screen.keys("D").await.lacks("FENCED").await;

    // The proof: the customer's own call, from the Console.
    screen.keys("6 <f2>").await.shows(&["Call as"]).await;
    screen.types("eaton").await.keys("<f3>").await.shows(&["Server of EATON"]).await;
    screen.types("etim").await.keys("<f4>").await.shows(&["echo"]).await;
    screen.types("echo").await.keys("<f5>").await.shows(&["Response ── ok", "echo of etim", "customer_id"]).await;

    screen.keys("1").await.shows(&["nothing is wrong that mcpdeck can see"]).await;
    screen.keys("0 <tab>").await;
    screen.shows(&["mcpdeck fence etim", "mcpdeck restart etim", "mcpdeck unfence etim"]).await;
    screen.close();
    assert_eq!(platform.shutdown(PATIENCE).await, Vec::<String>::new());
}

/// One instance for each of four customers; upstream, the credential is `new` by now. Another server has a secret of the
/// same name.
fn rotated(token: &std::path::Path) -> String {
    let tenant = |id: &str| format!("[[tenant]]\nid = \"{id}\"\nenabled = [\"graf\"]\n");
    let tenants: String = ["eaton", "festo", "segur", "vatt"].map(tenant).concat();
    format!(
        "[[server]]\nid = \"alerts\"\nscope = \"tenant\"\nsecrets = {{ token = {{ file = {token:?} }} }}\n\
         run = {{ backend = \"simulated\" }}\n\
         [[server]]\nid = \"graf\"\nscope = \"tenant\"\nsecrets = {{ token = {{ file = {token:?} }} }}\n\
         run = {{ backend = \"simulated\", latency = \"1ms\", start = \"1ms\", \
         faults = [{{ auth_unless = {{ secret = \"token\", value = \"new\" }} }}] }}\n{tenants}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn incident_c_a_credential_is_rotated_and_half_of_the_calls_fail() {
    let dir = tempfile::tempdir().unwrap();
    let token = dir.path().join("token");
    std::fs::write(&token, "old").unwrap();
    let platform = platform(dir.path(), &rotated(&token));
    platform.ready().await.unwrap();
    let outcome =
        async |tenant: &str| call(&platform.handle, tenant, "graf", "echo", Some(tenant)).await.unwrap().outcome;
    // Two were started before the rotation and two after it.
    let mut outcomes = vec![outcome("eaton").await, outcome("vatt").await];
    std::fs::write(&token, "new").unwrap();
    for tenant in ["festo", "segur", "eaton", "vatt"] {
        outcomes.push(outcome(tenant).await);
    }
    use Outcome::{Auth, Ok};
    assert_eq!(outcomes, [Auth, Auth, Ok, Ok, Auth, Auth]);

    let mut screen = Glass::open(platform.handle.clone());
    // The cause is one line, and names who holds the old one.
    screen.shows(&["AUTH", "secret token", "token is newer than what graf@eaton, graf@vatt started with"]).await;
    screen.keys("e").await.shows(&["Why: graf@eaton", "✗  secret  R restart", "the newest is"]).await;
    screen.keys("<esc> 2 <enter> <left>").await;
    screen
        .shows(&["token for graf  set", "loaded", "2 instances still hold an older one: graf@eaton, graf@vatt"])
        .await;
    screen.keys(": r e l o a d - s e c <enter>").await.shows(&["secrets reload: done"]).await;

    // One by one; each takes its instance off the line.
    screen.keys("1 R").await.shows(&["restart graf@eaton", "[ restart ]"]).await;
    screen.keys("y").await.shows(&["token is newer than what graf@vatt started with"]).await;
    assert_eq!((outcome("eaton").await, outcome("vatt").await), (Ok, Auth));
    screen.keys("R").await.shows(&["restart graf@vatt", "[ restart ]"]).await;
    screen.keys("y").await.shows(&["nothing is wrong that mcpdeck can see"]).await;
    screen.keys("2 <enter>").await.lacks("hold an older one").await;
    for tenant in ["eaton", "festo", "segur", "vatt"] {
        assert_eq!(outcome(tenant).await, Ok, "{tenant}");
    }
    screen.close();
    assert_eq!(platform.shutdown(PATIENCE).await, Vec::<String>::new());
}
