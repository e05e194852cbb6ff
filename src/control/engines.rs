//! The container engines of a platform, by name. Opening one costs nothing: it connects by itself and says how that went.
//! Knows no vendor; must never wait for an engine.

use crate::backend::docker::{DockerBackend, DockerEngine};
use crate::backend::engine::Engine;
use crate::backend::simulated::engine::SimulatedEngine;
use crate::config::Config;
use crate::model::container::{ContainerKey, EngineId};
use crate::model::usage::InstanceUsage;
use std::collections::HashMap;
use std::sync::Arc;

/// What containers use now, as whoever measures it last said.
pub type ContainerUsage = HashMap<ContainerKey, InstanceUsage>;

/// In the order of the config: the first is meant where nothing is named.
#[derive(Default)]
pub struct Engines {
    list: Vec<Arc<dyn Engine>>,
    /// Those in which instances can run.
    docker: Vec<Arc<DockerEngine>>,
}

impl Engines {
    /// Those of the config. Must be called inside a runtime.
    pub fn open(config: &Config) -> Self {
        let mut engines = Self::default();
        for def in &config.engines {
            match &def.simulated {
                Some(recipe) => {
                    let engine = SimulatedEngine::open(def.id.clone(), recipe, &config.platform.name);
                    engines.list.push(Arc::new(engine));
                }
                None => {
                    let engine = Arc::new(DockerEngine::open(def));
                    engines.list.push(engine.clone());
                    engines.docker.push(engine);
                }
            }
        }
        engines
    }

    /// Where instances run in containers.
    pub fn backend(&self, platform: &str, boot: &str) -> DockerBackend {
        DockerBackend::new(platform, boot, self.docker.clone())
    }

    pub fn all(&self) -> &[Arc<dyn Engine>] {
        &self.list
    }

    pub fn get(&self, id: &EngineId) -> Option<&Arc<dyn Engine>> {
        self.list.iter().find(|engine| engine.id() == id)
    }

    /// The one of this name; without a name the first.
    pub fn named(&self, id: Option<&EngineId>) -> Result<&Arc<dyn Engine>, String> {
        match id {
            Some(id) => self.get(id).ok_or_else(|| format!("no engine is called {id}")),
            None => self.list.first().ok_or_else(|| "there is no container engine".to_owned()),
        }
    }
}
