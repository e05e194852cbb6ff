//! A named request as the text of its file.

use super::{NamedRequest, What, shown};

/// The text that [`super::parse`] reads again.
pub fn print(request: &NamedRequest) -> String {
    let mut out = String::from("# `mcpdeck test FILE` sends it and checks the answer; in the console `o` opens it.\n");
    let mut line = |key: &str, value: String| out.push_str(&format!("{key} = {value}\n"));
    if !request.description.is_empty() {
        line("description", text(&request.description));
    }
    if let Some(customer) = &request.customer {
        line("customer", text(customer));
    }
    line("server", text(&request.server));
    let body = (!matches!(request.body.trim(), "" | "{}")).then(|| block(&request.body));
    match &request.what {
        What::Tool(name) => {
            line("tool", text(name));
            body.into_iter().for_each(|body| line("arguments", body));
        }
        What::Method(name) => {
            line("method", text(name));
            body.into_iter().for_each(|body| line("params", body));
        }
        What::Message => line("message", block(&request.body)),
    }
    if let Some(era) = request.era {
        line("era", text(era.name()));
    }
    if let Some(timeout) = request.timeout {
        line("timeout", text(&shown(timeout)));
    }
    out.push_str(
        "\n[vars]                      # ${name} in the texts above; `--var name=VALUE` gives another value\n",
    );
    for (name, value) in &request.vars {
        out.push_str(&format!("{} = {value}\n", text(name)));
    }
    out.push_str("\n[[expect]]\noutcome = \"ok\"\n\n");
    out.push_str(
        "# [[expect]]\n# path = \".result.isError\"     # jq; with equals, contains, matches, exists, min or max\n",
    );
    out.push_str("# equals = false\n");
    out
}

/// A basic string. JSON's escapes are TOML's, but for a slash and surrogates, which serde_json does not write.
fn text(text: &str) -> String {
    serde_json::Value::from(text).to_string().replace('\u{7f}', "\\u007f")
}

/// A text of many lines as it is, where TOML can say it so.
fn block(body: &str) -> String {
    let plain = |c: char| !c.is_control() || c == '\n' || c == '\t';
    if body.contains("'''") || body.ends_with('\'') || !body.chars().all(plain) {
        return text(body);
    }
    format!("'''\n{body}'''")
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;
    use std::path::Path;

    #[test]
    fn what_is_written_is_read_again() {
        for (what, body) in [
            (What::Tool("find \"it\"".to_owned()), "{\n  \"q\": \"it's ''' ${so}\",\n  \"n\": 1.50\n}"),
            (What::Tool("find".to_owned()), "{\n  \"q\": \"\\u0007\\n\"\n}"),
            (What::Method("resources/read".to_owned()), "{\"uri\": \"file:///a\"}"),
            (What::Message, "{oops '"),
            (What::Message, "a\u{7}b"),
        ] {
            let request = NamedRequest {
                description: "d".to_owned(),
                customer: Some("eaton".to_owned()),
                server: "etim".to_owned(),
                what,
                body: body.to_owned(),
                era: Some(crate::model::Era::Modern),
                timeout: Some(std::time::Duration::from_millis(1500)),
                vars: [("so".to_owned(), "\"x\"".to_owned())].into(),
                expect: Vec::new(),
            };
            let text = print(&request);
            let read = parse(&text, Path::new("x.toml")).unwrap_or_else(|problems| panic!("{text}\n{problems:?}"));
            assert_eq!(read.expect.len(), 1);
            assert_eq!(NamedRequest { expect: Vec::new(), ..read }, request, "{text}");
        }
    }
}
