//! `[[stack.part]]`: one container of a stack, and what a part adds to a compose service.

use super::PartDraft;
use crate::config::container;
use crate::config::pass::Report;
use crate::config::reader::{Field, Reader};
use crate::config::settings;
use crate::config::tree::Value;
use crate::model::container::{ContainerRun, GpuNeed, Speaks};
use crate::model::server::Limits;
use crate::model::stack::{PartDef, Readiness, ReadyBy};
use crate::model::template::Template;
use std::ops::RangeInclusive;
use std::time::Duration;

/// How long a part may take to be ready if nothing is said: a large model is read from a slow disk.
pub const TIMEOUT: Duration = Duration::from_secs(600);
/// How long a part may take to stop, as with compose.
pub const STOP_GRACE: Duration = Duration::from_secs(10);
/// Model servers and databases have no size that suits all: a part is limited only if it says so.
pub const NO_LIMITS: Limits = Limits { memory: None, cpus: None, pids: None, explicit: false };
const WAIT: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(86_400);

/// A part that is written out.
pub fn part(field: &Field<'_>) -> Option<PartDraft> {
    let mut from = field.table()?;
    let name = name(&mut from);
    let run = container::container(&mut from);
    let given = Given::read(&mut from);
    from.finish();
    // As with a server: what is wrong with its container is told already.
    let run = run.or_else(|| Some(ContainerRun::of(Template::parse("").ok()?, Speaks::Nothing)))?;
    let def = PartDef { name: name?, ..given.over(blank(run)) };
    Some(PartDraft::new(def, field, false))
}

/// A part of which nothing is known but its container.
pub fn blank(run: ContainerRun) -> PartDef {
    PartDef {
        name: String::new(),
        run,
        needs: Vec::new(),
        limits: NO_LIMITS,
        ready: Readiness { by: ReadyBy::Running, expected: None, timeout: TIMEOUT, progress: Vec::new() },
        watch: Vec::new(),
        stop_grace: STOP_GRACE,
    }
}

/// What a part adds to a service of a compose file.
pub struct Addition {
    pub name: String,
    pub apply: Change,
}

pub struct Change {
    given: Given,
    gpu: Option<u64>,
}

pub fn addition(field: &Field<'_>) -> Option<Addition> {
    let mut from = field.table()?;
    let name = name(&mut from);
    let gpu = from.opt("gpu", |f| {
        let mut from = f.table_like("{ memory = \"32GiB\" }; which device stands in the compose file")?;
        let memory = from.opt("memory", |f| f.size(1 << 20..=1 << 50));
        from.finish();
        memory
    });
    let given = Given::read(&mut from);
    from.finish();
    Some(Addition { name: name?, apply: Change { given, gpu } })
}

impl Change {
    pub fn to(self, def: &mut PartDef, field: &Field<'_>) {
        match (&mut def.run.gpu, self.gpu) {
            (Some(need), Some(memory)) => *need = GpuNeed { memory: Some(memory), ..need.clone() },
            (None, Some(_)) => {
                let help = "reserve one there: deploy.resources.reservations.devices";
                field.problem(format!("the service `{}` asks for no GPU in its compose file", def.name), help);
            }
            (_, None) => {}
        }
        *def = self.given.over(def.clone());
    }
}

fn name(from: &mut Reader<'_>) -> Option<String> {
    if !from.has("name") {
        let report = Report::new(from.at, &from.key, "`name` is missing");
        from.pass.problem(report.help("give name = \"vllm\": the other parts reach it under this name"));
    }
    from.opt("name", |f| f.id().map(str::to_owned))
}

/// Keys of a part besides those of its container, as far as they are given.
struct Given {
    needs: Option<Vec<String>>,
    limits: Option<Limits>,
    by: Option<ReadyBy>,
    expected: Option<Duration>,
    timeout: Option<Duration>,
    progress: Option<Vec<(String, u8)>>,
    watch: Option<Vec<String>>,
    stop_grace: Option<Duration>,
}

impl Given {
    fn read(from: &mut Reader<'_>) -> Self {
        Self {
            needs: from.opt("needs", Field::texts),
            limits: from.opt("limits", |f| settings::limits(f, &NO_LIMITS)),
            by: from.opt("ready", ready),
            expected: from.opt("expected", |f| f.duration(WAIT)),
            timeout: from.opt("timeout", |f| f.duration(WAIT)),
            progress: from.opt("progress", progress),
            watch: from.opt("watch", Field::texts),
            stop_grace: from.opt("stop_grace", |f| f.duration(Duration::ZERO..=Duration::from_secs(3600))),
        }
    }

    fn over(self, base: PartDef) -> PartDef {
        // A part that says how long it takes is not given up before.
        let usual = self.expected.map_or(base.ready.timeout, |expected| base.ready.timeout.max(expected * 3));
        PartDef {
            needs: self.needs.unwrap_or(base.needs),
            limits: self.limits.unwrap_or(base.limits),
            ready: Readiness {
                by: self.by.unwrap_or(base.ready.by),
                expected: self.expected.or(base.ready.expected),
                timeout: self.timeout.unwrap_or(usual),
                progress: self.progress.unwrap_or(base.ready.progress),
            },
            watch: self.watch.unwrap_or(base.watch),
            stop_grace: self.stop_grace.unwrap_or(base.stop_grace),
            ..base
        }
    }
}

/// `{ http = { port, path } }`, `{ log = "text" }`, `{ health = true }`, `{ done = true }` or `"running"`.
fn ready(field: &Field<'_>) -> Option<ReadyBy> {
    const SHAPE: &str = "\"running\", { http = { port = 8000, path = \"/v1/models\" } }, { log = \"text\" }, { health = true } or { done = true }";
    if let Value::Text(text) = &field.node.value
        && text == "running"
    {
        return Some(ReadyBy::Running);
    }
    let mut from = field.table_like(SHAPE)?;
    let http = from.opt("http", http);
    let log = from.opt("log", |f| f.full_text().map(|text| ReadyBy::Log(text.to_owned())));
    let health = from.flag("health", false).then_some(ReadyBy::Health);
    let done = from.flag("done", false).then_some(ReadyBy::Done);
    let given = ["http", "log", "health", "done"].into_iter().filter(|key| from.has(key)).count();
    from.finish();
    if given != 1 {
        field.problem("a part shows in one way that it is ready", format!("allowed: {SHAPE}"));
        return None;
    }
    http.or(log).or(health).or(done)
}

fn http(field: &Field<'_>) -> Option<ReadyBy> {
    let mut from = field.table_like("{ port = 8000, path = \"/v1/models\" }")?;
    let port = from.opt("port", |f| f.count(1..=65_535)).and_then(|port| u16::try_from(port).ok());
    let path = from.or("path", "/".to_owned(), container::inside);
    if !from.has("port") {
        field.problem(
            "`port` is missing",
            "give the port inside the container: http = { port = 8000, path = \"/health\" }",
        );
    }
    from.finish();
    Some(ReadyBy::Http { port: port?, path })
}

/// `[["Loading weights", 40], ["Capturing graphs", 80]]`, rising.
fn progress(field: &Field<'_>) -> Option<Vec<(String, u8)>> {
    const SHAPE: &str = "a list such as [[\"Loading weights\", 40], [\"Capturing graphs\", 80]]";
    let steps = field.list(|item| {
        let pair = item.items()?;
        let [text, percent] = pair.as_slice() else {
            item.wrong(SHAPE);
            return None;
        };
        Some((text.full_text()?.to_owned(), u8::try_from(percent.count(0..=100)?).ok()?))
    })?;
    if steps.windows(2).any(|pair| pair[0].1 >= pair[1].1) {
        field.problem("the percentages do not rise", "give the patterns in the order in which the log shows them");
        return None;
    }
    Some(steps)
}
