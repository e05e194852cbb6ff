//! What was typed at a prompt in earlier sessions: a small file of lines, the newest last, shared by all consoles.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Lines that are remembered.
const MOST: usize = 100;
/// Bytes of a file that is one of these.
const LARGEST: u64 = 1 << 20;

/// The lines of a file; none if it cannot be read.
pub fn read(path: &Path) -> Vec<String> {
    let small = fs::metadata(path).is_ok_and(|meta| meta.len() <= LARGEST);
    let text = if small { fs::read_to_string(path).unwrap_or_default() } else { String::new() };
    text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// `line` as the newest of `lines`, once.
pub fn add(lines: &mut Vec<String>, line: &str) {
    lines.retain(|earlier| earlier != line);
    lines.push(line.to_owned());
    lines.drain(..lines.len().saturating_sub(MOST));
}

/// Adds `line` to what the file has by now; what another console added stays.
///
/// # Errors
/// The folder cannot be written.
pub fn remember(path: &Path, line: &str) -> io::Result<()> {
    let mut lines = read(path);
    add(&mut lines, line);
    let new = path.with_extension(format!("new-{}", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    lines.iter().try_for_each(|line| writeln!(file, "{line}"))?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stay_once_each_whoever_wrote_them() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("filters");
        assert_eq!(read(&path), Vec::<String>::new());
        for line in [".a", ".b | length", ".a"] {
            remember(&path, line).unwrap();
        }
        assert_eq!(read(&path), [".b | length", ".a"]);
        for n in 0..MOST {
            remember(&path, &n.to_string()).unwrap();
        }
        let lines = read(&path);
        assert_eq!((lines.len(), lines[0].as_str()), (MOST, "0"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing else is left");
    }
}
