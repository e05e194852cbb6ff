//! The real loop of the screen in front of a made-up terminal: keys in, and what an emulator shows of the bytes that come
//! out. Only the tty is not real.

use super::platform::{PATIENCE, ana};
use mcpdeck::control::Handle;
use mcpdeck::model::Stamp;
use mcpdeck::model::message::{Face, Level};
use mcpdeck::ui::app::App;
use mcpdeck::ui::decode::Typed;
use mcpdeck::ui::host::Host;
use mcpdeck::ui::input::Input;
use mcpdeck::ui::keymap::parse_keys;
use mcpdeck::ui::run::{Screen, Signals};
use mcpdeck::ui::shell::{Given, Left, Lent, Session, relay};
use mcpdeck::ui::{Ended, Options};
use ratatui::backend::CrosstermBackend;
use ratatui::layout::Rect;
use ratatui::{Terminal, TerminalOptions, Viewport};
use std::io::{self, Write};
use std::num::NonZeroU16;
use std::thread::JoinHandle;
use tokio::sync::{mpsc, watch};

const SIZE: (u16, u16) = (80, 24);

/// An operator's screen on a platform.
pub struct Glass {
    keys: mpsc::Sender<Input>,
    text: watch::Receiver<String>,
    screen: JoinHandle<Ended>,
}

impl Glass {
    pub fn open(handle: Handle) -> Self {
        let (keys, inputs) = mpsc::channel(64);
        let (shown, text) = watch::channel(String::new());
        let screen = std::thread::spawn(move || run(handle, inputs, shown));
        Self { keys, text, screen }
    }

    /// Presses keys, as fast as the loop takes them.
    pub async fn keys(&mut self, keys: &str) -> &mut Self {
        for key in parse_keys(keys).unwrap() {
            self.keys.send(Input::Typed(Typed::Key(key))).await.expect("a screen that runs");
        }
        self
    }

    /// Types a text, then enter.
    pub async fn types(&mut self, text: &str) -> &mut Self {
        let keys: Vec<String> = text.chars().map(String::from).collect();
        self.keys(&keys.join(" ")).await.keys("<enter>").await
    }

    /// Waits until the screen shows all of `texts` at once.
    #[track_caller]
    pub fn shows(&mut self, texts: &[&str]) -> impl Future<Output = String> {
        self.until(format!("shows {texts:?}"), |shown| texts.iter().all(|text| shown.contains(text)))
    }

    /// Waits until `text` is not on the screen.
    #[track_caller]
    pub fn lacks(&mut self, text: &str) -> impl Future<Output = String> {
        self.until(format!("lacks `{text}`"), move |shown| !shown.contains(text))
    }

    #[track_caller]
    pub fn until(&mut self, what: String, wanted: impl Fn(&str) -> bool) -> impl Future<Output = String> {
        let caller = std::panic::Location::caller();
        async move {
            let found = tokio::time::timeout(PATIENCE, self.text.wait_for(|text| wanted(text))).await;
            if let Ok(Ok(text)) = found {
                return text.clone();
            }
            drop(found);
            panic!("{caller}: never {what}; the screen:\n{}", *self.text.borrow());
        }
    }

    /// The terminal goes, and with it the screen.
    pub fn close(self) {
        drop(self.keys);
        assert_eq!(self.screen.join().unwrap(), Ended::Hangup);
    }
}

fn run(handle: Handle, inputs: mpsc::Receiver<Input>, shown: watch::Sender<String>) -> Ended {
    let mut options = Options::plain();
    options.operator = mcpdeck::model::Operator { face: Face::Screen, ..ana() };
    let mut app = App::new(&options, handle.link());
    app.shared.size = SIZE;
    let viewport = Viewport::Fixed(Rect::new(0, 0, SIZE.0, SIZE.1));
    let backend = CrosstermBackend::new(Emulator::new(shown));
    let mut terminal = Terminal::with_options(backend, TerminalOptions { viewport }).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (_panics, caught) = mpsc::channel(1);
        let screen = Screen::new(handle, app, Desk);
        screen.drive(&mut terminal, inputs, Signals::new().unwrap(), caught).await.unwrap()
    })
}

/// A terminal emulator that tells its text after each frame.
struct Emulator {
    parser: vt100::Parser,
    frame: Vec<u8>,
    shown: watch::Sender<String>,
}

impl Emulator {
    fn new(shown: watch::Sender<String>) -> Self {
        let size = |n: u16| NonZeroU16::new(n).unwrap();
        Self { parser: vt100::Parser::new(size(SIZE.1), size(SIZE.0), 0), frame: Vec::new(), shown }
    }
}

impl Write for Emulator {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.frame.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.parser.process(&self.frame);
        self.frame.clear();
        self.shown.send_replace(self.parser.screen().contents());
        Ok(())
    }
}

/// What stands around the screen: nothing.
struct Desk;

impl Host for Desk {
    fn size(&self) -> (u16, u16) {
        SIZE
    }

    fn utc_offset_s(&self, _now: Stamp) -> i32 {
        0
    }

    fn copy(&mut self, _text: &str) -> (Level, String) {
        (Level::Error, "there is no clipboard here".to_owned())
    }

    fn bell(&mut self) {}

    fn suspend(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    async fn edit(&mut self, _text: &str, _extension: &str) -> Result<String, String> {
        Err("there is no editor here".to_owned())
    }

    async fn shell(&mut self, session: Session, _name: &str) -> Left {
        relay(session, &mut Typist { keys: b"ls\r".to_vec(), shown: Vec::new() }).await
    }
}

/// Somebody in a shell: types a command, and leaves by `ctrl-]` once it has answered.
struct Typist {
    keys: Vec<u8>,
    shown: Vec<u8>,
}

impl Lent for Typist {
    async fn next(&mut self) -> Given {
        if !self.keys.is_empty() {
            return Given::Bytes(std::mem::take(&mut self.keys));
        }
        if self.shown.ends_with(b"bye") {
            return Given::Bytes(vec![0x1d]);
        }
        std::future::pending().await
    }

    fn show(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.shown.extend_from_slice(bytes);
        Ok(())
    }
}
