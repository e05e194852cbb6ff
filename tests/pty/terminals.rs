//! Terminals as they are in life: of every kind, resized without end, slow to answer, fed with far too much, and let go
//! of and taken up again in tmux.

use super::{PATIENCE, Term, size};
use portable_pty::PtySize;
use rustix::process::Signal;
use std::path::Path;
use std::process::Command;

/// Colours that a screen holds: `true` for those beyond the first sixteen.
fn has_rich_colours(screen: &vt100::Screen) -> bool {
    let (rows, columns) = screen.size();
    let cells = (0..rows.get()).flat_map(|y| (0..columns.get()).map(move |x| (y, x)));
    let rich = |color| matches!(color, vt100::Color::Rgb(..) | vt100::Color::Idx(16..));
    cells.filter_map(|(y, x)| screen.cell(y, x)).any(|cell| rich(cell.fgcolor()) || rich(cell.bgcolor()))
}

#[test]
fn every_kind_of_terminal_gets_what_it_can_show() {
    for (term, theme, rich) in [
        ("linux", "dark", false),
        ("xterm", "dark", false),
        ("screen", "dark", false),
        ("tmux-256color", "dark", true),
        ("tmux-256color", "default", false),
    ] {
        let program = format!("exec {} --theme {theme}", env!("CARGO_BIN_EXE_mcpdeck"));
        let mut glass = Term::command(&program, &[("TERM", term)], tempfile::tempdir().unwrap());
        glass.shows("Needs attention");
        glass.until(&format!("had the colours of {term}"), |screen| has_rich_colours(screen) == rich);
        // The kernel's console has no symbols beyond ASCII that could be relied on.
        let ascii = glass.glass.parser.lock().unwrap().screen().contents().is_ascii();
        assert_eq!(ascii, term == "linux", "{term}");
        glass.send("3").shows("p95ms");
        glass.signal(Signal::TERM);
        glass.ended(PATIENCE);
        glass.is_whole();
    }
}

#[test]
fn a_theme_of_ones_own_is_seen_as_it_is_written() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("config/mcpdeck/themes");
    std::fs::create_dir_all(&folder).unwrap();
    // As editors do it: a new file in place of the old one.
    let write = |folder: &Path, selection: &str| {
        let text = format!("name = 'mine'\ninherits = 'mono'\n[style]\nselection = '{selection}'\n");
        std::fs::write(folder.join("next"), text).unwrap();
        std::fs::rename(folder.join("next"), folder.join("mine.toml")).unwrap();
    };
    let has = |screen: &vt100::Screen, color: u8| {
        let cells = (0..24).flat_map(|y| (0..80).map(move |x| (y, x)));
        cells.filter_map(|(y, x)| screen.cell(y, x)).any(|cell| cell.bgcolor() == vt100::Color::Idx(color))
    };
    write(&folder, "on blue");
    let program = format!("exec {} --theme mine", env!("CARGO_BIN_EXE_mcpdeck"));
    let term = Term::command(&program, &[], home);
    term.shows("Needs attention").until("was blue", |screen| has(screen, 4));
    let folder = term.home.path().join("config/mcpdeck/themes");
    write(&folder, "on green");
    term.until("was green", |screen| has(screen, 2) && !has(screen, 4));
    write(&folder, "on grene");
    term.shows("`grene` is no colour").until("was still green", |screen| has(screen, 2));
    term.signal(Signal::TERM);
    term.ended(PATIENCE);
}

#[test]
fn no_color_means_none() {
    let term = Term::start(&[("NO_COLOR", "1"), ("COLORTERM", "truecolor")]);
    term.shows("Needs attention");
    {
        let parser = term.glass.parser.lock().unwrap();
        let screen = parser.screen();
        let cells = (0..24).flat_map(|y| (0..80).map(move |x| (y, x))).filter_map(|(y, x)| screen.cell(y, x));
        let plain = |cell: &vt100::Cell| [cell.fgcolor(), cell.bgcolor()] == [vt100::Color::Default; 2];
        assert!(cells.clone().all(plain), "a colour is on the screen");
        assert!(cells.clone().any(vt100::Cell::inverse), "and still one sees what is selected");
    }
    term.signal(Signal::TERM);
    term.ended(PATIENCE);
}

#[test]
fn a_storm_of_sizes_ends_in_a_whole_picture() {
    let mut term = Term::start(&[]);
    term.shows("Needs attention");
    let resize = |rows, cols| {
        let to = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        term.master.as_ref().unwrap().resize(to).unwrap();
    };
    for n in 0..400_u16 {
        resize(5 + n * 7 % 60, 10 + n * 13 % 200);
    }
    // What was drawn for other sizes went to the emulator, too; the last picture is the one that counts.
    term.glass.parser.lock().unwrap().screen_mut().set_size(size(30), size(100));
    resize(30, 100);
    term.send("3").shows("p95ms");
    term.until("drew all of 100x30", |screen| {
        let lines: Vec<String> = screen.rows(0, 100).collect();
        lines.first().is_some_and(|line| line.contains("mcpdeck > Servers"))
            && lines.last().is_some_and(|line| line.contains("? help"))
    });
    term.signal(Signal::TERM);
    term.ended(PATIENCE);
    term.is_whole();
}

#[test]
fn a_paste_of_a_megabyte_is_cut_and_said_and_no_key() {
    let mut term = Term::start(&[]);
    term.shows("Needs attention");
    let text = "x q R s X\n".repeat(110_000);
    term.send(&format!("\x1b[200~{text}\x1b[201~"));
    term.shows("the paste was too long");
    // Nothing of it was taken for a key: no dialog stands here, and a key goes where it always does.
    term.send("3").shows("p95ms");
    term.send("/").shows("esc clear");
    term.send(&format!("\x1b[200~{text}\x1b[201~")).send("\x1b");
    term.until("left the filter", |screen| !screen.contents().contains("esc clear"));
    term.send("7").shows("> Traffic");
    term.signal(Signal::TERM);
    term.ended(PATIENCE);
    term.is_whole();
}

#[test]
fn late_replies_of_a_terminal_are_no_keys() {
    let mut term = Term::start(&[]);
    term.shows("Needs attention");
    // What other programs asked for, and the terminal tells only now, in pieces: device attributes, a cursor, colours,
    // a version, keyboard flags, focus.
    for piece in [
        "\x1b[?62;22c",
        "\x1b[24;",
        "80R",
        "\x1b]11;rgb:1616/",
        "1818/1d1d\x1b\\",
        "\x1bP>|tmux 3.4\x1b\\",
        "\x1b[?1u",
        "\x1b[I",
        "\x1b[O",
        "\x1b[>1;4000;29c",
        "\x1b]4;1;rgb:cdcd/0000/0000\x07",
    ] {
        term.send(piece);
    }
    // A key behind them does what it does, and nothing else was asked for.
    term.send("3").shows("p95ms");
    term.send("0").shows("Jobs");
    let contents = term.glass.parser.lock().unwrap().screen().contents();
    assert!(!contents.contains("asked for") && !contents.contains("rgb:"), "{contents}");
    term.signal(Signal::TERM);
    term.ended(PATIENCE);
    term.is_whole();
}

/// A tmux server of its own, which ends with the test.
struct Tmux<'a>(&'a Path);

impl Tmux<'_> {
    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("tmux");
        command.args(["-S"]).arg(self.0.join("tmux")).args(["-f", "/dev/null"]).args(words);
        command
    }

    fn client(&self) -> String {
        format!("exec tmux -S '{}' attach", self.0.join("tmux").display())
    }
}

impl Drop for Tmux<'_> {
    fn drop(&mut self) {
        let _ = self.command(&["kill-server"]).status();
    }
}

#[test]
fn tmux_lets_go_and_takes_up_again() {
    if Command::new("tmux").arg("-V").output().is_err() {
        return crate::support::skip("tmux_lets_go_and_takes_up_again", "there is no tmux");
    }
    let home = tempfile::tempdir().unwrap();
    let tmux = Tmux(home.path());
    let program = env!("CARGO_BIN_EXE_mcpdeck");
    let mut started = tmux.command(&["new-session", "-d", "-x", "80", "-y", "24", program]);
    for name in ["HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"] {
        started.env(name, home.path());
    }
    assert!(started.status().unwrap().success());

    let mut first = Term::command(&tmux.client(), &[], tempfile::tempdir().unwrap());
    first.shows("Needs attention");
    first.send("3").shows("p95ms");
    first.send("\x02d").shows("detached");
    first.ended(PATIENCE);

    // Somebody else, with a smaller window: the same view, drawn anew.
    let mut second = Term::command(&tmux.client(), &[], tempfile::tempdir().unwrap());
    second.shows("mcpdeck > Servers").shows("p95ms");
    second.send("q").shows("stop everything");
    second.send("s");
    second.ended(PATIENCE);
}
