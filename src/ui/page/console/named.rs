//! Requests in files: what is on screen is saved as one, and opened from one. `requests/` lies where files are saved.

use super::{Asked, Console, Stop};
use crate::config::request::{NamedRequest, What, print};
use crate::model::message::Level;
use crate::ui::app::{Contents, Cx, RequestFile, Token};
use crate::ui::console::json;
use crate::ui::console::methods::TOOLS_CALL;
use crate::ui::layer::pick::Item;
use std::collections::BTreeMap;

/// The folder of named requests.
const FOLDER: &str = "requests";

impl Console {
    /// `W`: asks for the name.
    pub(super) fn ask_name_to_save(&mut self, cx: &mut Cx) {
        if let Some(why) = self.request.missing() {
            return cx.notice(Level::Warn, why);
        }
        let what = self.request.tool.as_deref().unwrap_or(if self.request.raw { "raw" } else { self.request.method() });
        let text = plain(what);
        let token = cx.prompt(&format!("Save the request in {FOLDER}/ as"), &text);
        self.expect(token, Asked::SaveAs);
    }

    pub(super) fn save_as(&mut self, name: &str, cx: &mut Cx) {
        let name = name.trim().trim_end_matches(".toml");
        if name.is_empty() || plain(name) != name {
            return cx.notice(Level::Warn, format!("`{name}` is no name: letters, digits, `-`, `_` and `.` are"));
        }
        let (Some(customer), Some(server)) = (&self.request.tenant, &self.request.server) else { return };
        let request = &self.request;
        let (what, body) = match (request.raw, request.method()) {
            (true, _) => (What::Message, request.buffer().to_owned()),
            (_, TOOLS_CALL) => {
                (What::Tool(request.tool.clone().unwrap_or_default()), json::print::pretty(request.sheet.value()))
            }
            (_, method) => (What::Method(method.to_owned()), json::print::pretty(&request.params())),
        };
        let named = NamedRequest {
            description: String::new(),
            customer: Some(customer.to_string()),
            server: server.to_string(),
            what,
            body,
            era: request.era,
            timeout: None,
            vars: BTreeMap::new(),
            expect: Vec::new(),
        };
        cx.save(&format!("{FOLDER}/{name}.toml"), Contents::Text(print(&named)));
    }

    /// `o`: asks which.
    pub(super) fn open_named(&mut self, cx: &mut Cx) {
        let token = cx.requests(FOLDER);
        self.expect(token, Asked::Requests);
    }

    /// The files that there are.
    pub(super) fn take_requests(&mut self, token: Token, found: Result<Vec<RequestFile>, String>, cx: &mut Cx) {
        if !matches!(self.taken(token), Some(Asked::Requests)) {
            return;
        }
        let files = match found {
            Ok(files) => files,
            Err(why) => return cx.notice(Level::Info, why),
        };
        let items = files.iter().map(|file| {
            let note = match &file.request {
                Ok(request) => {
                    let about = [request.server.as_str(), request.what.name(), &request.description];
                    about.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join("  ")
                }
                Err(why) => format!("! {why}"),
            };
            Item::new(file.name.as_str(), file.name.as_str()).with_note(note)
        });
        let token = cx.pick("Open a request", items.collect());
        self.expect(token, Asked::OpenRequest(files));
    }

    pub(super) fn open_request(&mut self, files: &[RequestFile], name: &str, cx: &mut Cx) {
        let Some(file) = files.iter().find(|file| file.name == name) else { return };
        let filled = file.request.clone().and_then(|request| request.fill(&BTreeMap::new()));
        let request = match filled {
            Ok(request) => request,
            Err(why) => return cx.notice(Level::Warn, format!("{name}: {why}")),
        };
        let tenant =
            request.customer.as_deref().map(|customer| cx.snap.find_tenant(customer).map(|row| row.def.id.clone()));
        let Some(server) = cx.snap.server(&request.server).map(|row| row.def.id.clone()) else {
            return cx.notice(Level::Warn, format!("{name}: there is no server {}", request.server));
        };
        match tenant {
            Some(None) => {
                let customer = request.customer.unwrap_or_default();
                return cx.notice(Level::Warn, format!("{name}: there is no customer {customer}"));
            }
            Some(Some(tenant)) => self.request.tenant = Some(tenant),
            None => {}
        }
        self.request.server = Some(server);
        self.load_named(&request);
        self.ask_history(cx);
        self.ask_catalog(cx);
        self.changed(cx);
        self.stand_on(Stop::Send);
        let checks = request.expect.len();
        cx.notice(Level::Info, format!("{name}: {checks} checks of its answer are made by `mcpdeck test`"));
    }

    fn load_named(&mut self, request: &NamedRequest) {
        self.edit = None;
        match &request.what {
            What::Tool(tool) => {
                let params = format!("{{\"name\":{},\"arguments\":{}}}", json::quote(tool), request.body);
                self.request.load(TOOLS_CALL, &params);
            }
            What::Method(method) => self.request.load(method, &request.body),
            What::Message => self.request.load_raw(&request.body),
        }
        self.request.era = request.era;
        self.as_text = self.request.raw;
        self.describe();
    }
}

/// What a file can be called everywhere.
fn plain(name: &str) -> String {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.chars().map(|c| if good(c) { c } else { '-' }).collect::<String>().trim_matches('.').to_owned()
}
