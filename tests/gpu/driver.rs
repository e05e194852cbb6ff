//! The stand-in for the driver's library, compiled once, with a world of its own for each test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A copy of the library and the text that it answers from.
pub struct Driver {
    dir: tempfile::TempDir,
}

impl Driver {
    pub fn new(world: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let driver = Self { dir };
        driver.set(world);
        // A copy: the loader takes two names of one file for one library.
        std::fs::copy(compiled(), driver.library()).unwrap();
        driver
    }

    /// For `[gpu] library`.
    pub fn library(&self) -> PathBuf {
        self.dir.path().join("libnvidia-ml.so.1")
    }

    /// The `[gpu]` table for it; processes are those that [`Driver::process`] wrote.
    pub fn config(&self) -> String {
        format!("[gpu]\nlibrary = {:?}\nproc = {:?}\n", self.library(), self.proc())
    }

    fn proc(&self) -> PathBuf {
        self.dir.path().join("proc")
    }

    /// A process as the kernel would show it: its group, and the path of its control group.
    pub fn process(&self, pid: u32, group: u32, cgroup: &str) {
        let folder = self.proc().join(pid.to_string());
        std::fs::create_dir_all(&folder).unwrap();
        let stat = format!("{pid} (python3) S 1 {group} 1 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 9 10 2 1");
        for (file, text) in [("stat", stat.as_str()), ("cmdline", "/usr/bin/python3\0serve.py\0"), ("cgroup", cgroup)] {
            std::fs::write(folder.join(file), text).unwrap();
        }
    }

    /// Another world, at once.
    pub fn set(&self, world: &str) {
        let new = self.dir.path().join("new");
        std::fs::write(&new, world).unwrap();
        std::fs::rename(new, self.dir.path().join("libnvidia-ml.so.1.world")).unwrap();
    }
}

fn compiled() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let out = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("libnvml-{}.so", std::process::id()));
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/gpu/nvml_stand_in.rs");
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        let args = ["--edition", "2024", "--crate-type", "cdylib", "-C", "panic=abort", "-o"];
        let built = Command::new(rustc).args(args).arg(&out).arg(source).status().expect("rustc runs");
        assert!(built.success(), "the stand-in library does not compile");
        out
    })
}
