//! One request at many customers: who waits, who is asked now, how each ended, and whose answers are the same.
//! Pure state; a few are asked at once, and of each answer only so much is kept.

use super::json;
use crate::model::call::{CallId, CallRecord, Outcome};
use crate::model::message::{CallEvent, ConsoleCall};
use crate::model::{Chunk, Stamp, TenantId};
use std::collections::BTreeMap;

/// Customers that are asked at once.
pub const AT_ONCE: usize = 4;
/// Bytes that are kept of one answer, and of all.
const MAX_ANSWER: usize = 1 << 20;
const MAX_ALL: usize = 64 << 20;

/// A request on its way to many.
pub struct Fan {
    /// The request; its tenant is whom it was made up for.
    pub call: ConsoleCall,
    pub legs: Vec<Leg>,
    pub cursor: usize,
    /// Nobody else is asked.
    stopped: bool,
    kept: usize,
    /// Results that were seen, in the order they came.
    answers: Vec<String>,
}

/// It at one of them.
pub struct Leg {
    pub tenant: TenantId,
    pub stand: Stand,
    pub id: Option<CallId>,
    pub answer: String,
    /// Bytes of the answer that were not kept.
    pub dropped: u64,
    /// Which of the answers it is, from 0; those with the same number say the same.
    pub same: Option<usize>,
}

/// How it stands.
#[derive(Clone, Debug, PartialEq)]
pub enum Stand {
    Waiting,
    Running(Stamp),
    Done(Box<CallRecord>),
    /// There is no answer; why.
    Broken(String),
}

impl Fan {
    pub fn new(call: ConsoleCall, tenants: Vec<TenantId>) -> Self {
        let leg =
            |tenant| Leg { tenant, stand: Stand::Waiting, id: None, answer: String::new(), dropped: 0, same: None };
        let legs = tenants.into_iter().map(leg).collect();
        Self { call, legs, cursor: 0, stopped: false, kept: 0, answers: Vec::new() }
    }

    /// The next customer to ask, if there is one and it is time; it counts as asked.
    pub fn next(&mut self, now: Stamp) -> Option<(usize, ConsoleCall)> {
        let running = self.legs.iter().filter(|leg| matches!(leg.stand, Stand::Running(_))).count();
        if self.stopped || running >= AT_ONCE {
            return None;
        }
        let at = self.legs.iter().position(|leg| leg.stand == Stand::Waiting)?;
        self.legs[at].stand = Stand::Running(now);
        let tenant = self.legs[at].tenant.clone();
        // Whoever was asked for the name of all has been asked for each.
        let confirm = self.call.confirm.as_ref().map(|_| tenant.to_string());
        Some((at, ConsoleCall { tenant, confirm, ..self.call.clone() }))
    }

    pub fn is_running(&self) -> bool {
        self.legs
            .iter()
            .any(|leg| matches!(leg.stand, Stand::Running(_)) || (leg.stand == Stand::Waiting && !self.stopped))
    }

    /// Asks nobody else, and takes those under way for cancelled.
    pub fn stop(&mut self) {
        self.stopped = true;
        for leg in &mut self.legs {
            match leg.stand {
                Stand::Running(_) => leg.stand = Stand::Broken("cancelled".to_owned()),
                Stand::Waiting => leg.stand = Stand::Broken("not sent".to_owned()),
                Stand::Done(_) | Stand::Broken(_) => {}
            }
        }
    }

    /// Takes a piece of what comes back for one. True if that was the end of it.
    pub fn take(&mut self, at: usize, chunk: Chunk) -> bool {
        let room = MAX_ALL.saturating_sub(self.kept).min(MAX_ANSWER);
        let Some(leg) = self.legs.get_mut(at).filter(|leg| matches!(leg.stand, Stand::Running(_))) else { return true };
        match chunk {
            Chunk::Call(CallEvent::Accepted { id }) => leg.id = Some(id),
            Chunk::Call(CallEvent::Body(part)) if leg.dropped == 0 && leg.answer.len() + part.len() <= room => {
                leg.answer.push_str(&part);
            }
            Chunk::Call(CallEvent::Body(part)) => leg.dropped += part.len() as u64,
            Chunk::Call(CallEvent::Done(record)) => {
                leg.stand = Stand::Done(record);
                self.ended(at);
                return true;
            }
            Chunk::End(why) => {
                leg.stand = Stand::Broken(why.map_or_else(|| "no answer".to_owned(), |why| why.to_string()));
                return true;
            }
            _ => {}
        }
        false
    }

    fn ended(&mut self, at: usize) {
        let leg = &mut self.legs[at];
        self.kept += leg.answer.len();
        if leg.dropped > 0 || leg.answer.is_empty() {
            return;
        }
        let said = said(&leg.answer);
        let known = self.answers.iter().position(|answer| *answer == said);
        leg.same = Some(known.unwrap_or_else(|| {
            self.answers.push(said);
            self.answers.len() - 1
        }));
    }

    /// Ends by outcome, the most first; then those under way and those without an answer.
    pub fn tally(&self) -> Vec<(String, usize)> {
        let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
        for leg in &self.legs {
            *ends.entry(leg.stand.word()).or_default() += 1;
        }
        let mut ends: Vec<_> = ends.into_iter().map(|(word, count)| (word.to_owned(), count)).collect();
        ends.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        ends
    }

    /// How many different answers came.
    pub fn different(&self) -> usize {
        self.answers.len()
    }

    /// The table as JSON.
    pub fn json(&self) -> String {
        let rows: Vec<String> = self.legs.iter().map(Leg::json).collect();
        format!("[{}]", rows.join(","))
    }
}

impl Leg {
    pub fn json(&self) -> String {
        let record = match &self.stand {
            Stand::Done(record) => Some(&**record),
            _ => None,
        };
        let text = |text: Option<&str>| text.map_or_else(|| "null".to_owned(), json::quote);
        let error = match &self.stand {
            Stand::Broken(why) => Some(why.as_str()),
            _ => record.and_then(|record| record.error.as_deref()),
        };
        let response = if self.dropped == 0 && json::parse(&self.answer).is_ok() { &self.answer } else { "null" };
        format!(
            r#"{{"customer":{},"outcome":{},"took_ms":{},"answer":{},"error":{},"response":{response}}}"#,
            json::quote(self.tenant.as_str()),
            json::quote(self.stand.word()),
            record.map_or_else(|| "null".to_owned(), |r| format!("{:.3}", r.took_us as f64 / 1000.0)),
            text(self.same.map(letter).as_deref()),
            text(error),
        )
    }
}

impl Leg {
    /// The error, or how the answer begins.
    pub fn says(&self) -> String {
        match &self.stand {
            Stand::Broken(why) => return why.clone(),
            Stand::Done(record) => {
                if let Some(error) = &record.error {
                    return error.clone();
                }
            }
            Stand::Waiting | Stand::Running(_) => return String::new(),
        }
        let Ok(root) = json::parse(&self.answer) else { return String::new() };
        let Some(result) = root.get("result") else { return String::new() };
        let first =
            result.get("content").and_then(|list| list.children.first()?.node.get("text")?.string(&self.answer));
        let shown = first.unwrap_or_else(|| json::print::compact(result.source(&self.answer)));
        shown.chars().take(200).collect()
    }
}

impl Stand {
    pub fn word(&self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running(_) => "running",
            Self::Done(record) => record.outcome.name(),
            Self::Broken(_) => "no answer",
        }
    }

    pub fn outcome(&self) -> Option<Outcome> {
        match self {
            Self::Done(record) => Some(record.outcome),
            _ => None,
        }
    }
}

/// `A` for the first answer, `B` for the next that is another, ... `Z`, `A1`.
pub fn letter(same: usize) -> String {
    let letter = char::from(b'A' + (same % 26) as u8);
    match same / 26 {
        0 => letter.to_string(),
        round => format!("{letter}{round}"),
    }
}

/// What an answer says, without its id.
fn said(answer: &str) -> String {
    let root = json::parse(answer).ok();
    let part = root.as_ref().and_then(|root| root.get("result").or_else(|| root.get("error")));
    json::print::compact(part.map_or(answer, |part| part.source(answer)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Refusal;
    use crate::model::call::Origin;
    use crate::model::message::{Face, Operator};

    fn fan(tenants: usize) -> Fan {
        let operator = Operator { name: "ana".into(), face: Face::Screen, pid: 7, grant: None };
        let call = ConsoleCall {
            tenant: "t0".into(),
            server: "etim".into(),
            method: Some("tools/call".into()),
            body: "{}".into(),
            era: None,
            timeout_ms: None,
            origin: Origin::Console,
            operator,
            confirm: Some("etim".into()),
            keep: true,
        };
        Fan::new(call, (0..tenants).map(|n| format!("t{n}").as_str().into()).collect())
    }

    fn record(outcome: Outcome) -> Box<CallRecord> {
        Box::new(CallRecord {
            id: CallId(1),
            at: Stamp(0),
            tenant: "t".into(),
            server: "etim".into(),
            instance: None,
            method: "tools/call".into(),
            tool: None,
            outcome,
            took_us: 1500,
            wake_us: 0,
            upstream_us: 0,
            request_bytes: 0,
            response_bytes: 0,
            era: None,
            origin: Origin::Console,
            principal: "ana".into(),
            role: None,
            error: None,
        })
    }

    fn answer(fan: &mut Fan, at: usize, body: &str) -> bool {
        fan.take(at, Chunk::Call(CallEvent::Body(body.to_owned())));
        fan.take(at, Chunk::Call(CallEvent::Done(record(Outcome::Ok))))
    }

    #[test]
    fn a_few_are_asked_at_once_each_under_its_own_name() {
        let mut fan = fan(6);
        let asked: Vec<_> = std::iter::from_fn(|| fan.next(Stamp(1))).collect();
        let names: Vec<_> =
            asked.iter().map(|(at, call)| (*at, call.tenant.as_str(), call.confirm.as_deref())).collect();
        assert_eq!(names, [(0, "t0", Some("t0")), (1, "t1", Some("t1")), (2, "t2", Some("t2")), (3, "t3", Some("t3"))]);
        assert!(answer(&mut fan, 2, "{}"));
        assert_eq!(fan.next(Stamp(2)).unwrap().0, 4);
        assert!(fan.next(Stamp(2)).is_none());
    }

    #[test]
    fn the_same_answers_have_the_same_letter_whatever_their_id() {
        let mut fan = fan(3);
        while fan.next(Stamp(1)).is_some() {}
        for (at, body) in [
            (2, r#"{"id":9,"result":{"a": 1}}"#),
            (0, r#"{"id":7,"result":{"a":1}}"#),
            (1, r#"{"id":8,"result":{"a":2}}"#),
        ] {
            answer(&mut fan, at, body);
        }
        let letters: Vec<_> = fan.legs.iter().map(|leg| letter(leg.same.unwrap())).collect();
        assert_eq!((letters.join(""), fan.different(), fan.is_running()), ("ABA".to_owned(), 2, false));
        assert_eq!(
            fan.legs[1].json(),
            r#"{"customer":"t1","outcome":"ok","took_ms":1.500,"answer":"B","error":null,"response":{"id":8,"result":{"a":2}}}"#
        );
        assert!(json::parse(&fan.json()).is_ok());
        assert_eq!((letter(25), letter(27)), ("Z".to_owned(), "B1".to_owned()));
    }

    #[test]
    fn a_stop_asks_nobody_else_and_a_long_answer_is_cut_and_counted() {
        let mut fan = fan(6);
        while fan.next(Stamp(1)).is_some() {}
        answer(&mut fan, 0, &"x".repeat(MAX_ANSWER + 1));
        assert_eq!((fan.legs[0].dropped, fan.legs[0].same), (MAX_ANSWER as u64 + 1, None));
        assert!(fan.take(1, Chunk::End(Some(Refusal::Failed("gone".into())))));
        fan.stop();
        assert!(fan.next(Stamp(2)).is_none() && !fan.is_running());
        assert_eq!(fan.tally(), [("no answer".to_owned(), 5), ("ok".to_owned(), 1)]);
        assert!(!answer(&mut fan, 2, "{}") || fan.legs[2].stand == Stand::Broken("cancelled".into()));
    }
}
