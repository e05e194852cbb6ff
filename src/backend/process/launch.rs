//! One start: checks the command, makes the cell, spawns the program into it.

use super::cgroup::{self, Cell, Cgroups, Controller};
use super::program;
use crate::backend::{BackendError, Plain};
use crate::model::InstanceKey;
use crate::model::server::Limits;
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// Joins the cell and becomes the program. Joining from outside, after the start, would be a race: what the program
/// had forked by then would stay outside. A shell does it in 0.5 ms, a tenth of what our own binary would need. The variables
/// that shells make up by themselves are taken away again. 126 is the code of "found but cannot be run".
const JOIN: &str =
    r#"while [ "$1" != -- ]; do echo 0 >"$1" || exit 126; shift; done; shift; unset PWD OLDPWD SHLVL _; exec "$@""#;

/// What to run, filled in.
pub struct Order {
    pub key: InstanceKey,
    pub command: Vec<String>,
    pub env: Vec<(String, Plain)>,
    pub cwd: Option<PathBuf>,
    pub data: PathBuf,
    pub limits: Limits,
}

impl Order {
    /// The program as it was written.
    pub fn program(&self) -> &str {
        self.command.first().map_or("", String::as_str)
    }

    fn failed(&self, reason: String) -> BackendError {
        BackendError::Spawn { program: self.program().to_owned(), reason }
    }

    /// Working directory; the data folder is made if it is missing.
    fn folder(&self) -> Result<&Path, BackendError> {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.data);
        made.map_err(|source| BackendError::Io { what: format!("data folder {}", self.data.display()), source })?;
        let cwd = self.cwd.as_deref().unwrap_or(&self.data);
        if !cwd.is_dir() {
            return Err(self.failed(format!("its working directory {} does not exist; create it", cwd.display())));
        }
        Ok(cwd)
    }

    /// Makes the cell, or says which limits are not in force.
    pub fn cell(&self, cgroups: &Cgroups, name: &str) -> Result<(Option<Cell>, Vec<String>), BackendError> {
        let (cell, missing) = cgroups
            .create(name, &self.limits)
            .map_err(|source| BackendError::Io { what: format!("limits of {}", self.key), source })?;
        if self.limits.explicit && !missing.is_empty() {
            return Err(BackendError::Limit {
                limit: missing.iter().map(|c| describe(*c, &self.limits)).collect::<Vec<_>>().join(", "),
                reason: "no cgroup that we may use; run mcpdeck where cgroups are delegated to it (systemd: `Delegate=yes`), \
                         or take the limit out of the config"
                    .to_owned(),
            });
        }
        Ok((cell, missing.iter().map(|c| format!("{} unlimited: no cgroup", c.name())).collect()))
    }

    /// Starts the program as the leader of its own group, with nothing but its own environment.
    pub fn spawn(&self, cell: Option<&Cell>) -> Result<Child, BackendError> {
        let cwd = self.folder()?;
        let path = self.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.expose());
        let file = program::find(self.program(), path, cwd).map_err(|reason| self.failed(reason))?;
        let mut command = match cell {
            None => Command::new(&file),
            Some(cell) => {
                let mut command = Command::new(cgroup::SHELL);
                command.args(["-c", JOIN, "sh"]).args(cell.dirs().map(|dir| dir.join("cgroup.procs")));
                command.arg("--").arg(&file);
                command
            }
        };
        command
            .args(self.command.iter().skip(1))
            .env_clear()
            .envs(self.env.iter().map(|(name, value)| (name, value.expose())))
            .current_dir(cwd)
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().map_err(|e| self.failed(format!("{}: {e}", file.display())))
    }
}

fn describe(controller: Controller, limits: &Limits) -> String {
    let value = match controller {
        Controller::Memory => limits.memory.map(|bytes| format!("{bytes} bytes")),
        Controller::Cpu => limits.cpus.map(|cpus| cpus.to_string()),
        Controller::Pids => limits.pids.map(|pids| pids.to_string()),
    };
    format!("{} limit {}", controller.name(), value.unwrap_or_default())
}
