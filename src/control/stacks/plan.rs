//! What a deployment would do, part by part: the dry run. Looks at what the engine has; does nothing.

use super::capacity;
use crate::backend::engine::{Engine, Found, Inventory};
use crate::control::deck::Deck;
use crate::control::gpus;
use crate::control::launch::container::{self, fingerprint};
use crate::control::yard::claim::adopts;
use crate::control::yard::mark::Mark;
use crate::model::container::{EngineState, labels};
use crate::model::stack::{PartDef, ReadyBy, StackDef, StackStep};
use crate::model::{Refusal, Snapshot, StackId, near};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// An engine that was opened a moment ago may need so long to show what it has.
const FIRST_LOOK: Duration = Duration::from_secs(5);

/// What is done to a part that is as it should be.
const NOTHING: &str = "nothing: it runs";

/// The stack of this name in the config.
pub fn stack(deck: &Deck, id: &StackId) -> Result<Arc<StackDef>, Refusal> {
    let stacks = &deck.config().stacks;
    stacks.iter().find(|def| def.id == *id).cloned().ok_or_else(|| {
        let near = near::nearest(id.as_str(), stacks.iter().map(|def| def.id.as_str()));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean {near}? (mcpdeck get stacks)"));
        Refusal::NotFound(format!("no stack is called {id}{hint}"))
    })
}

/// Returns when it is known what `engine` has, or that it does not say.
pub async fn looked(engine: &Arc<dyn Engine>) {
    let mut inventory = engine.watch();
    // One that needs longer is shown as it is: connecting.
    let _ = timeout(FIRST_LOOK, inventory.wait_for(|seen| seen.state != EngineState::Connecting)).await;
}

/// The dry run of a deployment, or of its end.
pub async fn dry_run(deck: &Deck, id: &StackId, undeploy: bool) -> Result<Vec<StackStep>, Refusal> {
    let def = stack(deck, id)?;
    let engine = deck.engines.named(def.engine.as_ref()).map_err(Refusal::Failed)?;
    looked(engine).await;
    if engine.is_here() && !undeploy && def.parts.iter().any(|part| part.run.gpu.is_some()) {
        gpus::known(deck).await;
    }
    let mut steps = steps(deck, id, undeploy)?;
    if !undeploy && def.adopt.is_none() {
        for step in steps.iter_mut().filter(|step| step.refused.is_none() && !step.does.starts_with(NOTHING)) {
            look_ahead(deck, engine, &def, step).await;
        }
    }
    Ok(steps)
}

/// What only its values and its engine tell of a part: secrets that cannot be read, an image that is not there.
async fn look_ahead(deck: &Deck, engine: &Arc<dyn Engine>, def: &StackDef, step: &mut StackStep) {
    let Some(part) = def.parts.iter().find(|part| part.name == step.part) else { return };
    // Where the router is, is known when the network is made.
    let router = Some(String::new());
    match container::part(&deck.config(), &deck.vault, deck.clock.booted, def, part, router).await {
        Err(why) => step.refused = Some(why),
        Ok(filled) => {
            let outlook = engine.outlook(&filled.spec).await;
            step.refused = outlook.refused;
            if outlook.pulls {
                step.does = format!("{}, after a pull of {}", step.does, filled.spec.image);
            }
        }
    }
}

/// Every step, in the order in which it would be done.
fn steps(deck: &Deck, id: &StackId, undeploy: bool) -> Result<Vec<StackStep>, Refusal> {
    let def = stack(deck, id)?;
    let engine = deck.engines.named(def.engine.as_ref()).map_err(Refusal::Failed)?;
    let inventory = engine.watch().borrow().clone();
    let look = Look { deck, def: &def, inventory: &inventory, local: engine.is_here() };
    let snapshot = deck.picture.get();
    Ok(match (&def.adopt, undeploy) {
        (Some(_), _) => look.adopted(undeploy),
        (None, true) => look.undeploy(),
        (None, false) => look.deploy(&snapshot),
    })
}

/// Why a deployment of the stack is refused as a whole, if it is.
pub fn refusal(deck: &Deck, id: &StackId) -> Result<Option<String>, Refusal> {
    let steps = steps(deck, id, false)?;
    let refused: Vec<String> =
        steps.into_iter().filter_map(|step| Some(format!("part {} {}", step.part, step.refused?))).collect();
    Ok((!refused.is_empty()).then(|| refused.join("; ")))
}

/// The parts in the order of their needs; each as early as the definition has it.
pub fn in_order(def: &StackDef) -> Vec<&PartDef> {
    let mut left: Vec<&PartDef> = def.parts.iter().collect();
    let mut ordered: Vec<&PartDef> = Vec::with_capacity(left.len());
    while !left.is_empty() {
        let waits = |part: &PartDef| part.needs.iter().any(|need| left.iter().any(|other| other.name == *need));
        // The config has no circles; if it had, the order of the definition would do.
        let next = left.iter().position(|part| !waits(part)).unwrap_or(0);
        ordered.push(left.remove(next));
    }
    ordered
}

struct Look<'a> {
    deck: &'a Deck,
    def: &'a StackDef,
    inventory: &'a Inventory,
    local: bool,
}

impl Look<'_> {
    fn found(&self, part: &PartDef) -> Option<&Arc<Found>> {
        let config = self.deck.config();
        self.inventory.containers.iter().find(|found| is_part(found, &config.platform.name, self.def, part))
    }

    fn deploy(&self, snapshot: &Snapshot) -> Vec<StackStep> {
        let silent = match &self.inventory.state {
            EngineState::Silent { reason, .. } | EngineState::Absent { reason } => Some(reason.clone()),
            EngineState::Up | EngineState::Connecting => None,
        };
        let mut planned = 0;
        let step = |part: &PartDef| {
            let found = self.found(part);
            let does = does(part, found.map(AsRef::as_ref));
            let takes_room = self.local && !found.is_some_and(|found| found.state.is_live());
            let full = takes_room.then(|| capacity::refusal(part, snapshot, planned)).flatten();
            if takes_room {
                planned += part.limits.memory.unwrap_or(0);
            }
            let silent = silent.as_ref().map(|why| format!("cannot start: the engine does not answer: {why}"));
            StackStep { part: part.name.clone(), does, refused: silent.or(full) }
        };
        in_order(self.def).into_iter().map(step).collect()
    }

    fn undeploy(&self) -> Vec<StackStep> {
        let step = |part: &PartDef| {
            let does = match self.found(part) {
                Some(found) if found.state.is_live() => "stop and remove; its data stays",
                Some(_) => "remove; its data stays",
                None => "nothing: it is not there",
            };
            StackStep { part: part.name.clone(), does: does.to_owned(), refused: None }
        };
        in_order(self.def).into_iter().rev().map(step).collect()
    }

    /// What is adopted is started and stopped, never made and never removed.
    fn adopted(&self, undeploy: bool) -> Vec<StackStep> {
        let Some(adopt) = &self.def.adopt else { return Vec::new() };
        let matching = self.inventory.containers.iter().filter(|found| adopts(adopt, found));
        let step = |found: &Arc<Found>| {
            let does = match (undeploy, found.state.is_live()) {
                (true, true) => "stop; it is adopted and stays",
                (true, false) => "nothing: it does not run",
                (false, true) => "nothing: it runs",
                (false, false) => "start",
            };
            StackStep { part: found.name.clone(), does: does.to_owned(), refused: None }
        };
        matching.map(step).collect()
    }
}

/// True if `found` was made as this part of this stack.
pub fn is_part(found: &Found, platform: &str, stack: &StackDef, part: &PartDef) -> bool {
    let mark = Mark::of(found, platform);
    matches!(mark, Some(Mark::Part { stack: of, part: name }) if of == stack.id.as_str() && name == part.name)
}

fn does(part: &PartDef, found: Option<&Found>) -> String {
    let Some(found) = found else { return "create".to_owned() };
    if found.labels.get(labels::CONFIG) == Some(&fingerprint(part)) {
        return match (found.state.is_live(), &part.ready.by) {
            (true, _) => NOTHING,
            (false, ReadyBy::Done) => "run again",
            (false, _) => "start",
        }
        .to_owned();
    }
    // An image without a tag is listed with one.
    let wanted = part.run.image.source();
    let same = found.image == wanted || found.image.strip_prefix(wanted).is_some_and(|rest| rest == ":latest");
    if same || part.run.image.holes().next().is_some() {
        "recreate (its definition changed)".to_owned()
    } else {
        format!("recreate (the image was {})", found.image)
    }
}
