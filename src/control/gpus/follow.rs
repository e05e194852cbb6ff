//! Reads the GPUs in the background: every second while somebody looks at them, seldom otherwise, and keeps in the store
//! who holds their memory.

use super::ledger::Ledger;
use super::made_up;
use super::owner::attribute;
use crate::control::actor::Msg;
use crate::control::deck::Deck;
use crate::control::yard::Seen;
use crate::metrics::gpu::trial::Trial;
use crate::metrics::gpu::{Gpu, Procs};
use crate::model::Stamp;
use crate::model::gpu::{GpuHeld, GpuState, Gpus};
use std::sync::Arc;
use std::time::Duration;

/// The driver's library is loaded this long after the start if nobody looks earlier: never before the first frame.
const FIRST: Duration = Duration::from_secs(3);
/// Between two readings while GPUs are on screen.
const WATCHED: Duration = Duration::from_secs(1);
/// The first reading also loads the library, after it was tried; a driver without a persistence daemon begins slowly.
const FIRST_PATIENCE: Duration = Duration::from_secs(20);
/// A driver that takes longer is shown as silent.
const PATIENCE: Duration = Duration::from_secs(3);

/// Reads until it is dropped.
pub async fn follow(deck: Arc<Deck>) {
    let mut interest = deck.consoles.version();
    first_look(&deck, &mut interest).await;
    let trial = Trial::new(deck.options.program.clone());
    let mut gpu = match Gpu::new(deck.config().gpu.library.clone(), trial) {
        Ok(gpu) => gpu,
        Err(error) => return tell(&deck, absent(&format!("no thread to ask the driver with: {error}"))).await,
    };
    let mut procs = Procs::new(&deck.config().gpu.proc);
    let mut ledger = Ledger::default();
    let mut before = Gpus::default();
    loop {
        let snapshot = deck.picture.get();
        let gpus = match made_up::reading(&deck.config().engines, &snapshot.containers, Stamp::now()) {
            Some(made_up) => made_up,
            None => {
                let limit = if before.state == GpuState::Unasked { FIRST_PATIENCE } else { PATIENCE };
                let mut gpus = gpu.read(limit).await;
                let work = move || {
                    attribute(&mut gpus, &snapshot, |pid| procs.find(pid));
                    (gpus, procs)
                };
                let Ok((gpus, back)) = tokio::task::spawn_blocking(work).await else { return };
                procs = back;
                gpus
            }
        };
        keep(&deck, ledger.add(Stamp::now(), &gpus)).await;
        if gpus != before {
            before.clone_from(&gpus);
            tell(&deck, gpus).await;
        }
        pause(&deck, &mut interest).await;
    }
}

async fn first_look(deck: &Deck, interest: &mut tokio::sync::watch::Receiver<u64>) {
    let looks = async { while !deck.consoles.interest().gpus && interest.changed().await.is_ok() {} };
    let looks = async {
        tokio::select! {
            () = looks => {}
            () = deck.gpus_wanted.cancelled() => {}
        }
    };
    if deck.options.momentary {
        // One command line: only who asks for GPUs pays for the library.
        return looks.await;
    }
    // No matter which of the two it was.
    let _ = tokio::time::timeout(FIRST, looks).await;
}

async fn pause(deck: &Deck, interest: &mut tokio::sync::watch::Receiver<u64>) {
    let begun = tokio::time::Instant::now();
    loop {
        interest.borrow_and_update();
        let every = if deck.consoles.interest().gpus { WATCHED } else { deck.config().gpu.every };
        tokio::select! {
            () = tokio::time::sleep_until(begun + every) => return,
            changed = interest.changed() => if changed.is_err() { return },
        }
    }
}

async fn keep(deck: &Deck, rows: Vec<GpuHeld>) {
    if rows.is_empty() {
        return;
    }
    let kept = match deck.store.get().await {
        Ok(store) => store.add_gpu_held(rows).await,
        Err(error) => Err(error),
    };
    match kept {
        Ok(()) => deck.store.worked(),
        Err(error) => deck.store.failed(&error),
    }
}

async fn tell(deck: &Deck, gpus: Gpus) {
    deck.tell(Msg::Seen(Seen::Gpus(Arc::new(gpus)))).await;
}

fn absent(why: &str) -> Gpus {
    Gpus { state: GpuState::Absent(why.to_owned()), ..Gpus::default() }
}
