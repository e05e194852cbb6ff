//! The request being made up: whom it is for, what it calls, and the one JSON buffer behind form and editor.

use super::json::{self, Step, edit};
use super::methods::{self, Offer, PROMPTS_GET, RESOURCES_READ, TOOLS_CALL};
use super::schema::bare;
use super::sheet::Sheet;
use super::uri_template;
use crate::model::call::{Era, Origin};
use crate::model::message::{ConsoleCall, HistoryEntry, Operator};
use crate::model::snapshot::Gateway;
use crate::model::{ServerId, TenantId, shell_word};

/// A request.
pub struct Request {
    pub tenant: Option<TenantId>,
    pub server: Option<ServerId>,
    /// The buffer is the whole message, sent as it is, malformed or not.
    pub raw: bool,
    method: String,
    /// Tool of `tools/call`, prompt of `prompts/get`.
    pub tool: Option<String>,
    /// The resource template of `resources/read` that the buffer has the variables of.
    template: Option<String>,
    pub era: Option<Era>,
    /// The arguments (of a tool or prompt), the params, or the whole message.
    pub sheet: Sheet,
}

impl Default for Request {
    fn default() -> Self {
        Self {
            tenant: None,
            server: None,
            raw: false,
            method: TOOLS_CALL.to_owned(),
            tool: None,
            template: None,
            era: None,
            sheet: Sheet::default(),
        }
    }
}

impl Request {
    pub fn method(&self) -> &str {
        &self.method
    }

    pub fn buffer(&self) -> &str {
        self.sheet.buffer()
    }

    /// What the buffer is, for its title.
    pub fn buffer_name(&self) -> &'static str {
        match (self.raw, self.takes_name()) {
            (true, _) => "message",
            (_, true) => "arguments",
            _ if self.template.is_some() => "variables",
            _ => "params",
        }
    }

    /// True if the method names a tool or prompt.
    pub fn takes_name(&self) -> bool {
        !self.raw && matches!(self.method.as_str(), TOOLS_CALL | PROMPTS_GET)
    }

    /// Another method, with an empty buffer.
    pub fn set_method(&mut self, method: &str) {
        self.raw = false;
        self.method = method.trim().to_owned();
        self.tool = None;
        self.template = None;
        self.sheet = Sheet::new(methods::schema_of(&self.method));
    }

    /// A tool or prompt, with the buffer its schema begins with.
    pub fn set_tool(&mut self, offer: &Offer) {
        self.tool = Some(offer.name.clone());
        self.sheet = Sheet::new(&offer.schema);
    }

    /// A resource template, to be read once its variables are filled in.
    pub fn set_template(&mut self, offer: &Offer) {
        self.set_method(RESOURCES_READ);
        self.template = Some(offer.name.clone());
        self.sheet = Sheet::new(&offer.schema);
    }

    /// What completes a field of the form, as `completion/complete` names it (JSON text).
    pub fn completed_by(&self) -> Option<String> {
        match (&self.template, &self.tool, self.method.as_str()) {
            _ if self.raw => None,
            (Some(template), ..) => Some(format!(r#"{{"type":"ref/resource","uri":{}}}"#, json::quote(template))),
            (None, Some(prompt), PROMPTS_GET) => {
                Some(format!(r#"{{"type":"ref/prompt","name":{}}}"#, json::quote(prompt)))
            }
            _ => None,
        }
    }

    /// The schema of the tool already named has come; what is in the buffer stays.
    pub fn describe(&mut self, offer: &Offer) {
        self.sheet = match self.sheet.is_blank() {
            true => Sheet::new(&offer.schema),
            false => Sheet::with(&offer.schema, self.buffer().to_owned()),
        };
    }

    /// Between "the whole message by hand" and a method with params. The message begins as what would be sent.
    pub fn toggle_raw(&mut self) {
        if self.raw {
            self.raw = false;
            let method = self.method.clone();
            self.load(&method, &message_params(self.buffer()).unwrap_or_else(|| "{}".to_owned()));
        } else {
            let message = self.message();
            self.raw = true;
            self.template = None;
            self.sheet = Sheet::with("", json::print::pretty(&message));
        }
    }

    /// Takes a method with its params, as history and other views have them.
    pub fn load(&mut self, method: &str, params: &str) {
        self.set_method(method);
        if self.takes_name() {
            let root = json::parse(params).ok();
            let part = |key: &str| root.as_ref().and_then(|r| r.get(key));
            self.tool = part("name").and_then(|n| n.string(params));
            let arguments = part("arguments").map_or("{}", |n| n.source(params)).to_owned();
            self.sheet = Sheet::with("", json::print::pretty(&arguments));
        } else if !params.trim().is_empty() {
            self.sheet.set(json::print::pretty(params));
        }
    }

    /// Takes a whole message.
    pub fn load_raw(&mut self, message: &str) {
        self.raw = true;
        self.template = None;
        self.sheet = Sheet::with("", message.to_owned());
    }

    /// Takes a request out of the history.
    pub fn load_entry(&mut self, entry: &HistoryEntry) {
        self.tenant = Some(entry.tenant.clone());
        self.server = Some(entry.server.clone());
        if entry.raw {
            self.set_method(&entry.method);
            self.load_raw(&entry.params);
        } else {
            self.load(&entry.method, &entry.params);
        }
    }

    /// JSON text of `params`.
    pub fn params(&self) -> String {
        if let Some(template) = &self.template {
            let text = self.sheet.value();
            let root = json::parse(text).ok();
            let value = |name: &str| root.as_ref()?.get(name).map(|node| bare(node.source(text)));
            return format!("{{\"uri\":{}}}", json::quote(&uri_template::expand(template, value)));
        }
        if !self.takes_name() {
            return self.buffer().to_owned();
        }
        let name = json::quote(self.tool.as_deref().unwrap_or_default());
        format!("{{\"name\":{name},\"arguments\":{}}}", json::print::compact(self.sheet.value()))
    }

    /// The whole message, as far as it is ours to make: the router gives it its id and what is injected.
    pub fn message(&self) -> String {
        if self.raw {
            return self.buffer().to_owned();
        }
        let head = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":{}}}", json::quote(&self.method));
        let params = self.params();
        edit::set(&head, &[Step::Key("params".to_owned())], params.trim()).unwrap_or(head)
    }

    /// What is missing before it can be sent.
    pub fn missing(&self) -> Option<String> {
        if self.tenant.is_none() {
            return Some("choose a customer first (F2)".to_owned());
        }
        if self.server.is_none() {
            return Some("choose a server first (F3)".to_owned());
        }
        if self.raw {
            return None;
        }
        if self.method.is_empty() {
            return Some("choose a method first (F4)".to_owned());
        }
        if self.takes_name() && self.tool.is_none() {
            return Some("choose a tool first (F4)".to_owned());
        }
        let broken = json::parse(self.sheet.value()).err()?;
        Some(format!("the {} are no JSON: {broken}; a raw message is sent as it is", self.buffer_name()))
    }

    /// As it is sent; `None` while tenant or server are missing.
    pub fn call(&self, operator: &Operator, confirm: Option<String>) -> Option<ConsoleCall> {
        Some(ConsoleCall {
            tenant: self.tenant.clone()?,
            server: self.server.clone()?,
            method: (!self.raw).then(|| self.method.clone()),
            body: if self.raw { self.buffer().to_owned() } else { self.params() },
            era: self.era,
            timeout_ms: None,
            origin: Origin::Console,
            operator: operator.clone(),
            confirm,
            keep: true,
        })
    }

    /// The same on the command line.
    pub fn command_line(&self) -> Option<String> {
        let (tenant, server) = (self.tenant.as_ref()?, self.server.as_ref()?);
        let mut line =
            format!("mcpdeck call --customer {} {}", shell_word(tenant.as_str()), shell_word(server.as_str()));
        if self.raw {
            line.push_str(&format!(" --message {}", shell_word(self.buffer())));
        } else {
            let tool = self.method == TOOLS_CALL;
            line.push_str(&format!(" {}", shell_word(if tool { self.tool.as_deref()? } else { &self.method })));
            let params = self.params();
            let body = json::print::compact(if tool { self.sheet.value() } else { &params });
            if !matches!(body.trim(), "" | "{}") {
                line.push_str(&format!(" {}", shell_word(&body)));
            }
        }
        if let Some(era) = self.era {
            line.push_str(&format!(" --era {}", era.name()));
        }
        Some(line)
    }
}

/// `params` of a message, as JSON text.
fn message_params(message: &str) -> Option<String> {
    let root = json::parse(message).ok()?;
    root.get("params").map(|n| n.source(message).to_owned())
}

/// A curl line that sends `message` straight to an HTTP upstream.
pub fn curl(url: &str, headers: &[(String, String)], message: &str) -> String {
    let headers = [("Accept".to_owned(), "application/json, text/event-stream".to_owned())]
        .iter()
        .chain(headers)
        .map(|(name, value)| format!(" -H {}", shell_word(&format!("{name}: {value}"))))
        .collect::<String>();
    format!("curl -sS {}{JSON}{headers} -d {}", shell_word(url), shell_word(&json::print::compact(message)))
}

/// A curl line that sends it through the gateway, as the customer.
pub fn curl_gateway(gateway: &Gateway, tenant: &TenantId, server: &ServerId, message: &str) -> String {
    let url = format!("{}/mcp/{server}", gateway.url);
    let customer = shell_word(&format!("X-Customer-ID: {tenant}"));
    let key = if gateway.open { "" } else { " -H \"X-API-Key: $MCPDECK_API_KEY\"" };
    format!("curl -sS {}{JSON} -H {customer}{key} -d {}", shell_word(&url), shell_word(&json::print::compact(message)))
}

const JSON: &str = " -H 'Content-Type: application/json'";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::message::Face;

    fn request() -> Request {
        let mut request = Request { tenant: Some("eaton".into()), server: Some("etim".into()), ..Request::default() };
        request.set_tool(&Offer {
            name: "find".to_owned(),
            schema: r#"{"required":["q"],"properties":{"q":{}}}"#.to_owned(),
            ..Offer::default()
        });
        request.sheet.set("{ \"q\": \"it's\", \"n\": 1.50 }".to_owned());
        request
    }

    #[test]
    fn a_tool_call_wraps_its_arguments() {
        let request = request();
        let operator = Operator { name: "op".to_owned(), face: Face::Screen, pid: 1, grant: None };
        let call = request.call(&operator, None).unwrap();
        assert_eq!(
            (call.method.as_deref(), call.body.as_str()),
            (Some("tools/call"), r#"{"name":"find","arguments":{"q":"it's","n":1.50}}"#)
        );
        assert_eq!(
            request.command_line().unwrap(),
            r#"mcpdeck call --customer eaton etim find '{"q":"it'\''s","n":1.50}'"#
        );
        assert_eq!(
            curl("http://h/mcp", &[("X-Customer-ID".to_owned(), "eaton".to_owned())], &request.message()),
            r#"curl -sS http://h/mcp -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' -H 'X-Customer-ID: eaton' -d '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"find","arguments":{"q":"it'\''s","n":1.50}}}'"#
        );
    }

    #[test]
    fn raw_begins_as_what_would_be_sent_and_goes_back() {
        let mut request = request();
        request.toggle_raw();
        assert!(request.raw && request.buffer().contains("\"jsonrpc\": \"2.0\""));
        request.sheet.set(request.buffer().replace("1.50", "2.00"));
        assert!(request.missing().is_none());
        request.toggle_raw();
        assert_eq!(
            (request.tool.as_deref(), json::print::compact(request.buffer()).as_str()),
            (Some("find"), r#"{"q":"it's","n":2.00}"#)
        );
        request.toggle_raw();
        request.sheet.set("{oops".to_owned());
        assert!(request.missing().is_none(), "raw is sent malformed on purpose");
    }

    #[test]
    fn what_is_missing_is_said() {
        let mut request = Request::default();
        type Change = fn(&mut Request);
        let steps: [(Change, &str); 5] = [
            (|_| {}, "choose a customer first (F2)"),
            (|r| r.tenant = Some("t".into()), "choose a server first (F3)"),
            (|r| r.server = Some("s".into()), "choose a tool first (F4)"),
            (|r| r.set_method(""), "choose a method first (F4)"),
            (
                |r| {
                    r.set_method("x/y");
                    r.sheet.set("{".to_owned());
                },
                "the params are no JSON: expected a key in double quotes at line 1, column 2; a raw message is sent as it is",
            ),
        ];
        for (step, said) in steps {
            step(&mut request);
            assert_eq!(request.missing().as_deref(), Some(said));
        }
    }
}
