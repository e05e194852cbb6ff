//! Questions of servers: each opens a form in the request pane, and goes with its answer or with its call.

use super::{Console, Pane, Stop};
use crate::model::message::{ConsoleCall, Level};
use crate::model::{Query, TenantId};
use crate::ui::app::Cx;
use crate::ui::console::exchange::Wire;
use crate::ui::console::question::{InputRequired, Question, Verdict};
use crate::ui::layer::Layer;
use crate::ui::layer::text::Reader;

/// Questions that wait; the rest is declined at once.
const MAX_WAITING: usize = 32;
/// So often one call is sent again with answers: a server could ask for ever.
const MAX_ROUNDS: usize = 20;

/// A question, and the way its answer goes.
pub(super) struct Inquiry {
    pub question: Question,
    way: Way,
}

enum Way {
    /// The server waits for it, under this id.
    Upstream { id: u64 },
    /// It goes into the same call, sent again, under this key.
    Again { key: String },
}

/// A modern call that is answered by more calls.
#[derive(Default)]
pub(super) struct Rounds {
    asked: Option<InputRequired>,
    answers: Vec<(String, String)>,
    done: usize,
}

impl Console {
    pub(super) fn question(&self) -> Option<&Question> {
        self.inquiries.front().map(|inquiry| &inquiry.question)
    }

    /// A server asks while a call is under way.
    pub(super) fn asked_by_server(&mut self, id: u64, method: &str, params: &str, cx: &mut Cx) {
        let inquiry = Inquiry { question: Question::new(method, params), way: Way::Upstream { id } };
        if self.inquiries.len() >= MAX_WAITING {
            return self.give(inquiry, Verdict::Dismiss, cx);
        }
        self.inquiries.push_back(inquiry);
        self.show_question(cx);
    }

    /// The answer that came asks before there is one. False if it is an answer.
    pub(super) fn asks_for_input(&mut self, cx: &mut Cx) -> bool {
        let asked = self.exchange.as_ref().and_then(|exchange| InputRequired::read(exchange.answer.text()));
        let Some(asked) = asked.filter(|_| self.sent.as_ref().is_some_and(|call| call.method.is_some())) else {
            self.rounds = Rounds::default();
            return false;
        };
        self.rounds.done += 1;
        if self.rounds.done > MAX_ROUNDS {
            cx.notice(Level::Warn, format!("it asked {MAX_ROUNDS} times and is not asked again"));
            self.rounds = Rounds::default();
            return false;
        }
        for (key, method, params) in &asked.requests {
            let way = Way::Again { key: key.clone() };
            self.inquiries.push_back(Inquiry { question: Question::new(method, params), way });
        }
        self.rounds.asked = Some(asked);
        self.rounds.answers.clear();
        if self.inquiries.is_empty() {
            self.send_again(cx)
        } else {
            self.show_question(cx)
        }
        true
    }

    fn show_question(&mut self, cx: &mut Cx) {
        let Some(question) = self.question() else { return };
        let (line, text) = (question.method.clone(), question.text.lines().next().unwrap_or_default().to_owned());
        self.edit = None;
        self.as_text = false;
        self.pane = Pane::Request;
        self.at = 0;
        let fields = self.sheet().form.fields();
        let open = fields.iter().position(|field| field.required && field.value.is_none()).unwrap_or(0);
        self.stand_on(if fields.is_empty() { Stop::Verdict(Verdict::Accept) } else { Stop::Field(open) });
        let server = self.sent.as_ref().map(|call| call.server.to_string()).unwrap_or_default();
        cx.notice(Level::Warn, format!("{server} asks ({line}): {text}"));
    }

    /// Answers the question on screen.
    pub(super) fn answer_question(&mut self, verdict: Verdict, cx: &mut Cx) {
        let problems = self.sheet().form.error_count();
        if verdict == Verdict::Accept && problems > 0 && self.told != Some(self.version) {
            self.told = Some(self.version);
            let text =
                format!("{} with the answer; once more sends it as it is", crate::ui::fmt::plural(problems, "problem"));
            return cx.notice(Level::Warn, text);
        }
        self.edit = None;
        if let Some(inquiry) = self.inquiries.pop_front() {
            self.give(inquiry, verdict, cx);
        }
        match self.question() {
            Some(_) => self.show_question(cx),
            None => {
                self.at = self.stops().len() - 1;
                self.pane = Pane::Response;
            }
        }
    }

    fn give(&mut self, inquiry: Inquiry, verdict: Verdict, cx: &mut Cx) {
        match (inquiry.way, inquiry.question.answer(verdict)) {
            (Way::Upstream { id }, _) => {
                let message = inquiry.question.message(id, verdict);
                let Some(call) = &self.sent else { return };
                let (tenant, server) = (call.tenant.clone(), call.server.clone());
                if let Some(exchange) = &mut self.exchange {
                    exchange.note(cx.shared.now, Wire::Sent, message.clone());
                }
                let operator = cx.shared.operator.clone();
                let token = cx.ask(Query::Reply { tenant, server, operator, message });
                self.expect(token, super::Asked::Reply);
            }
            (Way::Again { key }, Ok(result)) => {
                self.rounds.answers.push((key, result));
                if self.inquiries.is_empty() {
                    self.send_again(cx);
                }
            }
            // There is no way to say no but not to send it again.
            (Way::Again { .. }, Err(_)) => {
                self.inquiries.clear();
                self.rounds = Rounds::default();
                cx.notice(Level::Info, "refused: the call is not sent again");
            }
        }
    }

    /// The same call with what was answered.
    fn send_again(&mut self, cx: &mut Cx) {
        let (Some(asked), Some(call)) = (self.rounds.asked.take(), self.sent.clone()) else { return };
        if let Some(body) = asked.again(&call.body, &self.rounds.answers) {
            self.dispatch_round(ConsoleCall { body, ..call }, cx);
        }
    }

    /// The call is over: what was asked in the middle of it is not answered, and the server is told so.
    pub(super) fn drop_questions(&mut self, cx: &mut Cx) {
        for inquiry in std::mem::take(&mut self.inquiries) {
            self.give(inquiry, Verdict::Dismiss, cx);
        }
    }

    /// `e` at a question: all of it.
    pub(super) fn read_question(&self, cx: &mut Cx) {
        let Some(question) = self.question() else { return };
        let text = format!("{}\n\n{}", question.text, crate::ui::console::json::print::pretty(&question.params));
        cx.open(Layer::Text(Reader::new(&question.method, &text)));
    }

    /// Who asks.
    pub(super) fn asker(&self) -> Option<(&str, &TenantId)> {
        self.sent.as_ref().map(|call| (call.server.as_str(), &call.tenant))
    }
}
