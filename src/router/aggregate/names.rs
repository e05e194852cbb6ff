//! Names and addresses where all servers of a tenant are one: which server is meant, and what it calls the thing itself.
//! Tools and prompts carry the server's prefix, resources the server's id: `mcpdeck:etim/file:///a`. Pure.

use super::super::table::Route;
use super::super::wire::{self, Change, Edit, WireError};
use crate::model::ServerId;
use crate::model::server::TOOL_NAME_MAX;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

/// Before the addresses of resources of all servers.
const SCHEME: &str = "mcpdeck:";

/// The server whose prefix `name` carries, and the name without it. Of several, the longest prefix is meant: `check`
/// lets none but the empty one begin another.
pub fn split_name<'r, 'n>(routes: &[&'r Arc<Route>], name: &'n str) -> Option<(&'r Arc<Route>, &'n str)> {
    let fits = routes.iter().filter(|route| name.len() > route.prefix.len() && name.starts_with(&*route.prefix));
    let route = fits.max_by_key(|route| route.prefix.len())?;
    Some((route, &name[route.prefix.len()..]))
}

/// True for a name that clients take.
pub fn is_short(name: &str) -> bool {
    name.chars().count() <= TOOL_NAME_MAX
}

/// The address of a server's resource among those of all servers.
pub fn wrap_uri(server: &ServerId, uri: &str) -> String {
    format!("{SCHEME}{server}/{uri}")
}

/// The server of an address, and the server's own address.
pub fn split_uri(uri: &str) -> Option<(ServerId, &str)> {
    let (server, own) = uri.strip_prefix(SCHEME)?.split_once('/')?;
    (!server.is_empty() && !own.is_empty()).then(|| (server.into(), own))
}

/// What a message names of one server, as that server calls it.
#[derive(Debug, PartialEq, Eq)]
pub enum Named {
    /// `params.name`
    Name(String),
    /// `params.uri`
    Uri(String),
    /// `params.ref.name`, `params.ref.uri`
    RefName(String),
    RefUri(String),
}

impl Named {
    /// `message` with the server's own name in place of ours; the rest byte for byte.
    pub fn put_into(&self, message: &str) -> Result<String, String> {
        let set = |key: &'static str, text: &str| Edit::set(key, wire::quote(text));
        let inside = |edit| vec![Edit::new("ref", Change::Within(vec![edit]))];
        let params = match self {
            Self::Name(name) => vec![set("name", name)],
            Self::Uri(uri) => vec![set("uri", uri)],
            Self::RefName(name) => inside(set("name", name)),
            Self::RefUri(uri) => inside(set("uri", uri)),
        };
        let mut out = String::with_capacity(message.len());
        wire::splice(message, &[Edit::new("params", Change::Within(params))], &mut out).map_err(|e| e.to_string())?;
        Ok(out)
    }
}

/// The `ref` of a completion.
#[derive(Deserialize)]
struct Reference<'a> {
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow)]
    uri: Option<Cow<'a, str>>,
}

/// Which server a request is for, and what it names there; `Err` is the text for the caller.
pub fn split<'r>(routes: &[&'r Arc<Route>], method: &str, params: &str) -> Result<(&'r Arc<Route>, Named), String> {
    let members = wire::members(params).map_err(|e| match e {
        // That it is JSON was seen when the message was read.
        WireError::Json(_) => "params is not an object".to_owned(),
        other => format!("params: {other}"),
    })?;
    let text = |key: &str| members.iter().find(|m| m.key == key).and_then(|m| wire::unquote(m.text(params)));
    // What is left out of the lists for its length is not to be had by it either.
    let by_name = |name: &str| {
        let (route, own) = split_name(routes, name).filter(|_| is_short(name))?;
        Some((route, own.to_owned()))
    };
    let by_uri = |uri: &str| {
        let (server, own) = split_uri(uri)?;
        Some((routes.iter().find(|route| route.server.id == server).copied()?, own.to_owned()))
    };
    match method {
        "tools/call" | "prompts/get" => {
            let kind = if method == "tools/call" { "tool" } else { "prompt" };
            let name = text("name").ok_or_else(|| "params: `name` is missing".to_owned())?;
            let (route, own) = by_name(&name).ok_or_else(|| format!("unknown {kind} `{name}`"))?;
            Ok((route, Named::Name(own)))
        }
        "resources/read" | "resources/subscribe" | "resources/unsubscribe" => {
            let uri = text("uri").ok_or_else(|| "params: `uri` is missing".to_owned())?;
            let (route, own) = by_uri(&uri).ok_or_else(|| format!("unknown resource `{uri}`"))?;
            Ok((route, Named::Uri(own)))
        }
        "completion/complete" => {
            let reference = members.iter().find(|m| m.key == "ref").map_or("{}", |m| m.text(params));
            let reference: Reference<'_> = serde_json::from_str(reference).map_err(|e| format!("params.ref: {e}"))?;
            let found = match (&reference.name, &reference.uri) {
                (Some(name), _) => by_name(name).map(|(route, own)| (route, Named::RefName(own))),
                (None, Some(uri)) => by_uri(uri).map(|(route, own)| (route, Named::RefUri(own))),
                (None, None) => return Err("params.ref names neither a prompt nor a resource".to_owned()),
            };
            found.ok_or_else(|| "params.ref names nothing that is known".to_owned())
        }
        other => Err(format!("`{other}` is not for one server")),
    }
}

/// An answer of `server` with the addresses of its resources as callers of all servers know them. What holds none comes
/// back as it is.
pub fn wrap_answer<'b>(server: &ServerId, method: &str, body: &'b str) -> Cow<'b, str> {
    let (list, deep) = match method {
        "resources/read" => ("contents", &[][..]),
        "tools/call" => ("content", &["resource"][..]),
        "prompts/get" => ("messages", &["content"][..]),
        _ => return Cow::Borrowed(body),
    };
    if !body.contains("\"uri\"") {
        return Cow::Borrowed(body);
    }
    let wrapped = || -> Option<String> {
        let members = wire::members(body).ok()?;
        let result = members.iter().find(|m| m.key == "result")?.text(body);
        let inside = wire::members(result).ok()?;
        let items: Vec<&RawValue> = serde_json::from_str(inside.iter().find(|m| m.key == list)?.text(result)).ok()?;
        let items: Vec<String> = items.into_iter().map(|item| wrap_item(server, item.get(), deep)).collect();
        let edit = Edit::set(list, format!("[{}]", items.join(",")));
        let mut out = String::with_capacity(body.len() + 64);
        wire::splice(body, &[Edit::new("result", Change::Within(vec![edit]))], &mut out).ok()?;
        Some(out)
    };
    wrapped().map_or(Cow::Borrowed(body), Cow::Owned)
}

/// `item` with its own `uri` wrapped, and that of what it holds under one of `deep`, and under `resource` there.
fn wrap_item(server: &ServerId, item: &str, deep: &[&str]) -> String {
    let edits = uri_edits(server, item, deep);
    let mut out = String::with_capacity(item.len() + 64);
    match wire::splice(item, &edits, &mut out) {
        Ok(()) => out,
        Err(_) => item.to_owned(),
    }
}

fn uri_edits<'e>(server: &ServerId, object: &str, deep: &[&'e str]) -> Vec<Edit<'e>> {
    let Ok(members) = wire::members(object) else { return Vec::new() };
    let mut edits = Vec::new();
    for member in &members {
        let text = member.text(object);
        if member.key == "uri" {
            edits.extend(wire::unquote(text).map(|uri| Edit::set("uri", wire::quote(&wrap_uri(server, &uri)))));
        } else if let Some(name) = deep.iter().find(|name| member.key == **name).filter(|_| text.starts_with('{')) {
            let below: &[&str] = if *name == "content" { &["resource"] } else { &[] };
            edits.push(Edit::new(*name, Change::Within(uri_edits(server, text, below))));
        }
    }
    edits
}

/// A notice of `server` about one of its resources, as callers of all servers know it.
pub fn wrap_notice(server: &ServerId, params: &str) -> String {
    let mut out = String::with_capacity(params.len() + 32);
    match wire::splice(params, &uri_edits(server, params, &[]), &mut out) {
        Ok(()) => out,
        Err(_) => params.to_owned(),
    }
}
