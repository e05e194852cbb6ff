//! Configuration as users meet it: files and variables in, a checked config or every problem out.

mod import;

use mcpdeck::config::{Config, LoadOptions, OnHangup, Problem, load, problems_text};
use mcpdeck::model::server::{EnvValue, Run, Scope, ServerDef, Settings};
use mcpdeck::model::stack::PartDef;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The environment of a test: nothing of the machine's own.
fn environment(more: &[(&str, &str)]) -> BTreeMap<String, String> {
    let base = [("HOME", "/home/ops"), ("XDG_RUNTIME_DIR", "/")];
    let pairs = base.iter().chain(more).filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| (name.to_string(), value.to_string())).collect()
}

fn file(path: impl Into<PathBuf>, env: &[(&str, &str)], set: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
    let set = set.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    load(&LoadOptions { file: Some(path.into()), env: environment(env), set })
}

/// Loads a text as a file of its own.
fn text(text: &str) -> Result<Config, Vec<Problem>> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deck.toml");
    std::fs::write(&path, text).unwrap();
    file(path, &[], &[])
}

fn good(config: Result<Config, Vec<Problem>>) -> Config {
    config.unwrap_or_else(|problems| panic!("{}", problems_text(&problems)))
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    found.sort();
    found
}

fn snapshot(path: &Path, shown: &str) {
    let name = path.file_stem().unwrap().to_str().unwrap();
    let folder = path.parent().unwrap().file_name().unwrap().to_str().unwrap();
    let snapshots = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/config/snapshots").join(folder);
    insta::with_settings!({ snapshot_path => snapshots, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, shown);
    });
}

#[test]
fn every_invalid_file_is_told_what_is_wrong_where_and_what_to_do() {
    for path in files("tests/config/invalid") {
        let problems = file(&path, &[], &[]).expect_err(&path.display().to_string());
        snapshot(&path, &problems_text(&problems));
    }
}

#[test]
fn an_image_says_by_itself_that_it_runs_in_a_container() {
    for (run, container) in [
        (r#"{ image = "team/etim:3" }"#, true),
        (r#"{ image = "team/etim:3", command = ["etim", "--stdio"] }"#, true),
        (r#"{ backend = "docker", image = "team/etim:3" }"#, true),
        (r#"{ command = ["etim", "--stdio"] }"#, false),
    ] {
        let config = good(text(&format!("[[server]]\nid = \"etim\"\nrun = {run}\n")));
        assert_eq!(matches!(config.servers[0].run, Run::Container(_)), container, "{run}");
    }
    let process = r#"[[server]]
id = "etim"
run = { backend = "process", command = ["etim"], image = "team/etim:3" }"#;
    let problems = problems_text(&text(process).unwrap_err());
    assert!(problems.contains("unknown key `image`"), "who says process means it: {problems}");
}

/// A compose file as the parts that it becomes, one after the other, without what is as by default.
#[test]
fn every_compose_file_becomes_the_parts_it_means() {
    let env = [("VLLM_API_KEY", "k3y"), ("FROM_OURS", "ours"), ("A_VARIABLE", "filled"), ("DB_PASSWORD", "pa55")];
    for path in files("tests/config/compose/good").into_iter().filter(|path| path.extension().unwrap() == "yml") {
        let folder = tempfile::tempdir().unwrap();
        let own = folder.path().join("deck.toml");
        let stack = format!("[[stack]]\nname = \"s\"\ntenant = \"t\"\ncompose = {:?}\n", path.display().to_string());
        std::fs::write(&own, format!("[[tenant]]\nid = \"t\"\n{stack}")).unwrap();
        let config = good(file(&own, &env, &[]));
        let parts: String = config.stacks[0].parts.iter().map(part_text).collect();
        let here = format!("{}/", env!("CARGO_MANIFEST_DIR"));
        let shown = format!("{parts}\n{}", problems_text(&config.warnings)).replace(&here, "");
        assert!(!shown.contains("k3y") && !shown.contains("pa55"), "{shown}");
        snapshot(&Path::new("compose").join(path.file_name().unwrap()), &shown);
    }
}

fn part_text(part: &PartDef) -> String {
    let PartDef { name, run, needs, limits, ready, watch: _, stop_grace } = part;
    let mut out = format!("{name}: {:?}\n", run.image);
    let mut line = |key: &str, value: String, default: &str| {
        if value != default {
            out.push_str(&format!("  {key} {value}\n"));
        }
    };
    line("pull", format!("{:?}", run.pull), "Missing");
    line("entrypoint", format!("{:?}", run.entrypoint), "None");
    line("command", format!("{:?}", run.command), "None");
    for (name, value) in &run.env {
        line("env", format!("{name} {value:?}"), "");
    }
    line("workdir", format!("{:?}", run.workdir), "None");
    line("user", format!("{:?}", run.user), "Some(\"\")");
    line("writable_root", run.writable_root.to_string(), "true");
    line("tmpfs", format!("{:?}", run.tmpfs), "[]");
    for mount in &run.mounts {
        let ro = if mount.read_only { " (read-only)" } else { "" };
        line("mount", format!("{} -> {}{ro}", mount.source.source(), mount.target), "");
    }
    line("gpu", format!("{:?}", run.gpu), "None");
    line("shm", format!("{:?}", run.shm), "None");
    for port in &run.ports {
        line("port", format!("{}:{:?} -> {}", port.address, port.host, port.container), "");
    }
    line("networks", format!("{:?}", run.networks), "[]");
    line("aliases", format!("{:?}", run.aliases), "[]");
    line("hosts", format!("{:?}", run.hosts), "[]");
    let usual = "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT";
    line("capabilities", run.capabilities.join(" "), usual);
    line("health", format!("{:?}", run.health), "None");
    line("needs", format!("{needs:?}"), "[]");
    line("limits", format!("{:?} {:?} {:?}", limits.memory, limits.cpus, limits.pids), "None None None");
    line("ready", format!("{:?}", ready.by), "Running");
    line("stop_grace", format!("{stop_grace:?}"), "10s");
    out
}

const FILLED: [(&str, &str); 3] = [("ETIM_HOST", "etim.example"), ("SHARE", "/mnt"), ("BRACES", "{x}")];

#[test]
fn every_valid_file_becomes_the_config_it_means() {
    for path in files("tests/config/valid") {
        let config = good(file(&path, &FILLED, &[]));
        let warnings = problems_text(&config.warnings);
        let here = format!("{}/", env!("CARGO_MANIFEST_DIR"));
        snapshot(&path, &format!("{:#?}", Config { warnings: Vec::new(), ..config }).replace(&here, ""));
        let path = path.with_file_name(format!("{}.warnings.toml", path.file_stem().unwrap().display()));
        if !warnings.is_empty() {
            snapshot(&path, &warnings);
        }
    }
}

#[test]
fn every_example_is_without_problems_and_warnings() {
    let env =
        [("ETIM_HOST", "etim.example"), ("GRAFANA_URL", "https://grafana.example"), ("VATTENFALL_GRAFANA_TOKEN", "t")];
    let toml = |path: &PathBuf| path.extension().is_some_and(|end| end == "toml");
    for path in files("config/examples").into_iter().filter(toml) {
        assert_eq!(problems_text(&good(file(&path, &env, &[])).warnings), "", "{}", path.display());
    }
}

#[test]
fn the_embedded_default_is_a_platform_without_problems() {
    let config = good(load(&LoadOptions { env: environment(&[]), ..LoadOptions::default() }));
    assert_eq!(config.warnings, []);
    assert_eq!(config.source, None);
    assert_eq!(config.platform.on_hangup, OnHangup::Exit);
    assert_eq!(config.tenants.len(), 3);
    assert_eq!(config.servers.len(), 4);
    assert_eq!(config.example_traffic.unwrap().calls.len(), 10);
    assert!(config.servers.iter().all(|server| !server.settings.limits.explicit));
}

const DEFAULT: &str = include_str!("../config/default.toml");

#[test]
fn the_default_file_states_the_defaults() {
    let default = good(load(&LoadOptions { env: environment(&[]), ..LoadOptions::default() }));
    let own = good(text("[[server]]\nid = \"x\"\nbuiltin = \"catalog\"\n"));
    assert_eq!(default.servers[0].settings, Settings::default());
    assert_eq!(own.servers[0].settings, Settings::default());
    assert_eq!(own.platform.on_hangup, OnHangup::Keep);
    assert!(own.example_traffic.is_none() && own.tenants.is_empty());
    let rest = |config: &Config| {
        let (platform, store) = (&config.platform, &config.store);
        let counts = (store.calls_per_tenant, store.audit_rotate_bytes, store.audit_keep, platform.bulk_cap);
        (counts, platform.owner, platform.read_only, platform.environment, config.log.clone(), config.ui.mouse)
    };
    assert_eq!(rest(&default), rest(&own));
}

#[test]
fn the_default_file_has_a_word_on_every_key() {
    let tables =
        ["platform", "paths", "store", "ui", "defaults", "defaults.health", "defaults.limits", "defaults.restart"];
    let more = ["defaults.stop", "example_traffic"];
    let unknown: String = tables.iter().chain(&more).map(|table| format!("[{table}]\nzzzz = 1\n")).collect();
    let lists = "[[engine]]\nname = \"e\"\nzzzz = 1\n[engine.simulated]\nzzzz = 1\n[[stack]]\nname = \"k\"\ntenant = \"t\"\nzzzz = 1\n\
                 [[stack.part]]\nname = \"p\"\nimage = \"x\"\nzzzz = 1\ngpu = { zzzz = 1 }\nhealthcheck = { zzzz = 1 }\n\
                 [[stack]]\nname = \"c\"\ntenant = \"t\"\ncompose = { zzzz = 1 }\n\
                 [[server]]\nid = \"d\"\nrun = { backend = \"docker\", image = \"x\", zzzz = 1 }\n\
                 [[server]]\nid = \"s\"\nzzzz = 1\n[[tenant]]\nid = \"t\"\nzzzz = 1\n[tenant.server.x]\nzzzz = 1\n";
    let problems = text(&format!("zzzz = 1\n{unknown}{lists}")).unwrap_err();
    // A table without its required key says so besides.
    let problems: Vec<_> = problems.into_iter().filter(|problem| problem.message.contains("zzzz")).collect();
    assert_eq!(problems.len(), 22);
    for problem in problems {
        let help = problem.help.unwrap();
        for key in help.strip_prefix("allowed here: ").unwrap().split(", ").filter(|key| *key != "simulate") {
            let word = |c: char| c.is_alphanumeric() || c == '_';
            let named = DEFAULT
                .match_indices(key)
                .any(|(at, _)| !DEFAULT[..at].ends_with(word) && !DEFAULT[at + key.len()..].starts_with(word));
            assert!(named, "{}.{key} is not in config/default.toml", problem.key);
        }
    }
}

#[test]
fn later_layers_win_and_may_name_one_item_by_its_id() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deck.toml");
    std::fs::write(&path, "[platform]\nread_only = false\n[[server]]\nid = \"my-etim\"\nbuiltin = \"catalog\"\n")
        .unwrap();
    let env = [
        ("MCPDECK_PLATFORM__READ_ONLY", "true"),
        ("MCPDECK_SERVER__MY_ETIM__IDLE_STOP", "1m"),
        ("MCPDECK_LOG", "warn"),
    ];
    let config = good(file(&path, &env, &[("log", "trace"), ("server.my-etim.limits.memory", "1GiB")]));
    assert!(config.platform.read_only);
    assert_eq!(config.log, "trace");
    assert_eq!(config.servers[0].settings.idle_stop, Some(Duration::from_secs(60)));
    assert_eq!(config.servers[0].settings.limits.memory, Some(1 << 30));
    assert!(config.servers[0].settings.limits.explicit);
}

#[test]
fn problems_of_variables_and_flags_name_them() {
    let env = [
        ("MCPDECK_PLATFORM__READ_ONLY", "maybe"),
        ("MCPDECK_PLATFORM__NMAE", "x"),
        ("MCPDECK_SERVER__NONE__IDLE_STOP", "1m"),
        ("MCPDECK_PLATFORM_OWNER", "serve"),
        ("MCPDECK_TEST_THING", "unrelated"),
    ];
    let set = [("store.audit_keep", "0"), ("log.x", "1"), ("", "1"), ("tenant.t.environment", "prod")];
    let problems = file("tests/config/parts/customers.toml", &env, &set).unwrap_err();
    snapshot(Path::new("layers/problems.toml"), &problems_text(&problems));
    let config = good(file("tests/config/parts/ctax.toml", &env[3..], &[]));
    snapshot(Path::new("layers/warnings.toml"), &problems_text(&config.warnings));
}

#[test]
fn the_file_is_looked_for_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str| {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, "").unwrap();
        path
    };
    let (named, xdg, home) =
        (write("named.toml"), write("xdg/mcpdeck/config.toml"), write("home/.config/mcpdeck/config.toml"));
    let at = |path: &str| folder.path().join(path).display().to_string();
    let (home_dir, xdg_dir, named_file) = (at("home"), at("xdg"), at("named.toml"));
    for (env, want) in [
        (vec![("HOME", home_dir.as_str())], &home),
        (vec![("HOME", &home_dir), ("XDG_CONFIG_HOME", &xdg_dir)], &xdg),
        (vec![("HOME", &home_dir), ("XDG_CONFIG_HOME", "relative")], &home),
        (vec![("HOME", &home_dir), ("MCPDECK_CONFIG", &named_file)], &named),
    ] {
        let config = good(load(&LoadOptions { env: environment(&env), ..LoadOptions::default() }));
        assert_eq!(config.source.as_ref(), Some(want));
    }
    let missing =
        load(&LoadOptions { env: environment(&[("MCPDECK_CONFIG", "/none.toml")]), ..LoadOptions::default() });
    assert!(problems_text(&missing.unwrap_err()).starts_with("cannot read /none.toml: No such file"));
}

#[test]
fn folders_follow_xdg_and_two_platforms_never_meet() {
    let lay = |env: &[(&str, &str)], set: &[(&str, &str)]| {
        let paths = good(file("tests/config/valid/empty.toml", env, set)).paths;
        [paths.state, paths.data, paths.logs, paths.socket].map(|path| path.display().to_string())
    };
    let state = "/home/ops/.local/state/mcpdeck/mcpdeck";
    assert_eq!(
        lay(&[], &[]),
        [state, "/home/ops/.local/share/mcpdeck/mcpdeck", &format!("{state}/logs"), "/mcpdeck/mcpdeck.sock"]
    );
    let xdg = [("XDG_STATE_HOME", "/s"), ("XDG_DATA_HOME", "/d")];
    let name = [("platform.name", "Fra 1")];
    assert_eq!(
        lay(&xdg, &name),
        ["/s/mcpdeck/fra-1", "/d/mcpdeck/fra-1", "/s/mcpdeck/fra-1/logs", "/mcpdeck/fra-1.sock"]
    );
    let own = [("paths.state", "/srv/deck"), ("platform.socket", "/run/x.sock")];
    assert_eq!(lay(&[], &own), ["/srv/deck", "/srv/deck/data", "/srv/deck/logs", "/run/x.sock"]);
    let no_runtime = lay(&[("XDG_RUNTIME_DIR", "/does/not/exist")], &[])[3].clone();
    assert!(no_runtime == "/run/mcpdeck/mcpdeck.sock" || no_runtime == format!("{state}/mcpdeck.sock"), "{no_runtime}");
}

#[test]
fn one_table_makes_up_a_large_platform_the_same_for_the_same_seed() {
    let table = "[simulate]\nseed = 7\ntenants = 1000\nservers = 40\nshared = 4\ninstances = 10000\n\
                 [[simulate.fault]]\nserver = \"sim-003\"\nhang_after = \"30s\"\n";
    let (one, two) = (good(text(table)), good(text(table)));
    assert_eq!((one.tenants.len(), one.servers.len()), (1000, 40));
    let scope = |id: &str| one.servers.iter().find(|server| server.id.as_str() == id).unwrap().scope;
    let own = |tenant: &mcpdeck::model::TenantDef| {
        tenant.enabled.keys().filter(|id| scope(id.as_str()) == Scope::Tenant).count()
    };
    assert_eq!(4 + one.tenants.iter().map(|tenant| own(tenant)).sum::<usize>(), 10_000);
    assert!(one.tenants == two.tenants && one.servers.iter().zip(&two.servers).all(|(a, b)| a.run == b.run));
    let Run::Simulated(run) = &one.servers[2].run else { panic!() };
    assert_eq!(run.faults.len(), 1);
}

/// What a secret's value could look like in a config: nowhere, for it is never read.
#[test]
fn secrets_stay_references() {
    let secret = [("TOKEN", "s3cr3t")];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deck.toml");
    std::fs::write(folder.path().join("key"), "s3cr3t").unwrap();
    let server =
        "[[server]]\nid = \"x\"\nurl = \"http://h/mcp\"\nheaders = { A = { env = \"TOKEN\" }, B = { file = \"key\" } }";
    std::fs::write(&path, server).unwrap();
    let config = good(file(&path, &secret, &[]));
    assert!(!format!("{config:?}").contains("s3cr3t"));
    let Run::Remote { headers, .. } = &config.servers[0].run else { panic!() };
    assert_eq!(headers["B"], EnvValue::Secret(mcpdeck::model::secret::SecretRef::File(folder.path().join("key"))));
}

#[test]
fn a_secret_in_plain_text_is_told_without_the_text() {
    let problems = text("[[tenant]]\nid = \"t\"\nsecrets = { a = \"s3cr3t\" }\n").unwrap_err();
    assert!(problems[0].line == 3 && !format!("{problems:?}").contains("s3cr3t"), "{problems:?}");
    let url = "[[server]]\nid = \"x\"\nurl = \"http://u:s3cr3t@h/mcp\"\nheaders = { X-Token = \"s3cr3t\" }\n";
    let warnings = good(text(url)).warnings;
    assert!(warnings.len() == 2 && !format!("{warnings:?}").contains("s3cr3t"), "{warnings:?}");
}

#[test]
fn files_that_are_no_text_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deck.toml");
    std::fs::write(&path, b"a = 1\nb = \"\xff\"").unwrap();
    let told = problems_text(&file(&path, &[], &[]).unwrap_err());
    assert!(told.contains("is not UTF-8 in line 2 (byte 11)"), "{told}");
    let told = problems_text(&file(folder.path(), &[], &[]).unwrap_err());
    assert!(told.contains("is no file"), "{told}");
}

#[test]
fn a_definition_says_where_it_stands() {
    let config = good(file("tests/config/valid/included.toml", &[], &[]));
    let places: Vec<_> =
        config.servers.iter().map(|server: &std::sync::Arc<ServerDef>| server.defined_at.as_str()).collect();
    assert_eq!(places, ["tests/config/parts/ctax.toml:1"]);
}

#[test]
fn a_chain_of_any_length_is_walked() {
    let link = |n: u32| format!("[[server]]\nid = \"s{n}\"\nbuiltin = \"catalog\"\nneeds = [\"s{}\"]\n", n + 1);
    let mut chain: String = (0..10_000).map(link).collect();
    chain.push_str("[[server]]\nid = \"s10000\"\nbuiltin = \"catalog\"\n");
    assert_eq!(good(text(&chain)).servers.len(), 10_001);
    let closed = chain.replace("s10000\"\nbuiltin", "s10000\"\nneeds = [\"s9999\"]\nbuiltin");
    let told = problems_text(&text(&closed).unwrap_err());
    assert!(told.contains("servers need each other: s9999 -> s10000 -> s9999"), "{told}");
}

/// Pieces that meet in real files, so that random files get past the first key.
const PIECES: [&str; 32] = [
    "[[server]]\n",
    "id = \"a\"\n",
    "id = \"b\"\n",
    "name = \"A B\"\n",
    "url = \"http://x/mcp\"\n",
    "builtin = \"memory\"\n",
    "run = { command = [\"x\", \"{tenant.id}\"] }\n",
    "preset = \"git\"\n",
    "preset = { name = \"fetch\", proxy = \"{\" }\n",
    "scope = \"tenant\"\n",
    "needs = [\"a\", \"b\"]\n",
    "[[tenant]]\n",
    "enabled = [\"a\"]\n",
    "enabled = { a = 1 }\n",
    "[tenant.server.a]\n",
    "config = { x = \"${Y}\" }\n",
    "[simulate]\n",
    "tenants = 3\n",
    "instances = 9\n",
    "[example_traffic]\n",
    "call = [{ tenant = \"a\" }]\n",
    "[defaults]\n",
    "timeout = \"9h\"\n",
    "limits = \"off\"\n",
    "run = { backend = \"docker\", image = \"x\", port = 80, ports = [\"80:80\"] }\n",
    "[[engine]]\nname = \"e\"\n",
    "[[stack]]\nname = \"k\"\ntenant = \"a\"\n",
    "server = \"a\"\n",
    "[[stack.part]]\nname = \"p\"\nimage = \"x\"\n",
    "needs = [\"p\"]\n",
    "adopt = { container = \"x\" }\n",
    "ready = { http = { port = 80 } }\n",
];

fn compose(text: &str) -> Result<Config, Vec<Problem>> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("compose.yml"), text).unwrap();
    let path = folder.path().join("deck.toml");
    std::fs::write(
        &path,
        "[[tenant]]\nid = \"t\"\n[[stack]]\nname = \"s\"\ntenant = \"t\"\ncompose = \"compose.yml\"\n",
    )
    .unwrap();
    file(&path, &[], &[])
}

#[test]
fn a_compose_file_that_is_no_yaml_says_where() {
    let told = problems_text(&compose("services:\n  a:\n    image: x\n   b: y\n").unwrap_err());
    assert!(told.contains("compose.yml:4:4: not YAML: "), "{told}");
    let bomb: String = (1..40).fold("a0: &a0 [x, x, x, x, x, x, x, x, x]\n".to_owned(), |text, n| {
        let refs = vec![format!("*a{}", n - 1); 9].join(", ");
        format!("{text}a{n}: &a{n} [{refs}]\n")
    });
    assert!(compose(&bomb).is_err(), "a file that grows without end is refused");
}

/// Pieces that meet in real compose files.
const COMPOSE: [&str; 16] = [
    "services:\n",
    "  a:\n",
    "  b: &b\n",
    "  c:\n    <<: *b\n",
    "    image: x\n",
    "    image: ${X:-y}\n",
    "    command: [a, 1, true, null]\n",
    "    ports: [80, \"1:2\", {target: 3}]\n",
    "    environment: {A: 1, B: , C: \"{\"}\n",
    "    volumes: [v:/x, ./y:/y]\n",
    "    depends_on: [b]\n",
    "    deploy: {resources: {limits: {memory: 1g}}}\n",
    "    healthcheck: {test: x}\n",
    "    networks: {n: }\n",
    "volumes: {v: }\n",
    "networks: {n: {external: true}}\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_config_or_problems(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deck.toml");
        std::fs::write(&path, bytes).unwrap();
        if let Err(problems) = file(&path, &[], &[]) {
            prop_assert!(!problems.is_empty());
        }
    }

    #[test]
    fn any_pieces_are_a_config_or_problems_in_the_file(picks in prop::collection::vec(0..PIECES.len(), 0..14)) {
        let whole: String = picks.iter().map(|at| PIECES[*at]).collect();
        if let Err(problems) = text(&whole) {
            prop_assert!(!problems.is_empty());
            for problem in problems {
                let span = problem.span.clone().unwrap_or_default();
                prop_assert!(problem.text.as_deref().is_none_or(|text| text.get(span).is_some()), "{}", problem);
            }
        }
    }

    #[test]
    fn any_pieces_of_compose_are_a_config_or_problems(picks in prop::collection::vec(0..COMPOSE.len(), 0..12), end in "\\PC{0,8}") {
        let whole: String = picks.iter().map(|at| COMPOSE[*at]).collect();
        for text in [whole.clone(), whole + &end] {
            if let Err(problems) = compose(&text) {
                prop_assert!(!problems.is_empty());
                for problem in problems {
                    let span = problem.span.clone().unwrap_or_default();
                    prop_assert!(problem.text.as_deref().is_none_or(|text| text.get(span).is_some()), "{}", problem);
                }
            }
        }
    }

    #[test]
    fn any_variable_or_flag_is_a_config_or_problems(key in "[a-z_.0-9]{0,20}|(platform|server|store)\\.[a-z_.]{0,12}", value in "\\PC{0,12}") {
        let name = format!("MCPDECK_{}", key.replace('.', "__").to_uppercase());
        let loaded = file("tests/config/parts/ctax.toml", &[(&name, &value)], &[(&key, &value)]);
        prop_assert!(loaded.is_ok() || loaded.is_err_and(|problems| !problems.is_empty()));
    }
}
