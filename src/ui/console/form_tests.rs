use super::*;
use proptest::prelude::*;

const SCHEMA: &str = r##"{
  "type": "object",
  "required": ["query", "filter"],
  "properties": {
    "query": {"type": "string", "minLength": 1, "description": "what to look for"},
    "limit": {"type": "integer", "minimum": 1, "maximum": 100, "default": 10},
    "standard": {"enum": ["ETIM-8", "ETIM-9"]},
    "exact": {"type": "boolean"},
    "filter": {"type": "object", "required": ["kind"], "properties": {"kind": {"type": "string"}, "deep": {"$ref": "#/$defs/deep"}}},
    "tags": {"type": "array", "items": {"type": "string"}},
    "ranges": {"type": "array", "items": {"type": "object", "required": ["from"], "properties": {"from": {"type": "number"}, "to": {"type": "number"}}}},
    "other": {"anyOf": [{"type": "string"}, {"type": "integer"}]}
  },
  "additionalProperties": false,
  "$defs": {"deep": {"type": "object", "properties": {"again": {"$ref": "#/$defs/deep"}}}}
}"##;

fn shown(form: &Form) -> String {
    form.fields()
        .iter()
        .map(|f| {
            let star = if f.required { "*" } else { "" };
            let value = f.value.clone().map_or("-".to_owned(), |v| format!("`{v}`"));
            let error = f.error.as_ref().map(|e| format!("  ! {e}")).unwrap_or_default();
            let kind = match &f.kind {
                FieldKind::Group { .. } => " {}".to_owned(),
                FieldKind::List { len, .. } => format!(" [{len}]"),
                FieldKind::Add { .. } => " +".to_owned(),
                FieldKind::OneOf { .. } => " |".to_owned(),
                _ => String::new(),
            };
            format!("{}{}{star}{kind} {value} {}{error}\n", "  ".repeat(f.depth), f.label, f.hint)
        })
        .collect()
}

fn read(schema: &str, buffer: &str) -> Form {
    let mut form = Form::new(schema);
    form.read(buffer);
    form
}

fn field<'a>(form: &'a Form, path: &str) -> &'a Field {
    form.fields().iter().find(|f| json::path_text(&f.path) == path).unwrap_or_else(|| panic!("no {path}"))
}

#[test]
fn a_schema_becomes_fields() {
    let form = read(SCHEMA, "{}");
    insta::assert_snapshot!(shown(&form), @r"
    query* - string 1 or more characters  ! required
    limit - integer 1..100
    standard - one of ETIM-8, ETIM-9
    exact - true or false
    filter* {} - object  ! required
      kind* - string
      deep {} - object
    tags [0] - list of string
    ranges [0] - list of object
    other | - one of 2 forms
    ");
}

#[test]
fn a_filled_buffer_shows_its_values_and_what_is_wrong_with_each() {
    let form = read(
        SCHEMA,
        r#"{"query":"","limit":500,"standard":"X","filter":{"kind":1,"deep":{"again":{}}},"tags":["a",2],"ranges":[{"to":1e3}],"extra":true}"#,
    );
    insta::assert_snapshot!(shown(&form), @r#"
    query* `` string 1 or more characters  ! "" is shorter than 1 character
    limit `500` integer 1..100  ! 500 is greater than the maximum of 100
    standard `X` one of ETIM-8, ETIM-9  ! "X" is not one of "ETIM-8" or "ETIM-9"
    exact - true or false
    filter* {} `` object
      kind* `1` string  ! 1 is not of type "string"
      deep {} `` object
        again {} `` object
          again {} - object
    tags [2] `` list of string
      0 `a` string
      1 `2` string  ! 2 is not of type "string"
      add + - 
    ranges [1] `` list of object
      0 {} `` object
        from* - number  ! required
        to `1e3` number
      add + - 
    other | - one of 2 forms
    extra `true` not in the schema  ! not allowed here: extra
    "#);
}

#[test]
fn edits_splice_the_buffer() {
    let before = "{\n  \"id\": 12345678901234567890123,\n  \"query\": \"a\"\n}";
    for (path, typed, after) in [
        (".query", "b \"c\"", "{\n  \"id\": 12345678901234567890123,\n  \"query\": \"b \\\"c\\\"\"\n}"),
        (".query", "", "{\n  \"id\": 12345678901234567890123,\n  \"query\": \"\"\n}"),
        (".limit", "10", "{\n  \"id\": 12345678901234567890123,\n  \"query\": \"a\",\n  \"limit\": 10\n}"),
        (".limit", "1x", "{\n  \"id\": 12345678901234567890123,\n  \"query\": \"a\",\n  \"limit\": \"1x\"\n}"),
        (".other", "7", "{\n  \"id\": 12345678901234567890123,\n  \"query\": \"a\",\n  \"other\": 7\n}"),
        (".id", "", "{\n  \"query\": \"a\"\n}"),
    ] {
        let form = read(SCHEMA, before);
        assert_eq!(form.typed(before, field(&form, path), typed).unwrap(), after, "{path} {typed}");
    }
}

#[test]
fn lists_grow_and_shrink_and_groups_open() {
    let mut form = read(SCHEMA, "{}");
    let mut buffer = "{}".to_owned();
    for (path, after) in [
        (".ranges", "{\n  \"ranges\": []\n}"),
        (".ranges[0]", "{\n  \"ranges\": [\n    {\"from\": 0}\n  ]\n}"),
        (".exact", "{\n  \"ranges\": [\n    {\"from\": 0}\n  ],\n  \"exact\": true\n}"),
        (".exact", "{\n  \"ranges\": [\n    {\"from\": 0}\n  ],\n  \"exact\": false\n}"),
    ] {
        let row = field(&form, path).clone();
        buffer = form.press(&buffer, &row).unwrap().unwrap();
        assert_eq!(buffer, after, "{path}");
        form.read(&buffer);
    }
    let row = field(&form, ".ranges[0]").clone();
    buffer = form.unset(&buffer, &row).unwrap();
    assert_eq!(buffer, "{\n  \"ranges\": [],\n  \"exact\": false\n}");
}

#[test]
fn a_broken_buffer_freezes_the_form() {
    let mut form = read(SCHEMA, r#"{"query":"a"}"#);
    let before = form.fields().to_vec();
    form.read("{\"query\": ");
    assert_eq!(form.fields(), before);
    assert_eq!(
        form.frozen.as_ref().unwrap().to_string(),
        "the text ends where a value is expected at line 1, column 11"
    );
    form.read(r#"{"query":"b"}"#);
    assert!(form.frozen.is_none());
}

#[test]
fn a_schema_that_cannot_be_checked_still_gives_a_form() {
    let form = read(r#"{"type":"object","properties":{"a":{"$ref":"https://example.com/s.json"}}}"#, "{}");
    assert_eq!(form.fields().len(), 1);
    assert!(form.problems[0].starts_with("not checked: "), "{:?}", form.problems);
    assert!(read("{nonsense", "{}").problems[0].starts_with("the tool's schema is no JSON"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn any_schema_over_any_buffer_is_a_form(
        schema in "\\{(\"(type|properties|items|enum|anyOf|allOf|required|const|\\$ref)\":(\"object\"|\"array\"|\"string\"|\\[\\]|\\{\\}|\\{\"a\":\\{\"type\":\"array\",\"items\":\\{\\}\\}\\}|\"#\"|\\[\\{\\}\\]|1),?){0,3}\\}",
        buffer in "[\\[\\]{},:\"a0 ]{0,12}|\\{\"a\":(\\[1,\\{\\}\\]|\\{\\}|null)\\}",
    ) {
        let mut form = Form::new(&schema.replace(",}", "}"));
        form.read(&buffer);
        for row in form.fields().to_vec() {
            let _ = form.typed(&buffer, &row, "x");
            let _ = form.press(&buffer, &row);
            let _ = form.unset(&buffer, &row);
        }
    }
}

const PAYMENT: &str = r##"{
  "type": "object",
  "required": ["pay"],
  "properties": {
    "pay": {"oneOf": [
      {"title": "by card", "type": "object", "required": ["kind", "number"],
       "properties": {"kind": {"const": "card"}, "number": {"type": "string"}, "note": {"type": "string"}}},
      {"$ref": "#/$defs/transfer"},
      {"type": "string"}
    ]},
    "many": {"type": "array", "items": {"anyOf": [{"type": "integer"}, {"type": "object", "properties": {"from": {"type": "integer"}}}]}}
  },
  "$defs": {"transfer": {"type": "object", "required": ["kind", "iban"],
    "properties": {"kind": {"const": "transfer"}, "iban": {"type": "string"}, "note": {"type": "string"}}}}
}"##;

#[test]
fn a_value_of_several_forms_shows_the_one_it_has() {
    let form = read(PAYMENT, r#"{"pay":{"kind":"transfer","iban":"DE1"},"many":[1,{"from":2},"x"]}"#);
    insta::assert_snapshot!(shown(&form), @r"
    pay* | `kind transfer` one of 3 forms
      kind* `transfer` always transfer
      iban* `DE1` string
      note - string
    many [3] `` list of one of 2 forms
      0 | `integer` one of 2 forms
        value `1` integer
      1 | `from` one of 2 forms
        from `2` integer
      2 | `none of them` one of 2 forms  ! fits none of the allowed forms
      add + -
    ");
    let form = read(PAYMENT, r#"{"pay":"cash"}"#);
    insta::assert_snapshot!(shown(&form), @r"
    pay* | `string` one of 3 forms
      value `cash` string
    many [0] - list of one of 2 forms
    ");
}

#[test]
fn another_form_keeps_what_both_have_and_its_fields_are_typed() {
    let buffer = r#"{"pay":{"kind":"transfer","iban":"DE1","note":"thanks"}}"#;
    let form = read(PAYMENT, buffer);
    let pay = form.fields().iter().find(|f| matches!(f.kind, FieldKind::OneOf { .. })).unwrap();
    let card = form.choose_form(buffer, pay, 0).unwrap();
    assert_eq!(json::print::compact(&card), r#"{"pay":{"kind":"card","number":"","note":"thanks"}}"#);
    let text = form.choose_form(buffer, pay, 2).unwrap();
    assert_eq!(json::print::compact(&text), r#"{"pay":""}"#);
    let form = read(PAYMENT, &text);
    let value = form.fields().iter().find(|f| f.is_typed()).unwrap();
    assert_eq!(form.typed(&text, value, "cash").unwrap(), r#"{"pay":"cash"}"#);
    let empty = read(PAYMENT, "{}");
    let pay = field(&empty, ".pay");
    assert!(pay.required && pay.value.is_none());
    assert_eq!(
        json::print::compact(&empty.choose_form("{}", pay, 1).unwrap()),
        r#"{"pay":{"kind":"transfer","iban":""}}"#
    );
}

#[test]
fn a_whole_that_has_several_forms_says_which_it_is() {
    let schema = r#"{"type":"object","properties":{"id":{"type":"string"}},
        "oneOf":[{"title":"one","required":["n"],"properties":{"n":{"type":"integer"}}},{"title":"all","properties":{"all":{"const":true}}}]}"#;
    let form = read(schema, r#"{"id":"x","all":true}"#);
    insta::assert_snapshot!(shown(&form), @r"
    form | `all` one of 2 forms
    id `x` string
    all `true` always true
    ");
    let buffer = r#"{"id":"x","all":true}"#;
    let one = form.choose_form(buffer, &form.fields()[0], 0).unwrap();
    assert_eq!(json::print::compact(&one), r#"{"n":0,"id":"x"}"#, "what holds for all stays");
}

#[test]
fn forms_that_only_say_what_must_be_there_are_conditions() {
    let schema = r#"{"type":"object","properties":{"a":{"type":"string"},"b":{"type":"string"}},"anyOf":[{"required":["a"]},{"required":["b"]}]}"#;
    let form = read(schema, "{}");
    assert!(form.fields().iter().all(|f| !matches!(f.kind, FieldKind::OneOf { .. })), "{}", shown(&form));
    assert_eq!(form.problems, ["fits none of the allowed forms"]);
}
