use super::super::super::fixture;
use super::super::claim::Rules;
use super::*;
use crate::config::Config;
use crate::control::snapshot::Yard;
use crate::model::container::{ContainerState, EngineState};
use crate::model::{Snapshot, Stamp};
use std::collections::BTreeSet;

struct World {
    snapshot: Arc<Snapshot>,
    rules: Rules,
    used: ContainerUsage,
    containers: Vec<Arc<Found>>,
    left_behind: Vec<Orphan>,
}

impl World {
    fn new(containers: usize) -> Self {
        let config: Config = fixture::config(|_| {});
        let one = |n| Arc::new(fixture::found(&format!("{n:06}"), &[]));
        Self {
            snapshot: fixture::snapshot(&config, &Yard::default(), |_| {}),
            rules: Rules::new(&config),
            used: ContainerUsage::new(),
            containers: (0..containers).map(one).collect(),
            left_behind: Vec::new(),
        }
    }

    fn look(&self, rows: &mut Rows) -> bool {
        let inventory = Inventory {
            state: EngineState::Up,
            url: "unix:///x".into(),
            version: None,
            seen: Stamp(1),
            containers: self.containers.clone(),
        };
        let none = BTreeSet::new();
        let eyes =
            Eyes { platform: "test", boot: "9", snapshot: &self.snapshot, rules: &self.rules, reconciled: &none };
        let engines = [("local".into(), true, Arc::new(inventory))];
        rows.update(&Look { eyes, engines: &engines, used: &self.used, left_behind: &self.left_behind, settled: true })
    }

    /// Which rows are new `Arc`s after `change`.
    fn changed_by(&mut self, rows: &mut Rows, change: impl FnOnce(&mut Self)) -> Vec<String> {
        let before: Vec<_> = rows.containers.iter().map(|kept| kept.row.clone()).collect();
        change(self);
        let changed = self.look(rows);
        let is_new = |row: &&Arc<ContainerRow>| !before.iter().any(|old| Arc::ptr_eq(old, row));
        let new: Vec<_> =
            rows.containers.iter().map(|kept| &kept.row).filter(is_new).map(|r| r.key.id.to_string()).collect();
        assert!(changed || new.is_empty());
        new
    }
}

#[test]
fn only_what_changed_is_a_new_row() {
    let mut world = World::new(100);
    let mut rows = Rows::default();
    assert!(world.look(&mut rows));
    assert!(!world.look(&mut rows), "nothing changed");
    let key = |id: &str| ContainerKey { engine: "local".into(), id: id.into() };
    let memory = |bytes| InstanceUsage { memory: Some(bytes), ..InstanceUsage::default() };
    let used = world.changed_by(&mut rows, |w| {
        w.used.insert(key("000007"), memory(5));
    });
    assert_eq!(used, ["000007"]);
    let listed_again = world.changed_by(&mut rows, |w| w.containers[3] = Arc::new((*w.containers[3]).clone()));
    assert!(listed_again.is_empty(), "the same, listed again");
    let state = ContainerState::Exited;
    let ended =
        world.changed_by(&mut rows, |w| w.containers[3] = Arc::new(Found { state, ..(*w.containers[3]).clone() }));
    assert_eq!(ended, ["000003"]);
    let new = world.changed_by(&mut rows, |w| w.containers.insert(0, Arc::new(fixture::found("00000", &[]))));
    assert_eq!(new.len(), 1);
    let gone = world.changed_by(&mut rows, |w| drop(w.containers.drain(50..52)));
    assert!(gone.is_empty());
    assert_eq!(rows.containers.len(), 99);
    assert_eq!(rows.engines[0].running, 98);
    world.changed_by(&mut rows, |w| {
        for (at, state) in [(10, ContainerState::Paused), (11, ContainerState::Restarting)] {
            w.containers[at] = Arc::new(Found { state, ..(*w.containers[at]).clone() });
        }
    });
    assert_eq!(rows.engines[0].running, 96, "neither the paused nor the restarting one");
}

#[test]
fn orphans_are_containers_and_processes() {
    let mut world = World::new(1);
    let labels = [("io.mcpdeck.platform", "test"), ("io.mcpdeck.instance", "law@eaton")];
    world.containers.push(Arc::new(fixture::marked("a", &labels)));
    world.left_behind.push(Orphan { key: "git".parse().unwrap(), pid: Some(7), what: "process group 7".into() });
    let mut rows = Rows::default();
    world.look(&mut rows);
    let told: Vec<_> = rows.orphans.iter().map(|row| format!("{}: {}", row.what, row.why)).collect();
    assert_eq!(
        told,
        [
            "container mcpdeck-test-law-eaton: the server law is gone from the config",
            "process group 7: git of an earlier owner"
        ]
    );
    world.containers.pop();
    assert!(world.look(&mut rows));
    assert_eq!(rows.orphans.len(), 1);
}
