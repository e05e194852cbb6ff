//! A megabyte pasted into whatever takes text: none of it is a key, what has no room is said, and the next key answers.

use super::{PATIENCE, Term};
use rustix::process::Signal;

const F2: &str = "\x1bOQ";
const F3: &str = "\x1bOR";
const F4: &str = "\x1bOS";
const F5: &str = "\x1b[15~";
const F6: &str = "\x1b[17~";

/// Keys, and what the screen shows then.
type Step = (&'static str, &'static str);

/// Something that takes text.
struct Editor {
    name: &'static str,
    opens: &'static [Step],
    paste: fn() -> String,
    /// What is said of it.
    says: &'static str,
    /// It still takes keys.
    types: Step,
    /// Keys, and what the screen shows no longer then: right behind an escape, another key would be one with alt.
    leaves: Step,
}

/// Each line would do something if it were typed: start, restart, quit, stop.
fn commands() -> String {
    "s R q x\n".repeat(125_000)
}

/// As long, and JSON of lines as people have them.
fn json() -> String {
    format!("[\n{}\"last\"\n]", "  \"s R q x, and whatever else stands in a line\",\n".repeat(20_000))
}

/// As long, and in one line.
fn one_line() -> String {
    format!("[{}0]", "1,".repeat(500_000))
}

const NO_ROOM: &str = "were pasted and a line has room for 4.0 KiB: none of it was taken";
const TOO_MUCH: &str = "more than can be edited here: none of it was taken";

const EDITORS: &[Editor] = &[
    Editor {
        name: "the filter",
        opens: &[("3", "p95ms"), ("/", "esc clear")],
        paste: commands,
        says: NO_ROOM,
        types: ("memo", "/memo"),
        leaves: ("\x1b", "esc clear"),
    },
    Editor {
        name: "the palette",
        opens: &[(":", "Command")],
        paste: commands,
        says: NO_ROOM,
        types: ("traf", "> traf"),
        leaves: ("\x1b", "Command"),
    },
    Editor {
        name: "the help",
        opens: &[("?", "a-z narrow")],
        paste: commands,
        says: NO_ROOM,
        types: ("traf", "> traf"),
        leaves: ("\x1b", "a-z narrow"),
    },
    Editor {
        name: "the name of what is stopped in production",
        opens: &[("/catalog\r", "1 of 9"), ("x", "type catalog")],
        paste: commands,
        says: NO_ROOM,
        types: ("cat", "leaves: cat"),
        leaves: ("\x1b", "type catalog"),
    },
    Editor {
        name: "a list to choose from",
        opens: &[("6", "no customer yet"), (F2, "Call as")],
        paste: commands,
        says: NO_ROOM,
        types: ("lab", "> lab"),
        leaves: ("\r", "Call as"),
    },
    Editor {
        name: "a field of a form",
        opens: &[
            (F3, "Server"),
            ("memory\r", "memory (per customer)"),
            (F4, "notes_search"),
            ("notes_search\r", "query*"),
            ("\r", "esc undo"),
        ],
        paste: commands,
        says: NO_ROOM,
        types: ("abc", "abc"),
        leaves: ("\r", "esc undo"),
    },
    Editor {
        name: "a jq filter",
        opens: &[(F5, "Response ok"), ("|", "jq filter")],
        paste: commands,
        says: NO_ROOM,
        types: ("result", "> .result"),
        leaves: ("\x1b", "jq filter"),
    },
    Editor {
        name: "JSON of too many lines",
        opens: &[("\x1b[Z", "abc"), (F6, "{"), ("\r", "esc done")],
        paste: commands,
        says: TOO_MUCH,
        types: ("typed", "typed{"),
        leaves: ("\x1b", "esc done"),
    },
    Editor {
        name: "JSON of one line",
        opens: &[("\r", "esc done")],
        paste: one_line,
        says: TOO_MUCH,
        types: ("again", "again"),
        leaves: ("\x1b", "esc done"),
    },
    Editor {
        name: "JSON",
        opens: &[("\r", "esc done")],
        paste: json,
        says: "\"last\"",
        types: ("typed", "]typed"),
        leaves: ("\x1b", "esc done"),
    },
];

#[test]
fn a_megabyte_is_text_for_whatever_takes_text() {
    let mut term = Term::start(&[]);
    term.shows("Needs attention");
    for Editor { name, opens, paste, says, types, leaves } in EDITORS {
        for (keys, shows) in *opens {
            term.send(keys).shows(shows);
        }
        term.send(&format!("\x1b[200~{}\x1b[201~", paste())).shows(says);
        term.send(types.0).shows(types.1);
        term.send(leaves.0).until(&format!("left {name}"), |screen| !screen.contents().contains(leaves.1));
    }
    // Nothing of it was done.
    term.send("0").shows("Jobs 0");
    term.signal(Signal::TERM);
    term.ended(PATIENCE);
    term.is_whole();
}
