//! What the containers behind tenants and servers use beside their instances: the parts of their stacks, what was adopted
//! for them, what is left over of them. Each container counts once. Pure.

use crate::model::container::{ContainerKey, ContainerRow};
use crate::model::instance::InstanceRow;
use crate::model::usage::InstanceUsage;
use crate::model::{ServerId, TenantId};
use std::collections::{HashMap, HashSet};
use std::hash::Hash;
use std::sync::Arc;

/// Sums by owner; who is not in here has nothing more.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Behind {
    tenants: HashMap<TenantId, InstanceUsage>,
    servers: HashMap<ServerId, InstanceUsage>,
}

impl Behind {
    /// A container that an instance runs in is that instance's already.
    pub fn of(containers: &[Arc<ContainerRow>], instances: &[Arc<InstanceRow>]) -> Self {
        let mut behind = Self::default();
        if containers.is_empty() {
            return behind;
        }
        let counted: HashSet<&ContainerKey> =
            instances.iter().filter(|row| row.state.is_live()).filter_map(|row| row.container.as_ref()).collect();
        for row in containers.iter().filter(|row| row.state.is_live() && !counted.contains(&row.key)) {
            add(&mut behind.tenants, &row.owner.tenant, row.usage);
            add(&mut behind.servers, &row.owner.server, row.usage);
        }
        behind
    }

    pub fn tenant(&self, id: &TenantId) -> InstanceUsage {
        self.tenants.get(id).copied().unwrap_or_default()
    }

    pub fn server(&self, id: &ServerId) -> InstanceUsage {
        self.servers.get(id).copied().unwrap_or_default()
    }

    /// Those for whom it is not the same in both.
    pub fn tenants_changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a TenantId> {
        changed(&self.tenants, &other.tenants)
    }

    pub fn servers_changed<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a ServerId> {
        changed(&self.servers, &other.servers)
    }
}

fn add<K: Hash + Eq + Clone>(sums: &mut HashMap<K, InstanceUsage>, key: &Option<K>, usage: InstanceUsage) {
    if let Some(key) = key {
        let sum = sums.entry(key.clone()).or_default();
        *sum = sum.plus(usage);
    }
}

fn changed<'a, K: Hash + Eq>(
    a: &'a HashMap<K, InstanceUsage>,
    b: &'a HashMap<K, InstanceUsage>,
) -> impl Iterator<Item = &'a K> {
    a.keys().chain(b.keys()).filter(|key| a.get(*key) != b.get(*key))
}
