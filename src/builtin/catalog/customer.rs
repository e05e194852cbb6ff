//! What one customer has of its own: classes and learned mappings, in `customers/ID.json`. Imports `builtin::guard`
//! and the catalog's data only.

use super::data::{Class, SHIPPED};
use super::rank::{self, Ranked};
use crate::builtin::guard::{self, ToolError};
use serde::{Deserialize, Serialize};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Mappings of one customer at most; a file at most.
pub const MAPPINGS: usize = 1_000;
const FILE_BYTES: u64 = 4 * 1024 * 1024;

/// The folder with one file per customer.
pub struct Customers {
    folder: PathBuf,
}

/// One customer's view of the catalog.
pub struct Customer {
    path: PathBuf,
    own: Own,
}

/// The file.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Own {
    classes: Vec<Class>,
    mappings: Vec<Mapping>,
}

/// A text that means a class, as the customer said.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    pub text: String,
    pub class: String,
}

impl Customers {
    /// Files in `customers/` of `data`, which need not exist yet.
    pub fn new(data: &Path) -> Self {
        Self { folder: data.join("customers") }
    }

    /// Reads a customer's file; a customer without one has nothing of its own.
    pub fn open(&self, id: Option<&str>) -> Result<Customer, ToolError> {
        let id = id.ok_or_else(|| {
            let text = "`customer_id` is missing: the platform's router injects it, a direct caller gives it";
            ToolError::Argument(text.to_owned())
        })?;
        let path = self.folder.join(format!("{}.json", guard::file_name("customer_id", id)?));
        let own = read(&path).map_err(|error| ToolError::data(&path, error))?;
        Ok(Customer { path, own })
    }
}

fn read(path: &Path) -> io::Result<Own> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Own::default()),
        Err(error) => return Err(error),
    };
    let mut text = String::new();
    if file.take(FILE_BYTES + 1).read_to_string(&mut text)? as u64 > FILE_BYTES {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES} bytes")));
    }
    Ok(serde_json::from_str(&text)?)
}

impl Customer {
    /// The customer's classes, then everybody's.
    pub fn classes(&self) -> impl Iterator<Item = &Class> {
        self.own.classes.iter().chain(&SHIPPED.classes)
    }

    /// True if only this customer has the class.
    pub fn owns(&self, class: &Class) -> bool {
        self.own.classes.iter().any(|own| own.code == class.code)
    }

    /// The class with this code.
    pub fn class(&self, code: &str) -> Result<&Class, ToolError> {
        self.classes().find(|class| class.code.eq_ignore_ascii_case(code)).ok_or_else(|| {
            ToolError::NotFound(format!("there is no class {code:?}; `search` finds classes, `classes` lists them"))
        })
    }

    /// Classes that fit `text`, best first. What the customer taught comes first, with certainty.
    pub fn rank(&self, text: &str) -> Vec<Ranked<'_>> {
        let classes: Vec<_> = self.classes().collect();
        let mut ranked = rank::rank(&SHIPPED, &classes, text);
        if let Some(mapping) = self.learned(text)
            && let Ok(class) = self.class(&mapping.class)
        {
            ranked.retain(|other| other.class.code != class.code);
            ranked.insert(0, Ranked { class, score: 1.0, reason: format!("learned from {:?}", mapping.text) });
        }
        ranked
    }

    /// The mapping with the most words, all of which stand in `text`.
    fn learned(&self, text: &str) -> Option<&Mapping> {
        let asked = rank::words(text);
        let fitting = self.own.mappings.iter().filter_map(|mapping| {
            let words = rank::words(&mapping.text);
            (!words.is_empty() && words.iter().all(|word| asked.contains(word))).then_some((words.len(), mapping))
        });
        fitting.max_by_key(|(words, _)| *words).map(|(_, mapping)| mapping)
    }

    /// Remembers that `text` means `code`, for good, and answers the number of mappings. The same text again replaces
    /// what it meant.
    pub fn learn(mut self, text: &str, code: &str) -> Result<usize, ToolError> {
        let class = self.class(code)?.code.clone();
        if rank::words(text).is_empty() {
            return Err(ToolError::Argument("`text` has no word of two letters or more".to_owned()));
        }
        self.own.mappings.retain(|mapping| mapping.text != text);
        if self.own.mappings.len() >= MAPPINGS {
            return Err(ToolError::Argument(format!("{MAPPINGS} mappings are learned already; that is the limit")));
        }
        self.own.mappings.push(Mapping { text: text.to_owned(), class });
        write(&self.path, &self.own).map_err(|error| ToolError::data(&self.path, error))?;
        Ok(self.own.mappings.len())
    }
}

/// Replaces the file as a whole: a crash leaves the old one or the new one.
fn write(path: &Path, own: &Own) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let fresh = path.with_extension("json.new");
    let mut file = std::fs::File::create(&fresh)?;
    file.write_all(&serde_json::to_vec_pretty(own)?)?;
    file.sync_all()?;
    std::fs::rename(&fresh, path)
}
