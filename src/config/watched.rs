//! Which files a configuration was read from, and whether they are still the same.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

/// Links that are followed from one file.
const HOPS: usize = 8;

/// Files that make a configuration: the file, what it includes, compose files. Not `.env` files and secrets: those are
/// values, and are read when something starts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watched {
    pub(super) files: BTreeSet<PathBuf>,
    /// Patterns that more files may come to match.
    pub(super) patterns: BTreeSet<String>,
}

impl Watched {
    /// Folders in which a change may concern one of the files: where each is named, where each link on its way leads,
    /// and where patterns look. A file that is replaced, or a link that is turned elsewhere, shows in its folder alone.
    pub fn folders(&self) -> BTreeSet<PathBuf> {
        let mut out = BTreeSet::new();
        for file in &self.files {
            let mut at = file.clone();
            for _ in 0..HOPS {
                out.extend(at.parent().map(Path::to_owned));
                let Ok(link) = std::fs::read_link(&at) else { break };
                at = at.parent().unwrap_or(Path::new("/")).join(link);
            }
            // A link may stand in the middle of the path, too.
            out.extend(file.canonicalize().ok().and_then(|path| path.parent().map(Path::to_owned)));
        }
        for pattern in &self.patterns {
            let fixed: PathBuf = Path::new(pattern)
                .components()
                .take_while(|part| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']))
                .collect();
            out.insert(fixed);
            out.extend(matching(pattern).into_iter().filter_map(|path| path.parent().map(Path::to_owned)));
        }
        out
    }

    /// A number that differs when what stands in the files does, or which there are.
    pub fn fingerprint(&self) -> u64 {
        let mut hash = DefaultHasher::new();
        for file in &self.files {
            file.hash(&mut hash);
            std::fs::read(file).ok().hash(&mut hash);
        }
        for pattern in &self.patterns {
            matching(pattern).hash(&mut hash);
        }
        hash.finish()
    }
}

fn matching(pattern: &str) -> Vec<PathBuf> {
    glob::glob(pattern).map(|paths| paths.filter_map(Result::ok).collect()).unwrap_or_default()
}
