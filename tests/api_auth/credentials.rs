//! Which credential is whom, and what is no credential.

use super::world::{SECRET, TENANTS, World, recorder, token};
use crate::support::platform::{PATIENCE, ana};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use mcpdeck::config::StoreConfig;
use mcpdeck::control::principals::hash_of;
use mcpdeck::model::call::Origin;
use mcpdeck::model::principal::{KeyRow, Principal, Role, StoredKey};
use mcpdeck::model::{Answer, Command, Operator, Outcome, Query, Stamp};
use serde_json::json;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const JWT: &str = r#"
keys = true
jwt = { secret = { file = "secret" }, role_claim = "role", issuer = "id.test", audience = "deck", ttl = "1h" }
"#;

/// A good token's claims, with `more`.
fn claims(more: serde_json::Value) -> serde_json::Value {
    let mut claims = json!({ "sub": "ana", "iss": "id.test", "aud": "deck", "tenant": "eaton" });
    for (name, value) in more.as_object().unwrap() {
        match value.is_null() {
            true => drop(claims.as_object_mut().unwrap().remove(name)),
            false => claims[name] = value.clone(),
        }
    }
    claims
}

fn jwt(more: serde_json::Value) -> String {
    format!("Authorization: Bearer {}\r\n", token(SECRET, claims(more)))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_credential_is_somebody_or_says_why_not() {
    let dir = tempfile::tempdir().unwrap();
    let expired = expired_key(dir.path(), "ee").await;
    let world = World::start_in(dir, JWT, TENANTS).await;
    let tenant = world.key("aa", Role::Tenant, Some("eaton")).await;
    let operator = world.key("bb", Role::Operator, None).await;
    let bound = world.key("cc", Role::Operator, Some("vatt")).await;
    let revoked = world.key("dd", Role::Admin, Some("eaton")).await;
    world.run(Command::RevokeKey("dd".into())).await.unwrap();
    let now = Stamp::now().0 / 1000;
    let key = |text: &str| format!("X-API-Key: {text}\r\n");
    let bearer = |text: &str| format!("Authorization: Bearer {text}\r\n");
    let as_vatt = |credential: String| format!("{credential}X-Customer-ID: vatt\r\n");
    assert_ne!(world.call_once_begun(&jwt(json!({}))).await.status, 503);
    for (what, headers, status, says) in [
        // Somebody: what comes back names the tenant.
        ("a key", key(&tenant), 200, "eaton"),
        ("a key as a bearer", bearer(&tenant), 200, "eaton"),
        ("the same twice", key(&tenant) + &bearer(&tenant), 200, "eaton"),
        ("a forged customer", as_vatt(key(&tenant)), 200, "eaton"),
        ("an operator for a customer", as_vatt(key(&operator)), 200, "vatt"),
        ("by its alias", key(&operator) + "X-Customer-ID: E-1\r\n", 200, "eaton"),
        ("by its name", key(&operator) + "X-Customer-ID: eaton group\r\n", 200, "eaton"),
        ("an operator of a customer", key(&bound), 200, "vatt"),
        ("a token", jwt(json!({})), 200, "eaton"),
        ("a token with the customer's name", jwt(json!({ "tenant": "EATON Group" })), 200, "eaton"),
        ("a token and a forged customer", as_vatt(jwt(json!({}))), 200, "eaton"),
        ("an operator's token", as_vatt(jwt(json!({ "role": "operator", "tenant": null }))), 200, "vatt"),
        ("many audiences", jwt(json!({ "aud": ["x", "deck"] })), 200, "eaton"),
        // Nobody.
        ("nothing", String::new(), 401, "send an api key"),
        ("an operator without a customer", key(&operator), 400, "x-customer-id"),
        ("an unknown customer", key(&operator) + "X-Customer-ID: nobody\r\n", 404, "no customer `nobody`"),
        ("an unknown key", key("mdk_aa_0"), 401, "not known"),
        ("a key cut short", key(&tenant[..tenant.len() - 1]), 401, "not known"),
        ("no key at all", key(""), 401, "not known"),
        ("a revoked key", key(&revoked), 401, "the api key dd was revoked"),
        ("an expired key", key(&expired), 401, "the api key ee has expired"),
        ("two keys", key(&tenant) + &key(&operator), 400, "two different credentials"),
        ("a key and a token", key(&tenant) + &jwt(json!({})), 400, "two different credentials"),
        ("another scheme", "Authorization: Basic YTpi\r\n".into(), 401, "only scheme"),
        ("a token as a key", key(&token(SECRET, claims(json!({})))), 401, "not known"),
        ("an expired token", jwt(json!({ "exp": now - 60 })), 401, "it has expired"),
        ("a token without an end", bearer(&endless()), 401, "it has no `exp`"),
        ("a token not good yet", jwt(json!({ "nbf": now + 600 })), 401, "not good yet"),
        ("another issuer", jwt(json!({ "iss": "evil.test" })), 401, "another issuer"),
        ("no issuer", jwt(json!({ "iss": null })), 401, "it has no `iss`"),
        ("another audience", jwt(json!({ "aud": "x" })), 401, "another audience"),
        ("no audience", jwt(json!({ "aud": null })), 401, "it has no `aud`"),
        ("an unknown customer's token", jwt(json!({ "tenant": "nobody" })), 401, "customer `nobody`"),
        ("nobody's token", jwt(json!({ "tenant": null })), 401, "it names no customer"),
        ("a made-up role", jwt(json!({ "role": "root" })), 401, "is not tenant, operator or admin"),
        ("another secret", bearer(&token(&SECRET.to_uppercase(), claims(json!({})))), 401, "another key"),
        ("alg none", bearer(&unsigned("none")), 401, "cannot be read"),
        ("alg NONE", bearer(&unsigned("NONE")), 401, "cannot be read"),
        ("another alg", bearer(&unsigned("HS512")), 401, "another algorithm"),
        ("an alg of another family", bearer(&unsigned("RS256")), 401, "another algorithm"),
        ("a token without a signature", bearer(&unsigned("HS256")), 401, "another key"),
        ("no token", bearer("nonsense"), 401, "cannot be read"),
        ("a huge token", bearer(&"x".repeat(20_000)), 401, "too long"),
        ("a huge key", key(&format!("mdk_{}", "x".repeat(20_000))), 401, "not known"),
    ] {
        let got = world.call(&headers).await;
        let text = got.body.to_lowercase();
        assert!(got.status == status && text.contains(says), "{what}: {got:?}");
        assert_eq!(got.head.contains("www-authenticate: bearer realm="), status == 401, "{what}: {got:?}");
        assert!(got.tenant().is_none_or(|tenant| says == tenant || status != 200), "{what}: {got:?}");
    }
    world.end().await;
}

/// A key that expired before the platform began; its text.
async fn expired_key(dir: &Path, id: &str) -> String {
    let text = format!("mdk_{id}_{}", "7".repeat(64));
    let path = dir.join("state/mcpdeck.db");
    let config = StoreConfig { path, calls_per_tenant: 9, audit_rotate_bytes: 1 << 20, audit_keep: 1 };
    let store = mcpdeck::store::open(&config).unwrap();
    let row = KeyRow {
        id: id.to_owned(),
        name: String::new(),
        role: Role::Admin,
        tenant: Some("eaton".into()),
        created: Stamp(1),
        created_by: "ana".to_owned(),
        expires: Some(Stamp(Stamp::now().0 - 1)),
        last_used: None,
        revoked: None,
    };
    store.set_keys(vec![StoredKey { row, hash: hash_of(&text) }]).await.unwrap();
    store.close().await;
    text
}

/// A good token but for its end.
fn endless() -> String {
    encode(&Header::new(Algorithm::HS256), &claims(json!({})), &EncodingKey::from_secret(SECRET.as_bytes())).unwrap()
}

/// Good claims under a header that names `alg`, and no signature.
fn unsigned(alg: &str) -> String {
    let part = |value: serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = claims(json!({ "exp": Stamp::now().0 / 1000 + 600 }));
    format!("{}.{}.", part(json!({ "alg": alg, "typ": "JWT" })), part(claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_without_bounds_is_refused_and_the_next_request_is_answered() {
    let world = World::start("keys = true", TENANTS).await;
    let key = world.key("aa", Role::Tenant, Some("eaton")).await;
    let many: String = (0..500).map(|n| format!("X-Filler-{n}: x\r\n")).collect();
    let large = format!("X-Filler: {}\r\n", "x".repeat(2 << 20));
    for headers in [many, large] {
        let got = world.call(&format!("X-API-Key: {key}\r\n{headers}")).await;
        assert!(matches!(got.status, 0 | 400 | 431), "{}", got.status);
    }
    assert_eq!(world.call(&format!("X-API-Key: {key}\r\n")).await.status, 200);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rs256_is_verified_with_the_public_key_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let openssl = |args: &[&str]| {
        let run = std::process::Command::new("openssl").args(args).current_dir(dir.path()).output();
        run.is_ok_and(|output| output.status.success())
    };
    if !openssl(&["genrsa", "-out", "private.pem", "2048"]) {
        return crate::support::skip("rs256_is_verified_with_the_public_key_and_nothing_else", "no openssl");
    }
    assert!(openssl(&["rsa", "-in", "private.pem", "-pubout", "-out", "public.pem"]));
    let private = std::fs::read(dir.path().join("private.pem")).unwrap();
    let public = std::fs::read_to_string(dir.path().join("public.pem")).unwrap();
    let world = World::start_in(dir, r#"jwt = { public_key = "public.pem", tenant_claim = "org" }"#, TENANTS).await;
    let now = Stamp::now().0 / 1000;
    let claims = json!({ "org": "eaton", "exp": now + 600, "role": "admin" });
    let signed =
        encode(&Header::new(Algorithm::RS256), &claims, &EncodingKey::from_rsa_pem(&private).unwrap()).unwrap();
    let got = world.call_once_begun(&format!("Authorization: Bearer {signed}\r\nX-Customer-ID: vatt\r\n")).await;
    assert_eq!(
        (got.status, got.tenant()),
        (200, Some("eaton")),
        "a claim that is not asked for gives no role: {got:?}"
    );
    // The classic: the public key, which everybody has, taken for a secret.
    let confused = format!("Authorization: Bearer {}\r\n", token(&public, claims));
    let got = world.call(&confused).await;
    assert!(got.status == 401 && got.body.contains("another algorithm"), "{got:?}");
    let got = world.send("POST /api/auth/login", "", r#"{"email":"a@b","password":"long enough"}"#).await;
    assert!(got.status == 503 && got.body.contains("private one"), "{got:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_proves_a_caller_goes_no_further() {
    let (url, seen) = recorder().await;
    let servers = format!("[[server]]\nid = \"far\"\nurl = {url:?}\n[[tenant]]\nid = \"eaton\"\nenabled = [\"far\"]\n");
    let world = World::start(JWT, &servers).await;
    let key = world.key("aa", Role::Tenant, Some("eaton")).await;
    let token = jwt(json!({}));
    world.call_once_begun(&token).await;
    for (credential, sent) in [
        (format!("X-API-Key: {key}\r\n"), &*key),
        (format!("Authorization: Bearer {key}\r\n"), &*key),
        (token.clone(), token.trim()),
    ] {
        let headers = format!("{credential}X-Customer-ID: forged-customer\r\n");
        let got = world.send("POST /mcp/far", &headers, &super::world::search()).await;
        assert!(got.status == 200 && got.body.contains("result"), "{got:?}");
        let seen = String::from_utf8_lossy(&seen.lock().unwrap()).to_lowercase();
        assert!(seen.contains("tools/call"), "{seen}");
        let secret = sent.trim_start_matches("Authorization: Bearer ").to_lowercase();
        for bad in [&*secret, "authorization", "x-api-key", "forged-customer"] {
            assert!(!seen.contains(bad), "{bad}: {seen}");
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_outlive_the_owner_and_end_at_once() {
    let world = World::start("keys = true", TENANTS).await;
    let (a, b) =
        (world.key("aa", Role::Tenant, Some("eaton")).await, world.key("bb", Role::Tenant, Some("vatt")).await);
    let next = format!("mdk_a2_{}", "6".repeat(64));
    let rotate = Command::RotateKey { id: "aa".into(), next: "a2".into(), hash: hash_of(&next), overlap_ms: 600_000 };
    world.run(rotate).await.unwrap();
    world.run(Command::RevokeKey("bb".into())).await.unwrap();
    let header = |key: &str| format!("X-API-Key: {key}\r\n");
    assert_eq!(world.call(&header(&b)).await.status, 401, "acknowledged is done");
    let dir = world.end().await;
    let world = World::start_in(dir, "keys = true", TENANTS).await;
    for (key, status) in [(&a, 200), (&next, 200), (&b, 401)] {
        assert_eq!(world.call(&header(key)).await.status, status, "{key}");
    }
    let Answer::Keys(rows) = world.ask(Query::Keys).await else { panic!("no keys") };
    let used: Vec<_> =
        rows.iter().map(|row| (row.id.as_str(), row.last_used.is_some(), row.state(Stamp::now()))).collect();
    assert_eq!(used, [("aa", true, "good"), ("bb", false, "revoked"), ("a2", true, "good")]);
    let dir = world.end().await;
    // A shutdown tells the store what the last seconds used.
    let world = World::start_in(dir, "keys = true", TENANTS).await;
    let Answer::Keys(again) = world.ask(Query::Keys).await else { panic!("no keys") };
    assert_eq!(again, rows);
    let dir = world.end().await;
    let gone =
        TENANTS.replace("id = \"eaton\"", "id = \"other\"").replace("e-1", "o-1").replace("EATON Group", "Other");
    let world = World::start_in(dir, "keys = true", &gone).await;
    let got = world.call(&header(&a)).await;
    assert!(got.status == 401 && got.body.contains("customer `eaton` of this credential"), "{got:?}");
    world.end().await;
}

/// Events of the platform, what a session is told, a subscription without one.
#[tokio::test(flavor = "multi_thread")]
async fn an_open_stream_ends_with_its_key() {
    let world = World::start("keys = true", TENANTS).await;
    for (id, role, opened) in
        [("aa", Role::Operator, "events"), ("bb", Role::Tenant, "session"), ("cc", Role::Tenant, "subscription")]
    {
        let key = world.key(id, role, (role == Role::Tenant).then_some("eaton")).await;
        let mut stream = TcpStream::connect(world.at()).await.unwrap();
        let (line, headers, body) = match opened {
            "events" => ("GET /api/events", String::new(), String::new()),
            "session" => ("GET /mcp/etim", format!("Mcp-Session-Id: {}\r\n", begin(&world, &key).await), String::new()),
            _ => (
                "POST /mcp",
                "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n".into(),
                listen(),
            ),
        };
        let length = body.len();
        let request = format!(
            "{line} HTTP/1.1\r\nHost: localhost\r\nX-API-Key: {key}\r\nAccept: application/json, text/event-stream\r\n\
             Content-Length: {length}\r\n{headers}\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut seen = Vec::new();
        let began = async {
            while !String::from_utf8_lossy(&seen).contains("content-type: text/event-stream") {
                assert!(stream.read_buf(&mut seen).await.unwrap() > 0, "{opened}: {}", String::from_utf8_lossy(&seen));
            }
        };
        timeout(PATIENCE, began).await.unwrap_or_else(|_| panic!("{opened} never began"));
        world.run(Command::RevokeKey(id.into())).await.unwrap();
        let ended = async { while !seen.ends_with(b"0\r\n\r\n") && stream.read_buf(&mut seen).await.unwrap() > 0 {} };
        timeout(PATIENCE, ended).await.unwrap_or_else(|_| panic!("{opened} does not end with its key"));
    }
    world.end().await;
}

/// Begins a session of a legacy client; its id.
async fn begin(world: &World, key: &str) -> String {
    let params =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let hello = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
    let got = world.send("POST /mcp/etim", &format!("X-API-Key: {key}\r\n"), &hello.to_string()).await;
    let id = got.head.lines().find_map(|line| line.strip_prefix("mcp-session-id: "));
    id.unwrap_or_else(|| panic!("no session: {got:?}")).to_owned()
}

/// A modern client's wish to hear of changes.
fn listen() -> String {
    let meta = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    let params = json!({ "notifications": { "toolsListChanged": true }, "_meta": meta });
    json!({ "jsonrpc": "2.0", "id": "sub", "method": "subscriptions/listen", "params": params }).to_string()
}

/// W3C Trace Context: the upstream's step is below ours, in the caller's trace; told in the head and in `_meta`.
#[tokio::test(flavor = "multi_thread")]
async fn a_callers_trace_reaches_the_upstream() {
    let (url, seen) = recorder().await;
    let servers = format!("[[server]]\nid = \"far\"\nurl = {url:?}\n[[tenant]]\nid = \"eaton\"\nenabled = [\"far\"]\n");
    let world = World::start("keys = true", &servers).await;
    let key = world.key("aa", Role::Tenant, Some("eaton")).await;
    let (trace, span) = ("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7");
    let headers = format!("X-API-Key: {key}\r\ntraceparent: 00-{trace}-{span}-01\r\n");
    let got = world.send("POST /mcp/far", &headers, &super::world::search()).await;
    assert_eq!(got.status, 200, "{got:?}");
    let seen = String::from_utf8_lossy(&seen.lock().unwrap()).to_lowercase();
    let call = &seen[seen.rfind("post /mcp").unwrap()..];
    let step = |before: &str| {
        let at = call.find(before).unwrap_or_else(|| panic!("no {before}: {call}")) + before.len();
        call[at..at + 55].to_owned()
    };
    let told = step("traceparent: ");
    assert!(told.starts_with(&format!("00-{trace}-")) && told.ends_with("-01") && !told.contains(span), "{told}");
    assert_eq!(step("\"traceparent\":\""), told);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_passes_on_nobody_without_a_credential() {
    let world = World::start(r#"anonymous = { tenant = "eaton" }"#, TENANTS).await;
    assert_eq!(world.call("").await.tenant(), Some("eaton"));
    for header in ["X-Forwarded-For: 10.1.1.1", "Forwarded: for=10.1.1.1", "X-Real-IP: 10.1.1.1"] {
        assert_eq!(world.call(&format!("{header}\r\n")).await.status, 401, "{header}");
    }
    assert_eq!(world.call("X-API-Key: mdk_a_b\r\n").await.status, 401, "a bad credential is not overlooked");
    let told = async {
        while !world
            .platform
            .handle
            .state()
            .findings
            .iter()
            .any(|row| row.word == "OPEN" && row.text.contains("as tenant of eaton"))
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, told).await.expect("it is said on screen");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_can_be_turned_off() {
    let world = World::start("keys = false", TENANTS).await;
    let key = world.key("aa", Role::Tenant, Some("eaton")).await;
    let got = world.call(&format!("X-API-Key: {key}\r\n")).await;
    assert!(got.status == 401 && got.body.contains("[api] keys"), "{got:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_and_act_says_who_and_no_proof_is_kept() {
    let world = World::start("keys = true", TENANTS).await;
    let key = world.key("aa", Role::Operator, Some("eaton")).await;
    assert_eq!(world.call(&format!("X-API-Key: {key}\r\n")).await.status, 200);
    let who = Principal { name: "key:ci/aa".into(), role: Role::Operator, tenant: Some("eaton".into()) };
    let over_http = Operator::over_http(&who);
    world.run_as(over_http.clone(), Command::Stop("etim".parse().unwrap())).await.unwrap();
    // What is held cannot be put to sleep.
    let held = async {
        while world.platform.handle.state().instances.iter().all(|row| row.held.is_none()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, held).await.expect("it is stopped");
    world.run_as(over_http.clone(), Command::Sleep("etim".parse().unwrap())).await.unwrap_err();
    let written = async {
        loop {
            let Answer::Journal(rows) = world.ask(Query::Journal { limit: 9 }).await else { panic!("no journal") };
            let ended = |verb: &str| rows.iter().any(|row| row.verb == verb && row.took_ms.is_some());
            let refused = rows.iter().any(|row| row.outcome.starts_with("refused: "));
            if ended("stop") && ended("keys create") && refused {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let rows = timeout(PATIENCE, written).await.expect("the acts are in the journal");
    let by = |verb: &str| rows.iter().find(|row| row.verb == verb).map(|row| row.operator.clone());
    assert_eq!((by("keys create"), by("stop"), by("sleep")), (Some(ana()), Some(over_http.clone()), Some(over_http)));
    let Answer::Calls(calls) = world.ask(Query::Calls { filter: String::new(), limit: 9 }).await else {
        panic!("no calls")
    };
    let call = calls.iter().find(|call| call.origin == Origin::Http).expect("the call");
    assert_eq!((&*call.principal, call.role, call.outcome), ("key:ci/aa", Some(Role::Operator), Outcome::Ok));
    let dir = world.end().await;
    let state = dir.path().join("state");
    let audit = std::fs::read_to_string(state.join("audit.jsonl")).unwrap();
    let lines: Vec<serde_json::Value> = audit.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let called = lines.iter().find(|line| line["method"] == "tools/call").expect("the call's line");
    assert_eq!(
        (&called["principal"], &called["role"], &called["tenant"]),
        (&json!("key:ci/aa"), &json!("operator"), &json!("eaton"))
    );
    assert!(called["took_us"].is_u64() && called["outcome"] == "ok", "{called}");
    let stopped = lines.iter().find(|line| line["act"]["verb"] == "stop" && line["act"]["outcome"] == "ok");
    let operator = &stopped.expect("the act's line")["act"]["operator"];
    assert_eq!((&operator["name"], &operator["grant"]["role"]), (&json!("key:ci/aa"), &json!("operator")));
    // Neither the key nor what it is found by can be read where people look.
    let hash = serde_json::to_string(&hash_of(&key)).unwrap();
    let db = std::fs::read(state.join("mcpdeck.db")).unwrap();
    let text = String::from_utf8_lossy(&db);
    assert!(
        !text.contains(&key) && !text.contains(&hash) && !audit.contains(&key),
        "only its hash is kept, and that once"
    );
}

#[test]
fn a_key_row_tells_whether_it_works() {
    let row = KeyRow {
        id: "aa".into(),
        name: String::new(),
        role: Role::Tenant,
        tenant: Some("eaton".into()),
        created: Stamp(5),
        created_by: "ana".into(),
        expires: Some(Stamp(10)),
        last_used: None,
        revoked: None,
    };
    assert_eq!((row.state(Stamp(9)), row.state(Stamp(10))), ("good", "expired"));
    assert_eq!(KeyRow { revoked: Some(Stamp(7)), ..row.clone() }.state(Stamp(11)), "revoked");
    assert_eq!(row.principal().name, "key:aa");
}
