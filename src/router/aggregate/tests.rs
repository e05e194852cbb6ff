//! Tables of names, addresses, lists and answers.

use super::super::Table;
use super::super::table::{Index, Route};
use super::merge::{Kind, Merged};
use super::names::{Named, split, split_name, split_uri, wrap_answer, wrap_uri};
use crate::config::{LoadOptions, load};
use std::sync::Arc;

const CONFIG: &str = r#"
[[server]]
id = "etim"
run = { backend = "simulated", tools = ["search"] }
[[server]]
id = "git-hub"
prefix = "gh."
run = { backend = "simulated", tools = ["search"] }
[[server]]
id = "bare"
prefix = ""
run = { backend = "simulated", tools = ["search"] }
[[tenant]]
id = "eaton"
enabled = ["etim", "git-hub", "bare"]
"#;

fn index() -> Index {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("deck.toml");
    std::fs::write(&file, CONFIG).unwrap();
    let env = [("HOME".to_owned(), "/home/ops".to_owned())].into();
    let config = load(&LoadOptions { file: Some(file), env, set: Vec::new() });
    let config = config.unwrap_or_else(|problems| panic!("{}", crate::config::problems_text(&problems)));
    Index::new(
        Table {
            servers: config.servers.clone(),
            tenants: vec![(config.tenants[0].clone(), config.servers.iter().map(|s| s.id.clone()).collect())],
            read_only: false,
            guards: Default::default(),
            routing: config.routing.clone(),
        },
        &Index::default(),
    )
}

fn with_routes(test: impl Fn(&[&Arc<Route>])) {
    let index = index();
    let mut routes: Vec<_> = index.routes(&"eaton".into()).collect();
    routes.sort_by(|a, b| a.server.id.cmp(&b.server.id));
    test(&routes);
}

#[test]
fn a_name_tells_its_server() {
    with_routes(|routes| {
        for (name, want) in [
            ("etim_search", Some(("etim", "search"))),
            ("etim_etim_search", Some(("etim", "etim_search"))),
            ("gh.search", Some(("git-hub", "search"))),
            ("search", Some(("bare", "search"))),
            ("etim_", Some(("bare", "etim_"))),
            ("", None),
        ] {
            let got = split_name(routes, name).map(|(route, own)| (route.server.id.to_string(), own));
            assert_eq!(got.as_ref().map(|(s, n)| (s.as_str(), *n)), want, "{name}");
        }
        assert!(split_name(&routes[1..], "search").is_none(), "without the server that has no prefix");
    });
}

#[test]
fn an_address_tells_its_server() {
    for uri in ["file:///a/b", "memo://x", "a", "mcpdeck:other/x"] {
        let ours = wrap_uri(&"etim".into(), uri);
        assert_eq!(split_uri(&ours), Some(("etim".into(), uri)), "{ours}");
    }
    for uri in ["file:///a", "mcpdeck:etim", "mcpdeck:/x", "mcpdeck:etim/", ""] {
        assert_eq!(split_uri(uri), None, "{uri}");
    }
}

#[test]
fn requests_are_split_and_say_the_servers_own_name() {
    with_routes(|routes| {
        for (method, params, want) in [
            (
                "tools/call",
                r#"{"name":"etim_search","arguments":{"a":1.0}}"#,
                r#"etim {"name":"search","arguments":{"a":1.0}}"#,
            ),
            ("prompts/get", r#"{"name":"gh.p"}"#, r#"git-hub {"name":"p"}"#),
            ("resources/read", r#"{"uri":"mcpdeck:etim/file:///a"}"#, r#"etim {"uri":"file:///a"}"#),
            ("resources/subscribe", r#"{"uri":"mcpdeck:git-hub/x"}"#, r#"git-hub {"uri":"x"}"#),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/prompt","name":"etim_p"},"argument":{"name":"a"}}"#,
                r#"etim {"ref":{"type":"ref/prompt","name":"p"},"argument":{"name":"a"}}"#,
            ),
            (
                "completion/complete",
                r#"{"ref":{"type":"ref/resource","uri":"mcpdeck:etim/f:///{p}"}}"#,
                r#"etim {"ref":{"type":"ref/resource","uri":"f:///{p}"}}"#,
            ),
            ("resources/read", r#"{"uri":"file:///a"}"#, "unknown resource `file:///a`"),
            ("resources/read", r#"{"uri":"mcpdeck:law/file:///a"}"#, "unknown resource `mcpdeck:law/file:///a`"),
            ("tools/call", "{}", "params: `name` is missing"),
            ("completion/complete", r#"{"ref":{}}"#, "params.ref names neither a prompt nor a resource"),
        ] {
            let got = match split(routes, method, params) {
                Ok((route, named)) => {
                    let message = named.put_into(&format!(r#"{{"params":{params}}}"#)).unwrap();
                    format!("{} {}", route.server.id, &message[10..message.len() - 1])
                }
                Err(why) => why,
            };
            assert_eq!(got, want, "{method} {params}");
        }
        let (_, named) = split(&routes[1..2], "tools/call", r#"{"name":"etim_x"}"#).unwrap();
        assert_eq!(named, Named::Name("x".to_owned()));
        assert_eq!(split(&routes[1..], "tools/call", r#"{"name":"x"}"#).err().unwrap(), "unknown tool `x`");
    });
}

#[test]
fn lists_are_merged_with_their_servers_in_front() {
    with_routes(|routes| {
        let mut merged = Merged::default();
        let long = "x".repeat(60);
        let lists = [
            ("bare", r#"[{"name":"a","inputSchema":{"n":1.0}},{"name":"etim_b"}]"#.to_owned()),
            ("etim", format!(r#"[{{"name":"a","_meta":{{}}}},{{"name":"{long}"}},{{"title":"nameless"}}]"#)),
            ("git-hub", "broken".to_owned()),
        ];
        for (server, items) in &lists {
            let route = routes.iter().find(|route| route.server.id.as_str() == *server).unwrap();
            merged.add(Kind::Tools, routes, route, items);
        }
        assert_eq!(merged.items, [r#"{"name":"a","inputSchema":{"n":1.0}}"#, r#"{"name":"etim_a","_meta":{}}"#]);
        let left: Vec<_> =
            merged.left_out.iter().map(|text| text.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
        assert_eq!(left, ["bare: `etim_b`", &format!("etim: `etim_{long}`"), "etim: an"]);
        let mut merged = Merged::default();
        merged.add(Kind::Templates, routes, routes[1], r#"[{"uriTemplate":"f:///{p}","name":"f"}]"#);
        assert_eq!(merged.items, [r#"{"uriTemplate":"mcpdeck:etim/f:///{p}","name":"f"}"#]);
    });
}

#[test]
fn pages_follow_each_other_without_a_gap() {
    let merged = Merged { items: (0..2500).map(|n| n.to_string()).collect(), left_out: Vec::new() };
    let (mut cursor, mut seen) = (None, Vec::new());
    loop {
        let (items, next) = merged.page(cursor.as_deref()).unwrap();
        seen.extend_from_slice(items);
        match next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, merged.items);
    for cursor in ["", "p", "p9999", "x1", "p-1"] {
        assert!(merged.page(Some(cursor)).is_err(), "{cursor}");
    }
}

#[test]
fn answers_name_resources_as_callers_know_them() {
    for (method, body, want) in [
        (
            "resources/read",
            r#"{"id":1,"result":{"contents":[{"uri":"f:///a","text":"t"}]}}"#,
            r#"{"id":1,"result":{"contents":[{"uri":"mcpdeck:etim/f:///a","text":"t"}]}}"#,
        ),
        (
            "tools/call",
            r#"{"result":{"content":[{"type":"resource","resource":{"uri":"f"}},{"type":"resource_link","uri":"g"},{"type":"text","text":"\"uri\""}],"structuredContent":{"uri":"kept"}}}"#,
            r#"{"result":{"content":[{"type":"resource","resource":{"uri":"mcpdeck:etim/f"}},{"type":"resource_link","uri":"mcpdeck:etim/g"},{"type":"text","text":"\"uri\""}],"structuredContent":{"uri":"kept"}}}"#,
        ),
        (
            "prompts/get",
            r#"{"result":{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"f"}}}]}}"#,
            r#"{"result":{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"mcpdeck:etim/f"}}}]}}"#,
        ),
        ("tools/call", r#"{"error":{"code":1,"data":{"uri":"x"}}}"#, r#"{"error":{"code":1,"data":{"uri":"x"}}}"#),
        ("tools/call", r#"{"result":{"content":7,"uri":"x"}}"#, r#"{"result":{"content":7,"uri":"x"}}"#),
        ("ping", r#"{"result":{"uri":"x"}}"#, r#"{"result":{"uri":"x"}}"#),
    ] {
        assert_eq!(wrap_answer(&"etim".into(), method, body), want, "{method}");
    }
}
