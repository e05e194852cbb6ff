//! Processes that are measured: started, waited for, read from /proc, and ended with the bench.

use crate::load::Target;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Everything here starts within this.
const PATIENCE: Duration = Duration::from_secs(20);

/// An address on loopback that was free a moment ago.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("loopback has free ports")
}

pub struct Process {
    child: Child,
}

impl Process {
    /// Starts it; with an address, waits until it listens there.
    #[expect(clippy::disallowed_methods, reason = "a bench has nothing else to do meanwhile")]
    pub fn start(command: &mut Command, listens: Option<SocketAddr>) -> Self {
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().expect("it starts");
        let process = Self { child };
        if let Some(address) = listens {
            let began = Instant::now();
            while TcpStream::connect(address).is_err() {
                assert!(began.elapsed() < PATIENCE, "nothing listens on {address}");
                std::thread::sleep(Duration::from_millis(10));
            }
        }
        process
    }

    /// CPU time of it and its children so far.
    pub fn cpu(&self) -> Duration {
        let ticks: u64 = family(self.child.id()).into_iter().map(ticks).sum();
        Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64)
    }

    /// Its resident bytes, without its children's.
    pub fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|l| l.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
        kib.expect("a running process has memory") * 1024
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
        let _ = self.child.wait();
    }
}

/// A process and all below it.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
        let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        all.extend(children.split_whitespace().filter_map(|pid| pid.parse().ok()).flat_map(family));
    }
    all
}

/// User and system time, in clock ticks; proc(5), fields 14 and 15.
fn ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().skip(11).take(2).filter_map(|n| n.parse::<u64>().ok()).sum()
}

/// The floor: nginx that passes everything on.
pub struct Nginx {
    pub process: Process,
    address: SocketAddr,
}

impl Nginx {
    /// `None` where it is not installed.
    pub fn start(folder: &Path, upstream: SocketAddr) -> Option<Self> {
        Command::new("nginx").arg("-v").stderr(Stdio::null()).status().ok()?;
        let address = free_address();
        let config = format!(
            "worker_processes auto; pid {0}/nginx.pid; error_log {0}/nginx.log; daemon off;
             events {{ worker_connections 1024; }}
             http {{
               access_log off;
               client_body_temp_path {0}; proxy_temp_path {0}; fastcgi_temp_path {0}; uwsgi_temp_path {0}; scgi_temp_path {0};
               upstream up {{ server {upstream}; keepalive 64; }}
               server {{
                 listen {address};
                 keepalive_requests 10000000;
                 location / {{ proxy_pass http://up; proxy_http_version 1.1; proxy_set_header Connection \"\"; }}
               }}
             }}",
            folder.display()
        );
        let file = folder.join("nginx.conf");
        std::fs::write(&file, config).expect("the folder can be written");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder).arg("-c").arg(&file).stderr(Stdio::null());
        Some(Self { process: Process::start(&mut command, Some(address)), address })
    }

    pub fn target(&self) -> Target {
        Target { address: self.address, path: "/mcp".to_owned(), key: String::new() }
    }
}
