use super::*;
use crate::control::fixture;
use crate::control::plan::Plan;
use crate::control::snapshot::Builder;
use crate::model::container::ContainerState;
use crate::model::gpu::GpuRow;
use crate::model::instance::InstanceRow;
use crate::model::usage::InstanceUsage;
use crate::model::{Scope, Stamp};

fn container(id: &str, name: &str, owner: Owner) -> Arc<ContainerRow> {
    Arc::new(ContainerRow {
        key: ContainerKey { engine: "local".into(), id: id.into() },
        name: name.into(),
        image: "vllm".into(),
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
        usage: InstanceUsage::default(),
    })
}

fn process(pid: u32, memory: Option<u64>) -> GpuProcess {
    GpuProcess {
        pid,
        name: Some("as the driver says".into()),
        memory,
        graphics: false,
        mig: None,
        container: None,
        container_name: None,
        owner: Owner::default(),
    }
}

/// A stack's container `c1`, somebody else's container `c2`, and the process instance `ocr@festo` with pid 500.
fn snapshot() -> Snapshot {
    let stack = Owner {
        claim: Claim::Ours,
        tenant: Some("eaton".into()),
        stack: Some("eaton".into()),
        part: Some("vllm".into()),
        ..Owner::default()
    };
    let config = fixture::config(|c| {
        fixture::server(c, "ocr", |server| server.scope = Scope::Tenant);
        fixture::tenant(c, "festo", &["ocr"], |_| {});
    });
    let plan = Plan::new(&config, []);
    let (key, place) = plan.instances().iter().next().unwrap();
    let mut row = InstanceRow::new(key.clone(), *place, Stamp(1));
    row.backend = BackendKind::Process;
    row.pid = Some(500);
    Snapshot {
        containers: vec![container("c1", "mcpdeck-x-eaton-vllm", stack), container("c2", "jupyter", Owner::default())],
        instances: vec![Arc::new(row)],
        ..Snapshot::clone(Builder::new(Arc::new(fixture::platform())).last())
    }
}

fn find(pid: u32) -> Option<Process> {
    let of = |container: Option<&str>, groups: &[u32]| Process {
        program: Some(format!("program{pid}")),
        groups: groups.iter().copied().collect(),
        container: container.map(str::to_owned),
    };
    match pid {
        1 => Some(of(Some("c1"), &[1])),
        2 => Some(of(Some("c2"), &[2])),
        3 => Some(of(None, &[3, 500])),
        4 => Some(of(Some("c9"), &[4])),
        _ => None,
    }
}

#[test]
fn a_process_is_followed_to_its_container_instance_and_tenant() {
    let row = |index, processes| GpuRow { index, processes: Some(processes), ..GpuRow::default() };
    let mut gpus = Gpus {
        devices: vec![
            row(0, vec![process(1, Some(60)), process(2, Some(7)), process(3, None), process(4, Some(2))]),
            row(1, vec![process(1, Some(1)), process(3, Some(5)), process(99, Some(4))]),
        ],
        ..Gpus::default()
    };
    attribute(&mut gpus, &snapshot(), find);
    let told: Vec<_> = processes(&gpus).map(|p| (p.holder(), p.owner.tenant.clone(), p.name.clone())).collect();
    let name = |pid: u32| Some(format!("program{pid}"));
    let expected = [
        ("eaton/vllm", Some("eaton"), name(1)),
        ("jupyter", None, name(2)),
        ("ocr@festo", Some("festo"), name(3)),
        ("program4 (pid 4)", None, name(4)),
        ("eaton/vllm", Some("eaton"), name(1)),
        ("ocr@festo", Some("festo"), name(3)),
        ("pid 99", None, None),
    ];
    assert_eq!(told, expected.map(|(who, tenant, name)| (who.to_owned(), tenant.map(TenantId::from), name)));
    let share =
        |tenant: Option<&str>, memory, processes| GpuShare { tenant: tenant.map(Into::into), memory, processes };
    let shares = [share(Some("eaton"), Some(61), 1), share(None, Some(13), 3), share(Some("festo"), Some(5), 1)];
    assert_eq!(gpus.tenants, shares, "the largest first; what is unknown is left out of the sum, not made 0");

    let held = Held::of(&gpus);
    assert_eq!(held.instances, BTreeMap::from([("ocr@festo".parse().unwrap(), 5)]));
    assert_eq!(held.servers, BTreeMap::from([("ocr".into(), 5)]));
    assert_eq!(held.tenants, BTreeMap::from([("eaton".into(), 61), ("festo".into(), 5)]));
    let before = snapshot().containers;
    let mut rows = before.clone();
    held.mark(&mut rows, &before);
    assert_eq!(rows.iter().map(|row| row.usage.gpu_memory).collect::<Vec<_>>(), [Some(61), Some(7)]);
    let mut again = before.clone();
    held.mark(&mut again, &rows);
    assert!(again.iter().zip(&rows).all(|(a, b)| Arc::ptr_eq(a, b)), "what did not change stays the same row");
    Held::default().mark(&mut again, &rows);
    assert!(again.iter().all(|row| row.usage.gpu_memory.is_none()));
}
