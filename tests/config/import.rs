//! Files in other shapes: what each becomes in our words, and what is told of it.

use super::{environment, file, good, snapshot};
use mcpdeck::config::{Imported, import, problems_text};
use std::fs;
use std::path::{Path, PathBuf};

/// Plain secrets of the files below, which nothing may show.
const SECRETS: [&str; 11] = [
    "hunter2",
    "987654",
    "ghp_plain",
    "plain-bearer",
    "plain-yaml",
    "secretpass",
    "the-secret-itself",
    "leaked-on-the-line",
    "leaked-too",
    "leaked-in-address",
    "secret-in-env",
];

fn files(folder: &str) -> Vec<PathBuf> {
    super::files(&format!("tests/config/import/{folder}"))
}

fn shown(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap().to_str().unwrap().replace('.', "_");
    Path::new("import").join(name)
}

fn convert(path: &Path) -> Result<Imported, Vec<mcpdeck::config::Problem>> {
    let env = environment(&[("SHARE", "/mnt")]);
    import(&[path.to_owned()], None, &env)
}

/// Also what a picture under a message would show.
fn no_secret(text: &str, problems: &[mcpdeck::config::Problem]) {
    let pictures = problems.iter().filter_map(|problem| problem.text.as_deref());
    for text in pictures.chain([text]) {
        let found = SECRETS.iter().find(|secret| text.contains(**secret));
        assert!(found.is_none(), "{found:?} in\n{text}");
    }
}

#[test]
fn every_good_file_becomes_our_own_words_and_shows_no_secret() {
    for path in files("good") {
        let imported = convert(&path).unwrap_or_else(|problems| panic!("{}", problems_text(&problems)));
        let warnings = problems_text(&imported.warnings);
        let here = format!("{}/", env!("CARGO_MANIFEST_DIR"));
        let all = format!("{}\n{warnings}", imported.toml).replace(&here, "");
        no_secret(&all, &imported.warnings);
        no_secret(&imported.json.to_string(), &[]);
        snapshot(&shown(&path), &all);
        // What was printed reads as the same again.
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("deck.toml");
        fs::write(&own, &imported.toml).unwrap();
        let again = file(own, &[("SHARE", "/mnt")], &[]);
        assert!(again.is_ok(), "{}: {}", path.display(), problems_text(&again.unwrap_err()));
    }
}

#[test]
fn every_bad_file_is_told_what_is_wrong_where_and_what_to_do_and_shows_no_secret() {
    for path in files("bad") {
        let problems = convert(&path).err().unwrap_or_else(|| panic!("{} is taken", path.display()));
        let here = format!("{}/", env!("CARGO_MANIFEST_DIR"));
        let told = problems_text(&problems).replace(&here, "");
        no_secret(&told, &problems);
        snapshot(&shown(&path), &told);
    }
}

#[test]
fn a_config_that_includes_foreign_files_reads_as_if_they_were_written_in_our_words() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
    for path in files("good").iter().filter(|path| path.extension().is_some_and(|end| end != "jsonc")) {
        fs::copy(path, folder.path().join(path.file_name().unwrap())).unwrap();
    }
    // Ours wins over what a foreign file only speaks of.
    put(
        "deck.toml",
        "include = [\"mcp_servers.json\", \"odoo-*.yaml\", \"claude_desktop_config.json\", \"on-demand.env\"]\n\
         [[server]]\nid = \"grafana\"\nheaders = { Authorization = { secret = \"token\" } }\n",
    );
    let config = good(file(folder.path().join("deck.toml"), &[], &[]));
    let servers: Vec<&str> = config.servers.iter().map(|def| def.id.as_str()).collect();
    for id in ["grafana", "alertmanager", "genesys", "odoo-erp", "odoo-lab", "filesystem", "git", "remote"] {
        assert_eq!(servers.iter().filter(|server| **server == id).count(), 1, "{id} of {servers:?}");
    }
    let of = |id: &str| config.servers.iter().find(|def| def.id.as_str() == id).unwrap();
    assert!(of("grafana").defined_at.ends_with("deck.toml:2"), "{}", of("grafana").defined_at);
    assert!(of("genesys").defined_at.ends_with("mcp_servers.json:12"), "{}", of("genesys").defined_at);
    assert!(of("odoo-lab").defined_at.ends_with("odoo-lab.yaml:1"), "{}", of("odoo-lab").defined_at);
    assert_eq!(of("git").settings.timeout.as_secs(), 30);
    let tenant = config.tenants.iter().find(|def| def.answers_to("vattenfall-de")).unwrap();
    assert_eq!(tenant.servers.len(), 3);
    assert_eq!(tenant.context["host"], "maas-1203.mon.example.cloud");
}

#[test]
fn two_files_of_one_name_are_a_problem_at_both_places() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, "{ \"mcpServers\": { \"git\": { \"command\": \"git-mcp\" } } }").unwrap();
        path
    };
    let problems = import(&[put("a.json"), put("b.json")], None, &environment(&[])).unwrap_err();
    let told = problems_text(&problems);
    assert!(told.contains("b.json:1") && told.contains("already defined at") && told.contains("a.json:1"), "{told}");
}
