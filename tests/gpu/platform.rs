//! A whole platform with the stand-in library: whose a process is, what is wrong, who held what.

use super::driver::Driver;
use crate::api::send;
use crate::support::platform::{PATIENCE, call, platform};
use mcpdeck::api::Listening;
use mcpdeck::control::handle::Interest;
use mcpdeck::control::{Handle, Platform};
use mcpdeck::model::gpu::GpuState;
use mcpdeck::model::{Answer, Outcome, Query, Snapshot, Stamp};
use std::sync::Arc;

const DEVICE: &str =
    "driver 570\ndevice uuid=GPU-a name=H200 util=50,20 memory=81920,40960,40000 power=300000,700000 temp=60,87";

/// A process server with one instance for eaton, and the library `driver`.
fn start(dir: &std::path::Path, driver: &Driver) -> Platform {
    platform(dir, &config(driver))
}

fn config(driver: &Driver) -> String {
    format!(
        "[gpu]\nlibrary = {:?}\n[[server]]\nid = \"catalog\"\nbuiltin = \"catalog\"\nscope = \"tenant\"\n\
         [[tenant]]\nid = \"eaton\"\nenabled = [\"catalog\"]\n",
        driver.library()
    )
}

/// Looks at the GPUs, and waits until it is so.
async fn until(handle: &Handle, what: &str, so: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
    handle.interest(Interest { watching: true, gpus: true, ..Interest::default() });
    let mut revisions = handle.revisions();
    let wait = async {
        loop {
            let snapshot = handle.state();
            if so(&snapshot) {
                return snapshot;
            }
            revisions.changed().await.unwrap();
        }
    };
    let found = tokio::time::timeout(PATIENCE, wait).await;
    found.unwrap_or_else(|_| panic!("never {what}: {:#?}", handle.state().gpus))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_belongs_to_its_instance_and_its_customer() {
    let driver = Driver::new(DEVICE);
    let dir = tempfile::tempdir().unwrap();
    let platform = start(dir.path(), &driver);
    platform.ready().await.unwrap();
    let handle = &platform.handle;
    assert_eq!(
        call(handle, "eaton", "catalog", "echo", None).await.unwrap().instance.unwrap().to_string(),
        "catalog@eaton"
    );
    let key = "catalog@eaton".parse().unwrap();
    let runs = until(handle, "it runs", |s| s.instance(&key).is_some_and(|row| row.pid.is_some())).await;
    let pid = runs.instance(&key).and_then(|row| row.pid).unwrap();
    let own = std::process::id();
    driver.set(&format!(
        "{DEVICE}\nprocess gpu=0 pid={pid} memory=20480\nprocess gpu=0 pid={own} memory=1024\n\
         process gpu=0 pid=4194305 memory=512 name=/usr/bin/ghost\n"
    ));
    let snapshot = until(handle, "three processes", |s| {
        let device = s.gpus.devices.first();
        device.is_some_and(|d| d.processes.as_ref().is_some_and(|p| p.len() == 3))
            && s.instance(&key).is_some_and(|row| row.usage.gpu_memory.is_some())
            && s.tenant("eaton").is_some_and(|row| row.usage.gpu_memory.is_some())
    })
    .await;
    assert_eq!((&snapshot.gpus.state, snapshot.gpus.driver.as_deref()), (&GpuState::Present, Some("570")));
    let held: Vec<_> = snapshot.gpus.devices[0].processes.iter().flatten().map(|p| p.holder()).collect();
    assert_eq!(held[0], "catalog@eaton");
    assert!(held[1].starts_with("suite") && held[1].ends_with(&format!("(pid {own})")), "{held:?}");
    assert_eq!(held[2], "pid 4194305", "what is not ours to see is not given a name");
    let bytes = Some(20_480 << 20);
    assert_eq!(snapshot.instance(&key).unwrap().usage.gpu_memory, bytes);
    assert_eq!(snapshot.tenant("eaton").unwrap().usage.gpu_memory, bytes);
    assert_eq!(snapshot.server("catalog").unwrap().usage.gpu_memory, bytes);
    let Ok(Answer::GpuHeld(rows)) = handle.ask(Query::GpuHeld { since: Stamp(0) }).await else { panic!() };
    assert!(rows.iter().any(|row| row.holder == "catalog@eaton" && Some(row.memory) == bytes), "{rows:?}");

    driver.set(DEVICE);
    until(handle, "nobody", |s| {
        s.gpus.tenants.is_empty() && s.tenant("eaton").is_some_and(|row| row.usage.gpu_memory.is_none())
    })
    .await;
    assert_eq!(platform.shutdown(PATIENCE).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_gpus_do_and_who_holds_them_is_read_by_prometheus() {
    let driver = Driver::new(DEVICE);
    let dir = tempfile::tempdir().unwrap();
    let api = "[api]\nlisten = [\"127.0.0.1:0\"]\nanonymous = { role = \"operator\" }\n";
    let platform = platform(dir.path(), &(config(&driver) + api));
    platform.ready().await.unwrap();
    let handle = &platform.handle;
    call(handle, "eaton", "catalog", "echo", None).await.unwrap();
    let key = "catalog@eaton".parse().unwrap();
    let runs = until(handle, "it runs", |s| s.instance(&key).is_some_and(|row| row.pid.is_some())).await;
    let pid = runs.instance(&key).and_then(|row| row.pid).unwrap();
    driver.set(&format!("{DEVICE}\nprocess gpu=0 pid={pid} memory=20480\n"));
    until(handle, "it holds memory", |s| s.tenant("eaton").is_some_and(|row| row.usage.gpu_memory.is_some())).await;
    let gateway = Listening::open(handle.clone()).await.unwrap().expect("it listens");
    let (status, page) = send(gateway.addresses[0], "GET /metrics", "", "").await;
    assert_eq!(status, 200, "{page}");
    for (family, value) in [
        ("gpu_utilisation_ratio{gpu=", "0.5"),
        ("gpu_memory_used_bytes{gpu=", "42949672960.0"),
        ("gpu_memory_size_bytes{gpu=", "85899345920.0"),
        ("gpu_power_watts{gpu=", "300.0"),
        ("gpu_temperature_celsius{gpu=", "60.0"),
        ("gpu_memory_held_bytes{tenant=\"eaton\"", "21474836480.0"),
        ("tenant_gpu_memory_bytes{tenant=\"eaton\"", "21474836480.0"),
        ("server_gpu_memory_bytes{server=\"catalog\"", "21474836480.0"),
    ] {
        let line = page.lines().find(|line| line.starts_with(&format!("mcpdeck_{family}")));
        assert_eq!(line.and_then(|line| line.rsplit(' ').next()), Some(value), "{family}: {page}");
    }
    gateway.close(PATIENCE).await;
    assert_eq!(platform.shutdown(PATIENCE).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn trouble_with_a_gpu_is_told_and_nothing_else_suffers() {
    let full = DEVICE.replace("40960,40000", "80000,1000");
    let driver = Driver::new(&full);
    let dir = tempfile::tempdir().unwrap();
    let platform = start(dir.path(), &driver);
    platform.ready().await.unwrap();
    let handle = &platform.handle;
    let told = |word: &'static str| move |s: &Snapshot| s.findings.iter().any(|f| f.word == word);
    until(handle, "full", told("GPU FULL")).await;
    driver.set(&format!("{full}\nlost 0\n"));
    let snapshot = until(handle, "lost", told("GPU LOST")).await;
    assert!(!told("GPU FULL")(&snapshot), "of a lost device nothing else is known");
    let record = call(handle, "eaton", "catalog", "search", None).await.unwrap();
    assert!(matches!(record.outcome, Outcome::Ok | Outcome::Tool), "{record:?}");
    driver.set("fail nvmlInit_v2 18\n");
    until(handle, "the mismatch", |s| {
        s.gpus.devices.first().is_some_and(|d| d.error.as_ref().is_some_and(|why| why.contains("mismatch")))
    })
    .await;
    driver.set(DEVICE);
    until(handle, "well again", |s| s.findings.is_empty()).await;
    assert_eq!(platform.shutdown(PATIENCE).await, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_driver_the_reason_is_all_there_is() {
    let dir = tempfile::tempdir().unwrap();
    let platform = platform(dir.path(), "[gpu]\nlibrary = \"/nonexistent/nvml.so\"\n");
    platform.ready().await.unwrap();
    let snapshot = until(&platform.handle, "asked", |s| s.gpus.state != GpuState::Unasked).await;
    let GpuState::Absent(why) = &snapshot.gpus.state else { panic!("{:?}", snapshot.gpus) };
    assert!(why.contains("no driver library") && why.contains("/nonexistent/nvml.so"), "{why}");
    assert!(snapshot.findings.is_empty(), "a machine without GPUs is as it should be: {:?}", snapshot.findings);
    assert_eq!(platform.shutdown(PATIENCE).await, Vec::<String>::new());
}
