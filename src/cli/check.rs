//! `check`: every problem of a configuration at once, each with a picture of its place.

use super::args::{Global, Output};
use super::error::{Code, Error};
use super::output::{json, plain, print, stdout_is_terminal};
use super::session::load_options;
use crate::config::{self, Checked, Config, Problem};
use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report, Severity};
use serde::Serialize;
use std::path::PathBuf;

/// Runs `check`: 0 if the configuration is good (warnings are printed), 3 if not.
pub fn run(global: &Global, file: Option<PathBuf>) -> Result<Code, Error> {
    let Checked { config, problems, warnings } = config::check(&load_options(global, file));
    let found: Vec<(&Problem, Severity)> = warnings
        .iter()
        .map(|warning| (warning, Severity::Warning))
        .chain(problems.iter().map(|problem| (problem, Severity::Error)))
        .collect();
    let good = config.filter(|_| problems.is_empty());
    match global.output {
        Output::Json => print(&json(&found.iter().map(|(p, severity)| Found::new(p, *severity)).collect::<Vec<_>>())?)?,
        // What must be mended stands last, above the summary.
        Output::Table => {
            found.iter().try_for_each(|(problem, severity)| print(&picture(problem, *severity)))?;
            if let Some(config) = &good {
                print(&plain(&summary(config, &warnings)))?;
            }
        }
    }
    match good {
        Some(_) => Ok(Code::Ok),
        None => Err(Error::new(Code::Config, "config", counted("the configuration", &problems, &warnings))),
    }
}

pub fn counted(what: &str, problems: &[Problem], warnings: &[Problem]) -> String {
    let doubts = if warnings.is_empty() { String::new() } else { format!(" and {}", many(warnings.len(), "warning")) };
    format!("{what} has {}{doubts}", many(problems.len(), "problem"))
}

fn many(n: usize, what: &str) -> String {
    format!("{n} {what}{}", if n == 1 { "" } else { "s" })
}

fn summary(config: &Config, warnings: &[Problem]) -> String {
    let source = config.source.as_ref().map_or_else(|| "embedded default".to_owned(), |p| p.display().to_string());
    let warnings = match warnings.len() {
        0 => String::new(),
        n => format!(", {}", many(n, "warning")),
    };
    let (tenants, servers) = (many(config.tenants.len(), "tenant"), many(config.servers.len(), "server"));
    let stacks = match config.stacks.len() {
        0 => String::new(),
        n => format!(", {}", many(n, "stack")),
    };
    format!("{source}: ok ({tenants}, {servers}{stacks}{warnings})\n")
}

/// A problem as `-o json` prints it.
#[derive(Serialize)]
struct Found<'a> {
    severity: &'static str,
    file: &'a str,
    /// From 1; null where there is no text.
    line: Option<usize>,
    column: Option<usize>,
    key: &'a str,
    message: &'a str,
    help: Option<&'a str>,
    suggestion: Option<&'a str>,
}

impl<'a> Found<'a> {
    fn new(problem: &'a Problem, severity: Severity) -> Self {
        let placed = problem.line > 0;
        Self {
            severity: if severity == Severity::Error { "error" } else { "warning" },
            file: &problem.file,
            line: placed.then_some(problem.line),
            column: placed.then_some(problem.column),
            key: &problem.key,
            message: &problem.message,
            help: problem.help.as_deref(),
            suggestion: problem.suggestion.as_deref(),
        }
    }
}

/// The problem above the lines of the file that it is about.
pub fn picture(problem: &Problem, severity: Severity) -> String {
    let mut diagnostic = MietteDiagnostic::new(plain(&problem.message)).with_severity(severity);
    let place = if problem.line > 0 {
        format!("{}:{}:{}", problem.file, problem.line, problem.column)
    } else {
        problem.file.clone()
    };
    diagnostic = diagnostic.with_code(match &*problem.key {
        "" => place,
        key => format!("{place}: {key}"),
    });
    if let Some(help) = help(problem) {
        diagnostic = diagnostic.with_help(plain(&help));
    }
    let drawn = match (&problem.text, &problem.span) {
        // A picture of text with control characters could drive the terminal.
        (Some(text), Some(span)) if plain(text) == **text && span.end <= text.len() => {
            diagnostic = diagnostic.with_label(LabeledSpan::at(span.clone(), "here"));
            draw(&Report::new(diagnostic).with_source_code(NamedSource::new(&problem.file, text.to_string())))
        }
        _ => draw(&Report::new(diagnostic)),
    };
    // A report that cannot be drawn is still told.
    drawn.unwrap_or_else(|| format!("{problem}\n"))
}

fn help(problem: &Problem) -> Option<String> {
    let near = problem.suggestion.as_ref().map(|name| format!("did you mean `{name}`?"));
    let parts: Vec<String> = near.into_iter().chain(problem.help.clone()).collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

fn draw(report: &Report) -> Option<String> {
    let colour = stdout_is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty());
    let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
    let mut text = String::new();
    GraphicalReportHandler::new_themed(theme).with_links(false).render_report(&mut text, report.as_ref()).ok()?;
    Some(text + "\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn problem() -> Problem {
        Problem {
            file: "deck.toml".into(),
            line: 2,
            column: 1,
            key: "platform.nmae".into(),
            message: "unknown key `nmae`".into(),
            help: Some("allowed: name, environment".into()),
            suggestion: Some("name".into()),
            span: Some(11..15),
            text: Some(Arc::from("[platform]\nnmae = \"x\"\n")),
        }
    }

    #[test]
    fn a_picture_points_at_the_place() {
        let text = picture(&problem(), Severity::Error);
        for part in [
            "deck.toml:2:1: platform.nmae",
            "unknown key `nmae`",
            "did you mean `name`?",
            "allowed: name",
            "nmae = \"x\"",
        ] {
            assert!(text.contains(part), "{part} in\n{text}");
        }
    }

    #[test]
    fn a_problem_without_a_place_or_with_a_dangerous_one_is_still_told() {
        let nowhere = Problem { line: 0, span: None, text: None, file: "--set".into(), ..problem() };
        assert!(picture(&nowhere, Severity::Error).contains("unknown key"));
        let hostile = Problem { text: Some(Arc::from("\x1b[2J\nnmae = 1\n    ")), ..problem() };
        assert!(!picture(&hostile, Severity::Error).contains('\x1b'));
        let outside = Problem { span: Some(10..999), ..problem() };
        assert!(picture(&outside, Severity::Error).contains("unknown key"));
    }
}
