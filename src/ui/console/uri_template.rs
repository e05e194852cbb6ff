//! Resource templates: URI templates (RFC 6570) without prefix and explode modifiers, which are ignored.

/// The variables of a template, each once, in order.
pub fn variables(template: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    for expression in expressions(template) {
        for name in names(expression) {
            if !out.iter().any(|known| known == name) {
                out.push(name.to_owned());
            }
        }
    }
    out
}

/// The URI that a template and its variables make; one that has no value is left out (section 3.2.1).
pub fn expand(template: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let Some((expression, after)) = after.split_once('}') else { break };
        out.push_str(before);
        expand_one(expression, &value, &mut out);
        rest = after;
    }
    out.push_str(rest);
    out
}

fn expressions(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|part| part.split_once('}').map(|(expression, _)| expression))
}

fn names(expression: &str) -> impl Iterator<Item = &str> {
    let list = expression.trim_start_matches(['+', '#', '.', '/', ';', '?', '&']);
    list.split(',')
        .map(|name| name.split(':').next().unwrap_or(name).trim_end_matches('*'))
        .filter(|name| !name.is_empty())
}

/// What an operator puts before the first value and between values, and whether values bear their names.
fn operator(expression: &str) -> (&'static str, &'static str, bool) {
    match expression.chars().next() {
        Some('#') => ("#", ",", false),
        Some('.') => (".", ".", false),
        Some('/') => ("/", "/", false),
        Some(';') => (";", ";", true),
        Some('?') => ("?", "&", true),
        Some('&') => ("&", "&", true),
        _ => ("", ",", false),
    }
}

fn expand_one(expression: &str, value: &impl Fn(&str) -> Option<String>, out: &mut String) {
    let (first, between, named) = operator(expression);
    let reserved = expression.starts_with(['+', '#']);
    let given = names(expression).filter_map(|name| Some((name, value(name)?)));
    for (at, (name, value)) in given.enumerate() {
        out.push_str(if at == 0 { first } else { between });
        if named {
            out.push_str(name);
            // A path-style parameter without a value has no `=` (section 3.2.7).
            if !(value.is_empty() && first == ";") {
                out.push('=');
            }
        }
        encode(&value, reserved, out);
    }
}

fn encode(value: &str, reserved: bool, out: &mut String) {
    for byte in value.bytes() {
        let plain = byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        if plain || (reserved && b":/?#[]@!$&'()*+,;=%".contains(&byte)) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_expand_as_the_standard_says() {
        let value = |name: &str| match name {
            "var" => Some("value".to_owned()),
            "hello" => Some("Hello World!".to_owned()),
            "path" => Some("/foo/bar".to_owned()),
            "x" => Some("1024".to_owned()),
            "y" => Some("768".to_owned()),
            "empty" => Some(String::new()),
            _ => None,
        };
        // From RFC 6570, section 1.2.
        for (template, want) in [
            ("{var}", "value"),
            ("{hello}", "Hello%20World%21"),
            ("{+hello}", "Hello%20World!"),
            ("{+path}/here", "/foo/bar/here"),
            ("X{#hello}", "X#Hello%20World!"),
            ("map?{x,y}", "map?1024,768"),
            ("X{.x,y}", "X.1024.768"),
            ("{/var,x}/here", "/value/1024/here"),
            ("{;x,y,empty}", ";x=1024;y=768;empty"),
            ("{?x,y,empty}", "?x=1024&y=768&empty="),
            ("?fixed=yes{&x}", "?fixed=yes&x=1024"),
            ("a{undef}b{?undef}", "ab"),
            ("open{", "open{"),
        ] {
            assert_eq!(expand(template, value), want, "{template}");
        }
        assert_eq!(variables("a://{x}/{+path,x}{?y*}"), ["x", "path", "y"]);
    }
}
