use super::word::{self, Word};
use super::*;
use crate::model::call::{CallId, CallRecord, Era, Origin, Outcome};
use crate::model::{InstanceKey, TenantId};
use proptest::prelude::*;

const NOW: Stamp = Stamp(10_000_000);

fn call() -> CallRecord {
    CallRecord {
        id: CallId(7),
        at: Stamp(NOW.0 - 90_000),
        tenant: TenantId::from("vattenfall-de"),
        server: "etim".into(),
        instance: Some(InstanceKey::shared("etim".into())),
        method: "tools/call".into(),
        tool: Some("classify_product".into()),
        outcome: Outcome::Auth,
        took_us: 250_000,
        wake_us: 0,
        upstream_us: 240_000,
        request_bytes: 200,
        response_bytes: 2000,
        era: Some(Era::Modern),
        origin: Origin::Console,
        principal: "Åsa".into(),
        role: None,
        error: Some("401 Unauthorized".into()),
    }
}

#[test]
fn a_row_matches_when_every_term_holds() {
    let row = call();
    for (text, want) in [
        ("", true),
        ("vatten", true),
        ("VTF", true),
        ("de classify", true),
        ("vtx", false),
        ("ttf", false),
        ("!vatten", false),
        ("!eaton etim", true),
        ("\"401 unauth\"", true),
        ("outcome=a", true),
        ("outcome=AUTH server=etim", true),
        ("outcome=ok,auth", true),
        ("outcome!=ok", true),
        ("!outcome=auth", false),
        ("tool!=classify_product", false),
        ("customer=vatten", true),
        ("by=åSA", true),
        ("took>200ms", true),
        ("took>=250ms took<=250ms took=250ms", true),
        ("took>1s", false),
        ("age<2h age>1m", true),
        ("size>2K", true),
        ("size<1M", true),
        ("error=", false),
        ("error!=", true),
        ("tool~PRODUCT", true),
        ("tenant~fall,x", true),
        ("!tenant~fall", false),
        ("error~403", false),
        ("era=legacy", false),
    ] {
        let filter = Filter::parse_for::<CallRecord>(text).unwrap_or_else(|e| panic!("{text}: {e}"));
        assert_eq!(filter.matches(&row, NOW), want, "{text}");
    }
}

#[test]
fn a_missing_value_satisfies_only_the_negation() {
    let row = CallRecord { tool: None, ..call() };
    for (text, want) in [("tool=x", false), ("tool!=x", true), ("cpu>1", false), ("tool=", true)] {
        assert_eq!(Filter::parse(text).unwrap().matches(&row, NOW), want, "{text}");
    }
}

#[test]
fn errors_name_the_place_and_what_is_allowed() {
    for (text, want) in [
        ("etim outcom=ok", "at 6: no field `outcom` here; did you mean `outcome`? (fields: id, tenant, server"),
        ("cpu>1", "at 1: no field `cpu` here"),
        ("took>fast", "at 6: `fast` does not compare with `took`: write a time, for example `200ms`, `30s` or `2h`"),
        ("took>5", "at 6: `5` does not compare with `took`"),
        ("took>", "at 6: `took>` needs a value"),
        ("outcome>ok", "at 9: `outcome` is a text: use `=`, `!=` or `~`"),
        ("took~2", "at 6: `took` is a time: compare it with `=`, `<` or `>`"),
        ("a \"b", "at 3: `\"` without its end"),
        ("!", "at 1: `!` needs a word"),
        ("size>1X", "at 6: `1X` does not compare with `size`: write a size, for example `512M`"),
    ] {
        let error = Filter::parse_for::<CallRecord>(text).unwrap_err().to_string();
        assert!(error.starts_with(want), "{text}: {error}");
    }
}

#[test]
fn highlights_are_the_letters_that_were_found() {
    for (filter, text, want) in [
        ("etim", "etim ETIM", vec!["etim", "ETIM"]),
        ("vtf", "vattenfall-de", vec!["v", "t", "f"]),
        ("åsa", "Åsa", vec!["Åsa"]),
        ("!etim state=failed", "etim failed", vec![]),
        ("eti im", "etim", vec!["etim"]),
    ] {
        let found = Filter::parse(filter).unwrap().highlights(text);
        assert_eq!(found.into_iter().map(|r| &text[r]).collect::<Vec<_>>(), want, "{filter}");
    }
}

#[test]
fn every_field_of_every_row_has_a_kind() {
    use crate::model::message::{Event, JobRow, JournalEntry, LogLine};
    use crate::model::snapshot::{ServerRow, TenantRow};
    let all = [
        TenantRow::names(),
        ServerRow::names(),
        crate::model::InstanceRow::names(),
        CallRecord::names(),
        JobRow::names(),
        JournalEntry::names(),
        Event::names(),
        LogLine::names(),
        crate::model::container::ContainerRow::names(),
        crate::model::container::OrphanRow::names(),
    ];
    for name in all.concat() {
        assert!(FIELDS.iter().any(|(field, _)| *field == name), "{name}");
    }
    assert!(FIELDS.is_sorted_by_key(|(name, _)| *name));
}

#[test]
fn a_value_that_no_row_has_is_said_with_those_there_are() {
    let rows = [call(), CallRecord { outcome: Outcome::Ok, ..call() }];
    for (text, hint) in [
        ("outcome=aut", None),
        ("outcome=auht", Some("no outcome begins with `auht` (did you mean `auth`?); there are auth, ok")),
        ("outcome=x,y", Some("no outcome begins with `x` or `y`; there are auth, ok")),
        ("outcome=x,ok", None),
        ("!outcome=x", None),
        ("took>9h", None),
        ("nobody", None),
    ] {
        assert_eq!(Filter::parse(text).unwrap().hint(true, &rows, NOW).as_deref(), hint, "{text}");
        assert_eq!(Filter::parse(text).unwrap().hint(false, &rows, NOW), None);
    }
}

proptest! {
    #[test]
    fn any_text_is_a_filter_or_an_error_with_its_place(text in "\\PC{0,40}|[a-z!=<>~\", 0-9.]{0,30}", row in "\\PC{0,40}") {
        match Filter::parse(&text) {
            Err(error) => prop_assert!(error.at.end <= text.len() && text.get(error.at).is_some()),
            Ok(filter) => {
                filter.matches(&call(), NOW);
                for range in filter.highlights(&row) {
                    prop_assert!(row.get(range).is_some());
                }
            }
        }
    }

    #[test]
    fn what_a_word_finds_it_also_highlights(word in "[a-zåß]{1,4}", row in "[a-zåß-]{1,12}( [a-zåß-]{1,12})?") {
        let filter = Filter::parse(&word).unwrap();
        let found = Word::new(&word).is_in(&word::fold(row.clone()));
        prop_assert_eq!(found, !filter.highlights(&row).is_empty());
    }
}
