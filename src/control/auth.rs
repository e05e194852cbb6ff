//! Calls refused for their credentials, for a while: per instance how many, since when, of whom.
//! Pure; must never see a credential.

use super::attention::{AUTH_WINDOW, AuthTrouble};
use crate::model::{InstanceKey, Stamp, TenantId};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Refused calls that are remembered.
const KEPT: usize = 4096;

#[derive(Default)]
pub struct AuthLog {
    calls: VecDeque<(Stamp, InstanceKey, TenantId)>,
}

impl AuthLog {
    pub fn add(&mut self, key: &InstanceKey, tenant: &TenantId, at: Stamp) {
        if self.calls.len() == KEPT {
            self.calls.pop_front();
        }
        self.calls.push_back((at, key.clone(), tenant.clone()));
    }

    /// A new start may have new credentials.
    pub fn forget(&mut self, key: &InstanceKey) {
        self.calls.retain(|(_, other, _)| other != key);
    }

    /// What is inside the window at `now`.
    pub fn troubles(&mut self, now: Stamp) -> BTreeMap<InstanceKey, AuthTrouble> {
        self.calls.retain(|(at, ..)| now.since(*at) < AUTH_WINDOW);
        let mut troubles: BTreeMap<InstanceKey, AuthTrouble> = BTreeMap::new();
        for (at, key, tenant) in &self.calls {
            let fresh = || AuthTrouble { since: *at, calls: 0, tenants: BTreeSet::new() };
            let trouble = troubles.entry(key.clone()).or_insert_with(fresh);
            trouble.calls += 1;
            trouble.tenants.insert(tenant.clone());
        }
        troubles
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn troubles_age_out_and_a_new_start_forgets_them() {
        let mut log = AuthLog::default();
        let keys: [InstanceKey; 2] = ["graf@a".parse().unwrap(), "graf@b".parse().unwrap()];
        for n in 0..4u64 {
            log.add(&keys[(n % 2) as usize], &"a".into(), Stamp(n * 100_000));
        }
        let now = Stamp(310_000);
        assert_eq!(
            log.troubles(now)[&keys[0]],
            AuthTrouble { since: Stamp(200_000), calls: 1, tenants: ["a".into()].into() }
        );
        assert_eq!(log.troubles(now)[&keys[1]].calls, 2);
        log.forget(&keys[1]);
        assert_eq!(log.troubles(now).len(), 1);
    }
}
