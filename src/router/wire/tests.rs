use super::*;
use proptest::prelude::*;

/// The same whether the text is read for it or was read before.
fn spliced(source: &str, edits: &[Edit<'_>]) -> Result<String, WireError> {
    let mut out = String::new();
    let spliced = splice(source, edits, &mut out).map(|()| out);
    if let Ok(read) = members(source) {
        let inside = read.iter().find(|member| member.key == "m").and_then(|m| members(m.text(source)).ok());
        let (again, within) = members_within(source, Some("m")).unwrap();
        assert_eq!(again, read, "{source}");
        if unique(&within).is_ok() && !within.is_empty() {
            assert_eq!(Some(within), inside, "{source}");
        }
        let mut out = String::new();
        let again = match inside {
            Some(inside) => Shape::new(read, "m", inside).splice(source, edits, &mut out),
            None => Shape::new(read, "", Vec::new()).splice(source, edits, &mut out),
        };
        assert_eq!(again.map(|()| out), spliced, "{source}");
    }
    spliced
}

fn remove(key: &str) -> Edit<'_> {
    Edit::new(key, Change::Remove)
}

#[test]
fn edits_touch_nothing_else() {
    let cases: &[(&str, Vec<Edit<'_>>, &str)] = &[
        (r#"{ "a" : 1 , "b":2 }"#, vec![remove("a")], r#"{ "b":2 }"#),
        (r#"{ "a" : 1 , "b":2 }"#, vec![remove("b")], r#"{ "a" : 1 }"#),
        (r#"{"a":1,"b":2}"#, vec![remove("a"), remove("b")], "{}"),
        (r#"{"a":1}"#, vec![remove("a"), Edit::set("c", "3")], r#"{"c":3}"#),
        (r#"{ "a":1.0e5 }"#, vec![Edit::set("b", "2")], r#"{ "a":1.0e5,"b":2 }"#),
        (r#"{"a":  1}"#, vec![Edit::set("a", "[2]")], r#"{"a":  [2]}"#),
        (r#"{}"#, vec![Edit::set("a", "1"), Edit::set("b", "2")], r#"{"a":1,"b":2}"#),
        (r#"{"a":1}"#, vec![Edit::new("a", Change::Default("2".into()))], r#"{"a":1}"#),
        (r#"{"\u0061":1}"#, vec![remove("a")], "{}"),
        (r#"{"m":{"x":1,"y":[{}]}}"#, vec![Edit::new("m", Change::Within(vec![remove("x")]))], r#"{"m":{"y":[{}]}}"#),
        ("{}", vec![Edit::new("m", Change::Within(vec![remove("x")]))], "{}"),
        (r#"{"m":null}"#, vec![Edit::new("m", Change::Within(vec![Edit::set("x", "1")]))], r#"{"m":{"x":1}}"#),
    ];
    for (source, edits, want) in cases {
        assert_eq!(spliced(source, edits).as_deref(), Ok(*want), "{source}");
    }
}

#[test]
fn an_object_within_is_read_on_the_way() {
    for (source, within) in [
        (r#"{"m":{"x":1}}"#, "x=1"),
        (r#"{"a" : [{}] , "m" : { "x" : { "y" : 1 } , "z":"}" } , "b":0 }"#, r#"x={ "y" : 1 } z="}""#),
        (r#"{"m":{"\u0078":1}}"#, "x=1"),
        (r#"{"m":{ }, "b":1}"#, ""),
        (r#"{"\u006d":{"x":1}}"#, ""),
        (r#"{"m":[{"x":1}]}"#, ""),
        (r#"{"m":null}"#, ""),
        (r#"{"a":{"m":{"x":1}}}"#, ""),
    ] {
        let (read, inside) = members_within(source, Some("m")).unwrap();
        assert_eq!(read, members(source).unwrap(), "{source}");
        let object = read.iter().find(|member| member.key == "m").map_or("", |member| member.text(source));
        let told: Vec<_> = inside.iter().map(|member| format!("{}={}", member.key, member.text(object))).collect();
        assert_eq!(told.join(" "), within, "{source}");
    }
    let (_, twice) = members_within(r#"{"m":{"x":1,"\u0078":2}}"#, Some("m")).unwrap();
    assert_eq!(unique(&twice), Err(WireError::Duplicate("x".to_owned())));
}

#[test]
fn what_parsers_read_differently_is_refused() {
    for (source, edits) in [
        (r#"{"a":1,"a":2}"#, vec![remove("b")]),
        (r#"{"a":1,"\u0061":2}"#, vec![remove("b")]),
        (r#"{"_META":{}}"#, vec![remove("_meta")]),
        (r#"{"argumentſ":{}}"#, vec![remove("arguments")]),
        (r#"{"\u212aey":{}}"#, vec![remove("key")]),
        (r#"{"\ud800":1}"#, vec![remove("a")]),
        (r#"{"m":5}"#, vec![Edit::new("m", Change::Within(vec![]))]),
        (r#"[1]"#, vec![remove("a")]),
        (r#"{"a":NaN}"#, vec![remove("a")]),
        (r#"{"a":1"#, vec![remove("a")]),
    ] {
        assert!(spliced(source, &edits).is_err(), "{source}");
    }
}

#[test]
fn an_envelope_tells_its_kind() {
    let line = br#" {"result":{"a":1}, "id": 17 ,"jsonrpc":"2.0"}"#;
    let envelope = Envelope::read(line).unwrap();
    assert_eq!(envelope.answers(), Some(17));
    assert_eq!(Envelope::read(br#"{"method":"x","id":1}"#).unwrap().answers(), None);
    for garbage in [&b"hello"[..], b"[]", b"{}", b"{\"id\":\xff}", br#"{"id":1,"id":2}"#] {
        assert!(Envelope::read(garbage).is_none());
    }
}

#[test]
fn an_oversized_answer_is_known_by_either_end() {
    for (head, tail, id) in [
        (r#"{"jsonrpc":"2.0","id":17,"result":{"co"#, "xxx", Some(17)),
        (r#"{"result":{"content":[{"te"#, r#""}]},"jsonrpc":"2.0","id":18}"#, Some(18)),
        (r#"{"result":{"id":5,"te"#, r#"xx","id":19 } "#, Some(19)),
        (r#"{"result":{"id":5,"te"#, r#"xx"}}"#, None),
        ("garbage", "garbage", None),
    ] {
        assert_eq!(id_of_scraps(head.as_bytes(), tail.as_bytes()), id, "{head}");
    }
}

#[test]
fn one_line_stays_the_same_json() {
    let mut text = b"{\"a\":\r\n\"b\\n\"}".to_vec();
    to_one_line(&mut text);
    assert_eq!(text, b"{\"a\":  \"b\\n\"}");
}

/// JSON values with all kinds of spacing and escaping.
fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("-0.10E+5".to_owned()),
        any::<i64>().prop_map(|n| n.to_string()),
        ".*".prop_map(|s| quote(&s)),
        Just(r#""\u00e9\/""#.to_owned()),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|v| format!("[ {} ]", v.join(" ,"))),
            object(inner),
        ]
    })
}

fn object(value: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::btree_map("[a-z]{1,6}", value, 0..5).prop_map(|m| {
        format!("{{{}}}", m.iter().map(|(k, v)| format!(" {} : {v}\t", quote(k))).collect::<Vec<_>>().join(","))
    })
}

/// `key` with some of its characters as `\u` escapes.
fn escaped(key: &str, mask: u32) -> String {
    let chars = key
        .chars()
        .enumerate()
        .map(|(i, c)| if mask >> (i % 32) & 1 == 1 { format!("\\u{:04X}", c as u32) } else { c.to_string() });
    format!("\"{}\"", chars.collect::<String>())
}

#[test]
fn depth_is_counted_outside_of_texts() {
    for (text, deeper) in [
        ("{}", false),
        (r#"{"a":[{"b":[]}]}"#, true),
        (r#"{"a":[{}]}"#, false),
        (r#"{"a":"[[[[\"[["}"#, false),
        (r#"{"a":[],"b":[],"c":[[]]}"#, false),
        ("[[[[", true),
    ] {
        assert_eq!(is_deeper(text, 3), deeper, "{text}");
    }
}

proptest! {
    #[test]
    fn no_edit_means_no_change(source in object(json())) {
        prop_assert_eq!(spliced(&source, &[remove("_nobody_")]).unwrap(), source);
    }

    #[test]
    fn a_set_can_be_taken_back(source in object(json())) {
        let set = spliced(&source, &[Edit::set("_ours_", "{\"x\":1}")]).unwrap();
        prop_assert_eq!(spliced(&set, &[remove("_ours_")]).unwrap(), source);
    }

    #[test]
    fn a_forged_key_is_found_in_every_spelling(source in object(json()), value in json(), mask: u32, front: bool) {
        let forged = format!("{}:{value}", escaped("io.mcpdeck/tenant", mask));
        let body = source.trim_start_matches('{').trim_end_matches('}');
        let meta = match (body.trim().is_empty(), front) {
            (true, _) => format!("{{{forged}}}"),
            (_, true) => format!("{{{forged},{body}}}"),
            (_, false) => format!("{{{},{forged}}}", &source[1..source.len() - 1]),
        };
        let clean = spliced(&meta, &[remove("io.mcpdeck/tenant")]);
        if let Ok(clean) = clean {
            let left = members(&clean).unwrap();
            prop_assert!(left.iter().all(|m| m.key != "io.mcpdeck/tenant"));
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in ".*") {
        let _ = Envelope::read(&bytes);
        let _ = spliced(&text, &[Edit::set("a", "1")]);
    }
}
