use super::super::fixture;
use super::super::plan::{Placement, Plan};
use super::super::snapshot::{Builder, Dirty, Inputs};
use super::*;
use crate::model::Scope;
use crate::model::secret::{SecretRef, SecretRow};
use std::collections::HashMap;
use std::sync::Arc;

/// A snapshot of a shared `etim` and a per-tenant `graf` for `tenants` customers, changed by `change`.
fn snapshot(tenants: usize, secrets: Vec<SecretRow>, change: impl Fn(&mut InstanceRow)) -> Arc<Snapshot> {
    let config = fixture::config(|c| {
        fixture::server(c, "etim", |_| {});
        fixture::server(c, "graf", |s| s.scope = Scope::Tenant);
        for n in 0..tenants {
            fixture::tenant(c, &format!("t{n:02}"), &["etim", "graf"], |_| {});
        }
    });
    let plan = Plan::new(&config, []);
    let row = |(key, place): (&InstanceKey, &Placement)| {
        let mut row = InstanceRow::new(key.clone(), *place, Stamp(1));
        change(&mut row);
        (key.clone(), row)
    };
    let instances = plan.instances().iter().map(row).collect();
    let platform = Arc::new(fixture::platform());
    let inputs = Inputs {
        now: Stamp(100_000),
        plan: &plan,
        instances: &instances,
        figures: &Default::default(),
        pending: &[],
        tools: &HashMap::new(),
        platform: &platform,
        jobs: Vec::new(),
        secrets: secrets.into_iter().map(Arc::new).collect(),
        consoles: Vec::new(),
        host: &Arc::default(),
        yard: &Default::default(),
        rate_history: &[],
        store_error: None,
        conditions: &Conditions::default(),
    };
    Builder::new(platform.clone()).build(Dirty::default(), inputs)
}

fn lines(snapshot: &Snapshot, conditions: &Conditions) -> Vec<String> {
    let rows = findings(snapshot, conditions, Stamp(100_000));
    rows.iter().map(|r| format!("{} {} {}: {}", r.severity, r.word, r.object, r.text)).collect()
}

#[test]
fn a_calm_platform_needs_nothing() {
    assert!(lines(&snapshot(3, vec![], |_| {}), &Conditions::default()).is_empty());
}

#[test]
fn each_state_has_its_line_and_the_worst_is_first() {
    let states = [State::Stopped, State::Failed, State::Fenced, State::Backoff, State::Degraded];
    let snapshot = snapshot(5, vec![], |row| {
        if let Some(n) = row.key.tenant.as_ref().map(|t| t.as_str()[1..].parse::<usize>().unwrap()) {
            row.state = states[n];
            row.reason = format!("reason {n}");
        }
    });
    assert_eq!(
        lines(&snapshot, &Conditions::default()),
        [
            "3 FAILED graf@t01: reason 1",
            "2 BACKOFF graf@t03: reason 3",
            "2 DEGRADED graf@t04: reason 4",
            "1 FENCED graf@t02: reason 2",
            "1 STOPPED graf@t00: reason 0",
        ]
    );
}

#[test]
fn many_with_one_reason_are_one_line() {
    let snapshot = snapshot(40, vec![], |row| {
        if row.key.tenant.is_some() {
            row.state = State::Failed;
            row.reason = "exited 1".into();
        }
    });
    assert_eq!(lines(&snapshot, &Conditions::default()), ["3 FAILED graf: 40 instances: exited 1"]);
}

#[test]
fn an_image_that_cannot_be_pulled_is_one_line_whoever_wants_it_and_however_far_it_came() {
    let snapshot = snapshot(2, vec![], |row| {
        row.state = State::Backoff;
        let at = if row.key.tenant.is_some() { "`: it broke off at 40 %" } else { "`" };
        row.reason = format!("engine local: cannot pull `lab/tools:1{at}: no route to host");
    });
    assert_eq!(
        lines(&snapshot, &Conditions::default()),
        ["2 BACKOFF image lab/tools:1: 3 instances: engine local: cannot pull `lab/tools:1`: no route to host"]
    );
}

#[test]
fn a_hang_says_how_many_how_long_and_who() {
    let mut snapshot = (*snapshot(41, vec![], |row| row.state = State::Ready)).clone();
    let row = Arc::make_mut(&mut snapshot.instances[0]);
    (row.state, row.in_flight, row.oldest) = (State::Degraded, 37, Some(Stamp(77_000)));
    let hang = Hang { since: Stamp(90_000), finished: Some(Stamp(80_000)) };
    let conditions = Conditions { hanging: [("etim".parse().unwrap(), hang)].into(), ..Conditions::default() };
    let expected = "3 HANGING etim: 37 in flight, oldest 23 s, none finished in 20 s, 41 customers";
    assert_eq!(lines(&snapshot, &conditions), [expected], "and no DEGRADED line beside it");
}

#[test]
fn refused_credentials_name_the_secret_and_who_holds_the_old_one() {
    let old: InstanceKey = "graf@t01".parse().unwrap();
    let secret = SecretRow {
        tenant: None,
        server: Some("graf".into()),
        name: "token".into(),
        source: SecretRef::Env("TOKEN".into()),
        fingerprint: Some("0badcafe".into()),
        loaded_at: Some(Stamp(1)),
        error: None,
        stale: vec![old.clone()],
    };
    let snapshot = snapshot(2, vec![secret], |row| row.secrets = vec![("token".into(), "deadbeef".into())]);
    let trouble = AuthTrouble { since: Stamp(5), calls: 12, tenants: ["t01".into()].into() };
    let conditions = Conditions { auth: [(old, trouble)].into(), ..Conditions::default() };
    assert_eq!(
        lines(&snapshot, &conditions),
        [
            "3 AUTH secret token: token is newer than what graf@t01 started with; 12 calls refused for credentials at graf@t01"
        ]
    );
}

#[test]
fn a_gpu_in_trouble_is_one_line_with_who_holds_it_and_whom_it_hits() {
    use crate::model::container::Owner;
    use crate::model::gpu::{GpuProcess, GpuRow, Gpus};
    const GIB: u64 = 1 << 30;
    let owner = Owner { tenant: Some("t00".into()), instance: Some("graf@t00".parse().unwrap()), ..Owner::default() };
    let process = |pid, gib, owner: &Owner| GpuProcess {
        pid,
        name: Some("python3".into()),
        memory: Some(gib * GIB),
        graphics: false,
        mig: None,
        container: None,
        container_name: None,
        owner: owner.clone(),
    };
    let full = GpuRow {
        memory_used: Some(78 * GIB),
        memory_total: Some(80 * GIB),
        processes: Some(vec![process(1, 70, &owner), process(2, 8, &Owner::default())]),
        ..GpuRow::default()
    };
    let hot = GpuRow {
        index: 1,
        throttle: Some(vec!["thermal".into()]),
        clock: Some(900),
        clock_max: Some(1980),
        temperature: Some(91),
        ..GpuRow::default()
    };
    let lost = GpuRow { index: 2, error: Some("lost: fell off the bus".into()), ..GpuRow::default() };
    let gpus = Gpus { devices: vec![full, hot, lost], ..Gpus::default() };
    let mut conditions = Conditions::default();
    conditions.gpus.look(&gpus, Stamp(80_000));
    let snapshot = Snapshot { gpus: Arc::new(gpus), ..Snapshot::clone(&snapshot(1, vec![], |_| {})) };
    assert_eq!(
        lines(&snapshot, &conditions),
        [
            "3 GPU LOST GPU 2: lost: fell off the bus",
            "2 GPU FULL GPU 0: 98 % of 80 GiB taken, held by graf@t00 70 GiB, python3 (pid 2) 8 GiB",
            "2 THROTTLE GPU 1: slowed down by thermal: 900 of 1980 MHz, 91 °C",
        ]
    );
    let rows = findings(&snapshot, &conditions, Stamp(100_000));
    assert_eq!(rows[1].tenants, ["t00".into()]);
    assert_eq!(rows[1].target, Some("graf@t00".parse().unwrap()));
}
