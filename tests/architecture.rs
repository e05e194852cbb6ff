//! The import table of ARCHITECTURE.md, held against every `crate::` path in the sources.

use std::{fs, path::Path};

/// (module, what of ours it may name). A name with `::` allows just that path.
const TABLE: &[(&str, &[&str])] = &[
    ("model", &["model"]),
    ("config", &["config", "model"]),
    ("backend", &["backend", "config", "model"]),
    ("store", &["store", "config", "model"]),
    ("metrics", &["metrics", "config", "model"]),
    ("router", &["router", "config", "model"]),
    ("control", &["control", "router", "backend", "store", "metrics", "config", "model"]),
    ("api", &["api", "control::Handle", "control::handle", "router", "config", "model"]),
    ("ui", &["ui", "control::Handle", "control::handle", "control::Link", "config", "model"]),
    ("builtin", &["builtin", "model"]),
    ("cli", &["*"]),
    ("main", &["*"]),
    ("lib", &["*"]),
];

/// Crates that may be named only in these files or folders: a vendor's types stop there.
const VENDORS: &[(&str, &[&str])] = &[
    ("rusqlite", &["store/sqlite", "builtin/"]),
    ("nvml_wrapper", &["metrics/gpu"]),
    ("rmcp", &["builtin/", "builtin.rs"]),
    ("ratatui", &["ui/", "ui.rs"]),
    ("crossterm", &["ui/", "ui.rs"]),
    ("hyper", &["router/", "api/", "api.rs"]),
    ("axum", &["api/", "api.rs"]),
    ("utoipa", &["api/rest"]),
    ("prometheus_client", &["api/rest/metrics"]),
    ("clap", &["cli/", "cli.rs"]),
    ("clap_complete", &["cli/manual.rs", "cli/args.rs"]),
    ("clap_mangen", &["cli/manual.rs"]),
    ("miette", &["cli/", "cli.rs", "main.rs"]),
    ("bollard", &["backend/docker"]),
    ("jsonwebtoken", &["control/principals/token.rs"]),
    ("argon2", &["control/principals/password.rs"]),
    ("governor", &["control/principals/password.rs", "router/limits.rs"]),
    ("serde_saphyr", &["config/compose/yaml.rs"]),
    ("jsonc_parser", &["config/import/json.rs"]),
    ("notify", &["control/reload/watch.rs", "ui/theme/watch.rs"]),
];

fn sources(dir: &Path, out: &mut Vec<(String, String)>) {
    let mut entries: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            sources(&path, out);
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push((path.to_string_lossy().into_owned(), fs::read_to_string(&path).unwrap()));
        }
    }
}

fn all() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut out = Vec::new();
    sources(&src, &mut out);
    let prefix = format!("{}/", src.display());
    for (path, _) in &mut out {
        *path = path.trim_start_matches(&prefix).to_owned();
    }
    out
}

/// Every path after `crate::`, one per leaf of a `use` tree: `crate::{a::b, c}` gives `a::b` and `c`.
fn crate_paths(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    for (at, _) in text.match_indices("crate::") {
        let before = text[..at].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '$') {
            continue;
        }
        let rest = &text[at + "crate::".len()..];
        if let Some(tree) = rest.strip_prefix('{') {
            let end = tree.find(';').unwrap_or(tree.len());
            let mut depth = 0;
            let mut leaf = String::new();
            for c in tree[..end].chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => out.push(std::mem::take(&mut leaf)),
                    c if depth == 0 && !c.is_whitespace() => leaf.push(c),
                    _ => {}
                }
            }
            out.push(leaf);
        } else {
            out.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_' || *c == ':').collect());
        }
    }
    out.retain(|p| !p.is_empty());
    out
}

#[test]
fn every_module_imports_only_what_the_table_allows() {
    let mut wrong = Vec::new();
    for (file, text) in all() {
        let module = file.split(['/', '.']).next().unwrap();
        let allowed = TABLE
            .iter()
            .find(|(m, _)| *m == module)
            .unwrap_or_else(|| panic!("{file}: module `{module}` is missing from the import table"))
            .1;
        for path in crate_paths(&text) {
            let ok = allowed.iter().any(|a| *a == "*" || path == *a || path.starts_with(&format!("{a}::")));
            if !ok {
                wrong.push(format!("{file} names crate::{path}"));
            }
        }
    }
    assert!(wrong.is_empty(), "against the import table:\n{}", wrong.join("\n"));
}

#[test]
fn vendor_types_stop_at_their_files() {
    let mut wrong = Vec::new();
    for (file, text) in all() {
        for (vendor, homes) in VENDORS {
            let at_home = homes.iter().any(|home| file.starts_with(home));
            let path = format!("{vendor}::");
            let named = text.match_indices(&path).any(|(at, _)| {
                !text[..at].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':')
            });
            if named && !at_home {
                wrong.push(format!("{file} names {vendor}"));
            }
        }
    }
    assert!(wrong.is_empty(), "vendor types outside their files:\n{}", wrong.join("\n"));
}

#[test]
fn the_path_finder_sees_what_use_lines_hide() {
    let text = "use crate::{model::Id, store}; fn f() { crate::router::x() } let y = mycrate::z; ";
    assert_eq!(crate_paths(text), ["model::Id", "store", "router::x"]);
}

#[test]
fn every_dependency_is_named_with_its_reason() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let manifest: toml::Table = fs::read_to_string(root.join("Cargo.toml")).unwrap().parse().unwrap();
    let document = fs::read_to_string(root.join("ARCHITECTURE.md")).unwrap();
    let missing: Vec<_> = ["dependencies", "dev-dependencies"]
        .iter()
        .filter_map(|section| manifest.get(*section)?.as_table())
        .flat_map(|section| section.keys())
        .filter(|name| !document.contains(&format!("`{name}`")))
        .collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md does not say why we need {missing:?}");
}
