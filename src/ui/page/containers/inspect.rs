//! What an engine knows of a container: a tree to fold and search, and the limits and labels in it. Secrets come masked.

use crate::ui::console::tree::Tree;
use crate::ui::fmt;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;

/// An answer of `inspect`.
pub struct Inspected {
    pub tree: Tree,
    /// First row of the tree as last drawn.
    pub top: Cell<usize>,
    pub search: String,
    /// Name and value; `None` where the text does not tell.
    pub limits: Vec<(&'static str, String)>,
    pub labels: BTreeMap<String, String>,
}

impl Inspected {
    pub fn new(text: String) -> Self {
        let known: Value = serde_json::from_str(&text).unwrap_or_default();
        Self {
            limits: limits(&known),
            labels: labels(&known),
            tree: Tree::new(text),
            top: Cell::new(0),
            search: String::new(),
        }
    }
}

/// The limits as the Docker API names them, which Podman's compatible socket does, too.
fn limits(known: &Value) -> Vec<(&'static str, String)> {
    let host = &known["HostConfig"];
    if !host.is_object() {
        return Vec::new();
    }
    let number = |name: &str| host[name].as_i64().filter(|n| *n > 0);
    let unlimited = || "unlimited".to_owned();
    let yes = |value: &Value| if value.as_bool() == Some(true) { "yes" } else { "no" }.to_owned();
    let words = |value: &Value| -> String {
        let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
    };
    let user = known["Config"]["User"].as_str().filter(|user| !user.is_empty());
    let mut out = vec![
        ("memory", number("Memory").map_or_else(unlimited, |n| fmt::bytes(n as u64))),
        ("cpus", number("NanoCpus").map_or_else(unlimited, |n| format!("{}", n as f64 / 1e9))),
        ("pids", number("PidsLimit").map_or_else(unlimited, |n| n.to_string())),
        ("user", user.unwrap_or("root (the image's own)").to_owned()),
        ("read-only", yes(&host["ReadonlyRootfs"])),
        ("privileged", yes(&host["Privileged"])),
        ("dropped", words(&host["CapDrop"])),
        ("given back", words(&host["CapAdd"])),
        ("security", words(&host["SecurityOpt"])),
        ("restarts", host["RestartPolicy"]["Name"].as_str().filter(|n| !n.is_empty()).unwrap_or("no").to_owned()),
    ];
    let gpus = host["DeviceRequests"].as_array().map(Vec::as_slice).unwrap_or_default();
    out.extend(gpus.iter().map(|gpu| ("gpus", gpu_request(gpu, &words(&gpu["DeviceIDs"])))));
    out
}

fn gpu_request(request: &Value, ids: &str) -> String {
    match (ids, request["Count"].as_i64()) {
        ("", Some(-1)) => "all".to_owned(),
        ("", Some(n)) => n.to_string(),
        (ids, _) => format!("device {ids}"),
    }
}

fn labels(known: &Value) -> BTreeMap<String, String> {
    let labels = known["Config"]["Labels"].as_object();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    labels.into_iter().flatten().map(|(name, value)| (name.clone(), text(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_and_labels_are_found_where_docker_puts_them() {
        let text = r#"{"Config":{"User":"65534:65534","Labels":{"io.mcpdeck.tenant":"eaton"}},"HostConfig":{"Memory":536870912,
            "NanoCpus":1500000000,"PidsLimit":-1,"ReadonlyRootfs":true,"CapDrop":["ALL"],"SecurityOpt":["no-new-privileges"],
            "RestartPolicy":{"Name":"no"},"DeviceRequests":[{"Count":-1}]}}"#;
        let found = Inspected::new(text.to_owned());
        let value = |name: &str| found.limits.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_str());
        for (name, expected) in [
            ("memory", "512 MiB"),
            ("cpus", "1.5"),
            ("pids", "unlimited"),
            ("user", "65534:65534"),
            ("read-only", "yes"),
            ("privileged", "no"),
            ("dropped", "ALL"),
            ("gpus", "all"),
        ] {
            assert_eq!(value(name), Some(expected), "{name}");
        }
        assert_eq!(found.labels["io.mcpdeck.tenant"], "eaton");
        assert!(!found.tree.is_empty());
    }

    #[test]
    fn what_is_no_inspection_has_no_limits() {
        for text in ["", "[]", "{}", r#"{"HostConfig":3}"#] {
            assert!(Inspected::new(text.to_owned()).limits.is_empty(), "{text}");
        }
    }
}
