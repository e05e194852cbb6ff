//! What happens to the terminal when something panics: on the screen's own thread it is restored first; from any other
//! thread the panic becomes a notice and the screen stays.

use super::term::Tty;
use crossterm::event::KeyEvent;
use std::any::Any;
use std::panic::PanicHookInfo;
use std::sync::Arc;
use tokio::sync::mpsc;

/// Name of the screen's thread.
pub const SCREEN: &str = "screen";

type Previous = Arc<dyn Fn(&PanicHookInfo<'_>) + Send + Sync>;

/// The installed hook; the previous one comes back when this is dropped.
pub struct Hook {
    previous: Previous,
}

impl Hook {
    /// Panics of other threads go to `notices`; when those are full the rest is dropped.
    pub fn install(tty: Tty, notices: mpsc::Sender<String>) -> Self {
        let previous: Previous = Arc::from(std::panic::take_hook());
        let then = previous.clone();
        std::panic::set_hook(Box::new(move |info| {
            let own = std::thread::current().name() == Some(SCREEN);
            let said = !own && notices.try_send(info.to_string().replace('\n', " ")).is_ok();
            if !said {
                // Nobody will show it: the terminal comes first, so that the message can be read.
                if own {
                    tty.leave();
                }
                then(info);
            }
        }));
        Self { previous }
    }
}

impl Drop for Hook {
    fn drop(&mut self) {
        // A hook cannot be changed on a thread that panics; the process is on its way out then.
        if !std::thread::panicking() {
            let previous = self.previous.clone();
            std::panic::set_hook(Box::new(move |info| previous(info)));
        }
    }
}

/// The message of a caught panic.
pub fn text(panic: &(dyn Any + Send)) -> String {
    let known =
        panic.downcast_ref::<&str>().map(|s| (*s).to_owned()).or_else(|| panic.downcast_ref::<String>().cloned());
    known.unwrap_or_else(|| "a panic without a message".to_owned())
}

/// Test hook of debug builds: with `MCPDECK_TEST_PANIC=1`, F12 panics the screen and F11 another thread.
#[cfg(debug_assertions)]
pub fn provoke(key: KeyEvent) {
    use crossterm::event::KeyCode::F;
    if std::env::var_os("MCPDECK_TEST_PANIC").is_none() {
        return;
    }
    match key.code {
        F(12) => panic!("provoked on the screen"),
        F(11) => drop(
            std::thread::Builder::new().name("background".to_owned()).spawn(|| panic!("provoked in the background")),
        ),
        _ => {}
    }
}

#[cfg(not(debug_assertions))]
pub fn provoke(_key: KeyEvent) {}
