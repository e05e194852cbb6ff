//! Usage of the host and of process groups. Imports `model` and `config` only.

use crate::model::InstanceKey;
use crate::model::usage::{HostUsage, InstanceUsage};
use std::path::Path;

/// Samples the host; rates are over the time since the last sample.
pub struct Host {}

impl Host {
    pub fn new(_state_dir: &Path) -> Self {
        todo!()
    }

    /// About 1 ms; call at most once a second.
    pub fn sample(&mut self) -> HostUsage {
        todo!()
    }
}

/// Samples process groups: cpu, resident memory and number of processes of each group's members.
pub struct Groups {}

impl Groups {
    pub fn new() -> Self {
        todo!()
    }

    /// `groups` are (instance, process group id).
    pub fn sample(&mut self, _groups: &[(InstanceKey, u32)]) -> Vec<(InstanceKey, InstanceUsage)> {
        todo!()
    }
}
