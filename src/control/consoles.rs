//! Who is attached: the registry that the socket server writes and the snapshot builder reads.

use super::handle::Interest;
use crate::model::container::ContainerKey;
use crate::model::message::{Face, Operator};
use crate::model::snapshot::ConsoleRow;
use crate::model::{InstanceKey, Stamp};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{mpsc, watch};

/// More are refused.
pub const MAX_CONSOLES: usize = 64;

/// A change that control tells everybody as [`crate::model::message::EventKind::Attached`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub operator: Operator,
    pub on: bool,
}

/// The attached screens and command lines, and what they look at.
pub struct Consoles {
    entries: Mutex<Entries>,
    /// Grows with every change of rows or interest.
    version: watch::Sender<u64>,
    changes: mpsc::Sender<Change>,
}

#[derive(Default)]
struct Entries {
    ending: bool,
    next: u64,
    list: Vec<Entry>,
}

struct Entry {
    id: u64,
    row: Arc<ConsoleRow>,
    interest: Interest,
}

/// One console's place in the registry; it leaves when this is dropped.
pub struct Seat {
    consoles: Arc<Consoles>,
    id: u64,
}

/// Why there is no seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoSeat {
    #[error("{MAX_CONSOLES} consoles are attached already; close one (the Activity view names them)")]
    Full,
    #[error("the platform is ending")]
    Ending,
}

impl Consoles {
    /// The registry and the far end of its changes. Screens alone are told there: a command line comes and goes
    /// many times a second in a script, and its acts are in the journal anyway.
    pub fn new() -> (Arc<Self>, mpsc::Receiver<Change>) {
        let (changes, ends) = mpsc::channel(4 * MAX_CONSOLES);
        (Arc::new(Self { entries: Mutex::default(), version: watch::Sender::new(0), changes }), ends)
    }

    /// Takes a seat. `local` is the owner's own screen.
    pub fn attach(self: &Arc<Self>, operator: Operator, local: bool) -> Result<Seat, NoSeat> {
        let id = {
            let mut entries = self.lock();
            if entries.ending && operator.face == Face::Screen {
                return Err(NoSeat::Ending);
            }
            if entries.list.len() >= MAX_CONSOLES {
                return Err(NoSeat::Full);
            }
            entries.next += 1;
            let id = entries.next;
            let row = Arc::new(ConsoleRow { operator: operator.clone(), since: Stamp::now(), local });
            entries.list.push(Entry { id, row, interest: Interest::default() });
            id
        };
        self.changed(Change { operator, on: true });
        Ok(Seat { consoles: self.clone(), id })
    }

    /// The platform ends: no further screen attaches, for it would soon show one that is lost. A command line may still
    /// ask.
    pub fn end(&self) {
        self.lock().ending = true;
    }

    /// Rows for the snapshot, oldest first; a row keeps its `Arc` as long as it is attached.
    pub fn rows(&self) -> Vec<Arc<ConsoleRow>> {
        self.lock().list.iter().map(|e| e.row.clone()).collect()
    }

    /// What all of them together look at.
    pub fn interest(&self) -> Interest {
        let entries = self.lock();
        let watching = entries.list.iter().any(|e| e.interest.watching);
        let instances: BTreeSet<InstanceKey> =
            entries.list.iter().flat_map(|e| e.interest.instances.iter().cloned()).collect();
        let containers: BTreeSet<ContainerKey> =
            entries.list.iter().flat_map(|e| e.interest.containers.iter().cloned()).collect();
        let gpus = entries.list.iter().any(|e| e.interest.gpus);
        Interest {
            watching,
            instances: instances.into_iter().collect(),
            containers: containers.into_iter().collect(),
            gpus,
        }
    }

    /// Changes whenever rows or interest do.
    pub fn version(&self) -> watch::Receiver<u64> {
        self.version.subscribe()
    }

    fn changed(&self, change: Change) {
        self.version.send_modify(|v| *v += 1);
        if change.operator.face == Face::Screen {
            // A full queue means that control is stuck; the rows still tell who is here.
            let _ = self.changes.try_send(change);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Sets what this console looks at.
    pub fn set_interest(&self, interest: Interest) {
        if let Some(entry) = self.consoles.lock().list.iter_mut().find(|e| e.id == self.id) {
            entry.interest = interest;
        }
        self.consoles.version.send_modify(|v| *v += 1);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let gone = {
            let mut entries = self.consoles.lock();
            entries.list.iter().position(|e| e.id == self.id).map(|at| entries.list.remove(at))
        };
        if let Some(entry) = gone {
            self.consoles.changed(Change { operator: entry.row.operator.clone(), on: false });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn operator(face: Face) -> Operator {
        Operator { name: "ada".into(), face, pid: 1, grant: None }
    }

    fn looks_at(key: &str) -> Interest {
        Interest { watching: true, instances: vec![key.parse().unwrap()], ..Interest::default() }
    }

    #[test]
    fn interests_add_up_and_leave_with_their_console() {
        let (consoles, _changes) = Consoles::new();
        let (a, b) = (consoles.attach(operator(Face::Screen), true), consoles.attach(operator(Face::Screen), false));
        let (a, b) = (a.unwrap(), b.unwrap());
        a.set_interest(looks_at("etim"));
        b.set_interest(looks_at("git@eaton"));
        assert_eq!(consoles.interest().instances.len(), 2);
        drop(b);
        assert_eq!(consoles.interest(), looks_at("etim"));
        drop(a);
        assert_eq!(consoles.interest(), Interest::default());
    }

    #[test]
    fn screens_are_told_and_command_lines_are_not() {
        let (consoles, mut changes) = Consoles::new();
        drop(consoles.attach(operator(Face::Cli), false).unwrap());
        drop(consoles.attach(operator(Face::Screen), false).unwrap());
        assert!(changes.try_recv().unwrap().on);
        assert!(!changes.try_recv().unwrap().on);
        assert!(changes.try_recv().is_err());
    }

    #[test]
    fn the_registry_is_bounded_and_a_seat_given_up_is_free_again() {
        let (consoles, _changes) = Consoles::new();
        let mut seats: Vec<Seat> =
            (0..MAX_CONSOLES).map(|_| consoles.attach(operator(Face::Cli), false).unwrap()).collect();
        assert_eq!(consoles.attach(operator(Face::Cli), false).err(), Some(NoSeat::Full));
        seats.pop();
        assert!(consoles.attach(operator(Face::Cli), false).is_ok());
        consoles.end();
        assert_eq!(consoles.attach(operator(Face::Screen), false).err(), Some(NoSeat::Ending));
    }
}
