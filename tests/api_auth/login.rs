//! People who log in.

use super::world::{SECRET, TENANTS, World, token};
use crate::support::platform::PATIENCE;
use mcpdeck::control::principals::hash;
use mcpdeck::model::Command;
use mcpdeck::model::principal::{NewUser, Role};
use mcpdeck::model::secret::Secret;
use serde_json::{Value, json};
use std::time::Instant;
use tokio::time::timeout;

const JWT: &str = r#"jwt = { secret = { file = "secret" }, role_claim = "role", ttl = "1h" }"#;

fn password(text: &str) -> mcpdeck::model::principal::PasswordHash {
    hash(&Secret::new(text.to_owned())).unwrap()
}

async fn log_in(world: &World, email: &str, password: &str) -> super::world::Got {
    world.send("POST /api/auth/login", "", &json!({ "email": email, "password": password }).to_string()).await
}

async fn world() -> World {
    let world = World::start(JWT, TENANTS).await;
    for (email, role, tenant) in
        [("ana@eaton.test", Role::Tenant, Some("eaton")), ("ops@deck.test", Role::Operator, None)]
    {
        let user =
            NewUser { email: email.into(), role, tenant: tenant.map(Into::into), password: password("correct horse") };
        world.run(Command::AddUser(user)).await.unwrap();
    }
    world.call_once_begun("Authorization: Bearer x\r\n").await;
    world
}

fn bearer(token: &Value) -> String {
    format!("Authorization: Bearer {}\r\n", token.as_str().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_calls_as_their_tenant_until_the_password_changes() {
    let world = world().await;
    let got = log_in(&world, " Ana@Eaton.test", "correct horse").await;
    assert_eq!(got.json().as_object().unwrap().keys().collect::<Vec<_>>(), ["token"], "{got:?}");
    assert!(got.head.contains("cache-control: no-store"), "{got:?}");
    let ana = bearer(&got.json()["token"]);
    assert_eq!(world.call(&format!("{ana}X-Customer-ID: vatt\r\n")).await.tenant(), Some("eaton"));
    let ops = bearer(&log_in(&world, "ops@deck.test", "correct horse").await.json()["token"]);
    assert_eq!(world.call(&format!("{ops}X-Customer-ID: vatt\r\n")).await.tenant(), Some("vatt"));
    let new = Command::SetPassword { email: "ana@eaton.test".into(), password: password("battery staple") };
    world.run(new).await.unwrap();
    let got = world.call(&ana).await;
    assert!(got.status == 401 && got.body.contains("new password"), "{got:?}");
    let again = bearer(&log_in(&world, "ana@eaton.test", "battery staple").await.json()["token"]);
    assert_eq!(world.call(&again).await.status, 200);
    world.run(Command::RemoveUser("ana@eaton.test".into())).await.unwrap();
    assert_eq!(world.call(&again).await.status, 401);
    // Whoever has the secret may sign, but not for a person we do not know.
    let claims = json!({ "sub": "ana@eaton.test", "tenant": "eaton", "mcpdeck_since": 1 });
    assert_eq!(world.call(&format!("Authorization: Bearer {}\r\n", token(SECRET, claims))).await.status, 401);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_knows_neither_learns_nothing_about_either() {
    let world = world().await;
    let time = async |email: &str| {
        let began = Instant::now();
        let got = log_in(&world, email, "a wrong one").await;
        assert_eq!((got.status, &got.json()["error"]), (401, &json!("the email or the password is wrong")), "{got:?}");
        (began.elapsed(), got.head.replace(|c: char| c.is_ascii_digit(), ""))
    };
    let (mut known, mut unknown) = (Vec::new(), Vec::new());
    for n in 0..3 {
        known.push(time("ana@eaton.test").await);
        unknown.push(time(&format!("nobody-{n}@eaton.test")).await);
    }
    assert_eq!(known[0].1, unknown[0].1, "heads that differ in their date alone");
    // Without the work on nobody's password an unknown one takes a twentieth; the fastest of three stands for each.
    let fastest = |times: &[(std::time::Duration, String)]| times.iter().map(|(time, _)| *time).min().unwrap();
    assert!(fastest(&unknown) * 4 > fastest(&known), "{unknown:?} {known:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_login_says_why_without_repeating_it() {
    let world = world().await;
    for (line, body, status, says) in [
        ("GET /api/auth/login", "", 405, "GET is not offered"),
        ("POST /api/auth/login", r#"{"email":"a@b","password":"hunter2""#, 400, "the body is not"),
        ("POST /api/auth/login", r#"{"email":"hunter2"}"#, 400, "the body is not"),
        ("POST /api/auth/login", &format!(r#"{{"email":"{}","password":""}}"#, "x".repeat(9000)), 413, "larger than"),
    ] {
        let got = world.send(line, "", body).await;
        assert!(got.status == status && got.body.contains(says) && !got.body.contains("hunter2"), "{line}: {got:?}");
    }
    let throttled = async {
        loop {
            let got = log_in(&world, "ana@eaton.test", "a wrong one").await;
            if got.status != 401 {
                return got;
            }
        }
    };
    let got = timeout(PATIENCE, throttled).await.expect("too many attempts");
    assert!(got.status == 429 && got.head.contains("retry-after: "), "{got:?}");
    assert_eq!(log_in(&world, "ana@eaton.test", "correct horse").await.status, 429, "a right one waits, too");
    assert_eq!(log_in(&world, "ops@deck.test", "correct horse").await.status, 200, "others do not");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_secret_nobody_logs_in() {
    let world = World::start("keys = true", TENANTS).await;
    let got = log_in(&world, "ana@eaton.test", "correct horse").await;
    assert!(got.status == 503 && got.body.contains("[api] jwt"), "{got:?}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secret_that_can_be_guessed_verifies_nothing() {
    let world = World::start(r#"jwt = { secret = { command = ["echo", "short"] } }"#, TENANTS).await;
    let claims = json!({ "tenant": "eaton" });
    let got = world.call_once_begun(&format!("Authorization: Bearer {}\r\n", token("short", claims))).await;
    assert!(got.status == 401 && got.body.contains("cannot be read"), "{got:?}");
    let got = log_in(&world, "ana@eaton.test", "correct horse").await;
    assert!(got.status == 503 && got.body.contains("HS256 needs 32"), "{got:?}");
    world.end().await;
}
