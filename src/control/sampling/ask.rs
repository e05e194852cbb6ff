//! Asking engines what their containers use: one question at a time each, so that a slow engine is asked less, not more.

use crate::backend::engine::Engine;
use crate::control::deck::Deck;
use crate::model::container::{ContainerKey, EngineId};
use crate::model::usage::InstanceUsage;
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Containers in one question; of more, the first.
const MOST: usize = 256;

type Told = Vec<(ContainerKey, InstanceUsage)>;

/// The engines' ends.
pub struct Asked {
    questions: BTreeMap<EngineId, mpsc::Sender<Vec<ContainerKey>>>,
    answers: mpsc::Receiver<Told>,
}

impl Asked {
    /// A task an engine; they end with this.
    pub fn new(deck: &Arc<Deck>) -> Self {
        let engines = deck.engines.all();
        let (told, answers) = mpsc::channel(engines.len().max(1));
        let questions = engines.iter().map(|engine| {
            let (ask, asked) = mpsc::channel(1);
            let (stop, engine) = (deck.stop.clone(), engine.clone());
            let id = engine.id().clone();
            let told = told.clone();
            deck.spawn("usage of a far engine", async move {
                tokio::select! {
                    () = answer(engine, asked, told) => {}
                    () = stop.cancelled() => {}
                }
            });
            (id, ask)
        });
        Self { questions: questions.collect(), answers }
    }

    /// Asks each engine for its part of `keys`; one that still works on the last question is left alone.
    pub fn ask(&self, keys: Vec<ContainerKey>) {
        let mut by_engine: BTreeMap<EngineId, Vec<ContainerKey>> = BTreeMap::new();
        for key in keys {
            by_engine.entry(key.engine.clone()).or_default().push(key);
        }
        for (engine, mut keys) in by_engine {
            keys.truncate(MOST);
            if let Some(question) = self.questions.get(&engine) {
                // Full: it has not even begun with the last one.
                let _ = question.try_send(keys);
            }
        }
    }

    /// The next answer; `None` where there is no engine.
    pub async fn told(&mut self) -> Option<Told> {
        self.answers.recv().await
    }
}

async fn answer(engine: Arc<dyn Engine>, mut asked: mpsc::Receiver<Vec<ContainerKey>>, told: mpsc::Sender<Told>) {
    while let Some(keys) = asked.recv().await {
        if told.send(engine.stats(&keys).await).await.is_err() {
            return;
        }
    }
}
