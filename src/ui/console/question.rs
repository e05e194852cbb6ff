//! What a server asks the person at the console (MCP: elicitation, sampling, roots), and what is answered. Pure.

use super::json::{self, Step, edit};
use super::sheet::Sheet;

/// Text of a question for people is cut here, in bytes.
const MAX_TEXT: usize = 4 << 10;
/// A longer answer is none that asks, in bytes.
const MAX_ASKING: usize = 1 << 20;
/// JSON-RPC codes of an answer that is none: refused by a person, and not offered.
const REFUSED: i64 = -1;
const NOT_OFFERED: i64 = -32601;

const SAMPLING: &str = r#"{"type":"object","required":["text"],"properties":{
    "text":{"type":"string","description":"what the model would say"},
    "model":{"type":"string","default":"by hand"},
    "stopReason":{"enum":["endTurn","stopSequence","maxTokens"],"default":"endTurn"}}}"#;
const ROOTS: &str = r#"{"type":"object","required":["roots"],"properties":{"roots":{"type":"array",
    "items":{"type":"object","required":["uri"],"properties":{"uri":{"type":"string","format":"uri","pattern":"^file://"},
        "name":{"type":"string"}}}}}}"#;

/// One question.
pub struct Question {
    pub method: String,
    /// JSON text.
    pub params: String,
    kind: Kind,
    /// What is asked, in words.
    pub text: String,
    /// The answer as far as it is filled in.
    pub sheet: Sheet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// Elicitation: fields.
    Form,
    /// Elicitation: somebody opens an address.
    Url,
    Sampling,
    Roots,
    Other,
}

/// What a person says to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Here is the answer.
    Accept,
    /// No.
    Decline,
    /// Neither: it was closed.
    Dismiss,
}

impl Verdict {
    pub const ALL: [Self; 3] = [Self::Accept, Self::Decline, Self::Dismiss];

    pub fn word(self) -> &'static str {
        match self {
            Self::Accept => "answer",
            Self::Decline => "decline",
            Self::Dismiss => "dismiss",
        }
    }
}

impl Question {
    pub fn new(method: &str, params: &str) -> Self {
        let root = json::parse(params).ok();
        let part = |key: &str| root.as_ref().and_then(|root| root.get(key));
        let word = |key: &str| part(key).and_then(|node| node.string(params)).unwrap_or_default();
        let (kind, text, schema) = match method {
            "elicitation/create" if word("mode") == "url" => {
                (Kind::Url, format!("{}\n{}", word("message"), word("url")), String::new())
            }
            "elicitation/create" => {
                let schema = part("requestedSchema").map(|node| node.source(params).to_owned());
                (Kind::Form, word("message"), schema.unwrap_or_default())
            }
            "sampling/createMessage" => (Kind::Sampling, conversation(params), SAMPLING.to_owned()),
            "roots/list" => (Kind::Roots, "which folders may it work in?".to_owned(), ROOTS.to_owned()),
            _ => (Kind::Other, json::print::pretty(params), String::new()),
        };
        Self {
            method: method.to_owned(),
            params: params.to_owned(),
            kind,
            text: text[..text.floor_char_boundary(MAX_TEXT)].to_owned(),
            sheet: Sheet::new(&schema),
        }
    }

    /// The result that a verdict makes, as JSON text; or the error, where it means that there is none.
    pub fn answer(&self, verdict: Verdict) -> Result<String, String> {
        let content = json::print::compact(self.sheet.value());
        match (self.kind, verdict) {
            (Kind::Form, Verdict::Accept) => Ok(format!(r#"{{"action":"accept","content":{content}}}"#)),
            (Kind::Url, Verdict::Accept) => Ok(r#"{"action":"accept"}"#.to_owned()),
            (Kind::Form | Kind::Url, Verdict::Decline) => Ok(r#"{"action":"decline"}"#.to_owned()),
            (Kind::Form | Kind::Url, Verdict::Dismiss) => Ok(r#"{"action":"cancel"}"#.to_owned()),
            (Kind::Sampling, Verdict::Accept) => Ok(self.sampled()),
            (Kind::Roots | Kind::Other, Verdict::Accept) => Ok(content),
            (Kind::Sampling, _) => Err(error(REFUSED, "the operator refused the sampling request")),
            (Kind::Roots | Kind::Other, _) => Err(error(NOT_OFFERED, "the operator did not answer")),
        }
    }

    /// The whole message for a question that came under `id`.
    pub fn message(&self, id: u64, verdict: Verdict) -> String {
        match self.answer(verdict) {
            Ok(result) => format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#),
            Err(error) => format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{error}}}"#),
        }
    }

    fn sampled(&self) -> String {
        let text = self.sheet.value();
        let root = json::parse(text).ok();
        let part = |key: &str, otherwise: &str| {
            root.as_ref()
                .and_then(|root| root.get(key))
                .map_or_else(|| json::quote(otherwise), |n| n.source(text).to_owned())
        };
        format!(
            r#"{{"role":"assistant","content":{{"type":"text","text":{}}},"model":{},"stopReason":{}}}"#,
            part("text", ""),
            part("model", "by hand"),
            part("stopReason", "endTurn")
        )
    }
}

fn error(code: i64, message: &str) -> String {
    format!(r#"{{"code":{code},"message":{}}}"#, json::quote(message))
}

/// What a model is asked: the system's words, and who said what.
fn conversation(params: &str) -> String {
    let Ok(root) = json::parse(params) else { return String::new() };
    let mut out = String::new();
    if let Some(system) = root.get("systemPrompt").and_then(|node| node.string(params)) {
        out.push_str(&format!("system: {system}\n"));
    }
    for message in root.get("messages").map(|list| list.children.as_slice()).unwrap_or_default() {
        let word = |node: &json::Node, key: &str| node.get(key).and_then(|node| node.string(params));
        let content = message.node.get("content");
        let text = content.and_then(|content| word(content, "text").or_else(|| word(content, "type")));
        let role = word(&message.node, "role").unwrap_or_default();
        out.push_str(&format!("{role}: {}\n", text.unwrap_or_default()));
    }
    out.trim_end().to_owned()
}

/// A result that asks before there is one (MCP 2026-07-28, SEP-2322).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputRequired {
    /// Key, method, params.
    pub requests: Vec<(String, String, String)>,
    /// To be given back as it is, as JSON text.
    pub state: Option<String>,
}

impl InputRequired {
    /// `None` for an answer that is one.
    pub fn read(answer: &str) -> Option<Self> {
        if answer.len() > MAX_ASKING || !answer.contains("input_required") {
            return None;
        }
        let root = json::parse(answer).ok()?;
        let result = root.get("result")?;
        if result.get("resultType")?.string(answer)? != "input_required" {
            return None;
        }
        let requests = result.get("inputRequests").map(|map| map.children.as_slice()).unwrap_or_default();
        let read = |child: &json::Child| {
            let params = child.node.get("params").map_or("{}", |node| node.source(answer));
            Some((child.key.clone(), child.node.get("method")?.string(answer)?, params.to_owned()))
        };
        Some(Self {
            requests: requests.iter().filter_map(read).collect(),
            state: result.get("requestState").map(|node| node.source(answer).to_owned()),
        })
    }

    /// The params of the same call again, with the answers to it.
    pub fn again(&self, params: &str, answers: &[(String, String)]) -> Option<String> {
        let members: Vec<String> =
            answers.iter().map(|(key, result)| format!("{}:{result}", json::quote(key))).collect();
        let key = |name: &str| [Step::Key(name.to_owned())];
        let mut out = edit::set(params, &key("inputResponses"), &format!("{{{}}}", members.join(","))).ok()?;
        out = match &self.state {
            Some(state) => edit::set(&out, &key("requestState"), state).ok()?,
            None => edit::remove(&out, &key("requestState")).ok()?,
        };
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WHO: &str = r#"{"message":"Who are you?","requestedSchema":{"type":"object","required":["name"],"properties":{"name":{"type":"string"},"age":{"type":"integer"}}}}"#;

    #[test]
    fn each_question_is_answered_in_its_own_words() {
        let mut form = Question::new("elicitation/create", WHO);
        assert_eq!(form.text, "Who are you?");
        form.sheet.set("{ \"name\": \"ana\" }".to_owned());
        let sampling =
            r#"{"systemPrompt":"be kind","messages":[{"role":"user","content":{"type":"text","text":"hi"}}]}"#;
        let mut sampling = Question::new("sampling/createMessage", sampling);
        assert_eq!(sampling.text, "system: be kind\nuser: hi");
        sampling.sheet.set("{\"text\": \"hello\"}".to_owned());
        let roots = Question::new("roots/list", "{}");
        let url = Question::new("elicitation/create", r#"{"mode":"url","message":"log in","url":"https://x/y"}"#);
        assert_eq!(url.text, "log in\nhttps://x/y");
        for (question, verdict, want) in [
            (&form, Verdict::Accept, r#""result":{"action":"accept","content":{"name":"ana"}}"#),
            (&form, Verdict::Decline, r#""result":{"action":"decline"}"#),
            (&form, Verdict::Dismiss, r#""result":{"action":"cancel"}"#),
            (&url, Verdict::Accept, r#""result":{"action":"accept"}"#),
            (
                &sampling,
                Verdict::Accept,
                r#""result":{"role":"assistant","content":{"type":"text","text":"hello"},"model":"by hand","stopReason":"endTurn"}"#,
            ),
            (
                &sampling,
                Verdict::Decline,
                r#""error":{"code":-1,"message":"the operator refused the sampling request"}"#,
            ),
            (&roots, Verdict::Accept, r#""result":{"roots":[]}"#),
        ] {
            let message = question.message(7, verdict);
            assert_eq!(message, format!(r#"{{"jsonrpc":"2.0","id":7,{want}}}"#));
            assert!(json::parse(&message).is_ok());
        }
    }

    #[test]
    fn a_modern_result_that_asks_is_sent_again_with_the_answers_and_its_state_untouched() {
        let answer = format!(
            r#"{{"id":1,"result":{{"resultType":"input_required","inputRequests":{{"who":{{"method":"elicitation/create","params":{WHO}}}}},"requestState":"op\u0061que"}}}}"#
        );
        let asked = InputRequired::read(&answer).unwrap();
        assert_eq!((asked.requests[0].0.as_str(), asked.requests[0].1.as_str()), ("who", "elicitation/create"));
        let answers = [("who".to_owned(), r#"{"action":"decline"}"#.to_owned())];
        let again = asked.again(r#"{"name":"t","arguments":{}}"#, &answers).unwrap();
        assert_eq!(
            json::print::compact(&again),
            r#"{"name":"t","arguments":{},"inputResponses":{"who":{"action":"decline"}},"requestState":"op\u0061que"}"#
        );
        assert_eq!(InputRequired::read(r#"{"result":{"resultType":"complete","text":"input_required"}}"#), None);
    }
}
