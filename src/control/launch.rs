//! From definitions to what a backend starts or the router connects to: placeholders filled in, secrets loaded.
//! Must never print a secret.

pub mod container;
mod fill;

use super::secrets::{Used, Vault, named};
use crate::backend::{Plain, Progress, StartSpec, What};
use crate::config::Config;
use crate::model::container::{Adopt, ContainerRun};
use crate::model::secret::{Hidden, Secret};
use crate::model::server::{EnvValue, ProcessRun};
use crate::model::{InstanceKey, Run, ServerDef, TenantDef};
use fill::Filler;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Variables of our own that every process gets.
const PASSED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];

/// Everything that a start needs to know of an instance.
#[derive(Clone)]
pub struct Blueprint {
    pub key: InstanceKey,
    pub def: Arc<ServerDef>,
    pub tenant: Option<Arc<TenantDef>>,
    pub data: PathBuf,
    /// Name of the platform.
    platform: String,
}

/// What to start, and with which secrets.
pub struct Prepared {
    pub launch: Launch,
    pub used: Vec<Used>,
    /// Those secrets, for whoever shows what the instance says.
    pub hidden: Hidden,
}

pub enum Launch {
    Local(Box<StartSpec>),
    Remote { url: String, headers: Vec<(String, Secret)> },
}

impl Blueprint {
    pub fn new(config: &Config, key: InstanceKey, def: Arc<ServerDef>, tenant: Option<Arc<TenantDef>>) -> Self {
        let mut data = config.paths.data.join(key.server.as_str());
        if let Some(tenant) = &key.tenant {
            data.push(tenant.as_str());
        }
        if let Some(session) = key.session {
            data.push(session.to_string());
        }
        Self { key, def, tenant, data, platform: config.platform.name.clone() }
    }

    /// Fills everything in. `program` is our own, for the servers we ship.
    pub async fn prepare(&self, vault: &Vault, program: &Path) -> Result<Prepared, String> {
        let (whom, tenant) = (self.key.to_string(), self.tenant.as_deref());
        let mut work = Work { blueprint: self, filler: Filler::new(whom, Some(&self.def), tenant, &self.data, vault) };
        let launch = work.launch(program).await?;
        let hidden = work.filler.hidden();
        Ok(Prepared { launch, used: work.filler.used, hidden })
    }

    /// The containers that exist already and stand behind its url.
    pub fn adopted(&self) -> Option<&Adopt> {
        match &self.def.run {
            Run::Remote { adopt, .. } if self.own_url().is_none() => adopt.as_ref(),
            _ => None,
        }
    }

    fn own_url(&self) -> Option<&String> {
        self.tenant.as_ref()?.servers.get(&self.def.id)?.url.as_ref()
    }

    fn own_values(
        &self,
        of: impl Fn(&crate::model::tenant::ServerOverride) -> &BTreeMap<String, EnvValue>,
    ) -> BTreeMap<String, EnvValue> {
        let change = self.tenant.as_ref().and_then(|t| t.servers.get(&self.def.id));
        change.map(|c| of(c).clone()).unwrap_or_default()
    }
}

/// One preparation under way.
struct Work<'a> {
    blueprint: &'a Blueprint,
    filler: Filler<'a>,
}

impl Work<'_> {
    async fn launch(&mut self, program: &Path) -> Result<Launch, String> {
        let b = self.blueprint;
        if let Some(url) = b.own_url() {
            let headers = match &b.def.run {
                Run::Remote { headers, .. } | Run::PerTenant { headers } => headers.clone(),
                Run::Process(_) | Run::Builtin { .. } | Run::Container(_) | Run::Simulated(_) => BTreeMap::new(),
            };
            return self.remote(url.clone(), headers).await;
        }
        match &b.def.run {
            Run::Process(run) => self.process(run).await,
            Run::Builtin { name, env } => {
                let command = vec![program.to_string_lossy().into_owned(), "mcp".to_owned(), name.clone()];
                let env = self.environment(env, &[]).await?;
                Ok(self.local(What::Process { command, env, cwd: None }))
            }
            Run::Remote { url, headers, .. } => self.remote(self.filler.render(url)?, headers.clone()).await,
            Run::Simulated(run) => {
                let env = self.all_named().await?;
                Ok(self.local(What::Simulated(run.clone(), env)))
            }
            Run::Container(run) => self.container(run).await,
            Run::PerTenant { .. } => Err(format!("{} gives no url for {}", b.key, b.def.id)),
        }
    }

    fn local(&self, what: What) -> Launch {
        let b = self.blueprint;
        let limits = b.def.settings.limits.clone();
        Launch::Local(Box::new(StartSpec {
            key: b.key.clone(),
            what,
            data: b.data.clone(),
            limits,
            progress: Progress::default(),
        }))
    }

    async fn process(&mut self, run: &ProcessRun) -> Result<Launch, String> {
        let command = run.command.iter().map(|t| self.filler.render(t)).collect::<Result<_, _>>()?;
        let cwd = run.cwd.as_ref().map(|t| self.filler.render(t)).transpose()?.map(PathBuf::from);
        let env = self.environment(&run.env, &run.pass_env).await?;
        Ok(self.local(What::Process { command, env, cwd }))
    }

    async fn container(&mut self, run: &ContainerRun) -> Result<Launch, String> {
        let b = self.blueprint;
        let network = container::network(&b.platform, b.key.tenant.as_ref(), Some(&b.key.server));
        let own = b.own_values(|change| &change.env);
        let spec = container::fill(&mut self.filler, run, None, &own, network).await?;
        Ok(self.local(What::Container(Box::new(spec))))
    }

    async fn remote(&mut self, url: String, mut headers: BTreeMap<String, EnvValue>) -> Result<Launch, String> {
        headers.extend(self.blueprint.own_values(|change| &change.headers));
        let mut filled = Vec::with_capacity(headers.len());
        for (name, value) in &headers {
            let value = match self.filler.value(name, value).await? {
                Plain::Text(text) => Secret::new(text),
                Plain::Secret(secret) => secret,
            };
            filled.push((name.clone(), value));
        }
        Ok(Launch::Remote { url, headers: filled })
    }

    /// Ours, then what is passed on, then the definition's, then the tenant's: the last one wins.
    async fn environment(
        &mut self,
        own: &BTreeMap<String, EnvValue>,
        passed: &[String],
    ) -> Result<Vec<(String, Plain)>, String> {
        let b = self.blueprint;
        let mut env: BTreeMap<String, Plain> = BTreeMap::new();
        for name in PASSED.into_iter().chain(passed.iter().map(String::as_str)) {
            if let Ok(value) = std::env::var(name) {
                env.insert(name.to_owned(), Plain::Text(value));
            }
        }
        env.insert("MCPDECK_DATA".to_owned(), Plain::Text(b.data.to_string_lossy().into_owned()));
        let changed = b.own_values(|change| &change.env);
        env.extend(self.filler.fill_all([own, &changed]).await?);
        Ok(env.into_iter().collect())
    }

    /// A simulated server gets every secret that it could name.
    async fn all_named(&mut self) -> Result<Vec<(String, Plain)>, String> {
        let b = self.blueprint;
        let mut env = Vec::new();
        for (name, source) in named(Some(&b.def), b.tenant.as_deref()) {
            env.push((name.to_owned(), self.filler.secret(name, source).await?));
        }
        Ok(env)
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture;
    use super::*;
    use crate::model::secret::SecretRef;
    use crate::model::template::Template;
    use crate::model::tenant::ServerOverride;

    fn text(value: &str) -> EnvValue {
        EnvValue::Text(Template::parse(value).unwrap())
    }

    async fn prepare(change: impl FnOnce(&mut ServerDef), own: Option<ServerOverride>) -> Result<Launch, String> {
        let config = fixture::config(|c| {
            fixture::server(c, "git", change);
            fixture::tenant(c, "eaton", &["git"], |t| {
                t.context.insert("repo".into(), "/srv/r".into());
                t.secrets.insert("token".into(), SecretRef::Command(vec!["echo".into(), "s3cret".into()]));
                t.servers.extend(own.map(|o| ("git".into(), o)));
            });
        });
        let key = "git@eaton".parse().unwrap();
        let blueprint = Blueprint::new(&config, key, config.servers[0].clone(), Some(config.tenants[0].clone()));
        Ok(blueprint.prepare(&Vault::new(&config), Path::new("/bin/deck")).await?.launch)
    }

    fn process(command: &[&str], env: &[(&str, EnvValue)]) -> Run {
        let command = command.iter().map(|c| Template::parse(c).unwrap()).collect();
        let env = env.iter().map(|(k, v)| ((*k).to_owned(), v.clone())).collect();
        Run::Process(ProcessRun { command, env, ..ProcessRun::default() })
    }

    #[tokio::test]
    async fn a_process_gets_its_tenants_values_and_a_small_environment() {
        let env = [("WHO", text("{tenant.id}")), ("TOKEN", EnvValue::Named("token".into()))];
        let run = process(&["git-mcp", "--repo", "{tenant.context.repo}"], &env);
        let own = ServerOverride { env: [("WHO".to_owned(), text("me"))].into(), ..ServerOverride::default() };
        let Ok(Launch::Local(spec)) = prepare(|s| s.run = run, Some(own)).await else { panic!("not local") };
        let What::Process { command, env, .. } = spec.what else { panic!("no process") };
        assert_eq!(command, ["git-mcp", "--repo", "/srv/r"]);
        let get = |name: &str| env.iter().find(|(n, _)| n == name).map(|(_, v)| v.expose().to_owned());
        assert_eq!((get("WHO"), get("TOKEN")), (Some("me".into()), Some("s3cret".into())));
        assert_eq!(get("MCPDECK_DATA"), Some("/nonexistent/data/git/eaton".into()));
        assert!(get("PATH").is_some() && get("CARGO_MANIFEST_DIR").is_none());
    }

    #[tokio::test]
    async fn what_is_missing_refuses_the_start() {
        let no_context = process(&["x", "{tenant.context.nope}"], &[]);
        let error = prepare(|s| s.run = no_context, None).await.err().unwrap();
        assert_eq!(error, "`{tenant.context.nope}` has no value for git@eaton");
        let no_secret = process(&["x"], &[("T", EnvValue::Named("nope".into()))]);
        let error = prepare(|s| s.run = no_secret, None).await.err().unwrap();
        assert_eq!(error, "T wants the secret nope, which git@eaton has not");
    }

    #[tokio::test]
    async fn a_tenants_own_url_wins() {
        let headers = [("X-A".to_owned(), text("1"))].into();
        let own = ServerOverride {
            url: Some("http://own/mcp".into()),
            headers: [("X-B".to_owned(), EnvValue::Named("token".into()))].into(),
            ..ServerOverride::default()
        };
        let Ok(Launch::Remote { url, headers }) = prepare(|s| s.run = Run::PerTenant { headers }, Some(own)).await
        else {
            panic!("not remote")
        };
        assert_eq!(url, "http://own/mcp");
        let headers: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.expose())).collect();
        assert_eq!(headers, [("X-A", "1"), ("X-B", "s3cret")]);
    }
}
