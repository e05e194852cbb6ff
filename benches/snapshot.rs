//! Cost of a snapshot at 10,000 instances: made anew, with 300 rows changed, with nothing changed.

use criterion::{Criterion, criterion_group, criterion_main};
use mcpdeck::config::{LoadOptions, load};
use mcpdeck::control::attention::Conditions;
use mcpdeck::control::plan::Plan;
use mcpdeck::control::snapshot::{Builder, Dirty, Inputs};
use mcpdeck::model::snapshot::PlatformInfo;
use mcpdeck::model::{Environment, InstanceKey, InstanceRow, Stamp, State};
use mcpdeck::router::AllFigures;
use std::collections::{BTreeMap, HashMap};
use std::hint::black_box;
use std::sync::Arc;

struct World {
    plan: Plan,
    instances: BTreeMap<InstanceKey, InstanceRow>,
    figures: AllFigures,
    conditions: Conditions,
    platform: Arc<PlatformInfo>,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a folder for the config");
        let file = dir.path().join("deck.toml");
        std::fs::write(&file, "[simulate]\ntenants = 1000\nservers = 10\nshared = 0\ninstances = 10000\n")
            .expect("the config is written");
        let env = [("HOME".to_owned(), dir.path().display().to_string())].into();
        let config = load(&LoadOptions { file: Some(file), env, set: Vec::new() }).expect("the config is good");
        let plan = Plan::new(&config, []);
        let row = |(key, place): (&InstanceKey, &_)| (key.clone(), InstanceRow::new(key.clone(), *place, Stamp(1)));
        let instances = plan.instances().iter().map(row).collect();
        let platform = PlatformInfo {
            name: "bench".into(),
            environment: Environment::Lab,
            read_only: false,
            guards: Default::default(),
            version: "0".into(),
            pid: 1,
            boot: Stamp(1),
            config: None,
            socket: String::new(),
            state_dir: String::new(),
            example_traffic: None,
            keeps_running: false,
            open_to: None,
            gateway: None,
            warnings: Vec::new(),
            config_trouble: None,
        };
        Self {
            plan,
            instances,
            figures: AllFigures::default(),
            conditions: Conditions::default(),
            platform: Arc::new(platform),
        }
    }

    fn build(&self, builder: &mut Builder, dirty: Dirty) {
        let inputs = Inputs {
            now: Stamp(2),
            plan: &self.plan,
            instances: &self.instances,
            figures: &self.figures,
            pending: &[],
            tools: &HashMap::new(),
            platform: &self.platform,
            jobs: Vec::new(),
            secrets: Vec::new(),
            consoles: Vec::new(),
            host: &Arc::default(),
            yard: &Default::default(),
            rate_history: &[],
            store_error: None,
            conditions: &self.conditions,
        };
        black_box(builder.build(dirty, inputs));
    }
}

fn snapshots(criterion: &mut Criterion) {
    let mut world = World::new();
    let rows = world.instances.len();
    let mut group = criterion.benchmark_group(format!("snapshot of {rows} instances"));
    group.bench_function("made anew", |b| {
        b.iter(|| world.build(&mut Builder::new(world.platform.clone()), Dirty { all: true, ..Dirty::default() }));
    });
    let mut builder = Builder::new(world.platform.clone());
    world.build(&mut builder, Dirty::default());
    group.bench_function("nothing changed", |b| b.iter(|| world.build(&mut builder, Dirty::default())));
    let changing: Vec<InstanceKey> = world.instances.keys().step_by((rows / 300).max(1)).cloned().collect();
    let mut flip = false;
    group.bench_function("300 rows changed", |b| {
        b.iter(|| {
            flip = !flip;
            for key in &changing {
                if let Some(row) = world.instances.get_mut(key) {
                    row.state = if flip { State::Ready } else { State::Dormant };
                }
            }
            let dirty = Dirty { instances: changing.iter().cloned().collect(), all: false };
            world.build(&mut builder, dirty);
        });
    });
    group.finish();
}

criterion_group!(benches, snapshots);
criterion_main!(benches);
