//! A library that stands in for NVIDIA's: it exports what nvml-wrapper calls and answers from a small text file that lies
//! beside it (`libx.so.world`), read anew at each call, so that a test changes the world while mcpdeck looks at it.
//!
//! ```text
//! driver 570.86.15
//! device uuid=GPU-a name=H200 util=72,31 memory=81920,62464,19000 power=412000,700000 temp=61,87 clock=1755,1980,2619
//!        throttle=4 mig=0                                   (one line; memory in MiB: total, used, free)
//! process gpu=0 pid=4711 memory=41200 name=/usr/bin/python3 [graphics=1] [mig=3]
//! slice gpu=0 uuid=MIG-a memory=40960,10240,30720
//! fail nvmlDeviceGetPowerUsage 3                            (NVML's number of the error)
//! lost 0
//! hang nvmlDeviceGetUtilizationRates                        (until the line is gone; `load`: while it is loaded)
//! crash nvmlInit_v2                                         (or `load`)
//! exit load
//! ```
//! Compiled by the tests, apart from the crate that forbids unsafe code. What a line leaves out is not supported.

use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong, c_void};
use std::sync::atomic::{AtomicI32, Ordering};

type Return = c_uint;
type Handle = *mut c_void;

const OK: Return = 0;
const UNINITIALIZED: Return = 1;
const INVALID: Return = 2;
const UNSUPPORTED: Return = 3;
const NOT_FOUND: Return = 6;
const SMALL: Return = 7;
const LOST: Return = 15;
/// What NVML says instead of a number.
const NO_INSTANCE: c_uint = u32::MAX;
const NO_BYTES: c_ulonglong = u64::MAX;

#[repr(C)]
pub struct Memory {
    version: c_uint,
    total: c_ulonglong,
    reserved: c_ulonglong,
    free: c_ulonglong,
    used: c_ulonglong,
}

#[repr(C)]
pub struct Utilization {
    gpu: c_uint,
    memory: c_uint,
}

#[repr(C)]
pub struct Process {
    pid: c_uint,
    used: c_ulonglong,
    gpu_instance: c_uint,
    compute_instance: c_uint,
}

static OPEN: AtomicI32 = AtomicI32::new(0);

#[repr(C)]
struct DlInfo {
    file: *const c_char,
    base: *mut c_void,
    symbol: *const c_char,
    address: *mut c_void,
}

unsafe extern "C" {
    fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
}

/// The file beside this library.
fn world() -> Vec<String> {
    let mut info = DlInfo { file: std::ptr::null(), base: std::ptr::null_mut(), symbol: std::ptr::null(), address: std::ptr::null_mut() };
    let path = unsafe {
        if dladdr(nvmlInit_v2 as *const c_void, &mut info) == 0 {
            return Vec::new();
        }
        CStr::from_ptr(info.file).to_string_lossy().into_owned()
    };
    let text = std::fs::read_to_string(format!("{path}.world")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

/// The rest of each line that begins with `word`.
fn lines(word: &str) -> Vec<String> {
    let starts = format!("{word} ");
    world().iter().filter_map(|line| line.strip_prefix(&starts)).map(str::to_owned).collect()
}

fn field(line: &str, name: &str) -> Option<String> {
    let starts = format!("{name}=");
    line.split_whitespace().find_map(|part| part.strip_prefix(&starts)).map(str::to_owned)
}

/// The `at`-th of several numbers.
fn number(line: &str, name: &str, at: usize) -> Result<u64, Return> {
    field(line, name).and_then(|text| text.split(',').nth(at)?.parse().ok()).ok_or(UNSUPPORTED)
}

/// What the loader runs before it returns.
#[used]
#[unsafe(link_section = ".init_array")]
static LOAD: extern "C" fn() = load;

extern "C" fn load() {
    misbehave("load");
}

fn misbehave(call: &str) {
    let is_told = |word| lines(word).iter().any(|name| name == call);
    while is_told("hang") {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    if is_told("crash") {
        unsafe { std::ptr::null_mut::<u8>().write_volatile(1) };
    }
    if is_told("exit") {
        std::process::exit(0);
    }
}

/// What each call begins with: hang, crash, fail.
fn enter(call: &str) -> Result<(), Return> {
    misbehave(call);
    for line in lines("fail") {
        if let Some((name, code)) = line.split_once(' ') && name == call {
            return Err(code.trim().parse().unwrap_or(999));
        }
    }
    if call != "nvmlInit_v2" && OPEN.load(Ordering::SeqCst) == 0 { Err(UNINITIALIZED) } else { Ok(()) }
}

/// Handles: 1000 * (gpu + 1), and + 1 + n for a slice.
fn line_of(handle: Handle) -> Result<(usize, String), Return> {
    let handle = handle as usize;
    let (gpu, slice) = ((handle / 1000).checked_sub(1).ok_or(INVALID)?, handle % 1000);
    if lines("lost").iter().any(|lost| *lost == gpu.to_string()) {
        return Err(LOST);
    }
    let line = match slice {
        0 => lines("device").get(gpu).cloned(),
        n => slices(gpu).get(n - 1).cloned(),
    };
    Ok((gpu, line.ok_or(INVALID)?))
}

fn slices(gpu: usize) -> Vec<String> {
    lines("slice").into_iter().filter(|line| number(line, "gpu", 0) == Ok(gpu as u64)).collect()
}

fn put<T>(to: *mut T, value: T) -> Result<(), Return> {
    if to.is_null() {
        return Err(INVALID);
    }
    unsafe { to.write(value) };
    Ok(())
}

fn put_text(to: *mut c_char, room: c_uint, text: &str) -> Result<(), Return> {
    if to.is_null() || text.len() >= room as usize {
        return Err(SMALL);
    }
    unsafe {
        std::ptr::copy_nonoverlapping(text.as_ptr().cast(), to, text.len());
        *to.add(text.len()) = 0;
    }
    Ok(())
}

fn text(handle: Handle, name: &str, to: *mut c_char, room: c_uint) -> Result<(), Return> {
    let (_, line) = line_of(handle)?;
    put_text(to, room, &field(&line, name).ok_or(UNSUPPORTED)?.replace('_', " "))
}

fn one(handle: Handle, name: &str, at: usize, to: *mut c_uint) -> Result<(), Return> {
    let (_, line) = line_of(handle)?;
    put(to, number(&line, name, at)? as c_uint)
}

fn processes(handle: Handle, graphics: bool, count: *mut c_uint, to: *mut Process) -> Result<(), Return> {
    let (gpu, _) = line_of(handle)?;
    let mine = |line: &String| {
        number(line, "gpu", 0) == Ok(gpu as u64) && (number(line, "graphics", 0) == Ok(1)) == graphics
    };
    let lines: Vec<String> = lines("process").into_iter().filter(mine).collect();
    let room = unsafe { *count } as usize;
    put(count, lines.len() as c_uint)?;
    if room < lines.len() {
        return Err(SMALL);
    }
    for (at, line) in lines.iter().enumerate() {
        let process = Process {
            pid: number(line, "pid", 0)? as c_uint,
            used: number(line, "memory", 0).map_or(NO_BYTES, |mib| mib << 20),
            gpu_instance: number(line, "mig", 0).map_or(NO_INSTANCE, |n| n as c_uint),
            compute_instance: NO_INSTANCE,
        };
        put(unsafe { to.add(at) }, process)?;
    }
    Ok(())
}

macro_rules! exports {
    ($($name:ident($($arg:ident: $type:ty),*) $body:expr;)*) => {$(
        #[unsafe(no_mangle)]
        pub extern "C" fn $name($($arg: $type),*) -> Return {
            let body = || -> Result<(), Return> { $body };
            let answer = enter(stringify!($name)).and_then(|()| body());
            answer.err().unwrap_or(OK)
        }
    )*};
}

exports! {
    nvmlInit_v2() { OPEN.fetch_add(1, Ordering::SeqCst); Ok(()) };
    nvmlShutdown() { OPEN.fetch_sub(1, Ordering::SeqCst); Ok(()) };
    nvmlSystemGetDriverVersion(to: *mut c_char, room: c_uint)
        put_text(to, room, lines("driver").first().map_or("", String::as_str));
    nvmlSystemGetProcessName(pid: c_uint, to: *mut c_char, room: c_uint) {
        let line = lines("process").into_iter().find(|line| number(line, "pid", 0) == Ok(u64::from(pid)));
        put_text(to, room, &line.and_then(|line| field(&line, "name")).ok_or(NOT_FOUND)?)
    };
    nvmlDeviceGetCount_v2(to: *mut c_uint) put(to, lines("device").len() as c_uint);
    nvmlDeviceGetHandleByIndex_v2(at: c_uint, to: *mut Handle) {
        let handle = (1000 * (at as usize + 1)) as Handle;
        line_of(handle)?;
        put(to, handle)
    };
    nvmlDeviceGetName(of: Handle, to: *mut c_char, room: c_uint) text(of, "name", to, room);
    nvmlDeviceGetUUID(of: Handle, to: *mut c_char, room: c_uint) text(of, "uuid", to, room);
    nvmlDeviceGetMemoryInfo_v2(of: Handle, to: *mut Memory) {
        let (_, line) = line_of(of)?;
        let mib = |at| number(&line, "memory", at).map(|mib| mib << 20);
        let (total, used, free) = (mib(0)?, mib(1)?, mib(2)?);
        put(to, Memory { version: 2, total, reserved: total - used - free, free, used })
    };
    nvmlDeviceGetUtilizationRates(of: Handle, to: *mut Utilization) {
        let (_, line) = line_of(of)?;
        put(to, Utilization { gpu: number(&line, "util", 0)? as c_uint, memory: number(&line, "util", 1)? as c_uint })
    };
    nvmlDeviceGetPowerUsage(of: Handle, to: *mut c_uint) one(of, "power", 0, to);
    nvmlDeviceGetEnforcedPowerLimit(of: Handle, to: *mut c_uint) one(of, "power", 1, to);
    nvmlDeviceGetTemperature(of: Handle, _sensor: c_uint, to: *mut c_uint) one(of, "temp", 0, to);
    nvmlDeviceGetTemperatureThreshold(of: Handle, kind: c_uint, to: *mut c_uint)
        if kind == 1 { one(of, "temp", 1, to) } else { Err(UNSUPPORTED) };
    nvmlDeviceGetClockInfo(of: Handle, kind: c_uint, to: *mut c_uint)
        one(of, "clock", if kind == 2 { 2 } else { 0 }, to);
    nvmlDeviceGetMaxClockInfo(of: Handle, kind: c_uint, to: *mut c_uint)
        if kind == 1 { one(of, "clock", 1, to) } else { Err(UNSUPPORTED) };
    nvmlDeviceGetCurrentClocksThrottleReasons(of: Handle, to: *mut c_ulonglong) {
        let (_, line) = line_of(of)?;
        put(to, number(&line, "throttle", 0)?)
    };
    nvmlDeviceGetComputeRunningProcesses_v3(of: Handle, count: *mut c_uint, to: *mut Process)
        processes(of, false, count, to);
    nvmlDeviceGetGraphicsRunningProcesses_v3(of: Handle, count: *mut c_uint, to: *mut Process)
        processes(of, true, count, to);
    nvmlDeviceGetMigMode(of: Handle, current: *mut c_uint, pending: *mut c_uint)
        one(of, "mig", 0, current).and_then(|()| one(of, "mig", 0, pending));
    nvmlDeviceGetMaxMigDeviceCount(of: Handle, to: *mut c_uint) line_of(of).and_then(|_| put(to, 7));
    nvmlDeviceGetMigDeviceHandleByIndex(of: Handle, at: c_uint, to: *mut Handle) {
        let (gpu, _) = line_of(of)?;
        if at as usize >= slices(gpu).len() {
            return Err(NOT_FOUND);
        }
        put(to, (of as usize + 1 + at as usize) as Handle)
    };
}
