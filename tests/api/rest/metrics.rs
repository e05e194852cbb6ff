//! `/metrics`, read as OpenMetrics 1.0 has it: a table of what each line of the text must be.

use super::{Deck, EATON, OPERATOR, State, call, config};
use crate::support::platform::PATIENCE;
use mcpdeck::control::handle::Interest;
use mcpdeck::model::Snapshot;
use mcpdeck::model::usage::InstanceUsage;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::time::timeout;

/// Families by name, and values by series (name with labels).
struct Page {
    families: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

/// Reads a page; panics with the line that is none.
fn read(text: &str) -> Page {
    assert!(text.ends_with("# EOF\n"), "no end: {text}");
    let mut page = Page { families: BTreeMap::new(), series: BTreeMap::new() };
    let (mut family, mut helped) = (String::new(), BTreeSet::new());
    for line in text.lines().filter(|line| *line != "# EOF") {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words[..] {
            ["#", "HELP", name, text] => assert!(helped.insert(name.to_owned()) && !text.is_empty(), "{line}"),
            ["#", "TYPE", name, kind] => {
                assert!(["counter", "gauge", "histogram"].contains(&kind) && helped.contains(name), "{line}");
                assert!(page.families.insert(name.to_owned(), kind.to_owned()).is_none(), "twice: {line}");
                family = name.to_owned();
            }
            ["#", "UNIT", name, unit] => assert!(name == family && name.ends_with(&format!("_{unit}")), "{line}"),
            _ => sample(&mut page, &family, line),
        }
    }
    page
}

fn sample(page: &mut Page, family: &str, line: &str) {
    let (series, value) = line.rsplit_once(' ').expect(line);
    let (name, labels) =
        series.split_once('{').map_or((series, ""), |(name, rest)| (name, rest.strip_suffix('}').expect(line)));
    assert!(
        name.starts_with("mcpdeck_") && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'),
        "{line}"
    );
    let suffix = name.strip_prefix(family).unwrap_or_else(|| panic!("{line} is not of {family}"));
    let allowed: &[&str] = match &*page.families[family] {
        "counter" => &["_total"],
        "histogram" => &["_bucket", "_sum", "_count"],
        _ => &[""],
    };
    assert!(allowed.contains(&suffix), "{line}");
    for label in labels.split(',').filter(|label| !label.is_empty()) {
        let (_, value) = label.split_once("=\"").expect(line);
        assert!(value.ends_with('"') && !value[..value.len() - 1].contains('"'), "{line}");
    }
    let value: f64 = value.parse().expect(line);
    assert!(value >= 0.0, "{line}");
    assert!(page.series.insert(series.to_owned(), value).is_none(), "twice: {line}");
}

impl Page {
    fn of(&self, series: &str) -> Option<f64> {
        self.series.get(series).copied()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_read_by_prometheus_and_only_grow() {
    let idle = "id = \"graf\"\nidle_stop = \"1s\"";
    let deck = Deck::start(&config(OPERATOR).replace("id = \"graf\"", idle)).await;
    let search = call("search", &json!({}));
    for _ in 0..3 {
        assert_eq!(deck.tell("POST /mcp/etim", "X-Customer-ID: eaton\r\n", &search).await.0, 200);
    }
    assert_eq!(deck.tell("POST /mcp/nope", "X-Customer-ID: eaton\r\n", &search).await.0, 200);
    assert_eq!(deck.tell("POST /mcp/graf", "X-Customer-ID: vatt\r\n", &call("panels", &json!({}))).await.0, 200);
    deck.until("graf@vatt", State::Ready).await;
    deck.until("graf@vatt", State::Dormant).await;
    let (status, text) = super::send(deck.at(), "GET /metrics", "", "").await;
    assert_eq!(status, 200, "{text}");
    let page = read(&text);
    for (series, value) in [
        (r#"mcpdeck_calls_total{tenant="eaton",server="etim",outcome="ok"}"#, 3.0),
        (r#"mcpdeck_calls_total{tenant="eaton",server="",outcome="refused"}"#, 1.0),
        (r#"mcpdeck_call_duration_seconds_count{tenant="eaton",server="etim"}"#, 3.0),
        (r#"mcpdeck_call_duration_seconds_bucket{le="+Inf",tenant="eaton",server="etim"}"#, 3.0),
        (r#"mcpdeck_instances{state="ready"}"#, 1.0),
        (r#"mcpdeck_server_instances{server="graf",state="dormant"}"#, 2.0),
        (r#"mcpdeck_starts_total{server="etim"}"#, 1.0),
        (r#"mcpdeck_wakes_total{server="graf"}"#, 1.0),
        (r#"mcpdeck_idle_stops_total{server="graf"}"#, 1.0),
        (r#"mcpdeck_server_calls_in_flight{server="etim"}"#, 0.0),
        ("mcpdeck_records_dropped_total", 0.0),
        ("mcpdeck_http_connections", 1.0),
        ("mcpdeck_mcp_sessions", 0.0),
    ] {
        assert_eq!(page.of(series), Some(value), "{series} in\n{text}");
    }
    assert!(page.of("mcpdeck_state_disk_free_bytes").is_some_and(|bytes| bytes > 0.0), "{text}");
    // Buckets hold what those before them hold.
    let bucket = |le: &str| {
        page.of(&format!(r#"mcpdeck_call_duration_seconds_bucket{{le="{le}",tenant="eaton",server="etim"}}"#))
    };
    assert!(bucket("0.000512") <= bucket("0.524288") && bucket("33.554432").is_some_and(|n| n <= 3.0), "{text}");
    deck.end().await;
}

/// A figure's name behind `mcpdeck_server_` or `mcpdeck_tenant_`, and its value in the unit that the name says.
type Figure = (&'static str, fn(&InstanceUsage) -> Option<f64>);

const FIGURES: [Figure; 7] = [
    ("cpu_cores", |usage| usage.cpu.map(|percent| f64::from(percent) / 100.0)),
    ("memory_bytes", |usage| usage.memory.map(|bytes| bytes as f64)),
    ("memory_limit_bytes", |usage| usage.memory_limit.map(|bytes| bytes as f64)),
    ("network_received_bytes_per_second", |usage| usage.net_in.map(|bytes| bytes as f64)),
    ("network_sent_bytes_per_second", |usage| usage.net_out.map(|bytes| bytes as f64)),
    ("disk_read_bytes_per_second", |usage| usage.disk_read.map(|bytes| bytes as f64)),
    ("disk_written_bytes_per_second", |usage| usage.disk_write.map(|bytes| bytes as f64)),
];

/// What everything of a customer or a server uses, summed up row by row: its instances, and the containers behind it.
fn sums(state: &Snapshot) -> BTreeMap<(&'static str, String), InstanceUsage> {
    let mut sums = BTreeMap::<(&'static str, String), InstanceUsage>::new();
    let mut add = |kind, id: Option<String>, usage: InstanceUsage| {
        let Some(id) = id else { return };
        let sum = sums.entry((kind, id)).or_default();
        *sum = sum.plus(usage);
    };
    for row in &state.instances {
        add("server", Some(row.key.server.to_string()), row.usage);
        add("tenant", row.key.tenant.as_ref().map(ToString::to_string), row.usage);
    }
    for row in state.containers.iter().filter(|row| row.state.is_live()) {
        add("server", row.owner.server.as_ref().map(ToString::to_string), row.usage);
        add("tenant", row.owner.tenant.as_ref().map(ToString::to_string), row.usage);
    }
    sums
}

/// Made-up containers, of which some stand behind a customer and some behind a server.
const LAB: &str = r#"
[[engine]]
name = "lab"
simulated = { containers = 30, seed = 7 }
[[stack]]
name = "panels"
tenant = "eaton"
adopt = { compose_project = "observability" }
[[stack]]
name = "classes"
server = "etim"
adopt = { compose_project = "etim" }
"#;

/// The page, and the state that it was written from.
async fn page_of_one_state(deck: &Deck) -> (Page, Arc<Snapshot>) {
    let told = async {
        loop {
            let before = deck.platform.handle.state();
            let (_, text) = super::send(deck.at(), "GET /metrics", "", "").await;
            if Arc::ptr_eq(&before, &deck.platform.handle.state()) {
                return (read(&text), before);
            }
        }
    };
    timeout(PATIENCE, told).await.expect("nothing changes for a moment")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_used_is_told_in_cores_and_bytes_by_customer_and_server() {
    let deck = Deck::start(&format!("{}{LAB}", config(OPERATOR))).await;
    deck.platform.handle.interest(Interest { watching: true, ..Interest::default() });
    for (server, tool) in [("etim", "search"), ("graf", "panels")] {
        let path = format!("POST /mcp/{server}");
        assert_eq!(deck.tell(&path, "X-Customer-ID: eaton\r\n", &call(tool, &json!({}))).await.0, 200);
    }
    let known = async {
        let mut revisions = deck.platform.handle.revisions();
        loop {
            let state = deck.platform.handle.state();
            let instances = ["etim", "graf@eaton"].map(|key| state.instance(&key.parse().unwrap()).unwrap().usage.cpu);
            let behind = [state.tenant("eaton").unwrap().usage.net_in, state.server("etim").unwrap().usage.net_in];
            if instances.iter().all(Option::is_some) && behind.iter().all(Option::is_some) {
                return;
            }
            revisions.changed().await.unwrap();
        }
    };
    timeout(PATIENCE, known).await.expect("everything is measured");
    let (page, state) = page_of_one_state(&deck).await;
    let sums = sums(&state);
    for (kind, id) in
        [("server", "etim"), ("server", "graf"), ("server", "law"), ("tenant", "eaton"), ("tenant", "vatt")]
    {
        let usage = sums.get(&(kind, id.to_owned())).copied().unwrap_or_default();
        for (name, value) in FIGURES {
            let (shown, used) = (page.of(&format!(r#"mcpdeck_{kind}_{name}{{{kind}="{id}"}}"#)), value(&usage));
            let same = match (shown, used) {
                (Some(shown), Some(used)) => (shown - used).abs() <= used.abs() * 1e-6,
                (shown, used) => shown == used,
            };
            assert!(same, "{name} of {kind} {id}: {shown:?} instead of {used:?}");
        }
    }
    // As it was made up: 64 MiB, and 0.1 to 1.5 % of a core. What is not known is not there, and not 0.
    let graf = |name: &str| page.of(&format!(r#"mcpdeck_server_{name}{{server="graf"}}"#));
    let (memory, cores) = (graf("memory_bytes").unwrap(), graf("cpu_cores").unwrap());
    assert!((0.9..=1.0).contains(&(memory / f64::from(64 << 20))), "{memory}");
    assert!((0.001..=0.015).contains(&cores), "{cores}");
    assert_eq!(graf("network_received_bytes_per_second"), None);
    deck.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_of_everybody_are_an_operators_unless_the_config_opens_them() {
    for (config, status) in [
        (config(EATON), 403),
        (config(EATON).replace("max_body", "metrics = \"open\"\nmax_body"), 200),
        (config(EATON).replace("anonymous", "# anonymous"), 401),
    ] {
        let deck = Deck::start(&config).await;
        let (got, text) = super::send(deck.at(), "GET /metrics", "", "").await;
        assert_eq!(got, status, "{text}");
        deck.end().await;
    }
}
