use super::super::fixture;
use super::*;
use crate::model::call::Origin;
use crate::model::container::{ContainerKey, ContainerState, Owner};
use crate::model::{CallId, Scope};

struct World {
    plan: Plan,
    instances: BTreeMap<InstanceKey, InstanceRow>,
    figures: AllFigures,
    pending: Vec<PendingCall>,
    conditions: attention::Conditions,
    platform: Arc<PlatformInfo>,
    host: Arc<HostUsage>,
    yard: Yard,
}

impl World {
    fn new() -> Self {
        let config = fixture::config(|c| {
            fixture::server(c, "etim", |_| {});
            fixture::server(c, "graf", |s| s.scope = Scope::Tenant);
            for tenant in ["eaton", "vatt", "zeiss"] {
                fixture::tenant(c, tenant, &["etim", "graf"], |_| {});
            }
        });
        let plan = Plan::new(&config, []);
        let instances =
            plan.instances().iter().map(|(k, p)| (k.clone(), InstanceRow::new(k.clone(), *p, Stamp(1)))).collect();
        Self {
            plan,
            instances,
            figures: AllFigures::default(),
            pending: Vec::new(),
            conditions: attention::Conditions::default(),
            platform: Arc::new(fixture::platform()),
            host: Arc::default(),
            yard: Yard::default(),
        }
    }

    fn build(&self, builder: &mut Builder, dirty: &[&str]) -> Arc<Snapshot> {
        let instances = dirty.iter().map(|k| k.parse().unwrap()).collect();
        let inputs = Inputs {
            yard: &self.yard,
            now: Stamp(1000),
            plan: &self.plan,
            instances: &self.instances,
            figures: &self.figures,
            pending: &self.pending,
            tools: &HashMap::new(),
            platform: &self.platform,
            jobs: Vec::new(),
            secrets: Vec::new(),
            consoles: Vec::new(),
            host: &self.host,
            rate_history: &[],
            store_error: None,
            conditions: &self.conditions,
        };
        builder.build(Dirty { instances, all: false }, inputs)
    }

    fn set(&mut self, key: &str, state: State) {
        self.instances.get_mut(&key.parse().unwrap()).unwrap().state = state;
    }
}

fn call(id: u64, tenant: &str, instance: &str) -> PendingCall {
    let instance: InstanceKey = instance.parse().unwrap();
    PendingCall {
        id: CallId(id),
        at: Stamp(10 * id),
        tenant: tenant.into(),
        server: instance.server.clone(),
        instance: Some(instance),
        method: "tools/call".into(),
        tool: None,
        origin: Origin::Cli,
        principal: "ana".into(),
        waking: false,
        progress: None,
    }
}

#[test]
fn nothing_changed_is_the_same_snapshot() {
    let world = World::new();
    let mut builder = Builder::new(world.platform.clone());
    let first = world.build(&mut builder, &[]);
    assert_eq!((first.revision, first.instances.len(), first.tenants.len()), (1, 4, 3));
    assert!(Arc::ptr_eq(&first, &world.build(&mut builder, &["graf@eaton"])));
}

#[test]
fn only_what_changed_is_a_new_row() {
    let mut world = World::new();
    let mut builder = Builder::new(world.platform.clone());
    let first = world.build(&mut builder, &[]);
    world.set("graf@eaton", State::Failed);
    let second = world.build(&mut builder, &["graf@eaton"]);
    let changed = |a: &[Arc<TenantRow>], b: &[Arc<TenantRow>]| {
        let pairs = a.iter().zip(b).filter(|(a, b)| !Arc::ptr_eq(a, b));
        pairs.map(|(_, b)| b.def.id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(second.revision, 2);
    assert_eq!(changed(&first.tenants, &second.tenants), ["eaton"]);
    assert_eq!(second.tenant("eaton").unwrap().cell(&"graf".into()).unwrap().state, Some(State::Failed));
    assert_eq!(second.server("graf").unwrap().state, State::Failed);
    assert!(Arc::ptr_eq(first.server("etim").unwrap(), second.server("etim").unwrap()));
    assert_eq!(second.findings[0].word, "FAILED");

    world.set("etim", State::Ready);
    let third = world.build(&mut builder, &["etim"]);
    assert_eq!(changed(&second.tenants, &third.tenants).len(), 3, "a shared one is in everybody's row");
}

#[test]
fn calls_in_flight_stand_in_every_table_and_leave_again() {
    let mut world = World::new();
    let mut builder = Builder::new(world.platform.clone());
    world.build(&mut builder, &[]);
    world.pending = vec![call(1, "eaton", "etim"), call(2, "eaton", "graf@eaton"), call(3, "vatt", "etim")];
    let busy = world.build(&mut builder, &[]);
    assert_eq!(busy.instance(&"etim".parse().unwrap()).unwrap().in_flight, 2);
    assert_eq!(busy.tenant("eaton").unwrap().in_flight, 2);
    assert_eq!(busy.tenant("eaton").unwrap().cell(&"etim".into()).unwrap().in_flight, 1);
    assert_eq!((busy.server("etim").unwrap().in_flight, busy.totals.in_flight), (2, 3));
    assert_eq!(busy.totals.oldest, Some(Stamp(10)));
    let kept = world.build(&mut builder, &[]);
    assert!(Arc::ptr_eq(&busy, &kept), "the same calls are the same rows");
    world.pending.clear();
    let calm = world.build(&mut builder, &[]);
    assert_eq!((calm.server("etim").unwrap().in_flight, calm.tenant("vatt").unwrap().in_flight), (0, 0));
    assert_eq!(calm.instance(&"etim".parse().unwrap()).unwrap().oldest, None);
}

#[test]
fn incremental_and_full_agree() {
    let mut world = World::new();
    let mut incremental = Builder::new(world.platform.clone());
    world.build(&mut incremental, &[]);
    for (round, state) in State::ALL.into_iter().enumerate() {
        let keys: Vec<String> = world.instances.keys().map(ToString::to_string).collect();
        let key = keys[round % keys.len()].clone();
        world.set(&key, state);
        world.pending = (0..round as u64).map(|id| call(id, "zeiss", &key)).collect();
        let one = world.build(&mut incremental, &[&key]);
        let other = world.build(&mut Builder::new(world.platform.clone()), &[]);
        assert_eq!((&one.instances, &one.tenants, &one.servers), (&other.instances, &other.tenants, &other.servers));
        assert_eq!((&one.findings, &one.totals), (&other.findings, &other.totals));
    }
}

fn container(id: &str, memory: u64, owner: Owner) -> Arc<ContainerRow> {
    Arc::new(ContainerRow {
        key: container_key(id),
        name: id.to_owned(),
        image: "image".to_owned(),
        state: ContainerState::Running,
        since: Stamp(1),
        exit_code: None,
        oom: false,
        restarts: 0,
        health: None,
        owner,
        compose_project: None,
        compose_service: None,
        ports: Vec::new(),
        networks: Vec::new(),
        usage: InstanceUsage { memory: Some(memory), ..InstanceUsage::default() },
    })
}

fn container_key(id: &str) -> ContainerKey {
    ContainerKey { engine: "local".into(), id: id.into() }
}

#[test]
fn containers_behind_a_tenant_or_a_server_count_once() {
    let mut world = World::new();
    let key: InstanceKey = "graf@eaton".parse().unwrap();
    let graf = world.instances.get_mut(&key).unwrap();
    (graf.state, graf.container) = (State::Ready, Some(container_key("own")));
    graf.usage.memory = Some(100);
    let eaton = || Owner { tenant: Some("eaton".into()), ..Owner::default() };
    let etim = || Owner { server: Some("etim".into()), ..Owner::default() };
    let own = Owner { server: Some("graf".into()), instance: Some(key.clone()), ..eaton() };
    world.yard.containers = vec![
        container("own", 100, own),
        container("part", 10, eaton()),
        container("server", 1, etim()),
        container("somebody", 1000, Owner::default()),
    ];
    let mut builder = Builder::new(world.platform.clone());
    let first = world.build(&mut builder, &[]);
    let memory = |s: &Snapshot| {
        let tenant = |id| s.tenant(id).unwrap().usage.memory;
        let server = |id| s.server(id).unwrap().usage.memory;
        (tenant("eaton"), tenant("vatt"), server("graf"), server("etim"))
    };
    assert_eq!(memory(&first), (Some(110), None, Some(100), Some(1)));

    // Nothing but containers changed: the sums follow, and nobody else's row is new.
    world.yard.containers[1] = container("part", 20, eaton());
    world.yard.containers[2] = container("server", 2, etim());
    let second = world.build(&mut builder, &[]);
    assert_eq!(memory(&second), (Some(120), None, Some(100), Some(2)));
    assert!(Arc::ptr_eq(first.tenant("vatt").unwrap(), second.tenant("vatt").unwrap()));

    // The instance is gone and its container is left over.
    let graf = world.instances.get_mut(&key).unwrap();
    (graf.state, graf.container, graf.usage) = (State::Dormant, None, InstanceUsage::default());
    let third = world.build(&mut builder, &["graf@eaton"]);
    assert_eq!(memory(&third), (Some(120), None, Some(100), Some(2)), "it counts as a container then");
}
