//! Where stacks reach the router: the address of their network on this machine, for as long as one of their containers is
//! in it. The gateway listens there, for addresses of that network alone; nobody is anonymous there.

use crate::backend::engine::Engine;
use crate::config::Config;
use crate::control::deck::Deck;
use crate::control::launch::container::network;
use crate::control::yard::any_changed;
use crate::model::stack::{Gate, StackDef, StackOwner};
use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// After an engine that did not say the address, before it is asked again.
const AGAIN: Duration = Duration::from_secs(2);

/// The network of a stack's owner.
pub fn network_of(config: &Config, stack: &StackDef) -> String {
    let (tenant, server) = match &stack.owner {
        StackOwner::Tenant(id) => (Some(id), None),
        StackOwner::Server(id) => (None, Some(id)),
    };
    network(&config.platform.name, tenant, server)
}

/// Makes the network if it is not there, and tells where containers in it reach the router: `http://172.18.0.1:7780`.
pub async fn prepare(config: &Config, stack: &StackDef, engine: &Arc<dyn Engine>) -> Result<String, String> {
    if !engine.is_here() {
        return Err(format!("engine {} is on another machine: its networks cannot reach the router", engine.id()));
    }
    let network = network_of(config, stack);
    engine.ensure_network(&network, &config.platform.name).await.map_err(|error| error.to_string())?;
    let gate = engine.gateway(&network).await.map_err(|error| error.to_string())?;
    let gate = gate.ok_or_else(|| format!("network {network} has no address on this machine"))?;
    Ok(format!("http://{}", SocketAddr::new(gate.address, config.api.stack_port)))
}

/// Follows the networks until it is dropped.
pub async fn follow(deck: Arc<Deck>) {
    let mut inventories: Vec<_> = deck.engines.all().iter().map(|engine| engine.watch()).collect();
    let mut turned = deck.live.turned();
    let mut known: HashMap<String, Gate> = HashMap::new();
    loop {
        turned.mark_unchanged();
        inventories.iter_mut().for_each(|inventory| inventory.mark_unchanged());
        let config = deck.config();
        let mut wanted = BTreeSet::new();
        let mut unknown = false;
        let mut used = BTreeSet::new();
        for stack in config.stacks.iter().filter(|stack| stack.wants_router()) {
            let Ok(engine) = deck.engines.named(stack.engine.as_ref()) else { continue };
            let network = network_of(&config, stack);
            if !engine.is_here() || !is_used(engine, &network) {
                continue;
            }
            if !known.contains_key(&network) {
                match engine.gateway(&network).await {
                    Ok(Some(gate)) => drop(known.insert(network.clone(), gate)),
                    Ok(None) | Err(_) => unknown = true,
                }
            }
            wanted.extend(known.get(&network));
            used.insert(network);
        }
        // A network that comes again may have another address.
        known.retain(|network, _| used.contains(network));
        deck.gates.send_if_modified(|gates| {
            let changed = *gates != wanted;
            *gates = wanted;
            changed
        });
        tokio::select! {
            true = any_changed(&mut inventories) => {}
            Ok(()) = turned.changed() => {}
            () = tokio::time::sleep(AGAIN), if unknown => {}
            else => return,
        }
    }
}

fn is_used(engine: &Arc<dyn Engine>, network: &str) -> bool {
    let seen = engine.watch().borrow().clone();
    seen.containers.iter().any(|found| found.state.is_live() && found.networks.iter().any(|name| name == network))
}
