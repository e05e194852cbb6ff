//! jq filters through the process that runs them: what they find, and that none of them outlives its welcome.

use mcpdeck::ui::jq::filter;
use std::path::Path;

fn helper() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_mcpdeck"))
}

fn run(program: &str, text: &str) -> Result<(String, bool), String> {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(filter(helper(), program, text)).map(|found| (found.text(), found.cut))
}

#[test]
fn a_filter_finds_what_jq_finds_and_says_why_it_is_none() {
    let text = r#"{"result":{"content":[{"type":"text","text":"EC000042"},{"type":"text","text":"EC7"}]}}"#;
    for (program, found) in [
        (".result.content[0].text", Ok((r#""EC000042""#.to_owned(), false))),
        (".result.content[].text | length", Ok(("[8,3]".to_owned(), false))),
        ("empty", Ok(("[]".to_owned(), false))),
        (".result |", Err("expected term at the end".to_owned())),
        ("env | length", Ok(("0".to_owned(), false))),
    ] {
        assert_eq!(run(program, text), found, "{program}");
    }
}

#[test]
fn what_never_ends_eats_memory_or_overflows_its_stack_harms_nobody() {
    let endless = run("repeat(1)", "null").expect("the first results");
    assert!(endless.1, "it says that there are more");
    let deep = run("def f: [f]; f", "null").unwrap_err();
    assert!(deep.contains("without end") || deep.contains("memory") || deep.contains("longer than"), "{deep}");
}

#[test]
fn fifty_megabytes_are_filtered() {
    let row = format!(r#"{{"name":"{}","n":1}}"#, "x".repeat(100));
    let text = format!("[{}]", vec![row.as_str(); 420_000].join(","));
    assert!(text.len() > 45 << 20);
    assert_eq!(run("map(.n) | add", &text), Ok(("420000".to_owned(), false)));
}

#[test]
fn a_filter_that_is_called_off_takes_its_process_along() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let marker = format!("last(repeat({}))", std::process::id());
    let found = || {
        let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
        let lines = processes.filter_map(|entry| std::fs::read_to_string(entry.path().join("cmdline")).ok());
        lines.filter(|line| line.contains("__jq") && line.contains(&marker)).count()
    };
    runtime.block_on(async {
        let work = filter(helper(), &marker, "1");
        let mut work = std::pin::pin!(work);
        while found() == 0 {
            tokio::select! {
                biased;
                done = &mut work => panic!("it ended: {done:?}"),
                () = tokio::task::yield_now() => {}
            }
        }
    });
    // The kill is sent with the drop; the process goes when the kernel gets to it.
    let begun = std::time::Instant::now();
    while found() > 0 {
        assert!(begun.elapsed() < std::time::Duration::from_secs(20), "the filter runs on");
        std::thread::yield_now();
    }
}
