//! Asks an upstream for its lists, page by page, and keeps them.

use super::context::Injection;
use super::era;
use super::lists::{View, Whose, facts, without_bad_mirrors};
use super::session::Session;
use super::slot::{Link, Slot};
use super::table::Route;
use super::upstream::{self, Ask};
use super::wire::{self, Edit, ErrorObject};
use super::{Note, Opened, Router};
use crate::model::message::Catalog;
use crate::model::{Era, Stamp};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Pages followed per list, and bytes kept of it.
const MAX_PAGES: usize = 100;
const MAX_BYTES: usize = 32 << 20;

/// How long lists count as fresh where upstream says nothing: change notices come over pipes alone.
const FRESH: Duration = Duration::from_secs(60);
const FRESH_ANNOUNCED: Duration = Duration::from_secs(3600);

/// One list: its method, and its name in the answer.
const TOOLS: (&str, &str) = ("tools/list", "tools");
const PROMPTS: (&str, &str) = ("prompts/list", "prompts");
const RESOURCES: (&str, &str) = ("resources/list", "resources");
const TEMPLATES: (&str, &str) = ("resources/templates/list", "resourceTemplates");

/// What a list request goes with.
pub struct Asker<'a> {
    pub link: &'a Link,
    /// `None`: for ourselves.
    pub injection: Option<&'a Injection>,
    /// Who says by its session what it can do; `None`: nobody does.
    pub client: Option<&'a Arc<Session>>,
}

/// A list that was followed to its end.
pub struct List {
    /// JSON text of the array.
    pub items: String,
    pub count: u32,
    ttl: Option<Duration>,
}

impl Asker<'_> {
    /// All pages of one list.
    pub async fn list(&self, (method, key): (&str, &str)) -> Result<List, String> {
        let mut items: Vec<String> = Vec::new();
        let (mut bytes, mut ttl, mut cursor) = (0, None, None::<String>);
        for _ in 0..MAX_PAGES {
            let page = self.page(method, key, cursor.as_deref()).await?;
            bytes += page.items.iter().map(String::len).sum::<usize>();
            ttl = page.ttl.or(ttl);
            items.extend(page.items);
            if bytes > MAX_BYTES {
                return Err(format!("{method}: more than {MAX_BYTES} bytes"));
            }
            match page.next {
                Some(next) if cursor.as_ref() != Some(&next) => cursor = Some(next),
                _ => return Ok(List { count: items.len() as u32, items: format!("[{}]", items.join(",")), ttl }),
            }
        }
        Err(format!("{method}: more than {MAX_PAGES} pages"))
    }

    async fn page(&self, method: &str, key: &str, cursor: Option<&str>) -> Result<Page, String> {
        let more = cursor.map(|c| format!(r#""cursor":{}"#, wire::quote(c))).unwrap_or_default();
        let mut ask = self.ask(method, &more)?;
        let answer = self.link.upstream.ask(&mut ask).await.map_err(|fault| format!("{method}: {fault}"))?;
        if let Some(error) = answer.error() {
            let error = ErrorObject::read(error);
            return Err(format!("{method}: {} ({})", error.message, error.code));
        }
        Page::read(answer.result().unwrap_or_default(), key)
            .ok_or_else(|| format!("{method}: the answer has no `{key}`"))
    }

    fn ask<'s>(&'s self, method: &'s str, more: &str) -> Result<Ask<'s>, String> {
        let era = self.link.opened.era;
        let mut ask = era::own_ask(&self.link.upstream, era, method, more);
        if let Some(client) = self.client {
            for_client(&mut ask, client)?;
        }
        if let Some(injection) = self.injection {
            for_tenant(&mut ask, injection)?;
        }
        Ok(ask)
    }
}

/// Makes a request of our own one of a client: it says what that can do.
fn for_client<'s>(ask: &mut Ask<'s>, client: &'s Arc<Session>) -> Result<(), String> {
    match ask.era {
        Era::Legacy => {
            ask.session = upstream::Whose::Client(client.number);
            ask.client = Some(client);
            Ok(())
        }
        Era::Modern => put_meta(ask, Edit::set(era::CAPABILITIES_KEY, &*client.hello.capabilities)),
    }
}

/// Puts a tenant's context into a request of our own.
pub fn for_tenant(ask: &mut Ask<'_>, injection: &Injection) -> Result<(), String> {
    ask.headers.clone_from(&injection.headers);
    put_meta(ask, injection.meta_edit())
}

fn put_meta(ask: &mut Ask<'_>, edit: Edit<'_>) -> Result<(), String> {
    let body = String::from_utf8_lossy(&ask.body).into_owned();
    let params = wire::Change::Within(vec![Edit::new("_meta", wire::Change::Within(vec![edit]))]);
    let mut out = String::new();
    wire::splice(&body, &[Edit::new("params", params)], &mut out).map_err(|e| e.to_string())?;
    ask.body = out.into_bytes();
    Ok(())
}

struct Page {
    items: Vec<String>,
    next: Option<String>,
    ttl: Option<Duration>,
}

impl Page {
    fn read(result: &str, key: &str) -> Option<Self> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct More {
            next_cursor: Option<String>,
            ttl_ms: Option<u64>,
        }
        let members = wire::members(result).ok()?;
        let items: Vec<&RawValue> = serde_json::from_str(members.iter().find(|m| m.key == key)?.text(result)).ok()?;
        let more: More = serde_json::from_str(result).ok()?;
        Some(Self {
            items: items.into_iter().map(|i| i.get().to_owned()).collect(),
            next: more.next_cursor,
            ttl: more.ttl_ms.map(Duration::from_millis),
        })
    }
}

/// Whose view of an instance's lists a route sees.
pub fn view_key(route: &Route, injection: &Injection) -> Whose {
    Whose { tenant: injection.varies().then(|| route.tenant.id.clone()), client: None }
}

impl Router {
    /// The lists as this route sees them upstream, asked for if they are not fresh; bounded by the caller's patience.
    /// `client`: whoever is shown them, where it is not all the same what that can do.
    pub(super) async fn view(
        &self,
        slot: &Slot,
        link: &Link,
        route: &Route,
        client: Option<&Arc<Session>>,
    ) -> Result<Arc<View>, String> {
        let injection = route.injection()?;
        // Each modern request, and each session over HTTP, says what its client can do; a pipe is of all or of one.
        let hears = link.upstream.is_http() || link.opened.era == Era::Modern;
        let only = slot.key.session.and_then(|number| self.sessions.get(number));
        let client = only.as_ref().or(client).filter(|_| hears);
        let number = client.map(|session| session.number).filter(|_| only.is_none());
        let whose = Whose { client: number, ..view_key(route, injection) };
        if let Some(view) = slot.lists.fresh(&whose) {
            return Ok(view);
        }
        let asking = slot.lists.asking(&whose);
        let list = async || {
            let generation = slot.lists.generation();
            let known = slot.lists.newest(&whose).is_some_and(|v| v.generation == generation);
            let news = !known && whose.client.is_none();
            // Boxed: it is rare, and every call's future would hold room for it.
            let asker = Asker { link, injection: Some(injection), client };
            let view = Arc::new(Box::pin(ask_all(&asker, generation)).await?);
            if news {
                let tools = view.facts.len() as u32;
                let _ = self.notes.try_send(Note::Listed { instance: slot.key.clone(), tools });
            }
            slot.lists.keep(whose.clone(), view.clone());
            Ok(view)
        };
        asking.get_or_try_init(list).await.cloned()
    }
}

async fn ask_all(asker: &Asker<'_>, generation: u64) -> Result<View, String> {
    let offers = asker.link.offers;
    let empty = || List { items: "[]".to_owned(), count: 0, ttl: None };
    let mut tools = if offers.tools { asker.list(TOOLS).await? } else { empty() };
    if asker.link.opened.era == Era::Modern && asker.link.upstream.is_http() {
        tools.items = without_bad_mirrors(tools.items);
    }
    // What a server says it has and then fails to list is shown as missing; only tools are needed for calls.
    let optional = async |has: bool, what| match has {
        true => asker.list(what).await.unwrap_or_else(|_| empty()),
        false => empty(),
    };
    let prompts = optional(offers.prompts, PROMPTS).await;
    let resources = optional(offers.resources, RESOURCES).await;
    let templates = optional(offers.resources, TEMPLATES).await;
    let silent = if offers.announces && !asker.link.upstream.is_http() { FRESH_ANNOUNCED } else { FRESH };
    let fresh = match asker.link.opened.era {
        Era::Modern => tools.ttl.unwrap_or(Duration::ZERO).min(FRESH_ANNOUNCED),
        Era::Legacy => silent,
    };
    Ok(View {
        facts: facts(&tools.items),
        tools: tools.items,
        prompts: prompts.items,
        resources: resources.items,
        templates: templates.items,
        listed_at: Stamp::now(),
        fresh_until: Instant::now() + fresh,
        generation,
    })
}

/// The catalog of a view, for one tenant; `opened` is the connection's handshake, or the last one's.
pub fn catalog_of(
    view: Option<&View>,
    opened: Option<&Opened>,
    injection: &Injection,
    error: Option<String>,
) -> Catalog {
    let text = |of: fn(&View) -> &String| view.map_or_else(|| "[]".to_owned(), |v| of(v).clone());
    Catalog {
        tools: super::lists::hide_arguments(&text(|v| &v.tools), &injection.arguments),
        prompts: text(|v| &v.prompts),
        resources: text(|v| &v.resources),
        templates: text(|v| &v.templates),
        listed_at: view.map(|v| v.listed_at),
        era: opened.map(|o| o.era),
        instructions: opened.and_then(|o| o.instructions.clone()),
        capabilities: opened.map_or_else(|| "{}".to_owned(), |o| o.capabilities.clone()),
        error,
    }
}

/// The tools, asked for on the traffic path for a probe; how many there are.
pub async fn probe_tools(link: &Link) -> Result<u32, String> {
    Asker { link, injection: None, client: None }.list(TOOLS).await.map(|list| list.count)
}
