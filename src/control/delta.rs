//! What changed between two snapshots, found by pointer: a row that is the same `Arc` is not sent again.

use crate::model::call::PendingCall;
use crate::model::container::{ContainerRow, EngineRow, OrphanRow};
use crate::model::gpu::Gpus;
use crate::model::instance::InstanceRow;
use crate::model::message::{FindingRow, JobRow};
use crate::model::secret::SecretRow;
use crate::model::snapshot::{ConsoleRow, PlatformInfo, ServerRow, TenantRow, Totals};
use crate::model::stack::StackRow;
use crate::model::usage::HostUsage;
use crate::model::{Snapshot, Stamp};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::sync::Arc;

/// A snapshot as the difference from another one that the reader holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Delta {
    pub revision: u64,
    taken: Stamp,
    platform: Option<Arc<PlatformInfo>>,
    tenants: Patch<TenantRow>,
    servers: Patch<ServerRow>,
    instances: Patch<InstanceRow>,
    pending: Patch<PendingCall>,
    jobs: Patch<JobRow>,
    findings: Patch<FindingRow>,
    secrets: Patch<SecretRow>,
    consoles: Patch<ConsoleRow>,
    totals: Option<Arc<Totals>>,
    host: Option<Arc<HostUsage>>,
    engines: Patch<EngineRow>,
    containers: Patch<ContainerRow>,
    stacks: Patch<StackRow>,
    orphans: Patch<OrphanRow>,
    gpus: Option<Arc<Gpus>>,
}

/// A new table, built from runs of the old one and new rows; what is not named is gone.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Patch<T>(Vec<Piece<T>>);

#[derive(Debug, PartialEq, Serialize, Deserialize)]
enum Piece<T> {
    /// So many rows of the old table from this index on.
    Keep {
        from: u32,
        count: u32,
    },
    Row(Arc<T>),
}

/// A delta that does not fit the snapshot it is applied to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a delta names rows that its base does not have")]
pub struct Misfit;

impl Delta {
    /// The difference from `base` to `new`; without a base, the whole of `new`.
    pub fn between(base: Option<&Snapshot>, new: &Snapshot) -> Self {
        macro_rules! one {
            ($field:ident) => {
                match base {
                    Some(base) if Arc::ptr_eq(&base.$field, &new.$field) => None,
                    _ => Some(new.$field.clone()),
                }
            };
        }
        macro_rules! table {
            ($field:ident) => {
                Patch::between(base.map_or(&[], |b| &b.$field[..]), &new.$field)
            };
        }
        Self {
            revision: new.revision,
            taken: new.taken,
            platform: one!(platform),
            tenants: table!(tenants),
            servers: table!(servers),
            instances: table!(instances),
            pending: table!(pending),
            jobs: table!(jobs),
            findings: table!(findings),
            secrets: table!(secrets),
            consoles: table!(consoles),
            totals: one!(totals),
            host: one!(host),
            engines: table!(engines),
            containers: table!(containers),
            stacks: table!(stacks),
            orphans: table!(orphans),
            gpus: one!(gpus),
        }
    }

    /// The new snapshot. Rows that did not change stay the same `Arc`.
    pub fn apply(self, base: Option<&Snapshot>) -> Result<Snapshot, Misfit> {
        macro_rules! one {
            ($field:ident) => {
                self.$field.or_else(|| base.map(|b| b.$field.clone())).ok_or(Misfit)?
            };
        }
        macro_rules! table {
            ($field:ident) => {
                self.$field.apply(base.map_or(&[], |b| &b.$field[..]))?
            };
        }
        Ok(Snapshot {
            revision: self.revision,
            taken: self.taken,
            platform: one!(platform),
            tenants: table!(tenants),
            servers: table!(servers),
            instances: table!(instances),
            pending: table!(pending),
            jobs: table!(jobs),
            findings: table!(findings),
            secrets: table!(secrets),
            consoles: table!(consoles),
            totals: one!(totals),
            host: one!(host),
            engines: table!(engines),
            containers: table!(containers),
            stacks: table!(stacks),
            orphans: table!(orphans),
            gpus: one!(gpus),
        })
    }
}

impl<T> Patch<T> {
    fn between(old: &[Arc<T>], new: &[Arc<T>]) -> Self {
        let place = Place::of(old, new);
        let mut pieces = Vec::new();
        for (at, row) in new.iter().enumerate() {
            match (place.find(old, row, at), pieces.last_mut()) {
                (Some(index), Some(Piece::Keep { from, count })) if *from + *count == index => *count += 1,
                (Some(index), _) => pieces.push(Piece::Keep { from: index, count: 1 }),
                (None, _) => pieces.push(Piece::Row(row.clone())),
            }
        }
        Self(pieces)
    }

    fn apply(self, old: &[Arc<T>]) -> Result<Vec<Arc<T>>, Misfit> {
        let mut rows = Vec::with_capacity(old.len());
        for piece in self.0 {
            match piece {
                Piece::Row(row) => rows.push(row),
                Piece::Keep { from, count } => {
                    let end = from.checked_add(count).ok_or(Misfit)?;
                    rows.extend_from_slice(old.get(from as usize..end as usize).ok_or(Misfit)?);
                    if rows.len() > MAX_ROWS {
                        return Err(Misfit);
                    }
                }
            }
        }
        Ok(rows)
    }
}

/// A table that claims more rows is a mistake or an attack.
const MAX_ROWS: usize = 1 << 20;

/// How rows are found again: at the same index while a table keeps its length (the common case, no allocation),
/// by a map of pointers once rows came or went.
enum Place<T> {
    SameIndex,
    Map(HashMap<*const T, u32>),
}

impl<T> Place<T> {
    fn of(old: &[Arc<T>], new: &[Arc<T>]) -> Self {
        if old.len() == new.len() {
            return Self::SameIndex;
        }
        Self::Map(old.iter().enumerate().map(|(i, row)| (Arc::as_ptr(row), i as u32)).collect())
    }

    fn find(&self, old: &[Arc<T>], row: &Arc<T>, at: usize) -> Option<u32> {
        match self {
            Self::SameIndex => Arc::ptr_eq(&old[at], row).then_some(at as u32),
            Self::Map(map) => map.get(&Arc::as_ptr(row)).copied(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rows_sent<T>(patch: &Patch<T>) -> usize {
        patch.0.iter().filter(|p| matches!(p, Piece::Row(_))).count()
    }

    #[test]
    fn only_what_changed_is_sent() {
        let old: Vec<Arc<u32>> = (0..10_000).map(Arc::new).collect();
        let mut new = old.clone();
        new[7] = Arc::new(70);
        new[9_999] = Arc::new(99);
        let patch = Patch::between(&old, &new);
        assert_eq!((rows_sent(&patch), patch.0.len()), (2, 4));
        new.remove(3);
        new.insert(500, Arc::new(1));
        new.push(Arc::new(2));
        let patch = Patch::between(&old, &new);
        assert_eq!(rows_sent(&patch), 4);
        assert_eq!(patch.apply(&old).unwrap(), new);
    }

    proptest! {
        #[test]
        fn any_table_becomes_any_other(picks in prop::collection::vec(prop::option::of(0usize..20), 0..40)) {
            let old: Vec<Arc<usize>> = (0..20).map(Arc::new).collect();
            let new: Vec<Arc<usize>> =
                picks.iter().map(|p| p.map_or_else(|| Arc::new(99), |i| old[i].clone())).collect();
            let bytes = postcard::to_stdvec(&Patch::between(&old, &new)).unwrap();
            let back: Patch<usize> = postcard::from_bytes(&bytes).unwrap();
            let applied = back.apply(&old).unwrap();
            prop_assert_eq!(&applied, &new);
            // A table that only changed its order is small (findings, jobs): its rows are sent again.
            let found_again = |(a, b): (&Arc<usize>, &Arc<usize>)| **b == 99 || Arc::ptr_eq(a, b);
            prop_assert!(old.len() == new.len() || applied.iter().zip(&new).all(found_again));
        }
    }

    #[test]
    fn a_delta_for_another_base_is_refused() {
        for (from, count) in [(0, 4), (3, 1), (u32::MAX, 2)] {
            let patch: Patch<u32> = Patch(vec![Piece::Keep { from, count }]);
            assert_eq!(patch.apply(&[Arc::new(1), Arc::new(2), Arc::new(3)]), Err(Misfit));
        }
    }
}
