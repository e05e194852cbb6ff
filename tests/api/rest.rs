//! The HTTP API beside MCP: what scripts and dashboards ask and do, and who may.

mod customers;
mod metrics;
mod openapi;
mod records;
mod servers;
mod status;

use super::{Deck, call, send};
use mcpdeck::model::State;
use serde_json::Value;
use std::time::Duration;
use tokio::time::timeout;

/// Three servers of two customers, and who an anonymous caller is.
fn config(anonymous: &str) -> String {
    format!(
        r#"
[api]
listen = ["127.0.0.1:0"]
anonymous = {anonymous}
max_body = "4KiB"
[[server]]
id = "etim"
description = "Classification"
price = {{ amount = 49, currency = "EUR", per = "month" }}
run = {{ backend = "simulated", tools = ["search"], latency = "1ms" }}
[[server]]
id = "graf"
scope = "tenant"
run = {{ backend = "simulated", tools = ["panels"], latency = "1ms" }}
[[server]]
id = "law"
environment = "production"
run = {{ backend = "simulated", tools = ["search"] }}
[[server]]
id = "broken"
restart = {{ max_failures = 1 }}
run = {{ backend = "simulated", tools = ["x"], faults = [{{ refuse_start = "no disk" }}] }}
[[tenant]]
id = "eaton"
name = "Eaton Corp"
enabled = ["etim", "graf", "broken"]
[[tenant]]
id = "vatt"
enabled = ["etim", "graf", "law"]
"#
    )
}

const OPERATOR: &str = r#"{ role = "operator" }"#;
const EATON: &str = r#"{ tenant = "eaton" }"#;

impl Deck {
    /// Status and JSON of an answer without a body to send.
    async fn ask(&self, line: &str, headers: &str) -> (u16, Value) {
        self.tell(line, headers, "").await
    }

    async fn tell(&self, line: &str, headers: &str, body: &str) -> (u16, Value) {
        let (status, text) = send(self.at(), line, headers, body).await;
        let json = serde_json::from_str(&text).unwrap_or(Value::String(text));
        (status, json)
    }

    /// Waits until an instance is in a state.
    async fn until(&self, key: &str, state: State) {
        let key = key.parse().unwrap();
        let seen = async {
            while self.platform.handle.state().instance(&key).is_none_or(|row| row.state != state) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(super::PATIENCE, seen).await.unwrap_or_else(|_| panic!("{key} never was {state}"));
    }
}
