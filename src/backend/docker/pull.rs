//! Images: whether one is there, and its pull with progress.

use super::connect::Client;
use super::inspect;
use crate::backend::{BackendError, Progress};
use crate::model::container::{PULL_FAILED, Pull};
use crate::model::text;
use bollard::errors::Error;
use bollard::models::CreateImageInfo;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::time::timeout;

/// An engine says something at least this often while it pulls, also while it waits to try again.
const SILENCE: Duration = Duration::from_secs(120);
/// More layers than an image can have; what comes beyond is not counted.
const LAYERS: usize = 256;
const MIB: u64 = 1 << 20;

/// The id of the image, which is there afterwards.
pub async fn ensure(client: &Client, image: &str, pull: Pull, progress: &Progress) -> Result<String, BackendError> {
    let present = inspect::image(client, image).await?;
    match (pull, present) {
        (Pull::Missing | Pull::Never, Some(id)) => Ok(id),
        (Pull::Never, None) => Err(refused(client, never(image))),
        (Pull::Always, _) | (Pull::Missing, None) => {
            fetch(client, image, progress).await?;
            let id = inspect::image(client, image).await?;
            id.ok_or_else(|| refused(client, format!("the pull of `{image}` ended without an image; start it again")))
        }
    }
}

/// Why what must not be pulled cannot run.
pub fn never(image: &str) -> String {
    format!("it has no image `{image}`, and `pull = \"never\"`: build or load it there, or let it be pulled")
}

async fn fetch(client: &Client, image: &str, progress: &Progress) -> Result<(), BackendError> {
    let options = CreateImageOptionsBuilder::default().from_image(&tagged(image)).build();
    let mut steps = client.docker.create_image(Some(options), None, None);
    let mut layers = Layers::default();
    progress.send_replace(format!("pulling {image}"));
    loop {
        match timeout(SILENCE, steps.next()).await {
            Ok(Some(Ok(step))) => {
                if let Some(text) = layers.note(&step) {
                    progress.send_replace(text);
                }
            }
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) => return Err(broken(client, image, &layers, &error)),
            Err(_) => return Err(broken(client, image, &layers, &Error::RequestTimeoutError)),
        }
    }
}

fn refused(client: &Client, reason: String) -> BackendError {
    BackendError::Engine { engine: client.engine.to_string(), reason }
}

fn broken(client: &Client, image: &str, layers: &Layers, error: &Error) -> BackendError {
    let why = match error {
        Error::RequestTimeoutError => format!("nothing came for {} s", SILENCE.as_secs()),
        error => match client.error(error) {
            BackendError::Engine { reason, .. } | BackendError::Silent { reason, .. } => reason,
            other => other.to_string(),
        },
    };
    let at = match layers.percent() {
        Some(percent) => format!("{PULL_FAILED}{image}`: it broke off at {percent} %"),
        None => format!("{PULL_FAILED}{image}`"),
    };
    let next = match why.contains("unauthorized") || why.contains("denied") || why.contains("authentication") {
        true => "pull it there by hand with `docker login` and `docker pull`",
        false => {
            "is its registry up and the name right? Every start tries again and keeps the layers that are complete"
        }
    };
    refused(client, format!("{at}: {why}; {next}"))
}

/// With its tag: without one, an engine pulls every tag there is.
fn tagged(image: &str) -> String {
    let name = image.rsplit('/').next().unwrap_or(image);
    if name.contains([':', '@']) { image.to_owned() } else { format!("{image}:latest") }
}

/// How far each layer is: bytes here, bytes in all.
#[derive(Default)]
struct Layers(BTreeMap<String, (u64, u64)>);

impl Layers {
    /// What to tell whoever waits, if this step is worth it.
    fn note(&mut self, step: &CreateImageInfo) -> Option<String> {
        let status = step.status.as_deref()?;
        if status.starts_with("Retrying") {
            let said = text::name(&status.to_lowercase());
            return Some(format!("pulling: the registry broke off; {said}"));
        }
        let id = step.id.as_ref()?;
        let bytes = |number: Option<i64>| number.and_then(|n| u64::try_from(n).ok());
        let detail = step.progress_detail.as_ref();
        match status {
            "Downloading" => {
                let total = bytes(detail?.total).filter(|total| *total > 0)?;
                let here = bytes(detail?.current).unwrap_or(0).min(total);
                if self.0.len() < LAYERS || self.0.contains_key(id) {
                    self.0.insert(id.clone(), (here, total));
                }
            }
            "Download complete" | "Pull complete" => {
                let layer = self.0.get_mut(id)?;
                layer.0 = layer.1;
            }
            _ => return None,
        }
        let (here, total) = self.sum();
        let percent = self.percent()?;
        Some(match here == total {
            true => format!("unpacking {}", mib(total)),
            false => format!("pulling {percent} %, {} of {}", here / MIB, mib(total)),
        })
    }

    fn sum(&self) -> (u64, u64) {
        self.0.values().fold((0, 0), |(here, total), layer| (here + layer.0, total + layer.1))
    }

    fn percent(&self) -> Option<u64> {
        let (here, total) = self.sum();
        (here * 100).checked_div(total)
    }
}

fn mib(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(MIB))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_tag_is_the_latest() {
        let cases = [
            ("git", "git:latest"),
            ("git:1", "git:1"),
            ("host:5000/git", "host:5000/git:latest"),
            ("host:5000/a/git:1", "host:5000/a/git:1"),
            ("git@sha256:00", "git@sha256:00"),
        ];
        for (image, expected) in cases {
            assert_eq!(tagged(image), expected);
        }
    }

    #[test]
    fn progress_is_the_sum_over_the_layers() {
        let steps = [
            (r#"{"status":"Pulling from git","id":"latest"}"#, None),
            (r#"{"status":"Already exists","id":"z"}"#, None),
            (
                r#"{"status":"Downloading","id":"a","progressDetail":{"current":0,"total":104857600}}"#,
                Some("pulling 0 %, 0 of 100 MiB"),
            ),
            (
                r#"{"status":"Downloading","id":"b","progressDetail":{"current":52428800,"total":209715200}}"#,
                Some("pulling 16 %, 50 of 300 MiB"),
            ),
            (r#"{"status":"Download complete","id":"a"}"#, Some("pulling 50 %, 150 of 300 MiB")),
            (
                r#"{"status":"Retrying in 5 seconds","id":"b"}"#,
                Some("pulling: the registry broke off; retrying in 5 seconds"),
            ),
            (r#"{"status":"Download complete","id":"b"}"#, Some("unpacking 300 MiB")),
            (r#"{"status":"Status: Downloaded newer image"}"#, None),
        ];
        let mut layers = Layers::default();
        for (step, expected) in steps {
            let told = layers.note(&serde_json::from_str(step).unwrap());
            assert_eq!(told.as_deref(), expected, "{step}");
        }
    }
}
