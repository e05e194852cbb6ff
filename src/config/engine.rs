//! `[[engine]]`: the container engines. Without one it is `local`, found by itself.

use super::container::values;
use super::draft;
use super::pass::Report;
use super::reader::{Field, Reader};
use crate::model::container::{EngineDef, EngineId, SimulatedEngine};
use crate::model::near;
use std::collections::BTreeMap;
use std::sync::Arc;

const URL: &str = "unix:///run/docker.sock, tcp://host:2375, http://host:2375 or https://host:2376";

/// The engines as configured; never empty.
pub(super) struct Engines(pub Vec<Arc<EngineDef>>);

/// Reads every `[[engine]]`.
pub(super) fn engines(root: &mut Reader<'_>) -> Engines {
    let mut seen: BTreeMap<EngineId, String> = BTreeMap::new();
    let mut out = Vec::new();
    for field in draft::tables(root, "engine") {
        let Some(def) = engine(&field) else { continue };
        if let Some(first) = seen.insert(def.id.clone(), field.at().label()) {
            let message = format!("the engine `{}` is defined twice", def.id);
            field.problem(message, format!("it is already defined at {first}: rename or remove one of them"));
            continue;
        }
        out.push(Arc::new(def));
    }
    if out.is_empty() {
        out.push(Arc::new(EngineDef { id: "local".into(), url: None, simulated: None }));
    }
    Engines(out)
}

fn engine(field: &Field<'_>) -> Option<EngineDef> {
    let mut from = field.table()?;
    if !from.has("name") {
        let report = Report::new(from.at, &from.key, "`name` is missing");
        from.pass.problem(report.help("give name = \"local\": servers and stacks name it with engine = \"...\""));
    }
    let id = from.opt("name", |f| f.id().map(EngineId::from));
    let url = from.opt("url", url);
    let simulated = from.opt("simulated", simulated);
    if url.is_some() && simulated.is_some() {
        let report = Report::new(from.place("simulated"), &from.key, "a simulated engine has no url");
        from.pass.problem(report.help("keep one of the two"));
    }
    from.finish();
    Some(EngineDef { id: id?, url, simulated })
}

fn url(field: &Field<'_>) -> Option<String> {
    let text = field.env_text()?;
    let (scheme, rest) = text.split_once("://").unwrap_or(("", &text));
    if !rest.starts_with('/') && rest.contains('@') {
        let help = "engines know no passwords: use a unix socket, or https with client certificates";
        field.pass.problem(Report::new(field.at(), &field.key, "the address holds credentials").hidden().help(help));
        return None;
    }
    let good = match scheme {
        "unix" => values::is_target(rest) && !rest.ends_with('/'),
        "tcp" | "http" | "https" => is_authority(rest.strip_suffix('/').unwrap_or(rest)),
        _ => false,
    };
    if !good || text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        field.wrong(URL);
        return None;
    }
    Some(text)
}

/// `host`, `host:port` or `[::1]:port`.
fn is_authority(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let known = match address {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => values::is_host_name(host),
    };
    known && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn simulated(field: &Field<'_>) -> Option<SimulatedEngine> {
    let mut from = field.table_like("{ containers = 100, gpus = 2, seed = 1 }")?;
    let out = SimulatedEngine {
        containers: from.or("containers", 0, |f| f.count(0..=100_000)),
        gpus: from.or("gpus", 0, |f| f.count(0..=64)),
        seed: from.or("seed", 1, |f| f.integer(0..=i64::MAX)).unsigned_abs(),
    };
    from.finish();
    Some(out)
}

impl Engines {
    /// The name of an engine that is configured.
    pub fn name(&self, field: &Field<'_>) -> Option<EngineId> {
        let name = field.full_text()?;
        if let Some(engine) = self.0.iter().find(|engine| engine.id.as_str() == name) {
            return Some(engine.id.clone());
        }
        let names: Vec<&str> = self.0.iter().map(|engine| engine.id.as_str()).collect();
        let guess = near::nearest(name, names.iter().copied());
        let report = Report::new(field.at(), &field.key, format!("no engine `{name}`")).suggest(guess);
        field.pass.problem(report.help(format!("engines: {}; add one with [[engine]]", names.join(", "))));
        None
    }
}
