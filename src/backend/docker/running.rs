//! One instance that runs in a container: how its end is noticed, and how it is brought about.

use super::connect::Client;
use super::inspect::{self, Container};
use super::provide::{self, LIMIT, Volumes};
use super::stdio::Line;
use super::{DockerEngine, create};
use crate::backend::{BackendError, ContainerSpec, Exit};
use crate::model::container::{Reach, Speaks};
use crate::model::{InstanceKey, Stamp};
use bollard::errors::Error;
use futures_util::StreamExt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// What still runs this long after SIGKILL hangs in the kernel, or its engine does.
const KILL_WAIT: Duration = Duration::from_secs(10);
/// Between looks for an engine that went away.
const LOOK: Duration = Duration::from_millis(250);
/// The connection of a stdio server breaks within this, if its engine is gone.
const PIPES_END: Duration = Duration::from_secs(1);

pub struct Instance {
    pub key: InstanceKey,
    pub id: String,
    pub engine: Arc<DockerEngine>,
    /// Bytes, in force.
    pub memory: Option<u64>,
    /// Of one that speaks on stdio.
    pub line: Option<Line>,
    pub gone: CancellationToken,
}

/// What became of a wait for its end.
enum Waited {
    Ended(i64),
    Removed,
    /// The engine went away, or came back.
    Lost,
}

impl Instance {
    /// Until it is gone. Told by the engine; while that is away nobody knows, and it counts as running unless it lives
    /// by its pipes.
    pub async fn outlive(&self) -> Exit {
        loop {
            let Ok(client) = self.engine.client().await else {
                if self.pipes_ended().await {
                    return exit(None, false);
                }
                sleep(LOOK).await;
                continue;
            };
            let waited = tokio::select! {
                waited = wait(&client, &self.id) => waited,
                () = self.engine.returned() => Waited::Lost,
            };
            match waited {
                Waited::Ended(code) => {
                    let there = inspect::container(&client, &self.id).await.ok().flatten();
                    // Podman says 0 of one that was removed.
                    let code = (there.is_some() || !client.podman).then_some(code);
                    return exit(code, there.is_some_and(|there| there.state.oom_killed));
                }
                Waited::Removed => return exit(None, false),
                Waited::Lost if self.pipes_ended().await => return exit(None, false),
                Waited::Lost => sleep(LOOK).await,
            }
        }
    }

    /// A stdio server whose connection broke cannot be spoken to again.
    async fn pipes_ended(&self) -> bool {
        match &self.line {
            Some(line) => timeout(PIPES_END, line.ended.cancelled()).await.is_ok(),
            None => false,
        }
    }

    /// In stages: its stdin is closed already, its own stop signal, SIGKILL.
    pub async fn stop(&self, close: Duration, term: Duration) -> Result<(), BackendError> {
        let client = self.engine.client().await?;
        let Some(there) = self.awake(&client).await? else { return Ok(()) };
        if self.line.is_some() && self.ends_within(close).await {
            return Ok(());
        }
        let signal = if there.config.stop_signal.is_empty() { "SIGTERM" } else { &there.config.stop_signal };
        provide::signal(&client, &self.id, signal).await?;
        if self.ends_within(term).await {
            return Ok(());
        }
        self.end(&client).await
    }

    /// SIGKILL at once.
    pub async fn kill(&self) -> Result<(), BackendError> {
        let client = self.engine.client().await?;
        match self.awake(&client).await? {
            Some(_) => self.end(&client).await,
            None => Ok(()),
        }
    }

    /// It as it is, unpaused: a paused one takes no signal. `None` once it is gone.
    async fn awake(&self, client: &Client) -> Result<Option<Container>, BackendError> {
        let there = inspect::container(client, &self.id).await?;
        match there.filter(Container::is_live) {
            Some(there) => {
                if there.state.paused {
                    client.within(LIMIT, client.docker.unpause_container(&self.id)).await?;
                }
                Ok(Some(there))
            }
            None => {
                self.ends_within(KILL_WAIT).await;
                Ok(None)
            }
        }
    }

    async fn end(&self, client: &Client) -> Result<(), BackendError> {
        if let Some(line) = &self.line {
            line.drain.cancel();
        }
        provide::kill(client, &self.id).await?;
        match self.ends_within(KILL_WAIT).await {
            true => Ok(()),
            false => Err(BackendError::Engine {
                engine: client.engine.to_string(),
                reason: format!("{} still runs {} s after SIGKILL", self.key, KILL_WAIT.as_secs()),
            }),
        }
    }

    async fn ends_within(&self, limit: Duration) -> bool {
        timeout(limit, self.gone.cancelled()).await.is_ok()
    }

    /// Pauses or (`pause` is false) wakes it; `Ok` if it is so already.
    pub async fn set_paused(&self, pause: bool) -> Result<(), BackendError> {
        let client = self.engine.client().await?;
        let outcome = match pause {
            true => client.within(LIMIT, client.docker.pause_container(&self.id)).await,
            false => client.within(LIMIT, client.docker.unpause_container(&self.id)).await,
        };
        let Err(error) = outcome else { return Ok(()) };
        match inspect::container(&client, &self.id).await? {
            Some(there) if there.is_live() && there.state.paused == pause => Ok(()),
            _ => Err(error),
        }
    }

    /// One of a session never starts again.
    pub async fn forget(&self) {
        if self.key.session.is_none() {
            return;
        }
        let removed = async {
            provide::retire(&self.engine.client().await?, &self.id, Duration::ZERO, Some(Volumes::Remove)).await
        };
        if let Err(error) = removed.await {
            tracing::warn!("the container of {} stays: {error}; `mcpdeck reap` removes it", self.key);
        }
    }
}

async fn wait(client: &Client, id: &str) -> Waited {
    let mut answers = client.docker.wait_container(id, None);
    match answers.next().await {
        Some(Ok(answer)) => Waited::Ended(answer.status_code),
        Some(Err(Error::DockerContainerWaitError { code, .. })) => Waited::Ended(code),
        Some(Err(Error::DockerResponseServerError { status_code: 404, .. })) => Waited::Removed,
        Some(Err(_)) | None => Waited::Lost,
    }
}

/// A code of 128 and more is a signal, as shells have it.
fn exit(code: Option<i64>, oom_killed: bool) -> Exit {
    let code = code.and_then(|code| i32::try_from(code).ok());
    let signal = code.filter(|code| (129..=192).contains(code)).map(|code| code - 128);
    // A child that was killed for memory is not yet the end of the whole.
    let oom = oom_killed && signal == Some(9);
    Exit { at: Stamp::now(), code: code.filter(|_| signal.is_none()), signal, oom }
}

/// Where an HTTP server is reached; `None`: it speaks otherwise.
pub async fn url(client: &Client, id: &str, spec: &ContainerSpec) -> Result<Option<String>, BackendError> {
    let Speaks::Http { port, path, reach } = &spec.speaks else { return Ok(None) };
    let fail = |reason: String| BackendError::Engine { engine: client.engine.to_string(), reason };
    if *reach == Reach::Published && !client.place.is_local() {
        return Err(fail(
            "a port published there on its loopback cannot be reached from here; use `reach = \"address\"`".to_owned(),
        ));
    }
    let there = inspect::container(client, id).await?.ok_or_else(|| fail("it was removed as it started".to_owned()))?;
    let host = match reach {
        Reach::Published => {
            let inside = create::inside(&spec.speaks).unwrap_or_default();
            there.host_port(&inside).map(|published| format!("127.0.0.1:{published}"))
        }
        Reach::Address => there.address(&spec.network).map(|address| format!("{address}:{port}")),
    };
    match host {
        Some(host) => Ok(Some(format!("http://{host}/{}", path.trim_start_matches('/')))),
        None if there.is_live() => {
            Err(fail(format!("it gave port {port} no way in from the host, in network {}", spec.network)))
        }
        None => Err(BackendError::Spawn {
            program: spec.image.clone(),
            reason: format!("it ended as it started, with code {}; its log says why", there.state.exit_code),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_read_as_shells_do() {
        let cases = [
            (Some(0), false, "exited 0"),
            (Some(3), false, "exited 3"),
            (Some(3), true, "exited 3"),
            (Some(137), false, "killed by signal 9"),
            (Some(137), true, "killed: out of memory (its limit)"),
            (Some(143), false, "killed by signal 15"),
            (Some(255), false, "exited 255"),
            (None, false, "gone"),
        ];
        for (code, oom, words) in cases {
            assert_eq!(exit(code, oom).to_string(), words);
        }
    }
}
