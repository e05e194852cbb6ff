use super::super::fixture;
use super::*;
use crate::model::call::{Origin, PendingCall};
use crate::model::instance::{Desired, Mark};
use crate::model::message::{LogLine, LogSource, LogTarget};
use crate::model::{CallId, InstanceRow, Scope, Snapshot};
use std::sync::Arc;

const NOW: Stamp = Stamp(100_000);

#[test]
fn spans_have_one_unit() {
    use std::time::Duration as D;
    for (length, text) in [
        (D::from_millis(20), "20 ms"),
        (D::from_secs(119), "119 s"),
        (D::from_secs(120), "2 min"),
        (D::from_secs(7200), "2 h"),
        (D::from_secs(200_000), "2 d"),
    ] {
        assert_eq!(span(length), text);
    }
}

/// `etim` is shared, `graf` per customer and needs it; `law` has nobody. `change` is applied to each instance.
fn snapshot(change: impl Fn(&mut InstanceRow)) -> Arc<Snapshot> {
    let config = fixture::config(|c| {
        fixture::server(c, "etim", |_| {});
        fixture::server(c, "graf", |s| {
            s.scope = Scope::Tenant;
            s.needs = vec!["etim".into()];
        });
        fixture::server(c, "law", |s| s.scope = Scope::Tenant);
        fixture::tenant(c, "eaton", &["etim", "graf"], |t| t.read_only = true);
    });
    fixture::snapshot(&config, &Default::default(), change)
}

/// `+ check: evidence [next target]`; `+` passed, `-` failed, `.` neither.
fn lines(findings: &[Explained]) -> Vec<String> {
    let line = |f: &Explained| {
        let sign = f.passed.map_or('.', |passed| if passed { '+' } else { '-' });
        let target = f.target.as_ref().map(|key| format!(" {key}")).unwrap_or_default();
        let next = f.next.as_ref().map(|next| format!(" [{next}{target}]")).unwrap_or_default();
        format!("{sign} {}: {}{next}", f.check, f.evidence)
    };
    findings.iter().map(line).collect()
}

fn of(snapshot: &Arc<Snapshot>, key: &str) -> Vec<String> {
    let line = LogLine {
        at: Stamp(90_000),
        target: LogTarget::Deck,
        source: LogSource::Stderr,
        level: None,
        text: "boom".to_owned(),
        run: 1,
    };
    let case = |row, def| InstanceCase {
        snapshot: snapshot.clone(),
        row,
        def,
        stderr: Some(line),
        breaker: Some("open for 5 s".to_owned()),
        now: NOW,
    };
    lines(&instance::explain(snapshot, &key.parse().unwrap(), NOW, case).unwrap())
}

#[test]
fn each_rule_of_an_instance_tells_what_it_found_and_what_helps() {
    let by = |at| Some(Mark { by: "ana".to_owned(), at: Stamp(at), reason: String::new() });
    let snapshot = snapshot(|row| {
        row.state = State::Failed;
        row.since = Stamp(40_000);
        row.reason = "exited 1".to_owned();
        row.restarts = 5;
        row.desired = Desired::Held;
        row.held = by(30_000);
        row.garbage = 2;
        row.notes = vec!["memory unlimited: no cgroup".to_owned()];
    });
    let found = of(&snapshot, "graf@eaton");
    for line in [
        "- state: failed for 60 s: exited 1 [logs graf@eaton]",
        "+ enabled: for eaton, enabled by the file",
        "- wanted: stopped and held by an operator",
        "- needs: etim is failed [explain etim]",
        ". process: nothing runs [start graf@eaton]",
        ". last call: none since the platform started [traffic graf@eaton]",
        "- circuit breaker: open for 5 s: calls that name no server pass over it",
        "- restarts: 5 restarts after failures; gives up after 5 within 60 s [logs graf@eaton]",
        ". last stderr line: boom (10 s ago) (2 lines on stdout were no JSON-RPC) [logs graf@eaton]",
        ". limits: memory unlimited: no cgroup",
    ] {
        assert!(found.iter().any(|l| l == line), "{line}\n{found:#?}");
    }
    let stopped = found.iter().find(|l| l.starts_with("- stopped: ")).unwrap();
    assert!(stopped.contains("ana") && stopped.ends_with("[start graf@eaton]"), "{stopped}");
}

#[test]
fn a_name_without_an_instance_tells_what_there_is_instead() {
    let snapshot = snapshot(|_| {});
    for (key, line) in [
        ("etim@eaton", ". instance: eaton has no instance of its own: etim serves it [explain etim]"),
        ("law@eaton", "- enabled: eaton has not enabled law: mcpdeck enable law eaton [enable]"),
        ("law", "- enabled: no customer has law enabled, so nothing of it exists [enable]"),
    ] {
        assert_eq!(of(&snapshot, key), [line], "{key}");
    }
    assert_eq!(of(&snapshot, "graf").len(), 1, "all its instances");
}

#[test]
fn a_customer_and_a_call_are_explained_by_their_rules() {
    let snapshot = snapshot(|_| {});
    let row = snapshot.find_tenant("eaton").unwrap().clone();
    let found = lines(&apply(tenant::RULES, &TenantCase { snapshot: snapshot.clone(), row }));
    assert_eq!(found[0], "+ known: EATON (eaton)");
    assert_eq!(found[1], ". read-only: acts and tools not marked read-only are refused");
    assert!(found[2].starts_with("+ etim: ") && found[2].ends_with("[explain etim]"), "{}", found[2]);

    let pending = PendingCall {
        id: CallId(7),
        at: Stamp(77_000),
        tenant: "eaton".into(),
        server: "etim".into(),
        instance: Some("etim".parse().unwrap()),
        method: "tools/call".into(),
        tool: None,
        origin: Origin::Http,
        principal: "agent".into(),
        waking: false,
        progress: None,
    };
    let timeline = Timeline { auth_us: Some(300), passed_us: [100, 200, 1_000, 0] };
    let case = CallCase { snapshot, call: Call::Pending(pending.into()), timeline, now: NOW };
    let found = lines(&apply(call::RULES, &case));
    for line in [
        ". outcome: none yet, after 23 s [cancel]",
        ". came from: http as eaton by agent",
        "+ served by: etim [explain etim]",
        ". auth: 0.3 ms: read, credential and limits checked",
        ". upstream: 22999.0 ms: the server works at it; it is there now",
    ] {
        assert!(found.iter().any(|l| l == line), "{line}\n{found:#?}");
    }
}
