//! Incidents of product.md, played through as an operator meets them: a real platform on simulated servers and a library
//! that stands in for a GPU driver's, the real loop of the screen at 80x24, key strings, and nothing known but what the
//! screen says.

use crate::gpu::driver::Driver;
use crate::support::glass::Glass;
use crate::support::platform::{PATIENCE, call, platform};
use mcpdeck::config::StoreConfig;
use mcpdeck::control::Handle;
use mcpdeck::model::gpu::GpuHeld;
use mcpdeck::model::{CallRecord, Outcome, Stamp, State};
use mcpdeck::store;
use mcpdeck::ui::fmt;
use std::path::Path;
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
    screen.keys("R").await.shows(&["restart etim", "it stays fenced: calls are refused", "type etim"]).await;
    screen.types("etim").await.lacks("type etim").await;
    screen.keys("D").await.lacks("FENCED").await;

    // The proof: the customer's own call, from the Console.
    screen.keys("6 <f2>").await.shows(&["Call as"]).await;
    screen.types("eaton").await.keys("<f3>").await.shows(&["Server of EATON"]).await;
    screen.types("etim").await.keys("<f4>").await.shows(&["echo"]).await;
    screen.types("echo").await.keys("<f5>").await.shows(&["Response ── ok", "echo of etim", "customer_id"]).await;

    screen.keys("1").await.shows(&["✓ RESOLVED etim"]).await;
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
    screen.keys("e").await.shows(&["Why: graf@eaton", "✗  secret  r roll", "the newest is"]).await;
    screen.keys("<esc> 2 <enter> <left> <left>").await;
    screen
        .shows(&["token for graf  set", "loaded", "2 instances still hold an older one: graf@eaton, graf@vatt"])
        .await;
    screen.keys(": r e l o a d - s e c <enter>").await.shows(&["secrets reload: done"]).await;

    // All that hold the old value, and nothing else; it says so before it is done.
    screen.keys("1 r").await;
    screen.shows(&["secrets roll token --server graf", "2  graf@eaton, graf@vatt", "2 at a time are restarted"]).await;
    screen.keys("y").await.shows(&["✓ RESOLVED secret token"]).await;
    assert_eq!((outcome("eaton").await, outcome("vatt").await), (Ok, Ok));
    screen.keys("2 <enter>").await.lacks("hold an older one").await;
    for tenant in ["eaton", "festo", "segur", "vatt"] {
        assert_eq!(outcome(tenant).await, Ok, "{tenant}");
    }
    screen.close();
    assert_eq!(platform.shutdown(PATIENCE).await, Vec::<String>::new());
}

/// A model server behind one customer, which needs 32 GiB of the only GPU, and the training of another one beside it.
fn one_gpu(driver: &Driver) -> String {
    let gpu = driver.config();
    format!(
        r#"{gpu}
[[engine]]
name = "made-up"
simulated = {{ containers = 0, gpus = 0, seed = 1 }}
[[server]]
id = "train"
builtin = "catalog"
scope = "tenant"
autostart = true
[[server]]
id = "report"
scope = "tenant"
needs = ["train"]
autostart = true
run = {{ backend = "simulated", latency = "1ms", start = "1ms" }}
[[tenant]]
id = "eaton"
environment = "production"
[[tenant]]
id = "vatt"
enabled = ["train", "report"]
[[stack]]
name = "models"
tenant = "eaton"
[[stack.part]]
name = "vllm"
image = "vllm/vllm-openai:v0.9.1"
gpu = {{ device = 0, memory = "32GiB" }}
"#
    )
}

/// What the store has of the night: at `three` the training took what the model server had.
async fn seed_night(state: &Path, three: Stamp) {
    let row = |minutes: i64, tenant: &str, holder: &str, gib: u64| GpuHeld {
        at: Stamp(three.0.saturating_add_signed(minutes * 60_000)),
        device: "GPU-a".into(),
        tenant: Some(tenant.into()),
        holder: holder.into(),
        memory: gib << 30,
    };
    let mut rows = Vec::new();
    for minutes in [-30, -20, -10] {
        rows.extend([row(minutes, "eaton", "models/vllm", 40), row(minutes, "vatt", "train@vatt", 30)]);
    }
    rows.extend([row(0, "eaton", "models/vllm", 0), row(0, "vatt", "train@vatt", 76)]);
    let path = state.join("mcpdeck.db");
    let config = StoreConfig { path, calls_per_tenant: 100, audit_rotate_bytes: 1 << 20, audit_keep: 1 };
    let store = store::open(&config).unwrap();
    store.add_gpu_held(rows).await.unwrap();
    store.close().await;
}

/// The pid of the training, once it is another than `before`.
async fn training(handle: &Handle, before: Option<u32>) -> u32 {
    let key = "train@vatt".parse().unwrap();
    let mut revisions = handle.revisions();
    let waiting = async {
        loop {
            let row = handle.state().instance(&key).cloned();
            let pid = row.filter(|row| row.state == State::Ready).and_then(|row| row.pid);
            match pid.filter(|pid| Some(*pid) != before) {
                Some(pid) => return pid,
                None => revisions.changed().await.unwrap(),
            }
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("the training runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn incident_a_a_model_server_ran_out_of_gpu_memory_at_three() {
    let device = |used: u32, free: u32| {
        format!("driver 570\ndevice uuid=GPU-a name=NVIDIA_H100 util=90,60 memory=81920,{used},{free} throttle=0\n")
    };
    let driver = Driver::new(&device(512, 80_896));
    let dir = tempfile::tempdir().unwrap();
    let three = Stamp(Stamp::now().0 / 60_000 * 60_000 - 5 * 3_600_000);
    seed_night(&dir.path().join("state"), three).await;
    let platform = platform(dir.path(), &one_gpu(&driver));
    platform.ready().await.unwrap();
    let pid = training(&platform.handle, None).await;
    driver.process(pid, pid, "0::/user.slice");
    driver.set(&format!("{}process gpu=0 pid={pid} memory=77824\n", device(79_872, 1536)));
    let mut screen = Glass::open(platform.handle.clone());

    // It says by itself that the device is full, and who has it.
    screen.shows(&["GPU FULL", "GPU 0", "held by train@vatt 76 GiB"]).await;
    screen.keys("5").await.shows(&["! full", "78.0/80.0 GiB", "77824 vatt", "train@vatt"]).await;

    // Who held it then: the model server had its part until the training took all of it.
    let before = fmt::clock(Stamp(three.0 - 60_000), 0);
    screen.keys("h @").await.shows(&["Who held GPU memory at"]).await;
    screen.types(&before).await.shows(&[&format!("── {before}, 5h"), "models/vllm", "40.0", "30.0"]).await;
    screen.keys("<right>").await.lacks("models/vllm").await;
    screen.shows(&["76.0", "train@vatt", "vatt"]).await;

    // What fits now: the model server does not.
    screen.keys("<esc> 2 <enter> <left>").await.shows(&["models  ■ stopped", "vllm"]).await;
    screen
        .keys("d")
        .await
        .shows(&["needs 32 GiB, 1.5 free on GPU 0", "held by train@vatt 76", "it would be refused"])
        .await;

    // What depends on the one that holds it: a restart says so before it is done.
    screen.keys("<esc> 5 R").await.shows(&["restart train@vatt", "customers    1  vatt", "needed by report"]).await;
    screen.keys("y").await;
    training(&platform.handle, Some(pid)).await;
    driver.set(&device(512, 80_896));
    screen.keys("1").await.shows(&["✓ RESOLVED GPU 0"]).await;

    // Now it fits; and the memory is its customer's again.
    screen.keys("2 <enter>").await.shows(&["models  ■ stopped"]).await;
    screen.keys("d").await.shows(&["deploy models", "create", "[ deploy ]"]).await;
    screen.keys("y").await.shows(&["models  ● ready"]).await;
    let container = platform.handle.state().containers[0].key.id.clone();
    driver.process(7001, 7001, &format!("0::/system.slice/docker-{container}.scope"));
    driver.set(&format!("{}process gpu=0 pid=7001 memory=40960\n", device(41_472, 39_936)));
    screen.keys("5").await.shows(&["● ok", "40960 eaton", "models/vllm"]).await;
    screen.close();
    assert_eq!(platform.shutdown(PATIENCE).await, Vec::<String>::new());
}
