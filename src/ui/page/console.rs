//! The view Console: make up a request as a customer, send it, read what comes back; resend from the history.
//!
//! The state of one request is `ui::console`; here are panes, keys and the conversation with the owner.

mod again;
mod ask;
mod complete;
mod copy;
mod edit;
mod fan;
mod filter;
mod named;
mod panes;
mod parts;
mod pick;
mod search;
mod send;
mod view;

use super::View;
use crate::control::handle::Interest;
use crate::model::message::{ConsoleCall, HistoryEntry, Level, Preview};
use crate::model::{Answer, Chunk, Query, Refusal, ServerId, TenantId};
use crate::ui::action::Action;
use crate::ui::app::{Cx, Filtered, Look, RequestFile, Target, Token};
use crate::ui::console::exchange::Exchange;
use crate::ui::console::fan::Fan;
use crate::ui::console::methods::TOOLS_CALL;
use crate::ui::console::question::Verdict;
use crate::ui::console::request::Request;
use crate::ui::console::search::Found;
use crate::ui::console::sheet::Sheet;
use crate::ui::console::tree::Tree;
use ask::{Inquiry, Rounds};
use complete::Completion;
use crossterm::event::KeyEvent;
use edit::Edit;
use filter::Filtering;
use parts::{Asked, Baseline, Compared, Offers, Pane, Shown, Stop, Tops};
use ratatui::Frame;
use ratatui::layout::Rect;
use std::collections::VecDeque;

/// Entries of the history that are asked for.
const HISTORY: u32 = 200;

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
    /// The call as it was sent last.
    sent: Option<ConsoleCall>,
    /// What servers ask; the first is on screen.
    inquiries: VecDeque<Inquiry>,
    rounds: Rounds,
    completion: Option<Completion>,
    call: Option<Token>,
    shown: Shown,
    baseline: Option<Baseline>,
    compared: Option<Compared>,
    /// First column of a comparison.
    sideways: usize,
    fan: Option<Fan>,
    /// The calls of it that are under way: their streams, and which leg each is.
    fan_calls: Vec<(Token, usize)>,
    filtering: Option<Filtering>,
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

impl Console {
    /// What is being edited: the answer to a server's question, else the request.
    fn sheet(&self) -> &Sheet {
        self.inquiries.front().map_or(&self.request.sheet, |inquiry| &inquiry.question.sheet)
    }

    fn sheet_mut(&mut self) -> &mut Sheet {
        match self.inquiries.front_mut() {
            Some(inquiry) => &mut inquiry.question.sheet,
            None => &mut self.request.sheet,
        }
    }

    fn is_running(&self) -> bool {
        self.call.is_some() || self.fan.as_ref().is_some_and(Fan::is_running)
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
        if self.inquiries.is_empty() {
            self.ask_preview(cx);
        }
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
                self.request.set_method(TOOLS_CALL);
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
            Action::Send if self.question().is_some() => self.answer_question(Verdict::Accept, cx),
            Action::Explain if self.question().is_some() => self.read_question(cx),
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
            Action::SavePart => self.save_part(cx),
            Action::Jq => self.ask_filter(cx),
            Action::FanOut => self.fan_out(cx),
            Action::SaveRequest => self.ask_name_to_save(cx),
            Action::OpenRequest => self.open_named(cx),
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
            // Whoever asked may have gone meanwhile.
            (Asked::Reply, _) => {}
            (Asked::FanOut(call), Ok(Answer::Preview(preview))) => self.confirm_fan(*call, &preview, cx),
            (_, Err(refusal)) => cx.notice(Level::Error, refusal.to_string()),
            _ => {}
        }
    }

    fn chunk(&mut self, token: Token, chunk: Chunk, cx: &mut Cx) {
        if self.call == Some(token) {
            self.take_chunk(chunk, cx);
        } else if self.completion.as_ref().is_some_and(|completion| completion.waits_for(token)) {
            self.take_completion(chunk, cx);
        } else {
            self.take_fan_chunk(token, chunk, cx);
        }
    }

    fn picked(&mut self, token: Token, value: String, cx: &mut Cx) {
        if let Some(asked) = self.taken(token) {
            self.take_choice(asked, value, cx);
        }
    }

    fn filtered(&mut self, token: Token, filtered: Result<Filtered, String>, cx: &mut Cx) {
        self.take_filtered(token, filtered, cx);
    }

    fn requests(&mut self, token: Token, files: Result<Vec<RequestFile>, String>, cx: &mut Cx) {
        self.take_requests(token, files, cx);
    }

    fn edited(&mut self, token: Token, text: String, cx: &mut Cx) {
        if matches!(self.taken(token), Some(Asked::Buffer)) {
            self.sheet_mut().set(text.trim_end().to_owned());
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
        if self.question().is_some() && self.pane == Pane::Request {
            return &[Action::Send, Action::Open, Action::Explain, Action::RawForm, Action::Editor, Action::NextPane];
        }
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
                Action::OpenRequest,
                Action::SaveRequest,
            ],
            Pane::Response => &[
                Action::Open,
                Action::Jq,
                Action::RawForm,
                Action::CopyCell,
                Action::CopyPath,
                Action::Save,
                Action::SavePart,
                Action::NextPane,
                Action::Resend,
                Action::ResendAs,
                Action::FanOut,
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
