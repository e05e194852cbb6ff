//! Variables of a named request: `${name}` in its texts. A text that is nothing else becomes the value itself, so that
//! numbers stay numbers; `$${` is `${`.

use super::{Check, Must, NamedRequest, What, quote};
use crate::model::json::string_end;
use std::collections::BTreeMap;

impl NamedRequest {
    /// The same with every variable filled in; `given` wins over the file. An error names what has no value.
    pub fn fill(&self, given: &BTreeMap<String, String>) -> Result<Self, String> {
        let values = Values { file: &self.vars, given };
        if let Some(name) = given.keys().find(|name| !self.vars.contains_key(*name) && !self.uses(name)) {
            return Err(format!("it has no variable `{name}`"));
        }
        let body = match self.what {
            // Whatever it is, it need not be JSON.
            What::Message => values.within(&self.body)?,
            _ => values.json(&self.body)?,
        };
        let mut filled = Self { body, ..self.clone() };
        for expect in &mut filled.expect {
            if let Check::Answer { path, must } = &mut expect.check {
                *path = values.within(path)?;
                if let Must::Equal(text)
                | Must::Contain(text)
                | Must::Match(text)
                | Must::AtLeast(text)
                | Must::AtMost(text) = must
                {
                    *text = values.json(text)?;
                }
            }
        }
        Ok(filled)
    }

    fn uses(&self, name: &str) -> bool {
        self.body.contains(&format!("${{{name}}}"))
    }
}

/// A value given by hand: JSON if it reads as such, else text.
pub fn value(text: &str) -> String {
    let plain = serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok();
    if plain { text.trim().to_owned() } else { quote(text) }
}

struct Values<'a> {
    file: &'a BTreeMap<String, String>,
    given: &'a BTreeMap<String, String>,
}

impl Values<'_> {
    fn get(&self, name: &str) -> Result<&str, String> {
        let found = self.given.get(name).or_else(|| self.file.get(name)).map(String::as_str);
        found.ok_or_else(|| format!("`${{{name}}}` has no value: add it under [vars], or give --var {name}=VALUE"))
    }

    /// Every string of a JSON text, the rest as it is.
    fn json(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('"') {
            let end = at + string_end(&rest[at..]);
            out.push_str(&rest[..at]);
            out.push_str(&self.string(&rest[at..end])?);
            rest = &rest[end..];
        }
        out.push_str(rest);
        Ok(out)
    }

    fn string(&self, source: &str) -> Result<String, String> {
        let Some(text) = serde_json::from_str::<String>(source).ok().filter(|text| text.contains("${")) else {
            return Ok(source.to_owned());
        };
        match text.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).filter(|name| !name.contains('}')) {
            Some(name) => self.get(name).map(str::to_owned),
            None => self.within(&text).map(|text| quote(&text)),
        }
    }

    /// A text with the variables in it, strings without their quotes.
    fn within(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find("${") {
            if let Some(before) = rest[..at].strip_suffix('$') {
                out.push_str(before);
                out.push_str("${");
                rest = &rest[at + 2..];
                continue;
            }
            let Some((name, after)) = rest[at + 2..].split_once('}') else { break };
            out.push_str(&rest[..at]);
            let value = self.get(name)?;
            out.push_str(&serde_json::from_str::<String>(value).unwrap_or_else(|_| value.to_owned()));
            rest = after;
        }
        out.push_str(rest);
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use std::path::Path;

    const FILE: &str = r#"
server = "s"
tool = "t"
arguments = '{"n": "${n}", "q": "a ${q} $${x}", "${k}": [1.50, "${q}"]}'
[vars]
n = 7
q = "it's \"so\""
k = "key"
[[expect]]
path = ".x"
equals = "${n}"
"#;

    fn given(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, text)| ((*name).to_owned(), value(text))).collect()
    }

    #[test]
    fn variables_keep_their_type_and_can_be_given() {
        let request = parse(FILE, Path::new("x.toml")).unwrap();
        let filled = request.fill(&given(&[])).unwrap();
        assert_eq!(filled.body, r#"{"n": 7, "q": "a it's \"so\" ${x}", "key": [1.50, "it's \"so\""]}"#);
        assert_eq!(filled.expect[0].check, Check::Answer { path: ".x".to_owned(), must: Must::Equal("7".to_owned()) });
        let other = request.fill(&given(&[("n", "[1]"), ("q", "plain words")])).unwrap();
        assert_eq!(other.body, r#"{"n": [1], "q": "a plain words ${x}", "key": [1.50, "plain words"]}"#);
    }

    #[test]
    fn what_has_no_value_and_what_is_no_variable_is_told() {
        let text = "server = \"s\"\ntool = \"t\"\narguments = '{\"a\": \"${gone}\"}'\n";
        let request = parse(text, Path::new("x.toml")).unwrap();
        assert_eq!(
            request.fill(&given(&[])).unwrap_err(),
            "`${gone}` has no value: add it under [vars], or give --var gone=VALUE"
        );
        assert_eq!(request.fill(&given(&[("gone", "1")])).unwrap().body, r#"{"a": 1}"#);
        assert_eq!(request.fill(&given(&[("gome", "1")])).unwrap_err(), "it has no variable `gome`");
    }
}
