//! What concerns stacks and containers together: owners and parts that must exist, circles, and the classic mistakes:
//! a host port given twice, a GPU index from outside, our loopback told to a container.

mod classic;
mod stacks;

use super::draft::{self, Draft};
use super::engine::Engines;
use super::pass::{Pass, Report};
use super::stack::{PartDraft, Spot, StackDraft};
use super::tree::Place;
use crate::model::TenantDef;
use crate::model::container::ContainerRun;
use crate::model::server::{Run, ServerDef};

/// Checks every stack and every container, and gives owners their ids.
pub(super) fn check(
    stacks: &mut [StackDraft<'_>],
    servers: &[Draft<'_, ServerDef>],
    tenants: &[Draft<'_, TenantDef>],
    engines: &Engines,
    pass: &Pass<'_>,
) {
    for stack in stacks.iter_mut() {
        stacks::owner(stack, servers, tenants);
    }
    stacks::alone(stacks);
    for stack in stacks.iter() {
        stacks::parts(stack, servers, tenants);
    }
    let seen = containers(stacks, servers, engines);
    nothing_answers_on_a_made_up_engine(&seen, engines);
    classic::check(&seen, servers, pass);
}

/// A simulated engine has containers and no programs in them: parts of stacks are all that it can play.
fn nothing_answers_on_a_made_up_engine(seen: &[Seen<'_, '_>], engines: &Engines) {
    let made_up = |id: &str| engines.0.iter().any(|def| def.id.as_str() == id && def.simulated.is_some());
    for container in seen.iter().filter(|container| made_up(&container.engine)) {
        if let At::Server(server) = container.at {
            let message = format!("the engine `{}` is simulated: no program runs in its containers", container.engine);
            server.problem(&["run", "engine"], message, "run it with backend = \"simulated\", or on a real engine");
        }
    }
}

/// A container of the configuration, whoever it belongs to.
struct Seen<'d, 't> {
    /// `part `vllm` of stack `eaton``
    whose: String,
    engine: String,
    /// The stack that it is a part of.
    stack: Option<&'d str>,
    /// Name that others of its network know it by.
    name: &'d str,
    run: &'d ContainerRun,
    at: At<'d, 't>,
}

enum At<'d, 't> {
    Part(&'d PartDraft),
    Server(&'d Draft<'t, ServerDef>),
}

impl Seen<'_, '_> {
    fn place(&self, spot: Spot<'_>) -> &Place {
        let server = match self.at {
            At::Part(part) => return part.place(spot),
            At::Server(server) => server,
        };
        match spot {
            Spot::Env(name) => server.place(&["run", "env", name]),
            Spot::Command => server.place(&["run", "command"]),
            Spot::Ports => server.place(&["run", "ports"]),
            _ => server.place(&["run"]),
        }
    }

    fn key(&self) -> &str {
        match self.at {
            At::Part(part) => &part.key,
            At::Server(server) => &server.from.key,
        }
    }

    fn warn(&self, pass: &Pass<'_>, spot: Spot<'_>, message: String, help: String) {
        pass.warning(Report::new(self.place(spot), self.key(), message).help(help));
    }
}

fn containers<'d, 't>(
    stacks: &'d [StackDraft<'t>],
    servers: &'d [Draft<'t, ServerDef>],
    engines: &Engines,
) -> Vec<Seen<'d, 't>> {
    let first = engines.0.first().map_or("local", |engine| engine.id.as_str());
    let parts = stacks.iter().flat_map(|stack| {
        let engine = stack.def.engine.as_ref().map_or(first, |engine| engine.as_str());
        stack.parts.iter().map(move |part| Seen {
            whose: format!("part `{}` of stack `{}`", part.def.name, stack.def.id),
            engine: engine.to_owned(),
            stack: Some(stack.def.id.as_str()),
            name: &part.def.name,
            run: &part.def.run,
            at: At::Part(part),
        })
    });
    let own = servers.iter().filter_map(|server| {
        let Run::Container(run) = &server.def.run else { return None };
        Some(Seen {
            whose: format!("server `{}`", server.def.id),
            engine: run.engine.as_ref().map_or(first, |engine| engine.as_str()).to_owned(),
            stack: None,
            name: server.def.id.as_str(),
            run,
            at: At::Server(server),
        })
    });
    parts.chain(own).collect()
}

/// Where a key of a stack stands.
fn place<'t>(stack: &StackDraft<'t>, key: &str) -> &'t Place {
    draft::walk(stack.from.node, &[key])
}
