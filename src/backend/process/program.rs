//! Finds the program of a command before it is started, so that what is missing is named and not guessed from a shell's
//! exit code.

use std::fs;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Where programs are looked for when the instance's environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// The file that `program` means: a name is looked for in `path`, anything with a slash is relative to `cwd`.
/// The error says where it was looked for and what to do.
pub fn find(program: &str, path: Option<&str>, cwd: &Path) -> Result<PathBuf, String> {
    if program.is_empty() {
        return Err("its command is empty; give a program in `run.command`".to_owned());
    }
    if program.contains('/') {
        let file = cwd.join(program);
        return check(&file).map(|()| file);
    }
    let path = path.unwrap_or(DEFAULT_PATH);
    let mut found_but = None;
    for folder in path.split(':').filter(|folder| !folder.is_empty()) {
        let file = cwd.join(folder).join(program);
        match check(&file) {
            Ok(()) => return Ok(file),
            Err(reason) if file.exists() && found_but.is_none() => found_but = Some(reason),
            Err(_) => {}
        }
    }
    Err(found_but.unwrap_or_else(|| {
        // What to do first: lists cut a reason at its end.
        format!("install it or write its full path in `run.command`; it is not in PATH {}", shown(path))
    }))
}

/// A search path as a reason names it: a long one would hide everything around it.
fn shown(path: &str) -> String {
    const LONGEST: usize = 60;
    let Some(cut) = path.char_indices().nth(LONGEST).and_then(|(end, _)| path[..end].rfind(':')) else {
        return path.to_owned();
    };
    format!("{}:... ({} folders)", &path[..cut], path.split(':').count())
}

fn check(file: &Path) -> Result<(), String> {
    let shown = file.display();
    let meta = fs::metadata(file).map_err(|e| format!("{shown}: {e}; install it or correct `run.command`"))?;
    if !meta.is_file() {
        return Err(format!("{shown} is not a file; correct `run.command`"));
    }
    if meta.permissions().mode() & 0o111 == 0 {
        return Err(format!("{shown} is not executable; run `chmod +x {shown}`"));
    }
    match interpreter(file) {
        Some(missing) if !missing.exists() => Err(format!(
            "{shown} wants {}, which does not exist; install that or correct its first line",
            missing.display()
        )),
        _ => Ok(()),
    }
}

/// What a script's `#!` line names. A missing one makes the kernel say that the script itself does not exist.
fn interpreter(file: &Path) -> Option<PathBuf> {
    let mut start = [0; 256];
    let n = fs::File::open(file).ok()?.read(&mut start).ok()?;
    let line = start[..n].strip_prefix(b"#!")?.split(|b| *b == b'\n').next()?;
    let word = String::from_utf8_lossy(line);
    word.split_whitespace().next().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_where_it_looked_and_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let put = |name: &str, text: &str, mode: u32| {
            let file = dir.path().join(name);
            fs::write(&file, text).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(mode)).unwrap();
        };
        put("plain", "x", 0o644);
        put("script", "#!/no/such/python3 -u\n", 0o755);
        put("good", "#!/bin/sh\n", 0o755);
        let here = dir.path().display().to_string();
        let cases = [
            ("", None, "its command is empty"),
            (
                "absent",
                Some("/no/such:/bin"),
                "install it or write its full path in `run.command`; it is not in PATH /no/such:/bin",
            ),
            (
                "absent",
                Some("/no/such/folder/one:/no/such/folder/two:/no/such/folder/three:/bin"),
                "it is not in PATH /no/such/folder/one:/no/such/folder/two:... (4 folders)",
            ),
            ("./absent", None, "No such file or directory (os error 2); install it"),
            ("plain", Some(here.as_str()), "is not executable; run `chmod +x"),
            ("./script", None, "wants /no/such/python3, which does not exist"),
            ("./", None, "is not a file"),
        ];
        for (program, path, expected) in cases {
            let reason = find(program, path, dir.path()).unwrap_err();
            assert!(reason.contains(expected), "{program}: {reason}");
        }
        assert_eq!(find("good", Some(&here), Path::new("/")).unwrap(), dir.path().join("good"));
        assert_eq!(find("./good", None, dir.path()).unwrap(), dir.path().join("./good"));
        assert!(find("sh", None, Path::new("/")).is_ok());
    }
}
