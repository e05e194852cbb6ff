//! The view Console: make up a request as a customer, send it, read what comes back; resend from the history.
//!
//! The state of one request is `ui::console`; here are panes, keys and the conversation with the owner.

mod edit;
mod pick;
mod search;
mod send;
mod view;

use super::View;
use crate::control::handle::Interest;
use crate::model::message::{ConsoleCall, HistoryEntry, Level, Preview};
use crate::model::{Answer, Chunk, Query, Refusal, ServerId, TenantId};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Look, Target, Token};
use crate::ui::console::diff::Change;
use crate::ui::console::exchange::Exchange;
use crate::ui::console::json::Step;
use crate::ui::console::methods::Offer;
use crate::ui::console::request::Request;
use crate::ui::console::search::Found;
use crate::ui::console::tree::Tree;
use crossterm::event::KeyEvent;
use edit::Edit;
use ratatui::Frame;
use ratatui::layout::Rect;
use std::cell::Cell;

/// Entries of the history that are asked for.
const HISTORY: u32 = 200;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Pane {
    #[default]
    Request,
    Response,
    Wire,
    History,
}

impl Pane {
    const ALL: [Pane; 4] = [Self::Request, Self::Response, Self::Wire, Self::History];
}

/// Where the cursor of the request pane can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    Tenant,
    Era,
    Server,
    Method,
    Tool,
    /// A row of the form.
    Field(usize),
    /// The buffer as text.
    Text,
    Send,
}

/// How the answer is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Shown {
    #[default]
    Tree,
    Raw,
    /// Beside the answer it is compared with.
    Compared,
}

/// What a question was asked for.
#[derive(Clone, Debug)]
enum Asked {
    Tenant,
    Server,
    Method,
    FreeMethod,
    Offer,
    Era,
    /// A value of the field at this path.
    Choice(Vec<Step>),
    Catalog(TenantId, ServerId),
    History,
    /// To show what would be injected; of this version of the request.
    Preview(u64),
    Explain,
    /// To send it if nothing has to be confirmed.
    Send(Box<ConsoleCall>),
    /// To send it as another customer, which is always confirmed.
    SendAs(Box<ConsoleCall>),
    /// The typed name; what has to be typed.
    Confirm(Box<ConsoleCall>, String),
    /// The other customer for a request.
    AsTenant(Box<ConsoleCall>),
    /// The buffer, from `$EDITOR`.
    Buffer,
}

/// What a server offers a customer.
struct Offers {
    tenant: TenantId,
    server: ServerId,
    tools: Vec<Offer>,
    prompts: Vec<Offer>,
    resources: Vec<Offer>,
    error: Option<String>,
}

/// An earlier answer, for comparison.
struct Baseline {
    title: String,
    text: String,
}

/// State of the view.
#[derive(Default)]
pub struct Console {
    request: Request,
    /// Counts the changes of the request.
    version: u64,
    /// The version whose problems were told when it was to be sent: the next `send` sends it as it is.
    told: Option<u64>,
    pane: Pane,
    /// The buffer is shown as text, not as a form.
    as_text: bool,
    /// Index of the stop in the request pane.
    at: usize,
    edit: Option<Edit>,
    offers: Option<Offers>,
    /// The list of offers opens as soon as they are known; the next key calls that off.
    waits_for_offers: bool,
    preview: Option<Preview>,
    exchange: Option<Exchange>,
    /// Whom the exchange is for, and its stream while it runs.
    sent_as: Option<TenantId>,
    call: Option<Token>,
    shown: Shown,
    baseline: Option<Baseline>,
    compared: Vec<(Change, String)>,
    search: String,
    /// The row at the top is one that a search found.
    found: bool,
    /// The answer that is read beside the screen.
    reading: Option<Token>,
    /// The search under way beside the screen; the next key calls it off.
    searching: Option<Token>,
    /// First row of the raw answer or the comparison.
    scroll: usize,
    wire_at: usize,
    history: Vec<HistoryEntry>,
    history_at: usize,
    asked: Vec<(Token, Asked)>,
    tops: Tops,
}

/// What drawing learns about the space it has.
#[derive(Default)]
struct Tops {
    form: Cell<usize>,
    tree: Cell<usize>,
    wire: Cell<usize>,
    history: Cell<usize>,
    /// Rows and columns of the response pane.
    height: Cell<usize>,
    width: Cell<usize>,
}

impl Console {
    /// Every stop of the request pane, from the top.
    fn stops(&self) -> Vec<Stop> {
        let mut stops = vec![Stop::Tenant, Stop::Era, Stop::Server, Stop::Method];
        if self.request.takes_name() {
            stops.push(Stop::Tool);
        }
        if self.shows_text() {
            stops.push(Stop::Text);
        } else {
            stops.extend((0..self.request.form.fields().len()).map(Stop::Field));
        }
        stops.push(Stop::Send);
        stops
    }

    /// True if the buffer is shown as text: asked for, or because there is nothing a form could show.
    fn shows_text(&self) -> bool {
        self.as_text || self.request.raw
    }

    fn stop(&self) -> Stop {
        let stops = self.stops();
        stops[self.at.min(stops.len() - 1)]
    }

    fn stand_on(&mut self, stop: Stop) {
        let stops = self.stops();
        self.at = stops.iter().position(|s| *s == stop).unwrap_or(self.at.min(stops.len() - 1));
    }

    fn is_running(&self) -> bool {
        self.call.is_some()
    }

    fn expect(&mut self, token: Token, asked: Asked) {
        self.asked.push((token, asked));
        // Lists and prompts that were left with esc never answer.
        if self.asked.len() > 64 {
            self.asked.remove(0);
        }
    }

    fn taken(&mut self, token: Token) -> Option<Asked> {
        let at = self.asked.iter().position(|(t, _)| *t == token)?;
        Some(self.asked.swap_remove(at).1)
    }

    /// The request is another one now: what was known about it is asked again.
    fn changed(&mut self, cx: &mut Cx) {
        self.version += 1;
        self.at = self.at.min(self.stops().len() - 1);
        self.ask_preview(cx);
    }

    fn ask_preview(&mut self, cx: &mut Cx) {
        // One question at a time: the answer to it asks for the newest version.
        if self.asked.iter().any(|(_, asked)| matches!(asked, Asked::Preview(_))) {
            return;
        }
        match self.request.call(&cx.shared.operator, None).filter(|_| self.request.missing().is_none()) {
            Some(call) => {
                let token = cx.ask(Query::Preview(call));
                self.expect(token, Asked::Preview(self.version));
            }
            None => self.preview = None,
        }
    }

    fn ask_history(&mut self, cx: &mut Cx) {
        let token = cx.ask(Query::History { tenant: self.request.tenant.clone(), limit: HISTORY });
        self.expect(token, Asked::History);
    }

    fn set_tenant(&mut self, tenant: TenantId, cx: &mut Cx) {
        self.request.tenant = Some(tenant);
        self.ask_history(cx);
        self.ask_catalog(cx);
        self.changed(cx);
    }

    fn set_server(&mut self, server: ServerId, cx: &mut Cx) {
        if self.request.server.as_ref() != Some(&server) {
            self.request.server = Some(server);
            let method = self.request.method().to_owned();
            self.request.set_method(&method);
        }
        self.ask_catalog(cx);
        self.changed(cx);
    }

    fn entry(&self) -> Option<&HistoryEntry> {
        self.history.get(self.history_at)
    }

    /// Moving in the pane that has the keys; false for an action that does not move.
    fn travel(&mut self, action: Action) -> bool {
        let page = isize::try_from(self.tops.height.get().max(2) - 1).unwrap_or(1);
        let by = match action {
            Action::Down => 1,
            Action::Up => -1,
            Action::PageDown => page,
            Action::PageUp => -page,
            Action::Top => isize::MIN,
            Action::Bottom => isize::MAX,
            _ => return false,
        };
        let go = |at: usize, len: usize| at.saturating_add_signed(by).min(len.saturating_sub(1));
        match self.pane {
            Pane::Request => self.at = go(self.at, self.stops().len()),
            Pane::Wire => self.wire_at = go(self.wire_at, self.exchange.as_ref().map_or(0, |e| e.wire.len())),
            Pane::History => self.history_at = go(self.history_at, self.history.len()),
            Pane::Response => match (self.shown, &mut self.exchange) {
                (Shown::Tree, Some(exchange)) => exchange.answer.step(by),
                _ => self.scroll = go(self.scroll, self.long_rows()),
            },
        }
        true
    }

    /// Rows of what is not a tree: the raw answer, or the comparison.
    fn long_rows(&self) -> usize {
        match self.shown {
            Shown::Compared => self.compared.len(),
            _ => self.exchange.as_ref().map_or(0, |e| e.answer.text().len().div_ceil(self.tops.width.get().max(1))),
        }
    }

    fn turn_pane(&mut self, forward: bool) {
        let at = Pane::ALL.iter().position(|p| *p == self.pane).unwrap_or(0);
        let by = if forward { 1 } else { Pane::ALL.len() - 1 };
        self.pane = Pane::ALL[(at + by) % Pane::ALL.len()];
    }

    /// `enter` in the pane that has the keys.
    fn open(&mut self, cx: &mut Cx) {
        match self.pane {
            Pane::Request => self.press(cx),
            Pane::Response => {
                let width = self.tops.width.get().saturating_sub(8);
                if let Some(exchange) = &mut self.exchange {
                    exchange.answer.toggle(width);
                }
            }
            Pane::Wire => self.read_wire(cx),
            Pane::History => self.load_entry(cx),
        }
    }

    fn press(&mut self, cx: &mut Cx) {
        match self.stop() {
            Stop::Tenant => self.pick_tenant(cx),
            Stop::Era => self.pick_era(cx),
            Stop::Server => self.pick_server(cx),
            Stop::Method => self.pick_method(cx),
            Stop::Tool => self.pick_offer(cx),
            Stop::Field(at) => self.press_field(at, cx),
            Stop::Text => self.edit_text(),
            Stop::Send => self.send(cx),
        }
    }

    fn load_entry(&mut self, cx: &mut Cx) {
        let Some(entry) = self.entry().cloned() else { return };
        self.request.load_entry(&entry);
        self.as_text = entry.raw;
        self.pane = Pane::Request;
        self.ask_catalog(cx);
        self.changed(cx);
        self.stand_on(Stop::Send);
        cx.notice(Level::Info, "loaded; F5 sends it");
    }

    fn fold(&mut self, open: bool) {
        let width = self.tops.width.get().saturating_sub(8);
        match (self.pane, &mut self.exchange) {
            (Pane::Response, Some(exchange)) if open => exchange.answer.enter(width),
            (Pane::Response, Some(exchange)) => exchange.answer.leave(),
            (Pane::Request, _) => self.fold_field(open),
            _ => {}
        }
    }

    /// Up: first the call under way, then the pane.
    fn escape(&mut self, cx: &mut Cx) -> bool {
        if self.is_running() {
            self.cancel(cx);
        } else if !self.search.is_empty() {
            self.search.clear();
        } else if self.pane != Pane::Request {
            self.pane = Pane::Request;
        } else {
            return false;
        }
        true
    }
}

impl View for Console {
    fn sync(&mut self, cx: &mut Cx) {
        // One customer to choose from is no choice.
        let only = match cx.snap.tenants.as_slice() {
            [only] => Some(only.def.id.clone()),
            _ => cx.shared.limit.clone(),
        };
        if let (None, Some(only)) = (&self.request.tenant, only) {
            self.set_tenant(only, cx);
        }
    }

    fn arrive(&mut self, target: &Target, cx: &mut Cx) {
        self.edit = None;
        let (tenant, server) = match target {
            Target::Request { tenant, server, method, tool, params } => {
                self.prefill(method.as_deref(), tool.as_deref(), params.as_deref());
                (tenant.clone(), server.clone())
            }
            Target::Instance(key) => (key.tenant.clone(), Some(key.server.clone())),
            Target::Cell(tenant, server) => (Some(tenant.clone()), Some(server.clone())),
            Target::Server(server) => (None, Some(server.clone())),
            Target::Tenant(tenant) => (Some(tenant.clone()), None),
            _ => return,
        };
        self.pane = Pane::Request;
        // Nobody asked for: the first customer that has the server, so that the form is there at once.
        let tenant = tenant.or_else(|| self.request.tenant.clone().filter(|t| has(cx, t, server.as_ref())));
        let tenant = tenant.or_else(|| server.as_ref().and_then(|s| cx.snap.users(s).next().cloned()));
        let tool = matches!(target, Target::Request { .. });
        if let Some(server) = server {
            if !tool && self.request.server.as_ref() != Some(&server) {
                self.request.set_method(crate::ui::console::methods::TOOLS_CALL);
            }
            self.request.server = Some(server);
        }
        match tenant {
            Some(tenant) => self.set_tenant(tenant, cx),
            None => self.changed(cx),
        }
        let next = if self.request.tool.is_some() || !self.request.takes_name() { Stop::Send } else { Stop::Tool };
        self.stand_on(next);
    }

    fn place(&self) -> Target {
        Target::Nothing
    }

    fn leave(&mut self, _cx: &mut Cx) {
        self.waits_for_offers = false;
    }

    fn act(&mut self, action: Action, cx: &mut Cx) -> bool {
        self.waits_for_offers = false;
        self.searching = None;
        match action {
            _ if self.travel(action) => {}
            Action::Open => self.open(cx),
            Action::Fold => self.fold(false),
            Action::Left => self.fold(false),
            Action::Right => self.fold(true),
            Action::NextPane => self.turn_pane(true),
            Action::PrevPane => self.turn_pane(false),
            Action::Escape => return self.escape(cx),
            Action::Send => self.send(cx),
            Action::Cancel => self.cancel(cx),
            Action::PickTenant => self.pick_tenant(cx),
            Action::PickServer => self.pick_server(cx),
            Action::PickTool => self.pick_offer(cx),
            Action::PickEra => self.pick_era(cx),
            Action::RawForm => self.turn_shown(),
            Action::RawMessage => self.toggle_raw(cx),
            Action::Editor => self.open_editor(cx),
            Action::Unset => self.unset(cx),
            Action::Resend => self.resend(cx),
            Action::ResendAs => self.resend_as(cx),
            Action::Explain => self.explain(cx),
            Action::SearchNext | Action::SearchPrev => {
                if self.find(action == Action::SearchNext, cx) == Some(false) {
                    cx.notice(Level::Info, "nothing found; / searches in the answer");
                }
            }
            Action::CopyCell => self.copy_value(cx),
            Action::CopyRow => self.copy_whole(cx),
            Action::CopyPath => self.copy_path(cx),
            Action::CopyCommand => self.copy_command(cx),
            Action::CopyCurl => self.copy_curl(cx),
            Action::Save => self.save(cx),
            Action::Refresh => {
                self.ask_history(cx);
                self.ask_catalog(cx);
                self.changed(cx);
            }
            _ => return false,
        }
        true
    }

    fn editing(&self) -> bool {
        self.edit.is_some()
    }

    fn edit_keys(&self) -> &'static [(&'static str, &'static str)] {
        match self.edit {
            Some(Edit::Text(_)) => &[("esc", "done")],
            _ => &[("enter", "next"), ("esc", "undo")],
        }
    }

    fn edit(&mut self, key: KeyEvent, cx: &mut Cx) -> bool {
        self.edit_key(key, cx)
    }

    fn paste(&mut self, text: &str, cx: &mut Cx) {
        self.edit_paste(text, cx);
    }

    fn answer(&mut self, token: Token, answer: Result<Answer, Refusal>, cx: &mut Cx) {
        let Some(asked) = self.taken(token) else { return };
        match (asked, answer) {
            (Asked::Catalog(tenant, server), answer) => self.take_catalog(tenant, server, answer, cx),
            (Asked::History, Ok(Answer::History(entries))) => {
                self.history = entries;
                self.history_at = self.history_at.min(self.history.len().saturating_sub(1));
            }
            (Asked::Preview(version), answer) => {
                if let Ok(Answer::Preview(preview)) = answer {
                    self.preview = Some(preview);
                }
                if version != self.version {
                    self.ask_preview(cx);
                }
            }
            (Asked::Explain, Ok(Answer::Preview(preview))) => self.show_preview(&preview, cx),
            (Asked::Send(call), Ok(Answer::Preview(preview))) => self.confirm_or_send(*call, preview, cx),
            (Asked::SendAs(call), Ok(Answer::Preview(preview))) => self.confirm_as(*call, &preview, cx),
            (_, Err(refusal)) => cx.notice(Level::Error, refusal.to_string()),
            _ => {}
        }
    }

    fn chunk(&mut self, token: Token, chunk: Chunk, cx: &mut Cx) {
        if self.call == Some(token) {
            self.take_chunk(chunk, cx);
        }
    }

    fn picked(&mut self, token: Token, value: String, cx: &mut Cx) {
        if let Some(asked) = self.taken(token) {
            self.take_choice(asked, value, cx);
        }
    }

    fn edited(&mut self, token: Token, text: String, cx: &mut Cx) {
        if matches!(self.taken(token), Some(Asked::Buffer)) {
            self.request.set_buffer(text.trim_end().to_owned());
            self.changed(cx);
        }
    }

    fn read(&mut self, token: Token, tree: Tree, _cx: &mut Cx) {
        if self.reading == Some(token)
            && let Some(exchange) = &mut self.exchange
        {
            exchange.answer = tree;
            self.reading = None;
        }
    }

    fn found(&mut self, token: Token, found: Found, cx: &mut Cx) {
        self.take_search(token, found, cx);
    }

    fn filter(&self) -> &str {
        &self.search
    }

    fn set_filter(&mut self, text: &str, cx: &mut Cx) -> Result<(), String> {
        text.clone_into(&mut self.search);
        if text.is_empty() {
            return Ok(());
        }
        self.pane = Pane::Response;
        self.found = false;
        match self.find(true, cx) {
            Some(false) => Err(format!("nothing in the answer holds `{text}`")),
            Some(true) | None => Ok(()),
        }
    }

    fn searches(&self) -> bool {
        true
    }

    fn interest(&self) -> Interest {
        let instances = self.preview.as_ref().and_then(|p| p.instance.clone()).into_iter().collect();
        Interest { instances, ..Interest::default() }
    }

    fn keys(&self) -> &'static [Action] {
        if self.is_running() {
            return &[Action::Cancel, Action::NextPane];
        }
        match self.pane {
            Pane::Request => &[
                Action::Send,
                Action::PickTenant,
                Action::PickServer,
                Action::PickTool,
                Action::RawForm,
                Action::NextPane,
                Action::Explain,
                Action::Editor,
                Action::Unset,
                Action::RawMessage,
            ],
            Pane::Response => &[
                Action::Open,
                Action::RawForm,
                Action::CopyCell,
                Action::CopyPath,
                Action::Save,
                Action::NextPane,
                Action::Resend,
                Action::ResendAs,
            ],
            Pane::Wire => &[Action::Open, Action::CopyCell, Action::NextPane],
            Pane::History => &[Action::Open, Action::Resend, Action::ResendAs, Action::CopyCommand, Action::NextPane],
        }
    }

    fn crumb(&self) -> Option<String> {
        Some(format!("{}@{}", self.request.server.as_ref()?, self.request.tenant.as_ref()?))
    }

    fn draw(&self, look: &Look, frame: &mut Frame, area: Rect) {
        self.draw_panes(look, frame, area);
    }
}

fn has(cx: &Cx, tenant: &TenantId, server: Option<&ServerId>) -> bool {
    let Some(server) = server else { return true };
    cx.snap.tenant(tenant.as_str()).is_some_and(|row| row.cell(server).is_some_and(|cell| cell.enabled))
}
