//! Where state, data, logs and the socket lie: the XDG folders, or what `[paths]` and `[platform] socket` say.

use super::pass::{Pass, Report};
use super::reader::{Field, Reader};
use super::tree::Place;
use crate::model::slug;
use std::path::PathBuf;

/// Where everything lies; all absolute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    /// Database, audit file.
    pub state: PathBuf,
    /// One folder per instance below it: `data/SERVER/` or `data/SERVER/TENANT/`.
    pub data: PathBuf,
    pub logs: PathBuf,
    pub socket: PathBuf,
}

/// `[platform] socket` and where it stands.
pub(super) type Socket<'t> = (PathBuf, &'t Place);

/// Longest path of a Unix socket on Linux, in bytes (`sun_path` is 108 with its end).
const SOCKET_MAX: usize = 107;

/// An XDG base folder: the variable if it is absolute (others are to be ignored), else its place under `$HOME`.
pub(super) fn base(pass: &Pass<'_>, variable: &str, under_home: &str) -> Option<PathBuf> {
    let named = pass.env(variable).map(PathBuf::from).filter(|path| path.is_absolute());
    named.or_else(|| {
        let home = pass.env("HOME").map(PathBuf::from).filter(|path| path.is_absolute())?;
        Some(home.join(under_home))
    })
}

/// `[paths]`, with a folder per platform name as the default, so that two platforms of one user never meet.
pub(super) fn paths(from: Option<&Field<'_>>, root: &Reader<'_>, platform: &str, socket: Option<Socket<'_>>) -> Paths {
    let pass = root.pass;
    let name = slug(platform);
    let mut reader = from.and_then(Field::table);
    let mut own = |key| reader.as_mut().and_then(|r| r.opt(key, Field::path));
    let (state, data, logs) = (own("state"), own("data"), own("logs"));
    let given = state.is_some();
    let state =
        state.or_else(|| base(pass, "XDG_STATE_HOME", ".local/state").map(|dir| dir.join("mcpdeck").join(&name)));
    let state = state.unwrap_or_else(|| {
        let report =
            Report::new(root.at, "paths.state", "no folder for the state: neither HOME nor XDG_STATE_HOME is set");
        pass.problem(report.help("set HOME, or give [paths] state = \"/var/lib/mcpdeck\""));
        PathBuf::from("/nonexistent")
    });
    let data = data.unwrap_or_else(|| {
        // Who names the state folder wants everything there.
        let shared = base(pass, "XDG_DATA_HOME", ".local/share").filter(|_| !given);
        shared.map_or_else(|| state.join("data"), |dir| dir.join("mcpdeck").join(&name))
    });
    let out = Paths {
        logs: logs.unwrap_or_else(|| state.join("logs")),
        socket: socket.as_ref().map_or_else(|| default_socket(pass, &name, &state), |(path, _)| path.clone()),
        state,
        data,
    };
    if let Some(reader) = reader {
        reader.finish();
    }
    check_socket(&out, pass, socket.map_or(root.at, |(_, at)| at));
    out
}

/// `$XDG_RUNTIME_DIR/mcpdeck/`, else `/run/mcpdeck/` as root, else the state folder.
fn default_socket(pass: &Pass<'_>, name: &str, state: &std::path::Path) -> PathBuf {
    let file = format!("{name}.sock");
    let runtime = pass.env("XDG_RUNTIME_DIR").map(PathBuf::from);
    match runtime.filter(|dir| dir.is_absolute() && dir.is_dir()) {
        Some(dir) => dir.join("mcpdeck").join(file),
        None if rustix::process::geteuid().is_root() => PathBuf::from("/run/mcpdeck").join(file),
        None => state.join(file),
    }
}

fn check_socket(paths: &Paths, pass: &Pass<'_>, at: &Place) {
    let length = paths.socket.as_os_str().len();
    if length > SOCKET_MAX {
        let message = format!("the socket's path has {length} bytes, {SOCKET_MAX} at most: {}", paths.socket.display());
        let report = Report::new(at, "platform.socket", message);
        pass.problem(
            report.help("give a short one: [platform] socket = \"/tmp/mcpdeck.sock\", or set XDG_RUNTIME_DIR"),
        );
    }
}
