//! The reference pages in `docs/`: made of the tables that the program itself reads, so that none can be wrong.
//! `.ci/renew` writes them anew.

use mcpdeck::config::{LoadOptions, load};
use mcpdeck::ui::Page;
use mcpdeck::ui::action::{On, ROWS};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The page as it is in the repository must be the one that is made now.
fn check(name: &str, page: &str) {
    let path = root().join("docs").join(name);
    if std::env::var("MCPDECK_DOCS").is_ok_and(|word| word == "write") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(kept == page, "docs/{name} says something else than the program: .ci/renew writes it anew");
}

/// `what` in a cell of a table.
fn cell(what: &str) -> String {
    what.replace('|', "\\|")
}

#[test]
fn the_list_of_keys() {
    let mut page = String::from(
        "# Keys\n\n<!-- Made of the program's own table by .ci/renew. -->\n\n\
         `?` on the screen lists the keys of where you are. Every one can be bound anew by its name, under `[ui.keys]`:\n\
         `restart = \"R\"`, `quit = [\"q\", \"ctrl-c\"]`. While text is edited every printable key is text.\n",
    );
    let mut section = |title: &str, wanted: &dyn Fn(On) -> bool| {
        let rows = ROWS.iter().filter(|row| wanted(row.on));
        let _ = write!(page, "\n## {title}\n\n| key | name | does |\n| --- | --- | --- |\n");
        for row in rows {
            let keys: Vec<String> = row.chords.iter().map(|chord| format!("`{}`", cell(chord))).collect();
            let keys = if keys.is_empty() { "by name, with `:`".to_owned() } else { keys.join(" ") };
            let _ = writeln!(page, "| {keys} | `{}` | {} |", row.name, cell(row.doc));
        }
    };
    section("Everywhere", &|on| on == On::Everywhere);
    for view in Page::ALL {
        let name = view.name();
        let title = format!("{}{}", name[..1].to_uppercase(), &name[1..]);
        section(&title, &|on| matches!(on, On::Pages(pages) if pages.contains(&view)));
    }
    check("keys.md", &page);
}

#[test]
fn the_list_of_commands() {
    let help = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mcpdeck")).args(words).arg("--help").output().unwrap();
        assert!(output.status.success(), "{words:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    };
    let whole = help(&[]);
    let names = whole.split("Commands:").nth(1).unwrap().lines().skip(1).take_while(|line| !line.is_empty());
    let names = names.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let mut page = format!(
        "# Commands\n\n<!-- Made of the program's own help by .ci/renew. -->\n\n\
         `mcpdeck man` prints this as a man page, `mcpdeck completions bash` (or zsh, fish, ...) what a shell needs.\n\n\
         ```text\n{whole}\n```\n"
    );
    for name in names.filter_map(|line| line.split_whitespace().next()) {
        let _ = write!(page, "\n## {name}\n\n```text\n{}\n```\n", help(&[name]));
    }
    check("commands.md", &page);
}

/// In each table of a configuration a key that nobody knows: what is said of it lists those that are known.
fn with_strangers(value: &mut toml::Value) {
    match value {
        toml::Value::Table(table) => {
            table.iter_mut().for_each(|(_, value)| with_strangers(value));
            table.insert("zz_nothing".to_owned(), toml::Value::Integer(1));
        }
        toml::Value::Array(items) => items.iter_mut().for_each(with_strangers),
        _ => {}
    }
}

/// `server.etim.run` is `server.NAME.run`, whichever server it is.
fn general(key: &str) -> String {
    let mut out: Vec<&str> = Vec::new();
    let mut named = false;
    for part in key.split('.') {
        out.push(if named { "NAME" } else { part });
        named = !named && matches!(part, "server" | "tenant" | "stack" | "engine" | "part" | "service");
    }
    out.join(".")
}

fn known_keys() -> BTreeMap<String, BTreeSet<String>> {
    let folder = tempfile::tempdir().unwrap();
    let mut examples: Vec<PathBuf> = vec![root().join("config/default.toml")];
    for dir in ["tests/config/valid", "config/examples"] {
        let entries = std::fs::read_dir(root().join(dir)).unwrap().map(|entry| entry.unwrap().path());
        examples.extend(entries.filter(|path| path.extension().is_some_and(|end| end == "toml")));
    }
    let mut known: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for example in examples {
        let mut table: toml::Table = std::fs::read_to_string(&example).unwrap().parse().unwrap();
        table.remove("include");
        let mut value = toml::Value::Table(table);
        with_strangers(&mut value);
        let path = folder.path().join("deck.toml");
        std::fs::write(&path, toml::to_string(&value).unwrap()).unwrap();
        let env = [("HOME".to_owned(), "/home/ops".to_owned())].into();
        let problems = load(&LoadOptions { file: Some(path), env, set: Vec::new() }).err().unwrap_or_default();
        for problem in problems.iter().filter(|problem| problem.message.contains("zz_nothing")) {
            let Some(keys) = problem.help.as_ref().and_then(|help| help.strip_prefix("allowed here: ")) else {
                continue;
            };
            known.entry(general(&problem.key)).or_default().extend(keys.split(", ").map(str::to_owned));
        }
    }
    known
}

#[test]
fn the_reference_of_the_configuration() {
    let known = known_keys();
    for table in
        ["", "platform", "guard.production", "server.NAME", "server.NAME.run", "tenant.NAME", "tenant.NAME.guard"]
    {
        assert!(known.contains_key(table), "`{table}` is in none of the examples; there are {:?}", known.keys());
    }
    let default = std::fs::read_to_string(root().join("config/default.toml")).unwrap();
    let presets = std::fs::read_dir(root().join("config/presets")).unwrap();
    let presets: Vec<String> = presets.map(|entry| std::fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    let told = format!("{default}{}", presets.concat());
    let words: BTreeSet<&str> = told.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    let mut page = String::from(
        "# Configuration\n\n<!-- Made of what the program reads, and of config/default.toml, by .ci/renew. -->\n\n\
         Every table, with the keys that may stand in it; `NAME` is one of your own. A key that is not here is an error,\n\
         which says where it stands and which are allowed. What each means, and its default, is said below.\n\n\
         | table | keys |\n| --- | --- |\n",
    );
    let mut untold = Vec::new();
    for (table, keys) in &known {
        let shown: Vec<String> = keys.iter().map(|key| format!("`{key}`")).collect();
        let title = if table.is_empty() { "(top)".to_owned() } else { format!("`{table}`") };
        let _ = writeln!(page, "| {title} | {} |", shown.join(" "));
        untold.extend(keys.iter().filter(|key| !words.contains(key.as_str())).map(|key| format!("{table}.{key}")));
    }
    assert_eq!(untold, [""; 0], "neither config/default.toml nor the presets say anything of these");
    let _ = write!(page, "\n## Every setting with its default\n\n```toml\n{}\n```\n", default.trim_end());
    check("configuration.md", &page);
}

#[test]
fn man_pages_and_completions_know_every_command() {
    let folder = tempfile::tempdir().unwrap();
    let run = |words: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_mcpdeck")).args(words).output().unwrap();
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    run(&["man", "--write", folder.path().to_str().unwrap()]);
    for name in ["mcpdeck.1", "mcpdeck-call.1", "mcpdeck-secrets-roll.1"] {
        let page = std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(page.contains(".TH"), "{name}");
    }
    assert!(run(&["man"]).contains("Exit codes"));
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell]);
        assert!(["journal", "secrets", "themes"].iter().all(|word| script.contains(word)), "{shell}");
    }
}
