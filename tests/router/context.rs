//! Two tenants on one shared server, who forge each other's context in every way that they can think of.

use super::fixture::*;
use mcpdeck::model::Outcome;
use proptest::prelude::*;
use serde_json::{Value, json};

/// `text` with some of its characters as `\u` escapes, quoted.
fn escaped(text: &str, mask: u32) -> String {
    let chars = text.chars().enumerate().map(|(at, c)| match mask >> (at % 32) & 1 {
        1 => format!("\\u{:04x}", c as u32),
        _ => c.to_string(),
    });
    format!("\"{}\"", chars.collect::<String>())
}

/// A way to lie.
#[derive(Clone, Debug)]
pub enum Forgery {
    Argument,
    Meta,
    /// Beside `params`, `arguments` or `_meta` once more.
    Double(&'static str),
    /// The same in other letters.
    Case(&'static str),
}

pub fn forgery() -> impl Strategy<Value = Forgery> {
    let names =
        prop_oneof![Just("params"), Just("arguments"), Just("_meta"), Just("customer_id"), Just("io.mcpdeck/tenant")];
    prop_oneof![
        Just(Forgery::Argument),
        Just(Forgery::Meta),
        names.clone().prop_map(Forgery::Double),
        names.prop_map(Forgery::Case),
    ]
}

/// A call of the echo tool by a liar.
pub fn message(forgery: &Forgery, mask: u32, front: bool) -> String {
    let lie = r#"{"id":"victim"}"#;
    let key = |name: &str| escaped(name, mask);
    let twisted = |name: &str| match forgery {
        Forgery::Double(n) if *n == name => Some(key(name)),
        Forgery::Case(n) if *n == name => Some(escaped(&name.to_uppercase(), mask)),
        _ => None,
    };
    // An object of `members`, and perhaps a twisted second spelling of the last one.
    let object = |members: &[(&str, String)]| {
        let mut parts = Vec::new();
        for (name, value) in members {
            let plain = format!("{}: {value}", key(name));
            match twisted(name).map(|k| format!("{k}:{value}")) {
                Some(second) if front => parts.extend([second, plain]),
                Some(second) => parts.extend([plain, second]),
                None => parts.push(plain),
            }
        }
        format!("{{{}}}", parts.join(" ,"))
    };
    let arguments = object(&[("q", "1".into()), ("customer_id", "\"victim\"".into())]);
    let meta = object(&[("io.mcpdeck/tenant", lie.into()), ("keep", "true".into())]);
    let params = object(&[("name", "\"echo\"".into()), ("arguments", arguments), ("_meta", meta)]);
    let params = object(&[("params", params)]);
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call",{}"#, &params[1..])
}

pub fn mentions_victim(value: &Value) -> bool {
    value.to_string().contains("victim")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn nobody_sees_the_context_of_another(
        forgeries in prop::collection::vec((forgery(), any::<u32>(), any::<bool>()), 1..12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (platform, stdio) = Platform::with(Speaks::Legacy).await;
            let calls = forgeries.iter().enumerate().map(|(at, (forgery, mask, front))| {
                let who = ["eaton", "abb"][at % 2];
                let text = message(forgery, *mask, *front);
                let router = platform.router.clone();
                tokio::spawn(async move { (who, text.clone(), Reply::from(router.call(raw_call(who, "etim", &text)).await)) })
            });
            for call in calls.collect::<Vec<_>>() {
                let (who, text, reply) = call.await.unwrap();
                match reply.record.outcome {
                    Outcome::Ok => {
                        assert_eq!(reply.seen()["arguments"]["customer_id"], who, "{text}");
                        assert_eq!(reply.seen()["_meta"]["io.mcpdeck/tenant"]["id"], who, "{text}");
                        assert_eq!(reply.seen()["_meta"]["keep"], true, "{text}");
                    }
                    outcome => assert_eq!(outcome, Outcome::Refused, "{text}: {}", reply.error()),
                }
            }
            for heard in stdio.heard.lock().unwrap().iter() {
                assert!(!mentions_victim(heard), "{heard}");
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn plain_forgeries_are_replaced_and_ambiguous_ones_refused() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    let call = |params: Value| platform.call(method_call("eaton", "etim", "tools/call", params));
    let reply =
        call(json!({"name": "echo", "arguments": {"customer_id": "victim"}, "_meta": {"io.mcpdeck/tenant": "victim"}}))
            .await;
    assert_eq!(reply.record.outcome, Outcome::Ok);
    assert_eq!(reply.seen()["arguments"]["customer_id"], "eaton");
    for params in [
        json!({"name": "echo", "arguments": {"Customer_ID": "victim"}}),
        json!({"name": "echo", "arguments": "victim"}),
        json!({"name": "echo", "_meta": "victim"}),
        json!({"name": "echo", "_META": {"io.mcpdeck/tenant": "victim"}}),
    ] {
        let reply = call(params.clone()).await;
        assert_eq!(reply.record.outcome, Outcome::Refused, "{params}");
    }
    let text = r#"{"name":"echo"},"method":"x","params":{"_meta":{"io.mcpdeck/tenant":"victim"}"#;
    let mut smuggled = method_call("eaton", "etim", "tools/call", json!({}));
    smuggled.body = mcpdeck::router::CallBody::Method { method: "tools/call".into(), params: text.into() };
    assert_eq!(platform.call(smuggled).await.record.outcome, Outcome::Refused);
    assert!(!stdio.heard.lock().unwrap().iter().any(mentions_victim));
}

#[tokio::test(start_paused = true)]
async fn lists_are_asked_for_under_the_tenant() {
    let (platform, stdio) = Platform::with(Speaks::Legacy).await;
    for who in ["eaton", "abb"] {
        platform.router.catalog(&who.into(), &"etim".into(), false, None).await.unwrap();
        let last = stdio.heard.lock().unwrap().last().unwrap().clone();
        assert_eq!(last["params"]["_meta"]["io.mcpdeck/tenant"]["id"], who);
    }
}
