//! The methods of MCP that can be called by hand, each with a schema for its form. A method that is not listed here can
//! still be typed; its params are then free JSON.

use super::{json, uri_template};

/// One method.
#[derive(Debug)]
pub struct Method {
    pub name: &'static str,
    pub doc: &'static str,
    /// Schema of its params; empty for `tools/call` and `prompts/get`, whose form comes from the catalog.
    pub schema: &'static str,
}

pub const TOOLS_CALL: &str = "tools/call";
pub const PROMPTS_GET: &str = "prompts/get";
pub const RESOURCES_READ: &str = "resources/read";

/// Without params: the cursor of a list is optional and of use to few.
const LIST: &str =
    r#"{"type":"object","properties":{"cursor":{"type":"string","description":"nextCursor of the page before"}}}"#;
const NOTHING: &str = r#"{"type":"object"}"#;
const URI: &str = r#"{"type":"object","required":["uri"],"properties":{"uri":{"type":"string","description":"as resources/list names it"}}}"#;

/// Every method, the most used first.
pub const METHODS: &[Method] = &[
    Method { name: TOOLS_CALL, doc: "call a tool", schema: "" },
    Method { name: "tools/list", doc: "list the tools", schema: LIST },
    Method { name: PROMPTS_GET, doc: "fill in a prompt", schema: "" },
    Method { name: "prompts/list", doc: "list the prompts", schema: LIST },
    Method { name: "resources/read", doc: "read a resource", schema: URI },
    Method { name: "resources/list", doc: "list the resources", schema: LIST },
    Method { name: "resources/templates/list", doc: "list the resource templates", schema: LIST },
    Method {
        name: "completion/complete",
        doc: "complete an argument of a prompt or template",
        schema: r#"{"type":"object","required":["ref","argument"],"properties":{
            "ref":{"type":"object","required":["type"],"properties":{"type":{"enum":["ref/prompt","ref/resource"]},
                "name":{"type":"string","description":"of the prompt"},"uri":{"type":"string","description":"of the template"}}},
            "argument":{"type":"object","required":["name","value"],"properties":{"name":{"type":"string"},"value":{"type":"string"}}},
            "context":{"type":"object","properties":{"arguments":{"type":"object"}}}}}"#,
    },
    Method {
        name: "subscriptions/listen",
        doc: "be told of changes until esc, whatever era the server speaks",
        schema: r#"{"type":"object","required":["notifications"],"properties":{"notifications":{"type":"object","properties":{
            "resourceSubscriptions":{"type":"array","items":{"type":"string","description":"URI of a resource"}},
            "resourcesListChanged":{"type":"boolean"},"toolsListChanged":{"type":"boolean"},"promptsListChanged":{"type":"boolean"}}}}}"#,
    },
    Method { name: "ping", doc: "ask for a sign of life (legacy era)", schema: NOTHING },
    Method { name: "server/discover", doc: "what the server can do (modern era)", schema: NOTHING },
    Method {
        name: "logging/setLevel",
        doc: "least level of the server's log messages",
        schema: r#"{"type":"object","required":["level"],"properties":{"level":{"enum":["debug","info","notice","warning","error","critical","alert","emergency"]}}}"#,
    },
];

/// The schema of a method's params; anything goes for an unknown one.
pub fn schema_of(method: &str) -> &'static str {
    METHODS.iter().find(|m| m.name == method).map_or("", |m| m.schema)
}

/// Something a server offers: a tool, a prompt, a resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Offer {
    /// Name, or the URI of a resource.
    pub name: String,
    pub description: String,
    /// Schema of its arguments.
    pub schema: String,
    /// `readOnlyHint`; `None` if the server does not say.
    pub read_only: Option<bool>,
    pub destructive: Option<bool>,
}

impl Offer {
    /// One word on what a call may do: `reads`, `destroys`, `writes`; empty if the server does not say.
    pub fn mark(&self) -> &'static str {
        match (self.read_only, self.destructive) {
            (Some(true), _) => "reads",
            (_, Some(true)) => "destroys",
            (Some(false), _) | (_, Some(false)) => "writes",
            _ => "",
        }
    }
}

/// The tools of a catalog's `tools`. What cannot be read is left out.
pub fn tools(list: &str) -> Vec<Offer> {
    offers(list, "name", |offer, text, node| {
        offer.schema = node.get("inputSchema").map(|n| n.source(text).to_owned()).unwrap_or_default();
        let hint = |key| match node.get("annotations")?.get(key)?.source(text) {
            "true" => Some(true),
            "false" => Some(false),
            _ => None,
        };
        offer.read_only = hint("readOnlyHint");
        offer.destructive = hint("destructiveHint");
    })
}

/// The prompts of a catalog's `prompts`; their arguments become a schema of strings.
pub fn prompts(list: &str) -> Vec<Offer> {
    offers(list, "name", |offer, text, node| {
        let word = |node: &json::Node, key| node.get(key).and_then(|n: &json::Node| n.string(text));
        let (mut properties, mut required) = (Vec::new(), Vec::new());
        for child in node.get("arguments").map(|n| n.children.as_slice()).unwrap_or_default() {
            let Some(name) = word(&child.node, "name") else { continue };
            let doc = json::quote(&word(&child.node, "description").unwrap_or_default());
            properties.push(format!("{}:{{\"type\":\"string\",\"description\":{doc}}}", json::quote(&name)));
            if child.node.get("required").is_some_and(|n| n.source(text) == "true") {
                required.push(json::quote(&name));
            }
        }
        offer.schema = format!(
            "{{\"type\":\"object\",\"properties\":{{{}}},\"required\":[{}]}}",
            properties.join(","),
            required.join(",")
        );
        offer.read_only = Some(true);
    })
}

/// The resources of a catalog's `resources`, by URI.
pub fn resources(list: &str) -> Vec<Offer> {
    offers(list, "uri", |offer, _, _| offer.read_only = Some(true))
}

/// The resource templates of a catalog's `templates`; their variables become a schema of strings.
pub fn templates(list: &str) -> Vec<Offer> {
    offers(list, "uriTemplate", |offer, _, _| {
        let names: Vec<String> = uri_template::variables(&offer.name).iter().map(|name| json::quote(name)).collect();
        let properties: Vec<String> = names.iter().map(|name| format!("{name}:{{\"type\":\"string\"}}")).collect();
        offer.schema = format!(
            r#"{{"type":"object","properties":{{{}}},"required":[{}]}}"#,
            properties.join(","),
            names.join(",")
        );
        offer.read_only = Some(true);
    })
}

fn offers(list: &str, name: &str, more: impl Fn(&mut Offer, &str, &json::Node)) -> Vec<Offer> {
    let Ok(root) = json::parse(list) else { return Vec::new() };
    root.children
        .iter()
        .filter_map(|child| {
            let node = &child.node;
            let first = |keys: [&str; 2]| keys.iter().find_map(|k| node.get(k)?.string(list));
            let mut offer = Offer {
                name: node.get(name)?.string(list)?,
                description: first(["description", "title"]).unwrap_or_default(),
                ..Offer::default()
            };
            more(&mut offer, list, node);
            Some(offer)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::console::form::Form;

    #[test]
    fn every_method_has_a_form_that_can_be_checked() {
        for method in METHODS {
            let mut form = Form::new(method.schema);
            form.read(&form.initial());
            assert!(
                !form.problems.iter().any(|p| p.starts_with("not checked")),
                "{}: {:?}",
                method.name,
                form.problems
            );
        }
    }

    #[test]
    fn a_catalog_is_read_with_its_marks() {
        let list = r#"[{"name":"find","description":"d","inputSchema":{"type":"object"},"annotations":{"readOnlyHint":true}},
            {"name":"drop","title":"t","annotations":{"readOnlyHint":false,"destructiveHint":true}},{"name":"x"},{"no":1},7]"#;
        let found: Vec<_> = tools(list).iter().map(|t| format!("{} {} {}", t.name, t.description, t.mark())).collect();
        assert_eq!(found, ["find d reads", "drop t destroys", "x  "]);
        assert!(tools("{broken").is_empty());
        let prompts =
            prompts(r#"[{"name":"p","arguments":[{"name":"a","required":true},{"name":"b","description":"x"}]}]"#);
        assert_eq!(
            prompts[0].schema,
            r#"{"type":"object","properties":{"a":{"type":"string","description":""},"b":{"type":"string","description":"x"}},"required":["a"]}"#
        );
        let templates = templates(r#"[{"uriTemplate":"file:///{path}","name":"files"}]"#);
        assert_eq!(
            (templates[0].name.as_str(), templates[0].schema.as_str()),
            ("file:///{path}", r#"{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}"#)
        );
        assert_eq!(resources(r#"[{"uri":"file:///a"}]"#)[0].name, "file:///a");
    }
}
