//! What containers alone promise: walls, limits, folders, pipes over a connection.

mod left;
mod lives;
mod outage;
mod parts;
mod pulls;
mod reach;

use super::harbour::{ECHO, Harbour};
use super::rig::{LONG, Pipes, SHORT, key};
use crate::support::engines::labs;
use mcpdeck::backend::{Backend, BoundMount, Plain};
use mcpdeck::model::container::{GpuChoice, GpuNeed};
use mcpdeck::model::secret::Secret;
use serde_json::json;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

#[tokio::test]
async fn its_walls_show_in_inspect() {
    for lab in labs("its_walls_show_in_inspect") {
        let harbour = Harbour::new(&lab);
        let started = harbour.start(harbour.script("git@eaton", ECHO)).await;
        let seen = harbour.inspect(&started);
        let (config, host) = (&seen["Config"], &seen["HostConfig"]);
        let labels = &config["Labels"];
        let cases = [
            ("name", &seen["Name"], json!(format!("/mcpdeck-{}-git-eaton", harbour.platform))),
            ("user", &config["User"], json!("65534:65534")),
            ("stdin", &config["OpenStdin"], json!(true)),
            ("root", &host["ReadonlyRootfs"], json!(true)),
            ("privileged", &host["Privileged"], json!(false)),
            ("memory", &host["Memory"], json!(256 << 20)),
            ("pids", &host["PidsLimit"], json!(64)),
            ("server", &labels["io.mcpdeck.server"], json!("git")),
            ("tenant", &labels["io.mcpdeck.tenant"], json!("eaton")),
            ("instance", &labels["io.mcpdeck.instance"], json!("git@eaton")),
            ("boot", &labels["io.mcpdeck.boot"], json!("1")),
        ];
        for (what, found, expected) in cases {
            assert_eq!(*found, expected, "{}: {what}", lab.name);
        }
        assert!(host["SecurityOpt"].to_string().contains("no-new-privileges"), "{}", lab.name);
        assert!(matches!(host["RestartPolicy"]["Name"].as_str(), Some("no" | "")), "{}", lab.name);
        if lab.name == "docker" {
            assert_eq!(host["CapDrop"], json!(["ALL"]));
            assert_eq!(config["StdinOnce"], true);
            assert_eq!(host["LogConfig"]["Type"], "none");
            assert_eq!(host["NanoCpus"], 2_000_000_000_u64);
        }
    }
}

#[tokio::test]
async fn inside_it_is_nobody_without_power_and_writes_where_it_may() {
    let script = "id -u; grep -E '^(CapEff|NoNewPrivs)' /proc/self/status | tr -d '\\t'; \
                  for f in /data /tmp /run / /etc; do touch $f/x 2>/dev/null && echo $f; done; pwd";
    for lab in labs("inside_it_is_nobody_without_power_and_writes_where_it_may") {
        let harbour = Harbour::new(&lab);
        let mut berth = harbour.script("a", script);
        berth.data = vec![(harbour.dir.path().join("data/notes"), "/data".to_owned())];
        berth.tmpfs = vec!["/run".to_owned()];
        let started = harbour.start(berth).await;
        let said = Pipes::of(started.attached).rest_of_stdout().await;
        let expected = "65534\nCapEff:0000000000000000\nNoNewPrivs:1\n/data\n/tmp\n/run\n/\n";
        assert_eq!(said, expected, "{}", lab.name);
        assert!(harbour.dir.path().join("data/notes/x").exists(), "{}: kept on the host", lab.name);
    }
}

#[tokio::test]
async fn a_data_folder_of_another_user_is_writable_too() {
    for lab in labs("a_data_folder_of_another_user_is_writable_too") {
        let harbour = Harbour::new(&lab);
        for (name, user, id) in [("number", "1234:99", "1234"), ("name", "nobody", "65534"), ("own", "", "0")] {
            let mut berth = harbour.script(name, "id -u; touch /data/x && echo kept");
            berth.user = Some(user.to_owned());
            berth.data = vec![(harbour.dir.path().join(name), "/data".to_owned())];
            let started = harbour.start(berth).await;
            let said = Pipes::of(started.attached).rest_of_stdout().await;
            assert_eq!(said, format!("{id}\nkept\n"), "{}: {name}", lab.name);
        }
    }
}

#[tokio::test]
async fn the_memory_limit_ends_it_as_out_of_memory() {
    for lab in labs("the_memory_limit_ends_it_as_out_of_memory") {
        let harbour = Harbour::new(&lab);
        let mut berth = harbour.script("a", "x=$(yes | head -c 200000000); echo survived");
        berth.start.limits.memory = Some(16 << 20);
        let started = harbour.start(berth).await;
        let container = started.container.clone().unwrap();
        let exit = timeout(LONG, started.exit).await.unwrap().unwrap();
        let seen = lab.ask("GET", &format!("/containers/{}/json", container.id), None).unwrap();
        // Podman does not look at control groups of version 1.
        let expected = match lab.name == "podman" && seen.contains(r#""OOMKilled":false"#) {
            true => "killed by signal 9",
            false => "killed: out of memory (its limit)",
        };
        assert_eq!(exit.to_string(), expected, "{}", lab.name);
    }
}

#[tokio::test]
async fn the_pid_limit_stops_a_fork_loop() {
    for lab in labs("the_pid_limit_stops_a_fork_loop") {
        let harbour = Harbour::new(&lab);
        let script = "i=0; while [ $i -lt 100 ]; do sleep 1000 & i=$((i+1)); done; echo all; wait";
        let mut berth = harbour.script("a", script);
        berth.start.limits.pids = Some(16);
        let started = harbour.start(berth).await;
        let mut pipes = Pipes::of(started.attached);
        assert_eq!(pipes.rest_of_stdout().await, "", "{}", lab.name);
        assert!(pipes.rest_of_stderr().await.contains("fork"), "{}", lab.name);
    }
}

#[tokio::test]
async fn an_engines_socket_is_in_no_mount() {
    for lab in labs("an_engines_socket_is_in_no_mount") {
        let harbour = Harbour::new(&lab);
        let link = harbour.dir.path().join("link");
        std::os::unix::fs::symlink(&lab.socket, &link).unwrap();
        for source in [&*lab.socket, lab.socket.parent().unwrap(), &link, Path::new("/")] {
            let mut berth = harbour.script("a", ECHO);
            let source = source.display().to_string();
            berth.mounts = vec![BoundMount { source: source.clone(), target: "/s".to_owned(), read_only: true }];
            let refusal = harbour.refusal(berth).await;
            assert!(refusal.contains("whoever reaches it owns the machine"), "{}: {source}: {refusal}", lab.name);
        }
    }
}

#[tokio::test]
async fn a_gpu_that_cannot_be_given_refuses_the_start() {
    for lab in labs("a_gpu_that_cannot_be_given_refuses_the_start") {
        let harbour = Harbour::new(&lab);
        if Path::new("/dev/nvidiactl").exists() {
            return crate::support::skip("a_gpu_that_cannot_be_given_refuses_the_start", "there is a GPU");
        }
        let mut berth = harbour.script("a", ECHO);
        berth.gpu = Some(GpuNeed { device: GpuChoice::All, memory: None });
        let refusal = harbour.refusal(berth).await;
        assert!(refusal.starts_with("cannot honour gpu: "), "{}: {refusal}", lab.name);
    }
}

#[tokio::test]
async fn secrets_reach_the_server_and_nothing_else() {
    const SECRET: &str = "correct-horse-battery";
    for lab in labs("secrets_reach_the_server_and_nothing_else") {
        let harbour = Harbour::new(&lab);
        let secret = || vec![("TOKEN".to_owned(), Plain::Secret(Secret::new(SECRET.to_owned())))];
        let mut berth = harbour.script("a", "echo $TOKEN");
        berth.env = secret();
        let started = harbour.start(berth).await;
        assert!(!harbour.inspect(&started)["Config"]["Labels"].to_string().contains(SECRET), "{}", lab.name);
        let notes = started.notes.join(" ");
        assert!(!notes.contains(SECRET));
        assert_eq!(Pipes::of(started.attached).rest_of_stdout().await, format!("{SECRET}\n"), "{}", lab.name);

        let mut berth = harbour.script("b", ECHO);
        berth.env = secret();
        berth.command = Some(vec![format!("/bin/{SECRET}")]);
        let refusal = harbour.refusal(berth).await;
        assert!(!refusal.contains(SECRET) && refusal.contains("•••"), "{}: {refusal}", lab.name);
    }
}

#[tokio::test]
async fn ten_megabytes_go_both_ways_unharmed() {
    const SIZE: usize = 10 << 20;
    for lab in labs("ten_megabytes_go_both_ways_unharmed") {
        let harbour = Harbour::new(&lab);
        let started = harbour.start(harbour.script("a", "tee /dev/stderr")).await;
        let Pipes { stdin, mut stdout, mut stderr } = Pipes::of(started.attached);
        let mut stdin = stdin.unwrap();
        let sent: Vec<u8> = (0..SIZE).map(|n| u8::try_from(n * 31 % 251).unwrap()).collect();
        let (mut out, mut err) = (Vec::with_capacity(SIZE), Vec::with_capacity(SIZE));
        let send = async {
            stdin.write_all(&sent).await.unwrap();
            drop(stdin);
        };
        let all = async { tokio::join!(send, stdout.read_to_end(&mut out), stderr.read_to_end(&mut err)) };
        let (_, read, read_too) = timeout(LONG, all).await.expect("in time");
        read.and(read_too).unwrap();
        assert!(out == sent, "{}: {} bytes on stdout", lab.name, out.len());
        assert!(err == sent, "{}: {} bytes on stderr", lab.name, err.len());
        assert_eq!(started.exit.await.unwrap().code, Some(0), "{}", lab.name);
    }
}

#[tokio::test]
async fn a_reader_that_is_slow_slows_it() {
    for lab in labs("a_reader_that_is_slow_slows_it") {
        let harbour = Harbour::new(&lab);
        let mut berth = harbour.script("a", "yes | head -c 50000000 >&2; echo done >/data/done");
        berth.data = vec![(harbour.dir.path().join("data"), "/data".to_owned())];
        let started = harbour.start(berth).await;
        let done = harbour.dir.path().join("data/done");
        let Pipes { mut stderr, stdin: _stdin, stdout: _stdout } = Pipes::of(started.attached);
        // Nothing to wait for but that nothing happens: 50 MB would take a fraction of this.
        let mut exit = started.exit;
        assert!(timeout(Duration::from_millis(1500), &mut exit).await.is_err(), "{}: it waits for us", lab.name);
        assert!(!done.exists(), "{}", lab.name);
        let mut all = Vec::new();
        timeout(LONG, stderr.read_to_end(&mut all)).await.unwrap().unwrap();
        assert_eq!(all.len(), 50_000_000, "{}", lab.name);
        assert_eq!(exit.await.unwrap().code, Some(0), "{}", lab.name);
        assert!(done.exists());
    }
}

#[tokio::test]
async fn a_flood_that_nobody_reads_does_not_hold_up_a_stop() {
    for lab in labs("a_flood_that_nobody_reads_does_not_hold_up_a_stop") {
        let harbour = Harbour::new(&lab);
        let started = harbour.start(harbour.script("a", "exec yes >&2")).await;
        let _pipes = Pipes::of(started.attached);
        harbour.backend.stop(&key("a"), SHORT, SHORT).await.unwrap();
        assert_eq!(started.exit.await.unwrap().signal, Some(9), "{}", lab.name);
    }
}

#[tokio::test]
async fn a_full_data_disk_is_said_so() {
    let test = "a_full_data_disk_is_said_so";
    for lab in labs(test) {
        let harbour = Harbour::new(&lab);
        let disk = harbour.dir.path().join("disk");
        std::fs::create_dir(&disk).unwrap();
        let Some(_mounted) = Tmpfs::mount(&disk) else { return crate::support::skip(test, "no right to mount") };
        let berth = || {
            let mut berth = harbour.script("a", "echo ready; dd if=/dev/zero of=/data/fill bs=4k; exit 7");
            berth.data = vec![(disk.join("notes"), "/data".to_owned())];
            berth
        };
        // It fills up as it runs: the server says so itself.
        let started = harbour.start(berth()).await;
        let mut pipes = Pipes::of(started.attached);
        assert!(pipes.rest_of_stderr().await.contains("No space left on device"), "{}", lab.name);
        assert_eq!(started.exit.await.unwrap().code, Some(7), "{}", lab.name);
        // It is full before: we do.
        let refusal = harbour.refusal(berth()).await;
        let expected =
            format!("data folder {}: its disk of 1 MiB is full; make room there", disk.join("notes").display());
        assert!(refusal.starts_with(&expected), "{}: {refusal}", lab.name);
        std::fs::remove_file(disk.join("notes/fill")).unwrap();
        harbour.start(berth()).await.exit.await.unwrap();
    }
}

/// A disk of 64 KiB.
struct Tmpfs<'a>(&'a Path);

impl<'a> Tmpfs<'a> {
    fn mount(at: &'a Path) -> Option<Self> {
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(at).status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(at))
    }
}

impl Drop for Tmpfs<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
