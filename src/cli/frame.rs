//! `frame`: one picture of a view of the live platform.

use super::args::{Color, Frame as Args, FrameFormat, Global};
use super::error::{Code, Error};
use super::output::print;
use super::session::{Need, Session};
use crate::model::near::nearest;
use crate::ui::theme::{ColorMode, files};
use crate::ui::{self, Options, Page};

/// Runs `frame`.
pub fn run(global: &Global, args: &Args) -> Result<Code, Error> {
    let view = page(&args.view)?;
    let session = Session::open(global, Need::Any)?;
    match view {
        Page::Containers => session.until_usage(false)?,
        Page::Gpus => session.until_gpus(false)?,
        _ => {}
    }
    let theme_folder = files::folder(|name| std::env::var(name).ok());
    if let Some(theme) = &args.theme {
        files::find(theme, theme_folder.as_deref(), args.color.mode()).map_err(|e| Error::usage(e.to_string()))?;
    }
    let format = match args.format {
        FrameFormat::Ansi => ui::Format::Ansi,
        FrameFormat::Svg => ui::Format::Svg,
    };
    let options = Options {
        view,
        colors: args.color.mode(),
        theme: args.theme.clone(),
        theme_folder,
        ascii: args.ascii,
        read_only: session.read_only,
        ..Options::plain()
    };
    let text = ui::frame(&session.state(), session.handle.link(), &options, args.size, format);
    print(&text).map(|()| Code::Ok)
}

impl Color {
    pub fn mode(self) -> ColorMode {
        match self {
            Self::None => ColorMode::None,
            Self::Sixteen => ColorMode::Sixteen,
            Self::Palette => ColorMode::Indexed,
            Self::True => ColorMode::True,
        }
    }
}

/// The view that a name means.
pub fn page(name: &str) -> Result<Page, Error> {
    Page::named(name).ok_or_else(|| {
        let names: Vec<&str> = Page::ALL.iter().map(|p| p.name()).collect();
        let near = nearest(name, names.iter().copied()).map(|n| format!("did you mean `{n}`? ")).unwrap_or_default();
        Error::usage(format!("no view `{name}`")).help(format!("{near}views: {}", names.join(", ")))
    })
}
