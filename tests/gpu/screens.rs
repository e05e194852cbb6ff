//! The GPUs view at four sizes: one, two and eight devices, none, and who held their memory.

use crate::support::sample;
use mcpdeck::control::handle::Link;
use mcpdeck::model::container::{ContainerKey, Owner};
use mcpdeck::model::gpu::{GpuHeld, GpuProcess, GpuRow, GpuShare, GpuState, Gpus, MigRow};
use mcpdeck::model::{Answer, Snapshot, Stamp, TenantId};
use mcpdeck::ui::app::{App, Effect, Msg};
use mcpdeck::ui::keymap::parse_keys;
use mcpdeck::ui::update::update;
use mcpdeck::ui::{Options, Page, picture};
use std::sync::Arc;

const SIZES: [(u16, u16); 4] = [(40, 12), (80, 24), (120, 40), (200, 60)];
const GIB: u64 = 1 << 30;

fn process(pid: u32, gib: f64, tenant: Option<&str>, part: Option<(&str, &str)>) -> GpuProcess {
    let (stack, part) = part.unzip();
    let owner = Owner {
        tenant: tenant.map(Into::into),
        stack: stack.map(Into::into),
        part: part.map(str::to_owned),
        claim: if stack.is_some() { mcpdeck::model::container::Claim::Ours } else { Default::default() },
        ..Owner::default()
    };
    GpuProcess {
        pid,
        name: Some("python3".into()),
        memory: Some((gib * GIB as f64) as u64),
        graphics: false,
        mig: None,
        container: part.map(|_| ContainerKey { engine: "local".into(), id: format!("{pid:064}").into() }),
        container_name: stack.zip(part).map(|(stack, part)| format!("mcpdeck-lab-{stack}-{part}")),
        owner,
    }
}

fn device(index: u32) -> GpuRow {
    GpuRow {
        index,
        uuid: format!("GPU-{index}"),
        name: "NVIDIA H100 80GB HBM3".into(),
        utilisation: Some(72 / (index + 1)),
        memory_activity: Some(31),
        memory_used: Some(62_464 << 20),
        memory_total: Some(81_559 << 20),
        memory_free: Some(18_500 << 20),
        power: Some(412.0),
        power_cap: Some(700.0),
        temperature: Some(61),
        temperature_limit: Some(87),
        clock: Some(1755),
        clock_max: Some(1980),
        memory_clock: Some(2619),
        throttle: Some(Vec::new()),
        processes: Some(Vec::new()),
        utilisation_history: (0..60).map(|n| (n * 7 % 90) as f32).collect(),
        memory_history: vec![76.0; 60],
        ..GpuRow::default()
    }
}

/// The first is busy, the second full and slowed down, the third lost, the fourth tells nothing; the rest rests.
fn gpus(count: u32) -> Gpus {
    let first = [
        process(4711, 41.2, Some("eaton"), Some(("eaton", "vllm"))),
        process(4712, 6.0, Some("vattenfall-de"), Some(("vattenfall", "embeddings"))),
        GpuProcess { name: None, ..process(9, 5.0, None, None) },
        GpuProcess { memory: None, graphics: true, name: Some("Xorg".into()), ..process(800, 0.0, None, None) },
    ];
    let devices = (0..count).map(|index| match index {
        0 => GpuRow { processes: Some(first.to_vec()), ..device(0) },
        1 => GpuRow {
            memory_used: Some(80_000 << 20),
            memory_free: Some(900 << 20),
            throttle: Some(vec!["thermal".into(), "power cap".into()]),
            temperature: Some(88),
            processes: Some(vec![process(5000, 77.0, Some("eaton"), Some(("eaton", "train")))]),
            ..device(1)
        },
        2 => GpuRow {
            index,
            name: "NVIDIA H100 80GB HBM3".into(),
            error: Some(
                "lost: fell off the bus; `dmesg | grep NVRM` has the Xid, a reboot or `nvidia-smi -r` brings it back"
                    .into(),
            ),
            ..GpuRow::default()
        },
        3 => GpuRow { index, uuid: "GPU-3".into(), name: "Tesla K80".into(), ..GpuRow::default() },
        _ => device(index),
    });
    let share = |tenant: Option<&str>, gib: f64, processes| GpuShare {
        tenant: tenant.map(Into::into),
        memory: Some((gib * GIB as f64) as u64),
        processes,
    };
    Gpus {
        state: GpuState::Present,
        driver: Some("570.86.15".into()),
        devices: devices.collect(),
        tenants: vec![share(Some("eaton"), 118.2, 2), share(Some("vattenfall-de"), 6.0, 1), share(None, 5.0, 2)],
    }
}

fn snapshot(gpus: Gpus) -> Snapshot {
    Snapshot { gpus: Arc::new(gpus), ..sample::rich() }
}

fn open(snapshot: &Snapshot, size: (u16, u16), change: impl FnOnce(&mut Options)) -> App {
    let mut options = Options { view: Page::Gpus, ..Options::plain() };
    change(&mut options);
    let mut app = App::new(&options, Link::Owner);
    for msg in [Msg::Tick(sample::NOW, 0), Msg::Resize(size.0, size.1), Msg::Snapshot] {
        update(&mut app, snapshot, msg);
    }
    app
}

fn keys(app: &mut App, snapshot: &Snapshot, keys: &str) -> Vec<Effect> {
    parse_keys(keys).unwrap().into_iter().flat_map(|key| update(app, snapshot, Msg::Key(key))).collect()
}

fn shot(app: &App, snapshot: &Snapshot, size: (u16, u16)) -> String {
    picture::plain(&picture::paint(app, snapshot, size))
}

#[test]
fn one_two_and_eight_devices_at_four_sizes() {
    for count in [1, 2, 8] {
        let snapshot = snapshot(gpus(count));
        for size in SIZES {
            let name = format!("gpus{count}_{}x{}", size.0, size.1);
            insta::assert_snapshot!(name, shot(&open(&snapshot, size, |_| ()), &snapshot, size));
        }
    }
}

#[test]
fn slices_have_a_line_of_their_own() {
    let slice = |used: u64| MigRow { memory_used: Some(used * GIB), memory_total: Some(20 * GIB), ..MigRow::default() };
    let mut gpus = gpus(1);
    gpus.devices[0].mig = Some(vec![slice(1), slice(12)]);
    let snapshot = snapshot(gpus);
    let text = shot(&open(&snapshot, (80, 24), |_| ()), &snapshot, (80, 24));
    assert!(text.contains("MIG    1.0/20.0  12.0/20.0 GiB"), "{text}");
}

#[test]
fn the_other_pane_is_a_key_away_where_there_is_room_for_one() {
    let snapshot = snapshot(gpus(8));
    let mut app = open(&snapshot, (40, 12), |_| ());
    assert!(!shot(&app, &snapshot, (40, 12)).contains("eaton/vllm"));
    keys(&mut app, &snapshot, "<tab>");
    assert!(shot(&app, &snapshot, (40, 12)).contains("eaton/vllm"));
}

#[test]
fn no_gpu_says_why_and_what_to_do() {
    let why = "no driver library (libnvidia-ml.so.1): install the NVIDIA driver, or name it with `[gpu] library`";
    let snapshot = snapshot(Gpus { state: GpuState::Absent(why.into()), ..Gpus::default() });
    insta::assert_snapshot!("gpus_none_80x24", shot(&open(&snapshot, (80, 24), |_| ()), &snapshot, (80, 24)));
}

#[test]
fn ascii_stays_ascii() {
    let snapshot = snapshot(gpus(8));
    for size in SIZES {
        let text = shot(&open(&snapshot, size, |o| o.ascii = true), &snapshot, size);
        assert!(text.is_ascii(), "{:?}", text.chars().filter(|c| !c.is_ascii()).collect::<String>());
    }
}

#[test]
fn any_size_is_drawn() {
    let snapshot = snapshot(gpus(8));
    for (width, height) in (1..130).flat_map(|width| [(width, 9), (width, 17), (width, 31)]) {
        let mut app = open(&snapshot, (width, height), |_| ());
        shot(&app, &snapshot, (width, height));
        keys(&mut app, &snapshot, "h");
        shot(&app, &snapshot, (width, height));
    }
}

/// Ten hours ago somebody else trained on what eaton's model server had.
fn night() -> Vec<GpuHeld> {
    let row = |minutes_ago: u64, tenant: Option<&str>, holder: &str, gib: f64| GpuHeld {
        at: Stamp(sample::NOW.0 / 60_000 * 60_000 - minutes_ago * 60_000),
        device: "GPU-0".into(),
        tenant: tenant.map(TenantId::from),
        holder: holder.into(),
        memory: (gib * GIB as f64) as u64,
    };
    let mut rows = Vec::new();
    for minutes_ago in (0..1440).rev().step_by(10) {
        rows.push(row(minutes_ago, Some("vattenfall-de"), "vattenfall/embeddings", 6.0));
        match minutes_ago {
            590..620 => rows.push(row(minutes_ago, None, "python3 (pid 77)", 70.5)),
            _ => rows.push(row(minutes_ago, Some("eaton"), "eaton/vllm", 41.2)),
        }
    }
    rows
}

#[test]
fn who_held_it_at_three_has_an_answer() {
    let snapshot = snapshot(gpus(2));
    for size in SIZES {
        let mut app = open(&snapshot, size, |_| ());
        let asked = keys(&mut app, &snapshot, "h");
        let token = asked.iter().find_map(|effect| match effect {
            Effect::Ask(token, _) => Some(*token),
            _ => None,
        });
        update(&mut app, &snapshot, Msg::Answer(token.expect("a question"), Ok(Answer::GpuHeld(night()))));
        keys(&mut app, &snapshot, "@ 0 3 : 0 0 <enter>");
        insta::assert_snapshot!(format!("gpus_past_{}x{}", size.0, size.1), shot(&app, &snapshot, size));
        if size == (80, 24) {
            let drawn = picture::paint(&app, &snapshot, size);
            let inside_out = |x: u16| drawn[(x, 3)].modifier.contains(ratatui::style::Modifier::REVERSED);
            assert!(!(0..80).any(inside_out), "a full bar at the moment chosen looks empty");
        }
    }
}

#[test]
fn the_cursor_moves_through_the_day() {
    let snapshot = snapshot(gpus(2));
    let mut app = open(&snapshot, (80, 24), |_| ());
    for (pressed, says) in [
        ("h", "Who held GPU memory ── now"),
        ("<left>", "── 12:54, 10m ago"),
        ("<pageup> <left>", "── 11:44, 1h 20m ago"),
        ("<right> <pagedown> <right>", "── now"),
        ("g <left>", "── 13:04, 24h 00m ago"),
        ("G", "── now"),
        ("@ 2 5 : 0 0 <enter>", "`25:00` is no time of day: write 03:00"),
        ("h", "GPU 0 ──"),
    ] {
        keys(&mut app, &snapshot, pressed);
        let text = shot(&app, &snapshot, (80, 24));
        assert!(text.contains(says), "after {pressed}:\n{text}");
    }
}
