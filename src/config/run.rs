//! Where a server's instances come from: `run`, `url`, `preset`, `builtin`, or each tenant's own url.

use super::container;
use super::engine::Engines;
use super::inject;
use super::pass::Report;
use super::preset::{self, Preset};
use super::reader::{Field, Reader};
use super::simulate;
use crate::model::server::{EnvValue, ProcessRun, Run};
use crate::model::template::Template;
use std::collections::BTreeMap;
use std::net::Ipv6Addr;

/// MCP servers that mcpdeck ships.
const BUILTINS: [(&str, &str); 2] = [("memory", "memory"), ("catalog", "catalog")];
/// Keys of which a server has one at most.
const FORMS: [&str; 4] = ["run", "url", "preset", "builtin"];
const URL: &str = "an http:// or https:// address such as \"http://127.0.0.1:7779/mcp\"";

/// How a server runs, and what its preset says about it besides.
pub(super) struct Origin {
    pub run: Run,
    pub preset: Option<Preset>,
}

/// Reads the form that is given. `None` if it cannot be used (that was reported).
pub(super) fn origin(from: &mut Reader<'_>, engines: &Engines) -> Option<Origin> {
    let given: Vec<_> = FORMS.into_iter().filter(|form| from.has(form)).collect();
    if let [first, second, ..] = given[..] {
        let message = format!("both {first} and {second} say where it runs");
        from.pass.problem(Report::new(from.place(second), &from.key, message).help("keep one of them"));
    }
    let env = from.get("env");
    let headers = from.get("headers");
    let restart = from.get("restart_command");
    let run = from.get("run");
    let url = from.get("url");
    let preset = from.get("preset");
    let builtin = from.get("builtin");
    let adopt = from.get("adopt");
    let extra = Extra { env: &env, headers: &headers, restart: &restart };
    if url.is_none() {
        extra.refuse(
            &adopt,
            "what is adopted serves at a url",
            "give url = \"...\" beside adopt, or a [[stack]] that adopts",
        );
    }
    if let Some(field) = run {
        return running(&field, &extra, engines).map(|run| Origin { run, preset: None });
    }
    if let Some(field) = preset {
        extra.only_env("a preset");
        let (mut run, preset) = preset::resolve(&field)?;
        match &mut run {
            Run::Process(process) => process.env.extend(extra.env_values()),
            Run::Container(container) => container.env.extend(extra.env_values()),
            _ => {}
        }
        return Some(Origin { run, preset: Some(preset) });
    }
    if let Some(field) = builtin {
        extra.only_env("a builtin server");
        let name = field.choice(&BUILTINS)?.to_owned();
        return Some(Origin { run: Run::Builtin { name, env: extra.env_values() }, preset: None });
    }
    extra.refuse(extra.env, "what somebody else runs has no environment of ours", "use headers");
    let headers = extra.headers.as_ref().and_then(inject::headers).unwrap_or_default();
    let Some(field) = url else {
        extra.refuse(extra.restart, "there is no url to restart", "give url = \"...\"");
        return Some(Origin { run: Run::PerTenant { headers }, preset: None });
    };
    let restart_command = restart.as_ref().and_then(Field::command);
    let adopt = adopt.as_ref().and_then(container::adopt);
    if adopt.is_some() {
        extra.refuse(&restart, "what is adopted is restarted by its engine", "remove restart_command, or adopt");
    }
    Some(Origin { run: Run::Remote { url: field.url_template()?, headers, restart_command, adopt }, preset: None })
}

/// Keys beside the form that make sense for some forms alone.
struct Extra<'x, 't> {
    env: &'x Option<Field<'t>>,
    headers: &'x Option<Field<'t>>,
    restart: &'x Option<Field<'t>>,
}

impl Extra<'_, '_> {
    fn env_values(&self) -> BTreeMap<String, EnvValue> {
        self.env.as_ref().and_then(inject::env).unwrap_or_default()
    }

    fn refuse(&self, field: &Option<Field<'_>>, why: &str, help: &str) {
        if let Some(field) = field {
            field.pass.problem(Report::new(field.key_at, &field.key, why).help(help));
        }
    }

    fn only_env(&self, what: &str) {
        let why = format!("{what} runs here and speaks over stdin and stdout");
        self.runs_here(&why, "use env, or inject = { meta = true }");
    }

    fn runs_here(&self, why: &str, help: &str) {
        self.refuse(self.headers, why, help);
        self.refuse(self.restart, why, "remove it: mcpdeck restarts what it runs");
    }
}

fn running(field: &Field<'_>, extra: &Extra<'_, '_>, engines: &Engines) -> Option<Run> {
    #[derive(Clone, Copy)]
    enum Kind {
        Process,
        Container,
        Simulated,
    }
    let mut from = field.table()?;
    let kinds = [("process", Kind::Process), ("docker", Kind::Container), ("simulated", Kind::Simulated)];
    let kind = match from.get("backend") {
        // Which other keys there may be depends on it, so a wrong one ends the reading of this table.
        Some(field) => field.choice(&kinds)?,
        // Only a container has an image.
        None if from.has("image") => Kind::Container,
        None => Kind::Process,
    };
    match kind {
        Kind::Container => extra.runs_here("a server with `run` runs here", "use env, or inject = { headers = { } }"),
        _ => extra.only_env("a server with `run`"),
    }
    let run = match kind {
        Kind::Container => container::server(&mut from, engines).map(|mut container| {
            container.env.extend(extra.env_values());
            Run::Container(Box::new(container))
        }),
        Kind::Process => process(&mut from).map(|mut process| {
            process.env.extend(extra.env_values());
            Run::Process(process)
        }),
        Kind::Simulated => {
            extra.refuse(extra.env, "a simulated server has no environment", "remove it");
            Some(Run::Simulated(simulate::run(&mut from)))
        }
    };
    from.finish();
    run
}

fn process(from: &mut Reader<'_>) -> Option<ProcessRun> {
    if !from.has("command") {
        let report = Report::new(from.at, &from.key, "`command` is missing");
        from.pass.problem(report.help("give command = [\"program\", \"argument\"]"));
    }
    let command = from.opt("command", program);
    let out = ProcessRun {
        env: from.or("env", BTreeMap::new(), inject::env),
        cwd: from.opt("cwd", Field::template),
        pass_env: from.or("pass_env", Vec::new(), Field::texts),
        command: Vec::new(),
    };
    Some(ProcessRun { command: command?, ..out })
}

/// Program and arguments with placeholders; the program itself is not empty.
pub(super) fn program(field: &Field<'_>) -> Option<Vec<Template>> {
    let parts = field.list(|item| item.parse_template(item.text()?))?;
    if parts.first().is_none_or(|program| program.source().is_empty()) {
        field.wrong("a list: the program, then its arguments");
        return None;
    }
    Some(parts)
}

impl Field<'_> {
    /// An http or https address with placeholders.
    fn url_template(&self) -> Option<Template> {
        let template = self.env_template()?;
        // A placeholder may stand for the whole address.
        (template.source().starts_with('{') || self.is_url(template.source())).then_some(template)
    }

    /// An http or https address as it is, for one tenant.
    pub fn url_text(&self) -> Option<String> {
        let text = self.env_text()?;
        self.is_url(&text).then_some(text)
    }

    fn is_url(&self, text: &str) -> bool {
        if text.starts_with("ws://") || text.starts_with("wss://") {
            self.problem("WebSocket addresses are not spoken", "MCP runs over http: use the server's http:// address");
            return false;
        }
        let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://")).unwrap_or_default();
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let (user, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let good = is_place(place) && !rest.contains(|c: char| c.is_whitespace() || c.is_control());
        if !good {
            self.wrong(URL);
        }
        if user.contains(':') {
            let report =
                Report::new(self.at(), &self.key, "the address holds a password, and addresses are shown on screen")
                    .hidden();
            self.pass.warning(report.help("give it as headers = { Authorization = { env = \"NAME\" } }"));
        }
        good
    }
}

/// True for `host`, `host:port` or `[address]:port`; what a placeholder will stand for is not known.
fn is_place(text: &str) -> bool {
    if text.contains('{') {
        return true;
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let good_host = match host.strip_prefix('[') {
        Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
        None => !host.is_empty() && !host.contains([':', '[', ']', '\\']),
    };
    good_host && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

#[cfg(test)]
mod tests {
    use super::is_place;

    #[test]
    fn an_address_names_a_host_and_perhaps_a_port() {
        for good in ["etim", "127.0.0.1:7779", "[::1]", "[::1]:80", "{tenant.id}.example:80", "etim:{config.port}"] {
            assert!(is_place(good), "{good}");
        }
        for bad in ["", ":80", "etim:", "etim:0", "etim:99999", "etim:http", "a:b:c", "[::1", "::1", "[etim]:80"] {
            assert!(!is_place(bad), "{bad}");
        }
    }
}
