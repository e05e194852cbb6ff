//! Configuration as users meet it: files and variables in, a checked config or every problem out.

use mcpdeck::config::{Config, LoadOptions, Problem, load, problems_text};
use std::collections::BTreeMap;

fn home() -> BTreeMap<String, String> {
    BTreeMap::from([("HOME".to_owned(), "/home/ops".to_owned())])
}

fn with(pairs: &[(&str, &str)]) -> Result<Config, Vec<Problem>> {
    let env = home().into_iter().chain(pairs.iter().map(|(k, v)| (k.to_string(), v.to_string()))).collect();
    load(&LoadOptions { env, ..LoadOptions::default() })
}

#[test]
fn the_embedded_default_is_a_platform_without_problems() {
    let config = with(&[]).unwrap_or_else(|problems| panic!("{}", problems_text(&problems)));
    assert_eq!(config.warnings, []);
    assert_eq!(config.tenants.len(), 3);
    assert_eq!(config.servers.len(), 4);
    assert_eq!(config.example_traffic.unwrap().calls.len(), 10);
}
