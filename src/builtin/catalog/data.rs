//! The embedded classification and the short format it is written in. Imports nothing of ours.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// The classification everybody has.
pub static SHIPPED: LazyLock<Data> =
    LazyLock::new(|| Data::parse(include_str!("classes.txt")).expect("classes.txt is read by a test"));

/// Classes and the features they use.
#[derive(Debug, Default)]
pub struct Data {
    pub classes: Vec<Class>,
    pub features: BTreeMap<String, Feature>,
}

/// A kind of product.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Class {
    pub code: String,
    pub name: String,
    pub group: String,
    /// Synonyms, in any language.
    #[serde(default)]
    pub also: Vec<String>,
    /// Codes of its features.
    #[serde(default)]
    pub features: Vec<String>,
}

/// Something a product is described by.
#[derive(Clone, Debug, PartialEq)]
pub struct Feature {
    pub code: String,
    pub name: String,
    pub values: Values,
}

/// What a feature's value can be.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Values {
    /// One of these words.
    Words(Vec<String>),
    /// A number within these bounds.
    Number { unit: Option<String>, least: f64, most: f64 },
    /// Yes or no.
    Logical,
}

impl Data {
    /// Reads the format that the head of classes.txt describes; the error names the line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut data = Self::default();
        let mut group = String::new();
        for (number, line) in text.lines().enumerate().map(|(at, line)| (at + 1, line.trim())) {
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            data.read_line(&mut group, line).map_err(|reason| format!("line {number}: {reason}: {line:?}"))?;
        }
        Ok(data)
    }

    fn read_line(&mut self, group: &mut String, line: &str) -> Result<(), &'static str> {
        let (keyword, rest) = line.split_once(' ').ok_or("nothing after the first word")?;
        match keyword {
            "feature" => {
                let feature = Feature::parse(rest)?;
                self.features.insert(feature.code.clone(), feature);
            }
            "group" => rest.clone_into(group),
            "class" => {
                let (code, name) = rest.split_once(' ').ok_or("a class needs a code and a name")?;
                let (code, name, group) = (code.to_owned(), name.to_owned(), group.clone());
                self.classes.push(Class { code, name, group, ..Class::default() });
            }
            "also" => self.newest()?.also = rest.split(';').map(|word| word.trim().to_owned()).collect(),
            "has" => {
                let codes: Vec<_> = rest.split_whitespace().map(str::to_owned).collect();
                if !codes.iter().all(|code| self.features.contains_key(code)) {
                    return Err("unknown feature");
                }
                self.newest()?.features = codes;
            }
            _ => return Err("unknown keyword"),
        }
        Ok(())
    }

    fn newest(&mut self) -> Result<&mut Class, &'static str> {
        self.classes.last_mut().ok_or("no class yet")
    }
}

impl Feature {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let mut fields = text.split('|').map(str::trim);
        let head = fields.next().unwrap_or_default();
        let (code, rest) = head.split_once(' ').ok_or("a feature needs a code, a kind and a name")?;
        let (kind, name) = rest.split_once(' ').ok_or("a feature needs a code, a kind and a name")?;
        let unit = fields.next().filter(|unit| *unit != "-").map(str::to_owned);
        let values = fields.next().unwrap_or_default();
        let values = match kind {
            "A" => Values::Words(values.split(',').map(|word| word.trim().to_owned()).collect()),
            "N" => {
                let bounds = values.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
                let (least, most) = bounds.ok_or("a number needs bounds, from..to")?;
                Values::Number { unit, least, most }
            }
            "L" => Values::Logical,
            _ => return Err("a feature's kind is A, N or L"),
        };
        Ok(Self { code: code.to_owned(), name: name.to_owned(), values })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_shipped_classification_reads_and_holds_together() {
        let data = Data::parse(include_str!("classes.txt")).unwrap();
        assert!(data.classes.len() >= 60, "{}", data.classes.len());
        let codes: BTreeSet<_> = data.classes.iter().map(|class| &class.code).collect();
        assert_eq!(codes.len(), data.classes.len(), "a code is given twice");
        for class in &data.classes {
            assert!(!class.also.is_empty() && !class.features.is_empty() && !class.group.is_empty(), "{}", class.code);
        }
        let used: BTreeSet<_> = data.classes.iter().flat_map(|class| &class.features).collect();
        let unused: Vec<_> = data.features.keys().filter(|code| !used.contains(code)).collect();
        assert_eq!(unused, Vec::<&String>::new());
        for feature in data.features.values() {
            assert!(
                matches!(&feature.values, Values::Number { least, most, .. } if least < most)
                    || matches!(&feature.values, Values::Words(words) if words.len() > 1)
                    || feature.values == Values::Logical,
                "{feature:?}"
            );
        }
    }

    #[test]
    fn a_mistake_names_its_line() {
        for (text, reason) in [
            ("class EC1", "needs a code and a name"),
            ("also x", "no class yet"),
            ("class EC1 x\nhas EF1", "line 2: unknown feature"),
            ("feature EF1 N Length | m | long", "needs bounds"),
            ("feature EF1 X Length", "A, N or L"),
            ("klass EC1 x", "unknown keyword"),
        ] {
            let error = Data::parse(text).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
