//! From an order to a running container: the image is there, the network is there, what exists is taken up, started
//! again or replaced. One way for instances and for the parts of stacks.

use super::abilities::{Abilities, check_gpu};
use super::connect::Client;
use super::inspect::{self, Container};
use super::network::{self, Networks};
use super::stdio::{self, Pipes};
use super::{acts, create, folders, pull, trouble};
use crate::backend::{BackendError, ContainerSpec, Plain, Progress};
use crate::model::container::{Speaks, labels};
use crate::model::secret::Hidden;
use crate::model::server::Limits;
use bollard::errors::Error;
use bollard::models::ContainerCreateBody;
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder,
    StopContainerOptionsBuilder,
};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::sleep;

/// Creating, starting and removing take their time on an engine that does it a hundred times at once.
pub const LIMIT: Duration = Duration::from_secs(120);
/// Given to a container that is replaced by one of another definition.
const REPLACE: Duration = Duration::from_secs(10);
/// Given to one that speaks to nobody any more.
const END: Duration = Duration::from_secs(1);
/// A name is free a moment after its container was removed.
const NAME_TRIES: u32 = 20;
const NAME_WAIT: Duration = Duration::from_millis(100);

/// What the starts on one engine share.
#[derive(Default)]
pub struct Workshop {
    abilities: OnceCell<Abilities>,
    pub networks: Networks,
}

/// What is to run.
pub struct Order {
    pub name: String,
    pub platform: String,
    pub spec: ContainerSpec,
    pub limits: Limits,
    /// Besides the spec's own.
    pub labels: Vec<(&'static str, String)>,
    /// The owner that makes it, if it is to be written on it.
    pub boot: Option<String>,
}

/// What runs now.
pub struct Launched {
    pub id: String,
    pub notes: Vec<String>,
    /// Bytes, in force.
    pub memory: Option<u64>,
    /// Of one that speaks on stdio: nothing ran before.
    pub pipes: Option<Pipes>,
}

/// What to do about the container that has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Make,
    Replace,
    StartAgain,
    /// It speaks to somebody who is gone.
    EndAndStartAgain,
    TakeUp,
}

/// All that is known before anything is made.
pub struct Ready {
    limits: Limits,
    notes: Vec<String>,
    /// Id of the image.
    image: String,
    there: Option<Container>,
}

impl Ready {
    /// Defaults that are not in force.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

struct Wanted {
    body: ContainerCreateBody,
    definition: String,
    image: String,
}

impl Workshop {
    /// Checks what can be checked, and fetches the image. May be dropped at any time. Errors never hold a secret.
    pub async fn prepare(&self, client: &Client, order: &Order, progress: &Progress) -> Result<Ready, BackendError> {
        let prepared = async {
            check_gpu(client, order.spec.gpu.as_ref())?;
            folders::keep_sockets_out(client, &order.spec)?;
            let abilities = self.abilities.get_or_try_init(|| Abilities::of(client)).await?;
            let (limits, notes) = abilities.honour(&order.limits)?;
            prepare_folders(client, &order.spec, abilities.remaps_users()).await?;
            let (there, image) = tokio::try_join!(
                inspect::container(client, &order.name),
                pull::ensure(client, &order.spec.image, order.spec.pull, progress)
            )?;
            Ok(Ready { limits, notes, image, there })
        };
        prepared.await.map_err(|error| order.masked(error))
    }

    /// Makes it run. Must not be dropped: what the engine has begun would be known to nobody. Errors never hold a secret.
    pub async fn launch(&self, client: &Client, order: &Order, ready: Ready) -> Result<Launched, BackendError> {
        let Ready { limits, notes, image, there } = ready;
        let wanted = Wanted::new(order, &limits, image, client.podman);
        let run = self.run(client, order, wanted, there).await.map_err(|error| order.masked(error));
        run.map(|(id, pipes)| Launched { id, notes, memory: limits.memory, pipes })
    }

    async fn run(
        &self,
        client: &Client,
        order: &Order,
        wanted: Wanted,
        there: Option<Container>,
    ) -> Result<(String, Option<Pipes>), BackendError> {
        let verdict =
            order.verdict(there.as_ref(), &wanted, client.podman).map_err(|reason| refused(client, reason))?;
        if let Some(there) = there {
            if verdict == Verdict::TakeUp {
                if there.state.paused {
                    client.within(LIMIT, client.docker.unpause_container(&there.id)).await?;
                }
                return Ok((there.id, None));
            }
            if verdict == Verdict::EndAndStartAgain {
                retire(client, &there.id, END, None).await?;
            }
            if verdict != Verdict::Replace {
                match start(client, order, &there.id).await {
                    Ok(pipes) => return Ok((there.id, pipes)),
                    // What it needs may be gone, like its network: a new one gets new ones.
                    Err(error) => tracing::debug!("{} is made anew: {error}", order.name),
                }
            }
            retire(client, &there.id, REPLACE, Some(order.volumes())).await?;
        }
        let id = self.create(client, order, wanted.body).await?;
        let pipes = match start(client, order, &id).await {
            // Its network was removed just now, with what was the last container in it.
            Err(error) if error.to_string().contains("network") && error.to_string().contains("not found") => {
                self.networks.ensure(client, &order.spec.network, &order.platform).await?;
                start(client, order, &id).await?
            }
            started => started?,
        };
        Ok((id, pipes))
    }

    async fn create(&self, client: &Client, order: &Order, body: ContainerCreateBody) -> Result<String, BackendError> {
        self.networks.ensure(client, &order.spec.network, &order.platform).await?;
        let options = CreateContainerOptionsBuilder::default().name(&order.name).build();
        let mut tries = 0;
        let id = loop {
            let made = client.docker.create_container(Some(options.clone()), body.clone());
            match tokio::time::timeout(LIMIT, made).await {
                Ok(Ok(made)) => break made.id,
                Ok(Err(error)) if status(&error) == Some(409) && tries < NAME_TRIES => tries += 1,
                Ok(Err(error)) => return Err(client.error(&error)),
                Err(_) => return Err(refused(client, trouble::silent(&client.place, LIMIT))),
            }
            sleep(NAME_WAIT).await;
        };
        for network in &order.spec.networks {
            if let Err(error) = network::join(client, &id, network).await {
                retire(client, &id, Duration::ZERO, Some(order.volumes())).await?;
                return Err(error);
            }
        }
        Ok(id)
    }
}

impl Wanted {
    fn new(order: &Order, limits: &Limits, image: String, podman: bool) -> Self {
        let mut body = create::body(&order.spec, limits, &order.labels, podman);
        let definition = create::definition(&body);
        let boot = order.boot.iter().map(|boot| (labels::BOOT, boot.clone()));
        let last = boot.chain([(labels::DEFINITION, definition.clone())]);
        body.labels.get_or_insert_default().extend(last.map(|(name, value)| (name.to_owned(), value)));
        Self { body, definition, image }
    }
}

impl Order {
    fn verdict(&self, there: Option<&Container>, wanted: &Wanted, podman: bool) -> Result<Verdict, String> {
        let Some(there) = there else { return Ok(Verdict::Make) };
        let own = self.labels.iter().find(|(name, _)| *name == labels::INSTANCE).map(|(_, key)| key.as_str());
        let name = &self.name;
        if there.label(labels::PLATFORM) != Some(&self.platform) {
            return Err(format!("it has a container {name} that mcpdeck did not make; rename that or remove it"));
        }
        match (own, there.label(labels::INSTANCE)) {
            (Some(own), Some(theirs)) if own != theirs => {
                return Err(format!(
                    "{own} and {theirs} would both be the container {name}; rename one of the servers"
                ));
            }
            // It bears the label of our platform, and we did not make it as what it is called.
            (Some(_), None) | (None, Some(_)) => {
                return Err(format!("it has a container {name} that mcpdeck did not make; rename that or remove it"));
            }
            _ => {}
        }
        let same = there.label(labels::DEFINITION) == Some(&wanted.definition) && there.is_made_from(&wanted.image);
        Ok(match (same, there.is_live(), self.spec.speaks == Speaks::Stdio) {
            (false, ..) => Verdict::Replace,
            // Podman's attach may still reach the run that just ended, and break: one of its own has nothing left over.
            (true, _, true) if podman => Verdict::Replace,
            (true, false, _) => Verdict::StartAgain,
            (true, true, true) => Verdict::EndAndStartAgain,
            (true, true, false) => Verdict::TakeUp,
        })
    }

    fn masked(&self, error: BackendError) -> BackendError {
        let secrets = self.spec.env.iter().filter_map(|(_, value)| match value {
            Plain::Secret(secret) => Some(secret),
            Plain::Text(_) => None,
        });
        let hidden = Hidden::new(secrets);
        let mask = |text: String| hidden.mask(&text).0.into_owned();
        match error {
            BackendError::Engine { engine, reason } => BackendError::Engine { engine, reason: mask(reason) },
            BackendError::Spawn { program, reason } => BackendError::Spawn { program, reason: mask(reason) },
            other => other,
        }
    }

    /// Nameless volumes go with an instance; those of a stack's part may hold a database.
    fn volumes(&self) -> Volumes {
        if self.labels.iter().any(|(name, _)| *name == labels::INSTANCE) { Volumes::Remove } else { Volumes::Keep }
    }
}

/// As it is written on the container.
pub fn word(speaks: &Speaks) -> &'static str {
    match speaks {
        Speaks::Stdio => "stdio",
        Speaks::Http { .. } => "http",
        Speaks::Nothing => "nothing",
    }
}

/// What becomes of the nameless volumes of a container that is removed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Volumes {
    Remove,
    Keep,
}

async fn prepare_folders(client: &Client, spec: &ContainerSpec, remapped: bool) -> Result<(), BackendError> {
    if spec.data.is_empty() {
        return Ok(());
    }
    if !client.place.is_local() {
        return Err(refused(
            client,
            "its containers cannot have data folders: those are on this machine; give it volumes in `mounts`"
                .to_owned(),
        ));
    }
    let user = create::user(spec).to_owned();
    let data: Vec<_> = spec.data.iter().map(|(folder, _)| folder.clone()).collect();
    let prepared = tokio::task::spawn_blocking(move || {
        data.iter().try_for_each(|folder| folders::prepare(folder, &user, remapped))
    });
    prepared.await.map_err(|e| BackendError::Io { what: "data folders".to_owned(), source: e.into() })?
}

/// Attached first, if it speaks on stdio: nothing of what it says is lost.
async fn start(client: &Client, order: &Order, id: &str) -> Result<Option<Pipes>, BackendError> {
    let pipes = match order.spec.speaks {
        Speaks::Stdio => Some(stdio::attach(client, id).await?),
        Speaks::Http { .. } | Speaks::Nothing => None,
    };
    let started = client.within(LIMIT, client.docker.start_container(id, None)).await;
    started.map(|()| pipes).map_err(|error| explained(error, &order.spec))
}

/// What an engine says of a start that failed, put as what the config got wrong.
fn explained(error: BackendError, spec: &ContainerSpec) -> BackendError {
    let BackendError::Engine { engine, reason } = error else { return error };
    if reason.contains("could not select device driver") {
        let reason =
            format!("engine {engine} has no GPU driver for containers; install nvidia-container-toolkit there");
        return BackendError::Limit { limit: "gpu".to_owned(), reason };
    }
    let hints = [
        ("executable file not found", "is the program in the image? `entrypoint` or `command` names it"),
        ("exec format error", "the image is for another kind of processor"),
        ("port is already allocated", "another container or program has that port"),
        ("address already in use", "another container or program has that port"),
        ("bind source path does not exist", "make it, or correct `mounts`"),
        ("no space left on device", "the engine's disk is full: `docker system df` shows what takes it"),
    ];
    let hint = hints.iter().find(|(said, _)| reason.contains(said)).map(|(_, hint)| *hint);
    match hint {
        Some(hint) => BackendError::Spawn { program: spec.image.clone(), reason: format!("{reason}; {hint}") },
        None => BackendError::Engine { engine, reason },
    }
}

fn refused(client: &Client, reason: String) -> BackendError {
    BackendError::Engine { engine: client.engine.to_string(), reason }
}

fn status(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}

/// Answers that say that there is nothing to do: it is gone, or does not run.
fn unless_gone(outcome: Result<(), Error>) -> Result<(), Error> {
    match outcome {
        Err(error) if matches!(status(&error), Some(304 | 404 | 409)) => Ok(()),
        Err(Error::DockerResponseServerError { message, .. }) if acts::is_so_already(&message) => Ok(()),
        other => other,
    }
}

/// SIGKILL; `Ok` if it does not run.
pub async fn kill(client: &Client, id: &str) -> Result<(), BackendError> {
    signal(client, id, "SIGKILL").await
}

/// `Ok` if it does not run.
pub async fn signal(client: &Client, id: &str, signal: &str) -> Result<(), BackendError> {
    let options = KillContainerOptionsBuilder::default().signal(signal).build();
    client.within(LIMIT, async { unless_gone(client.docker.kill_container(id, Some(options)).await) }).await
}

/// Ends it within `grace`, and with `remove` removes it. `Ok` if there is none.
pub async fn retire(client: &Client, id: &str, grace: Duration, remove: Option<Volumes>) -> Result<(), BackendError> {
    if !grace.is_zero() {
        let seconds = grace.as_secs_f64().ceil().min(f64::from(i32::MAX));
        #[expect(clippy::cast_possible_truncation, reason = "bounded in the line before")]
        let options = StopContainerOptionsBuilder::default().t(seconds as i32).build();
        let stopped = async { unless_gone(client.docker.stop_container(id, Some(options)).await) };
        client.within(grace + LIMIT, stopped).await?;
    }
    let Some(volumes) = remove else { return Ok(()) };
    let options = RemoveContainerOptionsBuilder::default().force(true).v(volumes == Volumes::Remove).build();
    client.within(LIMIT, async { unless_gone(client.docker.remove_container(id, Some(options)).await) }).await
}
