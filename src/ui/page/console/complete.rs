//! Completion of a prompt's arguments and a template's variables, by the server, while they are typed.

use super::Console;
use crate::model::call::Origin;
use crate::model::message::{CallEvent, ConsoleCall};
use crate::model::{Chunk, Feed};
use crate::ui::app::{Cx, Token};
use crate::ui::console::json::{self, Step};

/// Bytes of an answer that are read, and values that are shown.
const MAX_ANSWER: usize = 256 << 10;
const SHOWN: usize = 5;

/// What a server offers for the field that is being typed.
pub(super) struct Completion {
    name: String,
    /// What it was asked about.
    typed: String,
    /// What stands there meanwhile.
    wanted: String,
    token: Option<Token>,
    answer: String,
    values: Vec<String>,
}

impl Completion {
    pub fn waits_for(&self, token: Token) -> bool {
        self.token == Some(token)
    }
}

impl Console {
    /// A field of the form is being typed. One question at a time: its answer asks for what was typed meanwhile.
    pub(super) fn complete(&mut self, path: &[Step], typed: &str, cx: &mut Cx) {
        let [Step::Key(name)] = path else { return };
        let completes = self.offers().is_some_and(|offers| offers.completes);
        if !completes || self.question().is_some() || self.request.completed_by().is_none() {
            return;
        }
        match &mut self.completion {
            Some(completion) if completion.name == *name => completion.wanted = typed.to_owned(),
            other => {
                if let Some(token) = other.take().and_then(|completion| completion.token) {
                    cx.unfollow(token);
                }
                *other = Some(Completion {
                    name: name.clone(),
                    typed: String::new(),
                    wanted: typed.to_owned(),
                    token: None,
                    answer: String::new(),
                    values: Vec::new(),
                });
            }
        }
        if self.completion.as_ref().is_some_and(|completion| completion.token.is_none()) {
            self.ask_completion(cx);
        }
    }

    fn ask_completion(&mut self, cx: &mut Cx) {
        let (Some(tenant), Some(server)) = (self.request.tenant.clone(), self.request.server.clone()) else { return };
        let Some(reference) = self.request.completed_by() else { return };
        let others = json::print::compact(self.request.sheet.value());
        let Some(completion) = &mut self.completion else { return };
        completion.typed.clone_from(&completion.wanted);
        completion.answer.clear();
        let body = format!(
            r#"{{"ref":{reference},"argument":{{"name":{},"value":{}}},"context":{{"arguments":{others}}}}}"#,
            json::quote(&completion.name),
            json::quote(&completion.typed)
        );
        let call = ConsoleCall {
            tenant,
            server,
            method: Some("completion/complete".to_owned()),
            body,
            era: self.request.era,
            timeout_ms: None,
            origin: Origin::Console,
            operator: cx.shared.operator.clone(),
            confirm: None,
            keep: false,
        };
        completion.token = Some(cx.follow(Feed::Call(Box::new(call))));
    }

    pub(super) fn take_completion(&mut self, chunk: Chunk, cx: &mut Cx) {
        let Some(completion) = &mut self.completion else { return };
        match chunk {
            Chunk::Call(CallEvent::Body(part)) if completion.answer.len() + part.len() <= MAX_ANSWER => {
                completion.answer.push_str(&part);
            }
            Chunk::Call(CallEvent::Done(_)) | Chunk::End(_) => {
                if let Some(token) = completion.token.take() {
                    cx.unfollow(token);
                }
                completion.values = values(&completion.answer);
                if completion.wanted != completion.typed {
                    self.ask_completion(cx);
                }
            }
            _ => {}
        }
    }

    /// The first value offered that goes on from what is typed.
    pub(super) fn offered(&self, typed: &str) -> Option<String> {
        let values = &self.completion.as_ref()?.values;
        values.iter().find(|value| value.starts_with(typed) && value.len() > typed.len()).cloned()
    }

    /// The offers in words.
    pub(super) fn offers_shown(&self, typed: &str) -> String {
        let Some(completion) = &self.completion else { return String::new() };
        let fit = || completion.values.iter().filter(|value| value.starts_with(typed) && value.as_str() != typed);
        let shown: Vec<&str> = fit().take(SHOWN).map(String::as_str).collect();
        let more = fit().count().saturating_sub(SHOWN);
        match (shown.as_slice(), more) {
            ([], _) => String::new(),
            (some, 0) => format!("right takes: {}", some.join(", ")),
            (some, more) => format!("right takes: {}, {more} more", some.join(", ")),
        }
    }
}

fn values(answer: &str) -> Vec<String> {
    let Ok(root) = json::parse(answer) else { return Vec::new() };
    let list = ["result", "completion", "values"].iter().try_fold(&root, |node, key| node.get(key));
    let children = list.map(|list| list.children.as_slice()).unwrap_or_default();
    children.iter().filter_map(|child| child.node.string(answer)).collect()
}
