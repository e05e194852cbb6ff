//! GPUs through the real wrapper and a library that stands in for the driver's; on a real GPU where there is one.

pub mod driver;
mod platform;
mod screens;

use crate::support::skip;
use driver::Driver;
use mcpdeck::metrics::gpu::Gpu;
use mcpdeck::metrics::gpu::trial::Trial;
use mcpdeck::model::gpu::{GpuRow, GpuState, Gpus};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const GIB: u64 = 1 << 30;

/// Two devices, the second one sliced; a process that computes, one that draws, one of which nothing is known.
const WORLD: &str = "\
driver 570.86.15
device uuid=GPU-a name=NVIDIA_H200 util=72,31 memory=81920,62464,18432 power=412400,700000 temp=61,87 clock=1755,1980,2619 throttle=4 mig=0
device uuid=GPU-b name=NVIDIA_A100 util=3,1 memory=40960,2048,38400 power=60000,400000 temp=35,90 clock=210,1410,1215 throttle=1 mig=1
process gpu=0 pid=4711 memory=41200 name=/usr/bin/python3
process gpu=0 pid=4712 memory=200 graphics=1 name=/usr/lib/xorg/Xorg
process gpu=1 pid=4713 mig=3
slice gpu=1 uuid=MIG-x memory=20480,1024,19400
slice gpu=1 uuid=MIG-y memory=20480,0,20400
";

async fn reading(driver: &Driver) -> Gpus {
    gpu(Some(driver.library())).read(PATIENCE).await
}

fn gpu(library: Option<PathBuf>) -> Gpu {
    Gpu::new(library, Trial::new(env!("CARGO_BIN_EXE_mcpdeck").into())).unwrap()
}

#[tokio::test]
async fn every_value_of_two_devices_is_read() {
    let gpus = reading(&Driver::new(WORLD)).await;
    assert_eq!((&gpus.state, gpus.driver.as_deref()), (&GpuState::Present, Some("570.86.15")));
    let [a, b] = &gpus.devices[..] else { panic!("{gpus:?}") };
    assert_eq!((a.index, a.uuid.as_str(), a.name.as_str()), (0, "GPU-a", "NVIDIA H200"));
    assert_eq!((a.utilisation, a.memory_activity), (Some(72), Some(31)));
    assert_eq!((a.memory_used, a.memory_total, a.memory_free), (Some(61 * GIB), Some(80 * GIB), Some(18 * GIB)));
    assert_eq!((a.power, a.power_cap), (Some(412.0), Some(700.0)));
    assert_eq!((a.temperature, a.temperature_limit), (Some(61), Some(87)));
    assert_eq!((a.clock, a.clock_max, a.memory_clock), (Some(1755), Some(1980), Some(2619)));
    assert_eq!(a.throttle.as_deref(), Some(&["power cap".to_owned()][..]));
    assert_eq!((&a.mig, &a.error), (&None, &None));
    let told = |row: &GpuRow| -> Vec<_> {
        let processes = row.processes.iter().flatten();
        processes.map(|p| (p.pid, p.name.clone(), p.memory.map(|n| n >> 20), p.graphics, p.mig)).collect()
    };
    let name = |name: &str| Some(name.to_owned());
    let expected = [(4711, name("python3"), Some(41_200), false, None), (4712, name("Xorg"), Some(200), true, None)];
    assert_eq!(told(a), expected);
    assert_eq!(told(b), [(4713, None, None, false, Some(3))], "what is unknown is not made 0");
    assert_eq!(b.throttle.as_deref(), Some(&[][..]), "idle is no throttling");
    let slices = b.mig.as_ref().unwrap();
    assert_eq!((slices.len(), slices[0].uuid.as_str(), slices[0].memory_used), (2, "MIG-x", Some(GIB)));
}

#[tokio::test]
async fn one_call_that_fails_makes_its_own_value_unknown_and_no_other() {
    type Blank = fn(&mut GpuRow);
    let cases: [(&str, Blank); 12] = [
        ("nvmlDeviceGetUtilizationRates", |row| (row.utilisation, row.memory_activity) = (None, None)),
        ("nvmlDeviceGetMemoryInfo_v2", |row| {
            (row.memory_used, row.memory_total, row.memory_free) = (None, None, None);
            row.mig.iter_mut().flatten().for_each(|slice| (slice.memory_used, slice.memory_total) = (None, None));
        }),
        ("nvmlDeviceGetPowerUsage", |row| row.power = None),
        ("nvmlDeviceGetEnforcedPowerLimit", |row| row.power_cap = None),
        ("nvmlDeviceGetTemperature", |row| row.temperature = None),
        ("nvmlDeviceGetTemperatureThreshold", |row| row.temperature_limit = None),
        ("nvmlDeviceGetClockInfo", |row| (row.clock, row.memory_clock) = (None, None)),
        ("nvmlDeviceGetMaxClockInfo", |row| row.clock_max = None),
        ("nvmlDeviceGetCurrentClocksThrottleReasons", |row| row.throttle = None),
        ("nvmlDeviceGetMigMode", |row| row.mig = None),
        ("nvmlDeviceGetName", |row| row.name = format!("GPU {}", row.index)),
        ("nvmlDeviceGetGraphicsRunningProcesses_v3", |row| {
            row.processes.as_mut().unwrap().retain(|process| !process.graphics);
        }),
    ];
    let driver = Driver::new(WORLD);
    let whole = reading(&driver).await;
    // 3: not supported by the device, 999: whatever.
    for (call, blank) in cases {
        for code in [3, 999] {
            driver.set(&format!("{WORLD}fail {call} {code}\n"));
            let mut expected = whole.clone();
            expected.devices.iter_mut().for_each(blank);
            let read = reading(&driver).await;
            assert_eq!(read, expected, "{call} fails with {code}");
        }
    }
    let both = "fail nvmlDeviceGetComputeRunningProcesses_v3 3\nfail nvmlDeviceGetGraphicsRunningProcesses_v3 3\n";
    driver.set(&format!("{WORLD}{both}"));
    assert_eq!(reading(&driver).await.devices[0].processes, None, "unknown is not nobody");
}

#[tokio::test]
async fn no_gpu_has_a_reason_and_what_to_do_next() {
    for (line, says) in [
        ("fail nvmlInit_v2 9", &["no driver", "modprobe nvidia"][..]),
        ("fail nvmlInit_v2 4", &["no permission", "/dev/nvidia*"]),
        ("fail nvmlInit_v2 18", &["driver mismatch", "reboot"]),
        ("fail nvmlInit_v2 999", &["nvidia-smi"]),
        ("driver 570", &["no device", "lspci"]),
    ] {
        let gpus = reading(&Driver::new(&format!("{line}\n"))).await;
        let GpuState::Absent(why) = &gpus.state else { panic!("{line}: {gpus:?}") };
        assert!(says.iter().all(|text| why.contains(text)), "{line}: {why}");
        assert!(gpus.devices.is_empty(), "{line}");
    }
    let missing = gpu(Some("/nonexistent/libnvidia-ml.so.1".into())).read(PATIENCE).await.state;
    let GpuState::Absent(why) = missing else { panic!("{missing:?}") };
    let says = ["no driver library", "/nonexistent/libnvidia-ml.so.1", "[gpu] library"];
    assert!(says.iter().all(|text| why.contains(text)), "{why}");
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("other.rs");
    std::fs::write(&source, "#[unsafe(no_mangle)] pub extern \"C\" fn nothing() {}").unwrap();
    let other = dir.path().join("other.so");
    let args = ["--edition", "2024", "--crate-type", "cdylib", "-o"];
    let built = std::process::Command::new("rustc").args(args).arg(&other).arg(&source).status().unwrap();
    assert!(built.success());
    let state = gpu(Some(other)).read(PATIENCE).await.state;
    let GpuState::Absent(why) = state else { panic!("{state:?}") };
    assert!(why.contains("is not NVML"), "{why}");
}

#[tokio::test]
async fn a_device_that_is_lost_keeps_its_place_and_comes_back() {
    let driver = Driver::new(WORLD);
    let mut gpu = gpu(Some(driver.library()));
    gpu.read(PATIENCE).await;
    driver.set(&format!("{WORLD}lost 0\n"));
    let gpus = gpu.read(PATIENCE).await;
    let [a, b] = &gpus.devices[..] else { panic!("{gpus:?}") };
    assert_eq!((a.index, a.uuid.as_str(), a.name.as_str(), a.memory_used), (0, "GPU-a", "NVIDIA H200", None));
    assert!(a.error.as_ref().unwrap().starts_with("lost: fell off the bus"), "{a:?}");
    assert_eq!((b.error.as_ref(), b.utilisation), (None, Some(3)), "the other goes on");
    // After a new start of the library the driver leaves it out, and the other has its number.
    let alone = WORLD.lines().filter(|line| !line.contains("uuid=GPU-a") && !line.contains("gpu=0"));
    let alone: String = alone.map(|line| line.replace("gpu=1", "gpu=0") + "\n").collect();
    driver.set(&alone);
    let gone = eventually(&mut gpu, |gpus| gpus.devices[1].error.is_none() && gpus.devices[0].error.is_some()).await;
    let rows: Vec<_> = gone.devices.iter().map(|row| (row.index, row.uuid.as_str())).collect();
    assert_eq!(rows, [(0, "GPU-a"), (1, "GPU-b")]);
    driver.set(WORLD);
    let back = eventually(&mut gpu, |gpus| gpus.devices[0].error.is_none()).await;
    assert_eq!(back.devices[0].memory_used, Some(61 * GIB));
}

#[tokio::test]
async fn a_library_that_comes_later_is_found() {
    let driver = Driver::new("fail nvmlInit_v2 9\n");
    let mut gpu = gpu(Some(driver.library()));
    assert!(matches!(gpu.read(PATIENCE).await.state, GpuState::Absent(_)));
    driver.set(WORLD);
    eventually(&mut gpu, |gpus| gpus.state == GpuState::Present).await;
}

#[tokio::test]
async fn a_driver_that_hangs_holds_nobody_and_is_taken_up_again() {
    let driver = Driver::new(WORLD);
    let mut gpu = gpu(Some(driver.library()));
    gpu.read(PATIENCE).await;
    driver.set(&format!("{WORLD}hang nvmlDeviceGetUtilizationRates\n"));
    for _ in 0..2 {
        let begun = Instant::now();
        let gpus = gpu.read(Duration::from_millis(100)).await;
        assert!(begun.elapsed() < PATIENCE / 2);
        let row = &gpus.devices[0];
        assert!(row.error.as_ref().unwrap().contains("does not answer"), "{row:?}");
        assert_eq!((row.name.as_str(), row.utilisation), ("NVIDIA H200", None));
    }
    driver.set(WORLD);
    eventually(&mut gpu, |gpus| gpus.devices[0].error.is_none()).await;
}

#[tokio::test]
async fn a_library_that_hangs_or_crashes_is_a_reason_and_harms_nobody() {
    for (line, says) in [
        ("hang load", &["the driver library hangs", "libnvidia-ml.so.1", "1.5 s", "dmesg"][..]),
        ("hang nvmlInit_v2", &["the driver library hangs"]),
        ("hang nvmlDeviceGetUtilizationRates", &["the driver library hangs"]),
        ("crash load", &["the driver library crashes", "libnvidia-ml.so.1", "SIGSEGV", "[gpu] library"]),
        ("crash nvmlInit_v2", &["the driver library crashes", "SIGSEGV"]),
        ("crash nvmlDeviceGetMemoryInfo_v2", &["the driver library crashes", "SIGSEGV"]),
        ("exit load", &["the driver library crashes", "exit status: 0"]),
    ] {
        let driver = Driver::new(&format!("{WORLD}{line}\n"));
        let trial = Trial::new(env!("CARGO_BIN_EXE_mcpdeck").into()).within(Duration::from_millis(1500));
        let mut gpu = Gpu::new(Some(driver.library()), trial).unwrap();
        let state = gpu.read(PATIENCE).await.state;
        let GpuState::Absent(why) = state else { panic!("{line}: {state:?}") };
        assert!(says.iter().all(|text| why.contains(text)), "{line}: {why}");
        assert_eq!(children_with(&driver.library()), 0, "{line}: what tried it is gone");
    }
    let driver = Driver::new(&format!("{WORLD}crash load\n"));
    let mut gpu = gpu(Some(driver.library()));
    assert!(matches!(gpu.read(PATIENCE).await.state, GpuState::Absent(_)));
    driver.set(WORLD);
    eventually(&mut gpu, |gpus| gpus.state == GpuState::Present).await;
}

/// Processes that were told to try this library.
fn children_with(library: &std::path::Path) -> usize {
    let library = library.to_str().unwrap();
    let folders = std::fs::read_dir("/proc").unwrap().flatten();
    let lines = folders.filter_map(|folder| std::fs::read_to_string(folder.path().join("cmdline")).ok());
    lines.filter(|line| line.contains(library)).count()
}

#[tokio::test]
async fn a_real_gpu_tells_what_it_does() {
    let gpus = gpu(None).read(PATIENCE).await;
    let device = match (&gpus.state, gpus.devices.first()) {
        (GpuState::Present, Some(device)) => device,
        (state, _) => return skip("gpu::a_real_gpu_tells_what_it_does", &format!("{state:?}")),
    };
    println!("{gpus:#?}");
    assert!(device.uuid.starts_with("GPU-"), "{device:?}");
    let (used, total) = (device.memory_used.unwrap(), device.memory_total.unwrap());
    assert!(used <= total && total > GIB && device.memory_free.unwrap() <= total - used, "{device:?}");
    assert!(device.temperature.is_some_and(|degrees| (1..120).contains(&degrees)), "{device:?}");
    assert!(device.power.is_some() && device.clock.is_some() && device.throttle.is_some(), "{device:?}");
    assert!(device.processes.is_some(), "{device:?}");
}

/// Reads until it is so; the library is opened again in ever longer pauses.
async fn eventually(gpu: &mut Gpu, so: impl Fn(&Gpus) -> bool) -> Gpus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let gpus = gpu.read(PATIENCE).await;
        if so(&gpus) {
            return gpus;
        }
        assert!(Instant::now() < deadline, "{gpus:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
