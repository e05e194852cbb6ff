//! The cost of one sample of 100 containers: of made-up files, and of real ones where an engine runs some.

use criterion::{Criterion, criterion_group, criterion_main};
use mcpdeck::metrics::{Containers, Target};
use mcpdeck::model::container::ContainerKey;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;

const CONTAINERS: usize = 100;
const STAT_LINES: usize = 40;

fn target(id: &str) -> Target {
    Target { key: ContainerKey { engine: "local".into(), id: id.into() }, pid: None }
}

/// Files as version 2 has them, as long as real ones.
fn made_up(root: &Path) -> Vec<Target> {
    let put = |path: String, text: String| {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().expect("below the root")).expect("a folder");
        std::fs::write(path, text).expect("a file");
    };
    put("cgroup/cgroup.controllers".to_owned(), String::new());
    let ids = (0..CONTAINERS).map(|n| format!("{n:064x}")).inspect(|id| {
        let group = format!("cgroup/system.slice/docker-{id}.scope");
        let stat: String = (0..STAT_LINES).map(|n| format!("a_figure_{n} 12345678\n")).collect();
        put(format!("{group}/cpu.stat"), "usage_usec 12345678\nuser_usec 1\nsystem_usec 1\n".to_owned());
        put(format!("{group}/memory.stat"), format!("{stat}inactive_file 4096\n"));
        put(format!("{group}/memory.current"), "12345678\n".to_owned());
        put(format!("{group}/memory.max"), "max\n".to_owned());
        put(format!("{group}/pids.current"), "3\n".to_owned());
        put(format!("{group}/io.stat"), "8:0 rbytes=4096 wbytes=4096 rios=1 wios=1\n".to_owned());
        put(format!("{group}/cgroup.procs"), "41\n".to_owned());
    });
    let targets = ids.map(|id| target(&id)).collect();
    put("proc/41/net/dev".to_owned(), "a\nb\n  lo: 0 0\n eth0: 7 0 0 0 0 0 0 0 7 0 0 0 0 0 0 0\n".to_owned());
    targets
}

fn real() -> Vec<Target> {
    let listed = Command::new("docker").args(["ps", "-q", "--no-trunc"]).output();
    let text = listed.map(|out| String::from_utf8_lossy(&out.stdout).into_owned()).unwrap_or_default();
    text.lines().map(target).collect()
}

fn usage(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a folder");
    let targets = made_up(dir.path());
    let mut sampler = Containers::at(&dir.path().join("cgroup"), &dir.path().join("proc"));
    criterion.bench_function(&format!("sample {CONTAINERS} made-up containers"), |b| {
        b.iter(|| black_box(sampler.sample(&targets)));
    });
    let targets = real();
    let mut sampler = Containers::new();
    criterion.bench_function(&format!("sample {} real containers", targets.len()), |b| {
        b.iter(|| black_box(sampler.sample(&targets)));
    });
}

criterion_group!(benches, usage);
criterion_main!(benches);
