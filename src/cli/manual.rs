//! What is made of the command line itself: man pages, and completions for shells.

use super::args::Args;
use super::error::{Code, Error};
use super::output::print;
use clap::CommandFactory;
use clap_complete::Shell;
use std::path::Path;

/// Runs `completions`.
pub fn completions(shell: Shell) -> Result<Code, Error> {
    let mut out = Vec::new();
    clap_complete::generate(shell, &mut Args::command(), "mcpdeck", &mut out);
    print(&String::from_utf8_lossy(&out)).map(|()| Code::Ok)
}

/// Runs `man`: one page to standard output, or one for each command into `folder`.
pub fn run(folder: Option<&Path>) -> Result<Code, Error> {
    let failed = |error: std::io::Error| Error::failed(format!("cannot write the man pages: {error}"));
    let Some(folder) = folder else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Args::command()).render(&mut page).map_err(failed)?;
        return print(&String::from_utf8_lossy(&page)).map(|()| Code::Ok);
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    clap_mangen::generate_to(Args::command(), folder).map_err(failed)?;
    Ok(Code::Ok)
}
