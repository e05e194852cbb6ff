//! Images that come from a registry: Debian's, on loopback.

use crate::backend_contract::harbour::Harbour;
use crate::backend_contract::rig::{LONG, Pipes};
use crate::support::engines::{IMAGE, Lab, OwnDocker, labs, unique};
use crate::support::skip;
use mcpdeck::backend::Backend;
use mcpdeck::model::container::Pull;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy};
use tokio::sync::watch;
use tokio::time::timeout;

/// Large enough to be cut in the middle, too random to be packed.
const LAYER: usize = 24 << 20;

#[tokio::test]
async fn an_image_that_is_not_there_is_said_so() {
    for lab in labs("an_image_that_is_not_there_is_said_so") {
        let harbour = Harbour::new(&lab);
        let mut berth = harbour.script("a", "true");
        berth.image = "localhost:1/mcpdeck-test/nothing:1".to_owned();
        let refusal = harbour.refusal(berth).await;
        let expected = "it has no image `localhost:1/mcpdeck-test/nothing:1`, and `pull = \"never\"`: build or load it";
        assert!(refusal.contains(expected), "{}: {refusal}", lab.name);

        let mut berth = harbour.script("a", "true");
        berth.image = "localhost:1/mcpdeck-test/nothing:1".to_owned();
        berth.pull = Pull::Missing;
        let refusal = harbour.refusal(berth).await;
        assert!(refusal.contains("cannot pull `localhost:1/mcpdeck-test/nothing:1`: "), "{}: {refusal}", lab.name);
        assert!(refusal.contains("is its registry up and the name right?"), "{}: {refusal}", lab.name);
    }
}

#[tokio::test]
async fn an_image_is_pulled_with_progress() {
    let test = "an_image_is_pulled_with_progress";
    let Some(docker) = OwnDocker::start(test) else { return };
    let Some(registry) = Registry::start(test) else { return };
    let lab = docker.lab();
    let image = registry.push(&lab, registry.address);
    let harbour = Harbour::new(&lab);
    for pull in [Pull::Missing, Pull::Always, Pull::Missing] {
        let mut berth = harbour.script("a", "echo from afar");
        (berth.image, berth.pull) = (image.clone(), pull);
        let told = Told::listen(&mut berth.start.progress);
        let started = harbour.start(berth).await;
        assert_eq!(Pipes::of(started.attached).rest_of_stdout().await, "from afar\n");
        started.exit.await.unwrap();
        told.check(pull);
    }
}

#[tokio::test]
async fn a_pull_that_breaks_off_says_so_and_a_start_tries_again() {
    let test = "a_pull_that_breaks_off_says_so_and_a_start_tries_again";
    let Some(docker) = OwnDocker::start(test) else { return };
    let Some(mut registry) = Registry::start(test) else { return };
    let lab = docker.lab();
    let proxy = Proxy::start(registry.address).await;
    let image = registry.push(&lab, proxy.address);
    let harbour = Harbour::new(&lab);
    let berth = || {
        let mut berth = harbour.script("a", "echo from afar");
        (berth.image, berth.pull) = (image.clone(), Pull::Missing);
        berth
    };
    proxy.cut_after(LAYER / 3, registry.process.id());
    let refusal = timeout(LONG * 3, harbour.refusal(berth())).await.unwrap();
    let expected = format!("engine own-docker: cannot pull `{image}`: it broke off at ");
    assert!(refusal.starts_with(&expected), "{refusal}");
    assert!(refusal.contains("Every start tries again"), "{refusal}");

    registry.restart();
    proxy.pass_on();
    let started = harbour.start(berth()).await;
    assert_eq!(Pipes::of(started.attached).rest_of_stdout().await, "from afar\n");
}

#[tokio::test]
async fn a_pull_that_nobody_waits_for_gives_the_key_back() {
    let test = "a_pull_that_nobody_waits_for_gives_the_key_back";
    let Some(docker) = OwnDocker::start(test) else { return };
    let Some(registry) = Registry::start(test) else { return };
    let lab = docker.lab();
    let proxy = Proxy::start(registry.address).await;
    let image = registry.push(&lab, proxy.address);
    let harbour = Harbour::new(&lab);
    proxy.hold_after(LAYER / 3);
    let mut berth = harbour.script("a", "true");
    (berth.image, berth.pull) = (image, Pull::Missing);
    let mut progress = berth.start.progress.subscribe();
    let start = harbour.backend.start(berth.start);
    let pulling = progress.wait_for(|doing| doing.contains(" MiB"));
    tokio::select! {
        _ = start => panic!("it cannot start without its image"),
        doing = timeout(LONG, pulling) => assert!(doing.unwrap().unwrap().starts_with("pulling ")),
    }
    let started = harbour.start(harbour.script("a", "echo another")).await;
    assert_eq!(Pipes::of(started.attached).rest_of_stdout().await, "another\n");
    proxy.pass_on();
}

/// What a start said that it was doing.
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn listen(progress: &mut watch::Sender<String>) -> Self {
        let told = Arc::new(Mutex::new(Vec::new()));
        let (mut seen, list) = (progress.subscribe(), Arc::clone(&told));
        tokio::spawn(async move {
            while seen.changed().await.is_ok() {
                list.lock().unwrap().push(seen.borrow_and_update().clone());
            }
        });
        Self(told)
    }

    fn check(&self, pull: Pull) {
        let told = self.0.lock().unwrap();
        assert!(
            told.iter().all(|text| text.starts_with("pulling") || text.starts_with("unpacking")),
            "{pull:?}: {told:?}"
        );
    }
}

struct Registry {
    dir: tempfile::TempDir,
    address: SocketAddr,
    process: Child,
}

impl Registry {
    fn start(test: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: {address}}}\n",
            dir.path().join("data").display()
        );
        std::fs::write(dir.path().join("config.yml"), config).unwrap();
        let Ok(process) = Self::spawn(dir.path()) else {
            skip(test, "no docker-registry (apt install docker-registry)");
            return None;
        };
        Some(Self { dir, address, process }).inspect(Self::wait)
    }

    fn spawn(dir: &Path) -> std::io::Result<Child> {
        let mut command = Command::new("docker-registry");
        command
            .arg("serve")
            .arg(dir.join("config.yml"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.spawn()
    }

    fn restart(&mut self) {
        let _ = self.process.wait();
        self.process = Self::spawn(self.dir.path()).unwrap();
        self.wait();
    }

    fn wait(&self) {
        let deadline = std::time::Instant::now() + LONG;
        while std::net::TcpStream::connect(self.address).is_err() {
            assert!(std::time::Instant::now() < deadline, "the registry answers in time");
            std::thread::park_timeout(std::time::Duration::from_millis(10));
        }
    }

    /// Puts an image into the registry under the name that it has at `seen_at`; the engine forgets it.
    fn push(&self, lab: &Lab, seen_at: SocketAddr) -> String {
        let name = format!("mcpdeck-test/{}:1", unique("pull"));
        let (here, there) = (format!("{}/{name}", self.address), format!("{seen_at}/{name}"));
        let random: Vec<u8> = std::iter::repeat_with(|| fastrand::u8(..)).take(LAYER).collect();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("random"), random).unwrap();
        let host = format!("unix://{}", lab.socket.display());
        let script = "set -e; c=$(docker -H $0 create $1 true); docker -H $0 cp $2/random $c:/random; \
                      docker -H $0 commit $c $3; docker -H $0 rm $c; docker -H $0 push $3; docker -H $0 rmi $3";
        let words = [&host, IMAGE, &folder.path().display().to_string(), &here];
        let output = Command::new("sh").arg("-c").arg(script).args(words).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        there
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// What a [`Proxy`] does with what comes from the registry.
#[derive(Clone, Copy)]
enum Tap {
    Open,
    /// After so many bytes in all, the registry (by its process id) is killed.
    Cut(usize, u32),
    /// After so many bytes nothing comes any more.
    Hold(usize),
}

/// Between an engine and the registry, so that a pull breaks at the same place every time.
struct Proxy {
    address: SocketAddr,
    tap: watch::Sender<Tap>,
}

impl Proxy {
    async fn start(registry: SocketAddr) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let tap = watch::Sender::new(Tap::Open);
        let taps = tap.subscribe();
        tokio::spawn(async move {
            let passed = Arc::new(std::sync::atomic::AtomicUsize::new(0));
            while let Ok((engine, _)) = listener.accept().await {
                let (taps, passed) = (taps.clone(), Arc::clone(&passed));
                tokio::spawn(async move {
                    let Ok(behind) = tokio::net::TcpStream::connect(registry).await else { return };
                    let (mut from_engine, to_engine) = engine.into_split();
                    let (from_registry, mut to_registry) = behind.into_split();
                    tokio::spawn(async move { copy(&mut from_engine, &mut to_registry).await });
                    pass(from_registry, to_engine, taps, &passed).await;
                });
            }
        });
        Self { address, tap }
    }

    fn cut_after(&self, bytes: usize, registry: u32) {
        self.tap.send_replace(Tap::Cut(bytes, registry));
    }

    fn hold_after(&self, bytes: usize) {
        self.tap.send_replace(Tap::Hold(bytes));
    }

    fn pass_on(&self) {
        self.tap.send_replace(Tap::Open);
    }
}

async fn pass(
    mut from: impl tokio::io::AsyncRead + Unpin,
    mut to: impl tokio::io::AsyncWrite + Unpin,
    mut taps: watch::Receiver<Tap>,
    passed: &std::sync::atomic::AtomicUsize,
) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        let so_far = passed.fetch_add(n, std::sync::atomic::Ordering::Relaxed) + n;
        let tap = *taps.borrow();
        match tap {
            Tap::Cut(limit, registry) if so_far > limit => {
                if let Some(pid) = i32::try_from(registry).ok().and_then(rustix::process::Pid::from_raw) {
                    let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
                }
                return;
            }
            Tap::Hold(limit) if so_far > limit => {
                let _ = taps.wait_for(|tap| matches!(tap, Tap::Open)).await;
            }
            _ => {}
        }
        if to.write_all(&buffer[..n]).await.is_err() {
            return;
        }
    }
}
