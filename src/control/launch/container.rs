//! From a configured container, of an instance or of a part of a stack, to one with everything filled in.

use super::fill::Filler;
use crate::backend::{BoundMount, ContainerSpec, Plain};
use crate::config::Config;
use crate::control::secrets::Vault;
use crate::model::container::{ContainerRun, EngineId, Mount, Port, labels};
use crate::model::secret::Hidden;
use crate::model::server::EnvValue;
use crate::model::stack::{PartDef, ReadyBy, StackDef, StackOwner};
use crate::model::template::Template;
use crate::model::{ServerId, Stamp, TenantId};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Parts of stacks keep their data here, below the folder of the instances: no server can be called so.
const STACKS: &str = ".stacks";

/// A part of a stack, ready to be deployed.
pub struct Part {
    pub spec: ContainerSpec,
    /// Its secrets, for whoever shows what it says.
    pub hidden: Hidden,
}

/// The network of a tenant, or of a server that belongs to none.
pub fn network(platform: &str, tenant: Option<&TenantId>, server: Option<&ServerId>) -> String {
    match (tenant, server) {
        (Some(tenant), _) => format!("mcpdeck-{platform}-tenant-{tenant}"),
        (None, Some(server)) => format!("mcpdeck-{platform}-server-{server}"),
        (None, None) => format!("mcpdeck-{platform}"),
    }
}

/// What the container of `part` is called.
pub fn part_name(platform: &str, stack: &str, part: &str) -> String {
    format!("mcpdeck-{platform}-{stack}-{part}")
}

/// Where `part` keeps its data on the host.
pub fn part_folder(config: &Config, stack: &StackDef, part: &PartDef) -> PathBuf {
    config.paths.data.join(STACKS).join(stack.id.as_str()).join(&part.name)
}

/// Tells whether the config of a part is what its container was made from. Secrets are in it by reference alone.
pub fn fingerprint(part: &PartDef) -> String {
    // These have no map with keys that JSON could not hold.
    let text = serde_json::to_vec(&(&part.run, &part.limits)).unwrap_or_default();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &text);
    digest.as_ref().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Fills in a part of a stack. `boot` is when this owner started; `router` is where the part reaches the router.
pub async fn part(
    config: &Config,
    vault: &Vault,
    boot: Stamp,
    stack: &StackDef,
    part: &PartDef,
    router: Option<String>,
) -> Result<Part, String> {
    let (tenant, server) = match &stack.owner {
        StackOwner::Tenant(id) => (config.tenants.iter().find(|t| t.id == *id), None),
        StackOwner::Server(id) => (None, config.servers.iter().find(|s| s.id == *id)),
    };
    let platform = &config.platform.name;
    let data = part_folder(config, stack, part);
    let whom = format!("part {} of stack {}", part.name, stack.id);
    let (tenant, server) = (tenant.map(AsRef::as_ref), server.map(AsRef::as_ref));
    let mut filler = Filler::new(whom, server, tenant, &data, vault);
    filler.router = router;
    let network = network(platform, tenant.map(|t| &t.id), server.map(|s| &s.id));
    let mut spec = fill(&mut filler, &part.run, stack.engine.as_ref(), &BTreeMap::new(), network).await?;
    spec.aliases.push(part.name.clone());
    if let ReadyBy::Http { port, .. } = part.ready.by
        && !spec.ports.iter().any(|published| published.container == port)
    {
        // It is asked for its readiness there.
        spec.ports.push(Port { address: "127.0.0.1".to_owned(), host: None, container: port });
    }
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    spec.labels.extend([
        label(labels::PLATFORM, platform),
        label(labels::BOOT, &boot.0.to_string()),
        label(labels::STACK, stack.id.as_str()),
        label(labels::PART, &part.name),
        label(labels::CONFIG, &fingerprint(part)),
    ]);
    spec.labels.extend(tenant.map(|t| label(labels::TENANT, t.id.as_str())));
    spec.labels.extend(server.map(|s| label(labels::SERVER, s.id.as_str())));
    Ok(Part { spec, hidden: filler.hidden() })
}

/// Fills in `run`; `own` are values that come after the definition's. `engine` counts where the run names none.
pub async fn fill(
    filler: &mut Filler<'_>,
    run: &ContainerRun,
    engine: Option<&EngineId>,
    own: &BTreeMap<String, EnvValue>,
    network: String,
) -> Result<ContainerSpec, String> {
    let env: BTreeMap<String, Plain> = filler.fill_all([&run.env, own]).await?;
    let all = |list: &Vec<Template>| list.iter().map(|t| filler.render(t)).collect::<Result<Vec<_>, _>>();
    let mount = |mount: &Mount| {
        let source = filler.render(&mount.source)?;
        Ok::<_, String>(BoundMount { source, target: mount.target.clone(), read_only: mount.read_only })
    };
    Ok(ContainerSpec {
        engine: run.engine.as_ref().or(engine).cloned(),
        image: filler.render(&run.image)?,
        pull: run.pull,
        entrypoint: run.entrypoint.as_ref().map(all).transpose()?,
        command: run.command.as_ref().map(all).transpose()?,
        env: env.into_iter().collect(),
        speaks: run.speaks.clone(),
        workdir: run.workdir.clone(),
        user: run.user.clone(),
        writable_root: run.writable_root,
        tmpfs: run.tmpfs.clone(),
        data: run.data.iter().map(|(name, inside)| (filler.data.join(name), inside.clone())).collect(),
        mounts: run.mounts.iter().map(mount).collect::<Result<_, _>>()?,
        gpu: run.gpu.clone(),
        shm: run.shm,
        ports: run.ports.clone(),
        network,
        networks: run.networks.clone(),
        aliases: run.aliases.clone(),
        hosts: run.hosts.clone(),
        capabilities: run.capabilities.clone(),
        health: run.health.clone(),
        labels: Vec::new(),
    })
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
