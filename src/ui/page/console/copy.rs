//! Copies and files: values, messages, command lines, answers and what is in them.

use super::{Console, Pane, Shown};
use crate::model::message::Level;
use crate::model::server::Run;
use crate::ui::app::{Contents, Cx};
use crate::ui::console::fan::{Fan, Leg};
use crate::ui::console::request::{Request, curl, curl_gateway};
use crate::ui::console::tree::Tree;

impl Console {
    pub(super) fn copy_value(&self, cx: &mut Cx) {
        match self.pane {
            Pane::Request => self.copy_command(cx),
            Pane::Response if self.shown == Shown::Fan => self.copy_text(cx, self.leg().map(Leg::json)),
            Pane::Response => self.copy_text(cx, self.tree().and_then(Tree::value)),
            Pane::Wire => {
                self.copy_text(cx, self.exchange.as_ref().and_then(|e| Some(e.wire.get(self.wire_at)?.text.clone())))
            }
            Pane::History => self.copy_text(cx, self.entry().map(|e| e.params.clone())),
        }
    }

    pub(super) fn copy_whole(&self, cx: &mut Cx) {
        match self.pane {
            Pane::Request => self.copy_text(cx, Some(self.request.message())),
            Pane::Response if self.shown == Shown::Fan => self.copy_text(cx, self.fan.as_ref().map(Fan::json)),
            Pane::Response | Pane::Wire => self.copy_text(cx, self.tree().map(|tree| tree.text().to_string())),
            Pane::History => self.copy_text(cx, self.entry().and_then(|e| serde_json::to_string(e).ok())),
        }
    }

    pub(super) fn copy_path(&self, cx: &mut Cx) {
        self.copy_text(cx, self.tree().and_then(Tree::path));
    }

    fn copy_text(&self, cx: &mut Cx, text: Option<String>) {
        match text.filter(|t| !t.is_empty()) {
            Some(text) => cx.copy(text),
            None => cx.notice(Level::Info, "there is nothing to copy yet"),
        }
    }

    pub(super) fn copy_command(&self, cx: &mut Cx) {
        let line = match self.entry().filter(|_| self.pane == Pane::History) {
            Some(entry) => {
                let mut request = Request::default();
                request.load_entry(entry);
                request.command_line()
            }
            None => self.request.command_line(),
        };
        match line {
            Some(line) => cx.copy(line),
            None => cx.notice(Level::Warn, self.request.missing().unwrap_or_default()),
        }
    }

    /// A curl line through the gateway, else straight to an upstream that has a URL.
    pub(super) fn copy_curl(&self, cx: &mut Cx) {
        let entry = self.entry().filter(|_| self.pane == Pane::History).map(|entry| {
            let mut request = Request::default();
            request.load_entry(entry);
            request
        });
        let request = entry.as_ref().unwrap_or(&self.request);
        let (Some(tenant), Some(server)) = (&request.tenant, &request.server) else {
            return cx.notice(Level::Warn, request.missing().unwrap_or_default());
        };
        if let Some(gateway) = &cx.snap.platform.gateway {
            return cx.copy(curl_gateway(gateway, tenant, server, &request.message()));
        }
        let Some(row) = cx.snap.server(server.as_str()) else { return };
        let own = cx.snap.tenant(tenant.as_str()).and_then(|row| row.def.servers.get(server)?.url.clone());
        let url = own.or_else(|| match &row.def.run {
            Run::Remote { url, .. } if url.holes().next().is_none() => Some(url.source().to_owned()),
            _ => None,
        });
        match (url, self.preview.as_ref().filter(|_| entry.is_none())) {
            (Some(url), Some(preview)) => cx.copy(curl(&url, &preview.headers, &preview.after)),
            (Some(url), None) => cx.copy(curl(&url, &[], &request.message())),
            (None, _) => cx.notice(
                Level::Info,
                format!(
                    "{server} has no URL to curl, and no gateway runs ([api] listen); m copies the mcpdeck command"
                ),
            ),
        }
    }

    fn leg(&self) -> Option<&Leg> {
        let fan = self.fan.as_ref()?;
        fan.legs.get(fan.cursor)
    }

    /// The answer as it stands there: all of it, what a filter left, or the table of a fan-out.
    pub(super) fn save(&self, cx: &mut Cx) {
        if let Some(fan) = self.fan.as_ref().filter(|_| self.shown == Shown::Fan) {
            return cx.save(&format!("{}-fan-out.json", fan.call.server), Contents::Text(fan.json()));
        }
        match self.tree().filter(|_| !self.is_running()) {
            Some(tree) => cx.save(&self.file_name("json"), Contents::Text(tree.text().to_string())),
            None => cx.notice(Level::Info, "there is no answer to save yet"),
        }
    }

    /// What is selected alone: an image, a sound or a binary resource as what it is, a text as text, the rest as JSON.
    pub(super) fn save_part(&self, cx: &mut Cx) {
        let Some(tree) = self.tree().filter(|_| !self.is_running()) else {
            return cx.notice(Level::Info, "there is no answer to save yet");
        };
        if let Some(media) = tree.selected_media() {
            let name = self.file_name(media.extension());
            return cx.save(&name, Contents::Base64(media.base64.to_owned()));
        }
        if let Some(value) = tree.value() {
            let extension = if tree.is_text() { "txt" } else { "json" };
            cx.save(&self.file_name(extension), Contents::Text(value));
        }
    }

    /// `etim-classify_product-c17-3.png`: whose answer it is, and where in it.
    fn file_name(&self, extension: &str) -> String {
        let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric() && c != '_', "-");
        let server = self.request.server.as_ref().map_or("answer", |s| s.as_str());
        let what = plain(self.request.tool.as_deref().unwrap_or(self.request.method()));
        let id = self.exchange.as_ref().and_then(|e| e.id).map(|id| format!("-{id}")).unwrap_or_default();
        let whole = extension == "json" && self.filtering.is_none();
        let row = self.tree().filter(|_| !whole).map(|tree| format!("-{}", tree.cursor)).unwrap_or_default();
        format!("{server}-{what}{id}{row}.{extension}")
    }
}
