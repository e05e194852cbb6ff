//! What the view Console is made of: its panes, where the cursor can stand, what was asked for and what stays of answers.

use crate::model::call::Era;
use crate::model::message::ConsoleCall;
use crate::model::{ServerId, TenantId};
use crate::ui::app::RequestFile;
use crate::ui::console::diff::Change;
use crate::ui::console::json::Step;
use crate::ui::console::methods::Offer;
use crate::ui::console::question::Verdict;
use std::cell::Cell;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Pane {
    #[default]
    Request,
    Response,
    Wire,
    History,
}

impl Pane {
    pub const ALL: [Pane; 4] = [Self::Request, Self::Response, Self::Wire, Self::History];
}

/// Where the cursor of the request pane can stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Tenant,
    Era,
    Server,
    Method,
    Tool,
    /// A row of the form.
    Field(usize),
    /// The buffer as text.
    Text,
    Send,
    /// What is said to a server's question.
    Verdict(Verdict),
}

/// How the answer is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Shown {
    #[default]
    Tree,
    Raw,
    /// Beside the answer it is compared with.
    Compared,
    /// The table of a fan-out.
    Fan,
}

/// What a question was asked for.
#[derive(Clone, Debug)]
pub(super) enum Asked {
    Tenant,
    Server,
    Method,
    FreeMethod,
    FreeTool,
    Offer,
    Era,
    /// A value of the field at this path.
    Choice(Vec<Step>),
    /// Which of its forms the field at this path has.
    Form(Vec<Step>),
    Catalog(TenantId, ServerId),
    History,
    /// To show what would be injected; of this version of the request.
    Preview(u64),
    Explain,
    /// To send it if nothing has to be confirmed.
    Send(Box<ConsoleCall>),
    /// To send it as another customer, which is always confirmed.
    SendAs(Box<ConsoleCall>),
    /// The typed name; what has to be typed.
    Confirm(Box<ConsoleCall>, String),
    /// The other customer for a request.
    AsTenant(Box<ConsoleCall>),
    /// The buffer, from `$EDITOR`.
    Buffer,
    /// The jq filter over the answer.
    Filter,
    /// To send it to every customer that has the server.
    FanOut(Box<ConsoleCall>),
    /// The server's name, typed.
    ConfirmFan(Box<ConsoleCall>),
    /// The name that the request is saved under.
    SaveAs,
    /// An answer to a server's question, on its way.
    Reply,
    /// Which named requests there are; one of them.
    Requests,
    OpenRequest(Vec<RequestFile>),
}

/// What a server offers a customer.
pub(super) struct Offers {
    pub tenant: TenantId,
    pub server: ServerId,
    pub tools: Vec<Offer>,
    pub prompts: Vec<Offer>,
    pub resources: Vec<Offer>,
    pub templates: Vec<Offer>,
    /// It completes arguments.
    pub completes: bool,
    /// Which it speaks.
    pub era: Option<Era>,
    pub error: Option<String>,
}

/// An earlier answer, for comparison.
pub(super) struct Baseline {
    pub title: String,
    pub text: String,
}

/// Two answers, line by line.
pub(super) struct Compared {
    /// Whose: of the one before, and of the one now.
    pub titles: [String; 2],
    /// Or why they are not compared.
    pub lines: Result<Vec<(Change, String)>, String>,
}

impl Compared {
    /// Rows in one column, the most there can be.
    pub fn rows(&self) -> usize {
        self.lines.as_ref().map_or(1, Vec::len)
    }
}

/// What drawing learns about the space it has.
#[derive(Default)]
pub(super) struct Tops {
    pub form: Cell<usize>,
    pub tree: Cell<usize>,
    pub fan: Cell<usize>,
    pub wire: Cell<usize>,
    pub history: Cell<usize>,
    /// Rows and columns of the response pane.
    pub height: Cell<usize>,
    pub width: Cell<usize>,
}
