//! Sending again: as it was, changed, or as another customer, whose answer is then compared with the one before.

use super::send::tenant_name;
use super::{Asked, Baseline, Compared, Console, Pane, Shown};
use crate::model::message::{ConsoleCall, Level};
use crate::model::{Query, TenantId};
use crate::ui::app::Cx;
use crate::ui::console::diff::diff;
use crate::ui::console::request::Request;
use crate::ui::fmt;
use crate::ui::layer::pick::Item;

/// Bytes of an answer up to which it is compared line by line.
const MAX_COMPARED: usize = 4 << 20;

impl Console {
    pub(super) fn compare(&mut self) {
        let (Some(baseline), Some(exchange)) = (&self.baseline, &self.exchange) else { return };
        let tenant = self.sent_as.as_ref().map(ToString::to_string).unwrap_or_default();
        let (before, after) = (&baseline.text, exchange.answer.text());
        let lines = match before.len().max(after.len()) {
            0..=MAX_COMPARED => Ok(diff(before, after)),
            size => Err(format!("{}: too long to compare line by line; F6 shows the answer", fmt::bytes(size as u64))),
        };
        self.compared = Some(Compared { titles: [baseline.title.clone(), tenant], lines });
        self.shown = Shown::Compared;
        self.scroll = 0;
    }

    /// The request to send again: of the history where that has the keys, else the one on screen.
    pub(super) fn again(&self, cx: &Cx) -> Option<(ConsoleCall, Baseline)> {
        let entry = if self.pane == Pane::History { self.entry() } else { None };
        let mut request = Request::default();
        if let Some(entry) = entry {
            request.load_entry(entry);
            let text = entry.response.clone().unwrap_or_default();
            return Some((
                request.call(&cx.shared.operator, None)?,
                Baseline { title: entry.tenant.to_string(), text },
            ));
        }
        let text = self.exchange.as_ref().map(|e| e.answer.text().to_string()).unwrap_or_default();
        let call = self.request.call(&cx.shared.operator, None)?;
        Some((call.clone(), Baseline { title: call.tenant.to_string(), text }))
    }

    pub(super) fn resend(&mut self, cx: &mut Cx) {
        if self.pane == Pane::History {
            let Some(entry) = self.entry().cloned() else { return };
            self.request.load_entry(&entry);
            self.as_text = entry.raw;
            self.ask_catalog(cx);
            self.changed(cx);
            self.pane = Pane::Request;
        }
        self.send(cx);
    }

    pub(super) fn resend_as(&mut self, cx: &mut Cx) {
        if let (Some(why), true) = (self.request.missing(), self.pane != Pane::History) {
            return cx.notice(Level::Warn, why);
        }
        let Some((call, baseline)) = self.again(cx) else { return };
        let others = cx.snap.users(&call.server).filter(|t| **t != call.tenant);
        let items: Vec<Item> = others
            .map(|t| {
                let note = cx.snap.tenant(t.as_str()).map_or("", |row| row.def.environment.name());
                Item::new(t.as_str(), tenant_name(cx, t)).with_note(note)
            })
            .collect();
        if items.is_empty() {
            return cx.notice(Level::Info, format!("no other customer has {} enabled", call.server));
        }
        let token = cx.pick(&format!("Send to {} again, as", call.server), items);
        self.baseline = Some(baseline);
        self.expect(token, Asked::AsTenant(Box::new(call)));
    }

    pub(super) fn ask_as(&mut self, mut call: ConsoleCall, tenant: TenantId, cx: &mut Cx) {
        call.tenant = tenant;
        let token = cx.ask(Query::Preview(call.clone()));
        self.expect(token, Asked::SendAs(Box::new(call)));
    }
}
