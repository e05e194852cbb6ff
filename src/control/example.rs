//! The example client: real calls through the router now and then, so that the embedded default has traffic to show.

use super::deck::Deck;
use crate::config::ExampleTraffic;
use crate::model::call::Origin;
use crate::router::{CallBody, CallRequest};
use std::sync::Arc;

/// Calls while it is switched on, until the platform stops. One at a time: it is no load test.
pub async fn run(deck: Arc<Deck>, traffic: ExampleTraffic) {
    if traffic.calls.is_empty() || deck.store.get().await.is_err() {
        return;
    }
    let mut on = deck.example.subscribe();
    let mut random = fastrand::Rng::with_seed(deck.clock.booted.0);
    loop {
        if on.wait_for(|on| *on).await.is_err() {
            return;
        }
        let wait = traffic.every.mul_f64(0.5 + random.f64());
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            _ = on.changed() => continue,
            () = deck.closing.cancelled() => return,
        }
        let call = &traffic.calls[random.usize(..traffic.calls.len())];
        deck.touch();
        let arguments = if call.arguments.is_empty() { "{}" } else { &call.arguments };
        let name = serde_json::Value::from(call.tool.as_str());
        deck.router
            .call(CallRequest {
                tenant: call.tenant.clone(),
                server: call.server.clone(),
                body: CallBody::Method {
                    method: "tools/call".to_owned(),
                    params: format!(r#"{{"name":{name},"arguments":{arguments}}}"#),
                },
                era: None,
                timeout: None,
                origin: Origin::Example,
                principal: "example".into(),
                role: None,
                session: None,
                events: None,
            })
            .await;
    }
}
