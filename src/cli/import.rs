//! `import`: files in other shapes as a configuration of ours.

use super::args::{Global, Import, Output, Shape};
use super::check::{counted, picture};
use super::error::{Code, Error};
use super::output::{json, note, plain, print};
use super::session::load_options;
use crate::config::{self, Format};
use miette::Severity;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Runs `import`: 3 if a file holds what cannot be taken over; then nothing is printed or written.
pub fn run(global: &Global, args: &Import) -> Result<Code, Error> {
    let format = match args.format {
        Shape::Auto => None,
        Shape::Customers => Some(Format::Customers),
        Shape::Desktop => Some(Format::Desktop),
        Shape::Server => Some(Format::Server),
        Shape::OnDemand => Some(Format::OnDemand),
    };
    let imported = match config::import(&args.files, format, &load_options(global, None).env) {
        Ok(imported) => imported,
        Err(problems) => {
            problems.iter().for_each(|problem| note(picture(problem, Severity::Error).trim_end()));
            return Err(Error::new(Code::Config, "config", counted("what was read", &problems, &[])));
        }
    };
    for warning in &imported.warnings {
        note(&plain(&format!("warning: {warning}")));
    }
    let text = match global.output {
        Output::Table => imported.toml,
        Output::Json => json(&imported.json)?,
    };
    match &args.write {
        None => print(&plain(&text)).map(|()| Code::Ok),
        Some(path) => write(path, &text).map(|()| Code::Ok),
    }
}

/// Never over what is there already.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    let shown = path.display();
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    let written = file.and_then(|mut file| file.write_all(text.as_bytes()));
    written.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Error::refused(format!("{shown} exists already")).help("give --write a path that is free")
        }
        _ => Error::failed(format!("cannot write {shown}: {error}")),
    })?;
    note(&format!("written: {shown}; `mcpdeck check {shown}` checks it, include = [\"{shown}\"] takes it up"));
    Ok(())
}
