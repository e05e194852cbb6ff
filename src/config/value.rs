//! Values that mean something to the product: ids, texts with placeholders, secrets, environment interpolation.

use super::pass::Report;
use super::reader::Field;
use super::tree::Value;
use crate::model::secret::SecretRef;
use crate::model::server::EnvValue;
use crate::model::template::{Template, TemplateError};
use crate::model::{near, slug};
use std::path::PathBuf;

/// Longest id; it names folders and stands in tables.
const ID_MAX: usize = 64;

/// Where `${NAME}` is filled in, for messages.
const INTERPOLATED: &str = "`${NAME}` is filled in only in url, env, headers, context, config and preset values";

const PLACEHOLDERS: [&str; 7] =
    ["tenant.id", "tenant.name", "tenant.environment", "tenant.context.KEY", "config.KEY", "server.id", "data"];

/// Last parts of names that hold secrets.
const SECRET_WORDS: [&str; 10] = [
    "token",
    "password",
    "passwd",
    "secret",
    "apikey",
    "key",
    "credential",
    "credentials",
    "authorization",
    "passphrase",
];

impl<'t> Field<'t> {
    /// An id: lower-case letters, digits, `-` and `_`, beginning with a letter or digit.
    pub fn id(&self) -> Option<&'t str> {
        let text = self.text()?;
        let good = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let begins = text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        if begins && text.len() <= ID_MAX && text.chars().all(good) {
            return Some(text);
        }
        let slug = slug(text);
        let report = Report::new(self.at(), &self.key, format!("found {}", self.node.value.found()));
        self.pass.problem(report.suggest((!slug.is_empty() && slug.is_ascii()).then_some(&slug)).help(format!(
            "allowed: lower-case letters, digits, `-` and `_`, beginning with a letter or digit, {ID_MAX} characters at most"
        )));
        None
    }

    /// Text with `{...}` placeholders.
    pub fn template(&self) -> Option<Template> {
        self.parse_template(self.full_text()?)
    }

    /// As [`Field::template`], with `${NAME}` filled in from the environment first. What a variable holds is never
    /// read as a placeholder.
    pub fn env_template(&self) -> Option<Template> {
        let text = self.interpolate(self.text()?, &|value| value.replace('{', "{{").replace('}', "}}"))?;
        self.parse_template(&text)
    }

    /// Text with `${NAME}` filled in.
    pub fn env_text(&self) -> Option<String> {
        self.interpolate(self.text()?, &str::to_owned)
    }

    pub fn parse_template(&self, text: &str) -> Option<Template> {
        match Template::parse(text) {
            Ok(template) => Some(template),
            Err(error) => {
                self.template_problem(text, &error);
                None
            }
        }
    }

    fn template_problem(&self, text: &str, error: &TemplateError) {
        let TemplateError::Unknown(name) = error else {
            return self.problem(error.to_string(), "write `{{` and `}}` for literal braces");
        };
        let message = format!("unknown placeholder `{{{name}}}`");
        let report = Report::new(self.at(), &self.key, message).suggest(near::nearest(name, PLACEHOLDERS));
        self.pass.problem(if text.contains("${") {
            report.help(INTERPOLATED)
        } else {
            report.help(format!("allowed: {}; write `{{{{` and `}}}}` for literal braces", PLACEHOLDERS.join(", ")))
        });
    }

    /// `$${` stands for `${` itself.
    fn interpolate(&self, text: &str, quote: &dyn Fn(&str) -> String) -> Option<String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if let Some(before) = rest[..at].strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            out.push_str(&rest[..at]);
            let Some((name, after)) = rest[at + 2..].split_once('}') else {
                self.problem("`${` without `}`", "write `${NAME}`");
                return None;
            };
            let Some(value) = self.pass.env(name) else {
                self.problem(
                    format!("the environment variable `{name}` is not set"),
                    format!("set {name} before mcpdeck starts, or write the value here"),
                );
                return None;
            };
            out.push_str(&quote(value));
            rest = after;
        }
        out.push_str(rest);
        Some(out)
    }

    /// A secret, by reference: `{ env = "NAME" }`, `{ file = "path" }` or `{ command = ["prog", "arg"] }`.
    pub fn secret(&self) -> Option<SecretRef> {
        const ALLOWED: &str = "{ env = \"NAME\" }, { file = \"/path\" } or { command = [\"prog\", \"arg\"] }";
        let Value::Table(table) = &self.node.value else {
            let report = Report::new(self.at(), &self.key, "a secret is never written into the configuration").hidden();
            self.pass.problem(report.help(format!("allowed: {ALLOWED}")));
            return None;
        };
        if table.len() != 1 {
            self.problem("a secret has exactly one source", format!("allowed: {ALLOWED}"));
            return None;
        }
        let mut reader = self.table()?;
        let env = reader.opt("env", Field::secret_variable);
        let file = reader.opt("file", |f| f.path().map(SecretRef::File));
        let command = reader.opt("command", |f| f.command().map(SecretRef::Command));
        reader.finish();
        env.or(file).or(command)
    }

    /// The variable that holds a secret. Where this is read it may lawfully be missing: the owner may have it.
    fn secret_variable(&self) -> Option<SecretRef> {
        let name = self.full_text()?;
        if self.pass.env(name).is_none() {
            let report = Report::new(self.at(), &self.key, format!("the variable {name} is not set here"));
            self.pass
                .warning(report.help("set it for the process that owns the platform, or what needs it will not start"));
        }
        Some(SecretRef::Env(name.to_owned()))
    }

    /// A program and its arguments, without placeholders.
    pub fn command(&self) -> Option<Vec<String>> {
        let parts = self.list(|item| item.text().map(str::to_owned))?;
        if parts.first().is_none_or(String::is_empty) {
            self.wrong("a list: the program, then its arguments");
            return None;
        }
        Some(parts)
    }

    /// A path; a relative one starts at the folder of the file it stands in.
    pub fn path(&self) -> Option<PathBuf> {
        self.full_text().map(|text| self.at().source.folder.join(text))
    }

    /// A value of the environment or a header: text with placeholders, a secret, or the name of one.
    pub fn env_value(&self, name: &str) -> Option<EnvValue> {
        if let Value::Table(table) = &self.node.value {
            if table.contains_key("secret") {
                let mut reader = self.table()?;
                let named = reader.opt("secret", Field::id_like);
                reader.finish();
                return named.map(EnvValue::Named);
            }
            return self.secret().map(EnvValue::Secret);
        }
        let template = self.env_template()?;
        if looks_secret(name) && !template.source().is_empty() && template.holes().next().is_none() {
            let report =
                Report::new(self.at(), &self.key, format!("`{name}` looks like a secret written as plain text"))
                    .hidden();
            self.pass.warning(report.help(format!("use {name} = {{ env = \"{}\" }}, {{ file = ... }} or {{ command = ... }}; plain text is shown on screen", variable(name))));
        }
        Some(EnvValue::Text(template))
    }

    /// The name of a secret or context key.
    pub fn id_like(&self) -> Option<String> {
        self.full_text().map(str::to_owned)
    }
}

/// True if a variable or header of this name holds a secret by all appearances.
pub(super) fn looks_secret(name: &str) -> bool {
    let lower = name.to_lowercase();
    let last = lower.rsplit(['_', '-', '.']).next().unwrap_or_default();
    SECRET_WORDS.contains(&last) || lower.contains("password") || lower.ends_with("apikey")
}

/// A variable's name made from a header's or key's.
fn variable(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect()
}
