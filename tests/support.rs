//! Small helps for all tests.

pub mod engines;
pub mod glass;
pub mod platform;
pub mod sample;
pub mod servers;
pub mod web;

use std::io::Write;

/// Says that a test could not run here: prints it, counts it in the file named by `MCPDECK_SKIP_LOG`, and fails instead
/// where `MCPDECK_REQUIRE` says that everything must run (`.ci/run`).
pub fn skip(test: &str, reason: &str) {
    let line = format!("SKIPPED {test}: {reason}");
    assert!(std::env::var_os("MCPDECK_REQUIRE").is_none(), "{line}");
    println!("{line}");
    if let Some(path) = std::env::var_os("MCPDECK_SKIP_LOG") {
        let file = std::fs::File::options().create(true).append(true).open(path);
        file.and_then(|mut f| writeln!(f, "{line}")).expect("the file of MCPDECK_SKIP_LOG can be written");
    }
}
