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
