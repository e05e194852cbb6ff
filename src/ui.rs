//! The screen. Imports `control::Handle`, `config` and `model` only; never what control stands on.
//!
//! A pure core: [`update::update`] takes a [`app::Msg`] and gives [`app::Effect`]s, [`draw::draw`] paints what is there.
//!
//! To add a view: a variant of [`page::Page`] with its digit, an `Action` that goes there, and a struct that implements
//! [`page::View`] in `ui/page/`.
//! - Rows are derived in `sync` (new snapshot, limit, filter), never in `draw`. Tables are [`widget::table::Table`].
//! - Questions go through [`app::Cx`]: `cx.ask(query)` gives a token, the answer comes to `View::answer` with it; streams
//!   with `cx.follow` / `View::chunk` / `cx.unfollow` (end them in `leave`); lists to choose from with `cx.pick` /
//!   `View::picked`; `$EDITOR` with `cx.editor` / `View::edited`; acts with `cx.run`, which asks where it must.
//! - Keys are rows of [`action::ROWS`]; a new action is one line there and one arm in the view's `act`.
//! - While `editing()` is true every key comes to `edit` first. `/` opens the filter line and calls `set_filter` as one types.
//! - Draw with `look.style(Role::..)`, `widget::pane`, `widget::empty`; leave out borders and side panes when `look.tiny`.

pub mod action;
pub mod acts;
pub mod app;
pub mod catalog;
pub mod console;
pub mod decode;
pub mod draw;
pub mod earlier;
pub mod fmt;
pub mod host;
pub mod input;
pub mod jq;
pub mod keymap;
pub mod latency;
pub mod layer;
pub mod pace;
pub mod page;
pub mod panic;
pub mod picture;
pub mod ring;
pub mod run;
pub mod shell;
pub mod stack;
pub mod term;
pub mod theme;
pub mod update;
pub mod watch;
pub mod widget;

pub use app::Options;
pub use page::Page;
pub use picture::{Format, frame, preview};
pub use run::{Ended, Error, fits, run};
