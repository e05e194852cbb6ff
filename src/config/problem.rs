//! What is wrong with a configuration, and how it is told as plain lines. Imports nothing of ours.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// One thing wrong (or doubtful) in the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// File, or `MCPDECK_...`, or `--flag`, or `embedded default`.
    pub file: String,
    /// From 1; 0 where there is no text (environment, flags).
    pub line: usize,
    /// In characters, from 1; 0 where there is no text.
    pub column: usize,
    /// Dotted key: `server.git.run.command`.
    pub key: String,
    /// What is wrong, what was found.
    pub message: String,
    /// What is allowed, or what to do.
    pub help: Option<String>,
    /// The nearest name that exists.
    pub suggestion: Option<String>,
    /// Byte range in the file for the picture under the message.
    pub span: Option<Range<usize>>,
    /// The file's text, for the picture.
    pub text: Option<Arc<str>>,
}

impl Problem {
    /// `file:line:column: key: message; did you mean ...?`, without the help.
    pub fn headline(&self) -> String {
        if self.line == 0 && self.key.is_empty() && self.message.contains(&self.file) {
            // A file that cannot be read is named once.
            return self.message.clone();
        }
        let mut out = self.file.clone();
        if self.line > 0 {
            out.push_str(&format!(":{}:{}", self.line, self.column));
        }
        if !self.key.is_empty() {
            out.push_str(&format!(": {}", self.key));
        }
        out.push_str(&format!(": {}", self.message));
        if let Some(name) = &self.suggestion {
            out.push_str(&format!("; did you mean `{name}`?"));
        }
        out
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.headline())?;
        if let Some(help) = &self.help {
            write!(f, "\n  help: {help}")?;
        }
        Ok(())
    }
}

/// Every problem as plain lines: `file:line:column: key: message; did you mean ...?` and a `help:` line below it.
pub fn problems_text(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}
