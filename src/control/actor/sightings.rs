//! What the actor makes of what is seen outside: containers and GPUs as they stand, engines that come and go.

use super::super::gpus::owner::Held;
use super::super::yard::Seen;
use super::Actor;
use crate::model::Stamp;
use crate::model::container::{EngineId, EngineState};
use crate::model::gpu::Gpus;
use crate::model::message::Level;
use std::sync::Arc;

impl Actor {
    pub(super) fn seen(&mut self, seen: Seen) {
        match seen {
            Seen::Containers { engines, containers, orphans } => {
                if self.yard.orphans.is_empty() && !orphans.is_empty() {
                    self.conditions.orphans_since = Stamp::now();
                    let text = format!("{} ours and wanted by nobody: mcpdeck reap --dry-run", orphans.len());
                    self.deck.events.notice(Level::Warn, text);
                }
                let before = std::mem::replace(&mut self.yard.containers, containers);
                self.held.mark(&mut self.yard.containers, &before);
                (self.yard.engines, self.yard.orphans) = (engines, orphans);
                self.look_at_stacks();
            }
            Seen::Gpus(gpus) => self.gpus(gpus),
        }
    }

    /// Whoever holds GPU memory has it among what it uses.
    fn gpus(&mut self, gpus: Arc<Gpus>) {
        self.conditions.gpus.look(&gpus, Stamp::now());
        let before = std::mem::replace(&mut self.held, Held::of(&gpus));
        self.yard.gpus = gpus;
        let containers = self.yard.containers.clone();
        self.held.mark(&mut self.yard.containers, &containers);
        for key in before.instances.keys().chain(self.held.instances.keys()) {
            let bytes = self.held.instances.get(key).copied();
            if let Some(row) = self.fleet.rows.get_mut(key).filter(|row| row.usage.gpu_memory != bytes) {
                row.usage.gpu_memory = bytes;
                self.fleet.dirty.insert(key.clone());
            }
        }
    }

    /// What runs on a silent engine is unknown; what waited for it goes on when it answers again.
    pub(super) fn engine(&mut self, id: &EngineId, state: &EngineState) {
        let silent = match state {
            EngineState::Connecting => return,
            EngineState::Up => None,
            EngineState::Silent { reason, .. } => Some(format!("engine {id} is silent: {reason}")),
            EngineState::Absent { reason } => Some(format!("engine {id} is not there: {reason}")),
        };
        let known = self.engines.insert(id.clone(), silent.is_none());
        match (known, &silent) {
            // One that is not there from the start is no news: what needs it says so.
            (None, _) | (Some(false), Some(_)) | (Some(true), None) => {}
            (Some(true), Some(why)) => self.deck.events.notice(Level::Warn, why.clone()),
            (Some(false), None) => self.deck.events.notice(Level::Info, format!("engine {id} answers again")),
        }
        self.fleet.engine(&self.plan, id, silent.as_deref());
    }
}
