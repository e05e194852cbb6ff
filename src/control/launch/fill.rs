//! Fills in placeholders and secrets for one instance, or for one part of a stack. Must never print a secret.

use crate::backend::Plain;
use crate::control::secrets::{Resolved, Used, Vault, named};
use crate::model::secret::{Hidden, Secret, SecretRef};
use crate::model::server::EnvValue;
use crate::model::template::{Hole, Template};
use crate::model::{Environment, ServerDef, TenantDef};
use std::collections::BTreeMap;
use std::path::Path;

/// For whom, and what was used so far.
pub struct Filler<'a> {
    /// As errors name it: an instance, or a part of a stack.
    pub whom: String,
    pub server: Option<&'a ServerDef>,
    pub tenant: Option<&'a TenantDef>,
    pub data: &'a Path,
    /// Where a part of a stack reaches the router.
    pub router: Option<String>,
    pub vault: &'a Vault,
    pub used: Vec<Used>,
    secrets: Vec<Secret>,
}

impl<'a> Filler<'a> {
    pub fn new(
        whom: String,
        server: Option<&'a ServerDef>,
        tenant: Option<&'a TenantDef>,
        data: &'a Path,
        vault: &'a Vault,
    ) -> Self {
        Self { whom, server, tenant, data, router: None, vault, used: Vec::new(), secrets: Vec::new() }
    }

    /// The secrets so far, for whoever shows what it says.
    pub fn hidden(&self) -> Hidden {
        Hidden::new(&self.secrets)
    }

    pub fn render(&self, template: &Template) -> Result<String, String> {
        template.render(&self.whom, |hole| self.fill(hole)).map_err(|e| e.to_string())
    }

    fn fill(&self, hole: &Hole) -> Option<String> {
        let tenant = self.tenant;
        match hole {
            Hole::TenantId => tenant.map(|t| t.id.to_string()),
            Hole::TenantName => tenant.map(|t| t.name.clone()),
            Hole::TenantEnvironment => tenant.map(|t| environment(t.environment).to_owned()),
            Hole::Context(name) => tenant?.context.get(name).cloned(),
            Hole::Config(name) => tenant?.servers.get(&self.server?.id)?.config.get(name).cloned(),
            Hole::ServerId => self.server.map(|s| s.id.to_string()),
            Hole::Data => Some(self.data.to_string_lossy().into_owned()),
            Hole::Router => self.router.clone(),
        }
    }

    /// A whole environment: the definition's, and what comes after it and wins.
    pub async fn fill_all(
        &mut self,
        layers: [&BTreeMap<String, EnvValue>; 2],
    ) -> Result<BTreeMap<String, Plain>, String> {
        let mut filled = BTreeMap::new();
        for layer in layers {
            for (name, value) in layer {
                let value = self.value(name, value).await?;
                filled.insert(name.clone(), value);
            }
        }
        Ok(filled)
    }

    pub async fn value(&mut self, name: &str, value: &EnvValue) -> Result<Plain, String> {
        match value {
            EnvValue::Text(template) => Ok(Plain::Text(self.render(template)?)),
            EnvValue::Secret(source) => self.secret(name, source).await,
            EnvValue::Named(secret) => {
                let known = named(self.server, self.tenant);
                let source = known.get(secret.as_str()).copied();
                let source =
                    source.ok_or_else(|| format!("{name} wants the secret {secret}, which {} has not", self.whom))?;
                self.secret(secret, source).await
            }
        }
    }

    pub async fn secret(&mut self, name: &str, source: &SecretRef) -> Result<Plain, String> {
        let Resolved { value, used } = self.vault.resolve(name, source).await?;
        if !self.used.contains(&used) {
            self.used.push(used);
        }
        self.secrets.push(value.clone());
        Ok(Plain::Secret(value))
    }
}

fn environment(environment: Environment) -> &'static str {
    match environment {
        Environment::Lab => "lab",
        Environment::Staging => "staging",
        Environment::Production => "production",
    }
}
