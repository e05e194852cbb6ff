//! What an engine can hold its containers to, and what becomes of a limit that it cannot. The decision is pure.

use super::connect::Client;
use crate::backend::BackendError;
use crate::model::container::GpuNeed;
use crate::model::server::Limits;
use serde::Deserialize;

/// Of an engine's `GET /info`. What it does not say, it is taken to be able to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Abilities {
    memory_limit: Option<bool>,
    cpu_cfs_quota: Option<bool>,
    pids_limit: Option<bool>,
    security_options: Option<Vec<String>>,
}

impl Abilities {
    pub async fn of(client: &Client) -> Result<Self, BackendError> {
        client.get("/info").await
    }

    /// Users inside are other users outside.
    pub fn remaps_users(&self) -> bool {
        let options = self.security_options.iter().flatten();
        options.clone().any(|option| option.contains("userns") || option.contains("rootless"))
    }

    /// `limits` without those that cannot be, each with a note; asked for by a config, they refuse the start.
    pub fn honour(&self, limits: &Limits) -> Result<(Limits, Vec<String>), BackendError> {
        let mut kept = limits.clone();
        let mut missing: Vec<(&str, String)> = Vec::new();
        if self.memory_limit == Some(false)
            && let Some(bytes) = kept.memory.take()
        {
            missing.push(("memory", format!("memory limit {bytes} bytes")));
        }
        if self.cpu_cfs_quota == Some(false)
            && let Some(cpus) = kept.cpus.take()
        {
            missing.push(("cpu", format!("cpu limit {cpus}")));
        }
        if self.pids_limit == Some(false)
            && let Some(pids) = kept.pids.take()
        {
            missing.push(("pids", format!("pids limit {pids}")));
        }
        if limits.explicit && !missing.is_empty() {
            return Err(BackendError::Limit {
                limit: missing.into_iter().map(|(_, limit)| limit).collect::<Vec<_>>().join(", "),
                reason: "the engine has no cgroup controller for it; enable it there (`docker info` names what is \
                         missing), or take the limit out of the config"
                    .to_owned(),
            });
        }
        let notes = missing.iter().map(|(name, _)| format!("{name} unlimited: the engine has no cgroup controller"));
        Ok((kept, notes.collect()))
    }
}

/// Podman's Docker API drops requests for GPUs without a word.
pub fn check_gpu(client: &Client, gpu: Option<&GpuNeed>) -> Result<(), BackendError> {
    match gpu {
        Some(_) if client.podman => Err(BackendError::Limit {
            limit: "gpu".to_owned(),
            reason: format!("{} gives no GPU through its Docker API; run this one on a Docker engine", client.version),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_honoured_is_a_note_or_a_refusal() {
        let limits = |explicit| Limits { memory: Some(1 << 20), cpus: Some(0.5), pids: Some(9), explicit };
        let info = |text: &str| serde_json::from_str::<Abilities>(text).unwrap();
        let all = info(r#"{"MemoryLimit":true,"CpuCfsQuota":true,"PidsLimit":true}"#);
        let unsaid = info("{}");
        for able in [&all, &unsaid] {
            assert_eq!(able.honour(&limits(true)).unwrap(), (limits(true), vec![]));
        }
        let poor = info(r#"{"MemoryLimit":false,"CpuCfsQuota":true,"PidsLimit":false}"#);
        let (kept, notes) = poor.honour(&limits(false)).unwrap();
        assert_eq!((kept.memory, kept.cpus, kept.pids), (None, Some(0.5), None));
        assert_eq!(notes, ["memory", "pids"].map(|l| format!("{l} unlimited: the engine has no cgroup controller")));
        let refused = poor.honour(&limits(true)).unwrap_err().to_string();
        assert!(refused.starts_with("cannot honour memory limit 1048576 bytes, pids limit 9: the engine"), "{refused}");
        assert_eq!(poor.honour(&Limits { explicit: true, ..Limits::default() }).unwrap().1, Vec::<String>::new());
    }

    #[test]
    fn remapped_users_are_seen() {
        let info = |text: &str| serde_json::from_str::<Abilities>(text).unwrap().remaps_users();
        assert!(info(r#"{"SecurityOptions":["name=seccomp,profile=default","name=userns"]}"#));
        assert!(info(r#"{"SecurityOptions":["name=rootless"]}"#));
        assert!(!info(r#"{"SecurityOptions":["name=seccomp,profile=default"]}"#));
        assert!(!info(r#"{"SecurityOptions":null}"#));
    }
}
