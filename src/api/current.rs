//! The customer that an operator has switched to: whose requests it makes where it names nobody. In memory alone.

use crate::model::TenantId;
use arc_swap::ArcSwap;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Principals whose choice is remembered; the oldest choice is forgotten for a further one.
const MOST: usize = 1024;

/// Choices by the principal's name, each with its number: the lowest is the oldest.
type Choices = BTreeMap<String, (u64, TenantId)>;

/// Read without a lock by every request of an operator.
#[derive(Default)]
pub struct Current(ArcSwap<Choices>);

impl Current {
    pub fn of(&self, principal: &str) -> Option<TenantId> {
        self.0.load().get(principal).map(|(_, tenant)| tenant.clone())
    }

    pub fn set(&self, principal: &str, tenant: &TenantId) {
        self.0.rcu(|choices| {
            let mut next = Choices::clone(choices);
            let number = next.values().map(|(number, _)| number + 1).max().unwrap_or(0);
            next.insert(principal.to_owned(), (number, tenant.clone()));
            if next.len() > MOST {
                let oldest = next.iter().min_by_key(|(_, (number, _))| *number).map(|(name, _)| name.clone());
                oldest.and_then(|name| next.remove(&name));
            }
            Arc::new(next)
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_choice_is_forgotten_for_one_too_many() {
        let current = Current::default();
        for n in 0..=MOST {
            current.set(&format!("key:{n}"), &"eaton".into());
        }
        current.set("key:2", &"vatt".into());
        assert_eq!((current.of("key:0"), current.of("key:1")), (None, Some("eaton".into())));
        assert_eq!(current.of("key:2"), Some("vatt".into()));
        assert_eq!(current.0.load().len(), MOST);
    }
}
