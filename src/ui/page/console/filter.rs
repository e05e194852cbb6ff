//! A jq filter over the answer: it stays while requests are sent again, until it is left.

use super::{Console, Pane};
use crate::model::message::Level;
use crate::ui::app::{Cx, Filtered, Token};
use crate::ui::console::tree::Tree;
use crate::ui::fmt;
use std::sync::Arc;

/// A filter, and what it found.
pub(super) struct Filtering {
    pub program: String,
    /// While it runs.
    token: Option<Token>,
    pub found: Option<Result<Filtered, String>>,
}

impl Filtering {
    pub fn is_running(&self) -> bool {
        self.token.is_some()
    }

    /// `3 results`, or how it stands.
    pub fn summary(&self) -> String {
        match &self.found {
            None if self.is_running() => "filters; esc calls it off".to_owned(),
            None => "waits for an answer".to_owned(),
            Some(Err(why)) => why.clone(),
            Some(Ok(found)) if found.cut => {
                format!("the first {}, there are more", fmt::plural(found.results, "result"))
            }
            Some(Ok(found)) => fmt::plural(found.results, "result"),
        }
    }
}

impl Console {
    /// What the response pane shows as a tree: what a filter left, else the answer.
    pub(super) fn tree(&self) -> Option<&Tree> {
        let tree = match &self.filtering {
            Some(Filtering { found: Some(Ok(found)), .. }) => Some(&found.tree),
            _ => self.exchange.as_ref().map(|exchange| &exchange.answer),
        };
        tree.filter(|tree| !tree.text().is_empty())
    }

    pub(super) fn tree_mut(&mut self) -> Option<&mut Tree> {
        match &mut self.filtering {
            Some(Filtering { found: Some(Ok(found)), .. }) => Some(&mut found.tree),
            _ => self.exchange.as_mut().map(|exchange| &mut exchange.answer),
        }
    }

    /// `|`: asks for the filter.
    pub(super) fn ask_filter(&mut self, cx: &mut Cx) {
        let now = self.filtering.as_ref().map_or("", |filtering| &filtering.program);
        let here = self.tree().filter(|_| self.pane == Pane::Response && now.is_empty()).and_then(Tree::path);
        let text = if now.is_empty() { here.unwrap_or_else(|| ".".to_owned()) } else { now.to_owned() };
        let earlier = cx.shared.filters.clone();
        let token = cx.prompt_after("jq filter over the answer (empty: all of it)", &text, &earlier);
        self.expect(token, super::Asked::Filter);
    }

    pub(super) fn take_filter(&mut self, program: &str, cx: &mut Cx) {
        self.leave_filter(cx);
        let program = program.trim();
        if matches!(program, "" | ".") {
            return;
        }
        cx.remember(program);
        self.filtering = Some(Filtering { program: program.to_owned(), token: None, found: None });
        self.pane = Pane::Response;
        self.filter_answer(cx);
    }

    /// Filters the answer that is there.
    pub(super) fn filter_answer(&mut self, cx: &mut Cx) {
        self.stop_filter(cx);
        let answer = self.exchange.as_ref().filter(|e| !e.is_running()).map(|e| Arc::clone(e.answer.text()));
        let Some(filtering) = &mut self.filtering else { return };
        filtering.found = None;
        if let Some(text) = answer.filter(|text| !text.is_empty()) {
            filtering.token = Some(cx.filter(&filtering.program, text));
        }
    }

    /// Calls a filter off that runs.
    fn stop_filter(&mut self, cx: &mut Cx) -> bool {
        let running = self.filtering.as_mut().and_then(|filtering| filtering.token.take());
        running.map(|token| cx.unfollow(token)).is_some()
    }

    /// Shows all of the answer again. False if nothing was filtered.
    pub(super) fn leave_filter(&mut self, cx: &mut Cx) -> bool {
        self.stop_filter(cx);
        self.filtering.take().is_some()
    }

    pub(super) fn take_filtered(&mut self, token: Token, found: Result<Filtered, String>, cx: &mut Cx) {
        let Some(filtering) = self.filtering.as_mut().filter(|f| f.token == Some(token)) else { return };
        filtering.token = None;
        if let Err(why) = &found {
            cx.notice(Level::Warn, format!("{}: {why}", filtering.program));
        }
        filtering.found = Some(found);
        (self.scroll, self.searching) = (0, None);
    }
}
