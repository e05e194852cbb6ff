//! Everything a key can do: one row per action. Keymap, help, palette, key bar and docs derive from this table.
//!
//! An action has no arguments; what it acts on is the selection of the focused pane. Imports nothing of ours but `page`.

use super::page::Page;

/// Which views know an action. A view's keymap is every row that names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Everywhere,
    Pages(&'static [Page]),
}

impl On {
    pub fn page(self, page: Page) -> bool {
        match self {
            Self::Everywhere => true,
            Self::Pages(pages) => pages.contains(&page),
        }
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    pub action: Action,
    /// Name in config, palette and docs.
    pub name: &'static str,
    /// One line for help and palette.
    pub doc: &'static str,
    /// Default chords, the first of which is shown.
    pub chords: &'static [&'static str],
    pub on: On,
}

macro_rules! actions {
    ($($variant:ident $name:literal $doc:literal [$($chord:literal),*] $on:expr;)*) => {
        /// What a key can mean.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Action { $(#[doc = $doc] $variant,)* }

        /// Every action, in the order of help.
        pub const ROWS: &[Row] = &[
            $(Row { action: Action::$variant, name: $name, doc: $doc, chords: &[$($chord),*], on: $on },)*
        ];
    };
}

/// Views whose main pane is a table or tree of rows.
const ROWS_OF: On = On::Pages(&[
    Page::Overview,
    Page::Customers,
    Page::Servers,
    Page::Containers,
    Page::Gpus,
    Page::Console,
    Page::Traffic,
    Page::Logs,
    Page::Activity,
]);
/// Views whose main pane can be sorted.
const TABLES: On = On::Pages(&[
    Page::Overview,
    Page::Customers,
    Page::Servers,
    Page::Containers,
    Page::Gpus,
    Page::Traffic,
    Page::Activity,
]);
/// Views that show servers, instances or tenants, which can be acted upon.
const OBJECTS: On = On::Pages(&[Page::Overview, Page::Customers, Page::Servers]);
/// Views whose rows run: those and containers.
const RUNNING: On = On::Pages(&[Page::Overview, Page::Customers, Page::Servers, Page::Containers]);
/// Those, and whatever holds the memory of a GPU.
const RESTARTABLE: On = On::Pages(&[Page::Overview, Page::Customers, Page::Servers, Page::Containers, Page::Gpus]);
/// Views whose rows lead to logs, and to why they are as they are.
const JUMPS: On =
    On::Pages(&[Page::Overview, Page::Customers, Page::Servers, Page::Containers, Page::Gpus, Page::Traffic]);
/// Views that show what a stack stands behind, and its parts.
const STACKS: On = On::Pages(&[Page::Overview, Page::Customers, Page::Servers, Page::Containers]);
/// Trees of JSON, and of servers.
const FOLDS: On = On::Pages(&[Page::Servers, Page::Containers, Page::Console, Page::Traffic]);
/// Texts that are searched.
const SEARCHED: On = On::Pages(&[Page::Containers, Page::Logs, Page::Console, Page::Traffic]);
const GPUS: On = On::Pages(&[Page::Gpus]);
const CONSOLE: On = On::Pages(&[Page::Console]);
const LOGS: On = On::Pages(&[Page::Logs]);
/// Where rows can be marked from here to there.
const RANGES: On = On::Pages(&[Page::Overview, Page::Customers, Page::Servers, Page::Containers, Page::Logs]);

actions! {
    GoOverview "overview" "view: what needs attention, customers x servers" ["1"] On::Everywhere;
    GoCustomers "customers" "view: customers, what they have and use" ["2"] On::Everywhere;
    GoServers "servers" "view: servers and their instances" ["3"] On::Everywhere;
    GoContainers "containers" "view: every container and process, whose it is and what it uses" ["4"] On::Everywhere;
    GoGpus "gpus" "view: GPUs, and who holds their memory" ["5"] On::Everywhere;
    GoConsole "console-view" "view: the console, calls by hand" ["6"] On::Everywhere;
    GoTraffic "traffic" "view: calls, finished and in flight" ["7"] On::Everywhere;
    GoLogs "logs-view" "view: logs of instances and of mcpdeck" ["8"] On::Everywhere;
    GoActivity "activity" "view: jobs, journal, events, consoles" ["0"] On::Everywhere;

    Down "down" "next row" ["j", "down"] ROWS_OF;
    Up "up" "row before" ["k", "up"] ROWS_OF;
    Left "left" "scroll columns left, or fold" ["left"] ROWS_OF;
    Right "right" "scroll columns right, or unfold" ["right"] ROWS_OF;
    Top "top" "first row" ["g", "home"] ROWS_OF;
    Bottom "bottom" "last row" ["G", "end"] ROWS_OF;
    PageDown "page-down" "one page down" ["pagedown", "ctrl-d", "ctrl-f"] ROWS_OF;
    PageUp "page-up" "one page up" ["pageup", "ctrl-u"] ROWS_OF;
    Open "open" "open what is selected" ["enter"] ROWS_OF;
    Escape "escape" "up: close, clear the filter, leave the pane" ["esc"] On::Everywhere;
    NextPane "next-pane" "next pane" ["tab"] On::Everywhere;
    PrevPane "prev-pane" "pane before" ["backtab"] On::Everywhere;
    Back "back" "back in the history of views" ["["] On::Everywhere;
    Forward "forward" "forward in the history of views" ["]"] On::Everywhere;
    Fold "fold" "fold or unfold the row" ["-"] FOLDS;
    FoldAll "fold-all" "fold or unfold everything" ["="] FOLDS;

    Filter "filter" "filter rows (in logs and trees: search)" ["/"] ROWS_OF;
    Palette "palette" "command palette: views, customers, servers, instances, containers, actions, themes" [":"] On::Everywhere;
    Help "help" "keys of this view, searchable" ["?"] On::Everywhere;
    Limit "limit" "limit every view to one customer" ["t"] On::Everywhere;
    Mark "mark" "mark the row; in a list of switches: toggle" ["space"] RUNNING;
    Range "range" "mark from here to where you go" ["v"] RANGES;
    Sort "sort" "sort by a column" ["o"] TABLES;
    SortReverse "sort-reverse" "turn the order around" ["O"] TABLES;
    Wide "wide" "more columns, or fewer" ["w"] TABLES;
    Freeze "freeze" "freeze the picture, or let it go on" ["p"] On::Everywhere;
    CopyCell "copy" "copy the cell" ["y"] ROWS_OF;
    CopyRow "copy-row" "copy the row as JSON" ["Y"] ROWS_OF;
    Refresh "refresh" "ask again for what is on screen" ["ctrl-r"] On::Everywhere;

    Start "start" "start now" ["s"] RUNNING;
    Stop "stop" "stop and hold: calls are refused until a start" ["x"] RUNNING;
    Sleep "sleep" "put to sleep: the next call starts it again; a container: pause, or let it go on" ["z"] RUNNING;
    Restart "restart" "stop, then start" ["R"] RESTARTABLE;
    Kill "kill" "kill at once (SIGKILL)" ["X"] RUNNING;
    Fence "fence" "take out of rotation, or put back" ["D"] RUNNING;
    Probe "probe" "probe now" ["P"] RUNNING;
    Deploy "deploy" "deploy the stack: what would be done is shown first" ["d"] STACKS;
    Undeploy "undeploy" "take the stack down: what would be done is shown first" ["U"] STACKS;
    Roll "roll" "restart what still holds an older credential, a few at a time" ["r"] OBJECTS;
    Enable "enable" "enable or disable the server for the customer" ["a"] OBJECTS;
    Revert "revert" "forget the run-time change; the file decides again" ["u"] OBJECTS;
    Logs "logs" "logs of what is selected" ["l"] JUMPS;
    Inspect "inspect" "everything the engine knows of the container, secrets masked" ["i"] On::Pages(&[Page::Overview, Page::Servers, Page::Containers]);
    Shell "shell" "a shell in the container; ctrl-] or exit leaves it" ["!"] On::Pages(&[Page::Overview, Page::Servers, Page::Containers]);
    Orphans "orphans" "only what is ours and wanted by nobody, and why; back again" ["B"] On::Pages(&[Page::Containers]);
    GpuHistory "gpu-history" "who held GPU memory over the last 24 hours; back again" ["h"] GPUS;
    AtTime "at-time" "go to a time of day of the last 24 hours" ["@"] GPUS;
    Explain "explain" "why is it in this state; in the console: where the call goes, what is injected" ["e"] On::Pages(&[Page::Overview, Page::Customers, Page::Servers, Page::Containers, Page::Gpus, Page::Console, Page::Traffic]);
    Watch "watch" "tell when it changes its state, on every view; again: no longer" ["W"] On::Pages(&[Page::Overview, Page::Customers, Page::Servers, Page::Containers, Page::Traffic, Page::Activity]);
    Console "console" "open it in the console" ["c"] JUMPS;
    Cancel "cancel" "cancel the call or the job" ["K"] On::Pages(&[Page::Console, Page::Traffic, Page::Activity]);
    ExampleTraffic "example-traffic" "turn example traffic on or off" ["T"] On::Everywhere;
    Reload "reload" "read the configuration again; a broken one changes nothing" [] On::Everywhere;
    ReloadSecrets "reload-secrets" "read every secret again; running instances keep theirs" [] On::Everywhere;
    ReapOrphans "reap" "remove what an earlier owner left behind and nobody wants" ["Z"] On::Everywhere;

    Send "send" "send the request" ["f5"] CONSOLE;
    PickTenant "pick-tenant" "choose the customer to call as" ["f2"] CONSOLE;
    PickServer "pick-server" "choose the server" ["f3"] CONSOLE;
    PickTool "pick-tool" "choose a tool or another method" ["f4"] CONSOLE;
    RawForm "raw" "form or JSON" ["f6"] CONSOLE;
    RawMessage "raw-message" "the whole JSON-RPC message by hand, malformed or not" ["f7"] CONSOLE;
    PickEra "era" "pin the protocol era of the call" ["f8"] CONSOLE;
    Editor "editor" "edit the JSON in $EDITOR" ["E"] CONSOLE;
    Unset "unset" "take the field or element out" ["delete", "backspace"] CONSOLE;
    CopyCommand "copy-command" "copy the request as an mcpdeck command" ["m"] CONSOLE;
    CopyCurl "copy-curl" "copy the request as a curl command" ["M"] CONSOLE;
    CopyPath "copy-path" "copy the path of the value" ["."] CONSOLE;
    Resend "resend" "send the selected request again" ["r"] CONSOLE;
    ResendAs "resend-as" "send it again as another customer and compare" ["A"] CONSOLE;

    OpenRequest "open-request" "open a named request from requests/" ["o"] CONSOLE;
    SaveRequest "save-request" "save the request in requests/, to be shared and tested" ["W"] CONSOLE;
    FanOut "fan-out" "send it to every customer that has the server, and compare" ["F"] CONSOLE;
    Jq "jq" "filter the answer by jq" ["|"] CONSOLE;
    SavePart "save-part" "save what is selected: images, sounds and binaries as what they are" ["s"] CONSOLE;

    SearchNext "search-next" "next match" ["n"] SEARCHED;
    SearchPrev "search-prev" "match before" ["N"] SEARCHED;
    Save "save" "save to a file" ["S"] On::Pages(&[Page::Logs, Page::Console]);
    Sources "sources" "choose whose log" ["l"] LOGS;
    MergeLogs "merge-logs" "add another log, or take it out" ["+"] LOGS;
    Follow "follow" "follow the newest line" ["f"] LOGS;
    KeepLines "keep-lines" "show only lines that match" ["&"] LOGS;
    JsonPath "json-path" "of lines that hold JSON only the values at some paths" ["."] LOGS;
    Since "since" "only lines since then: 10m, 2h, 03:00" ["s"] LOGS;
    Previous "previous" "the run before this one" ["b"] LOGS;
    Wrap "wrap" "wrap long lines" ["w"] LOGS;
    Times "times" "time stamps" ["i"] LOGS;
    Level "level" "least level shown" ["L"] LOGS;

    Suspend "suspend" "suspend an attached console" ["ctrl-z"] On::Everywhere;
    Quit "quit" "quit" ["q", "ctrl-c"] On::Everywhere;
}

impl Action {
    pub fn row(self) -> &'static Row {
        // The table is built beside the enum, in its order.
        &ROWS[self as usize]
    }

    pub fn name(self) -> &'static str {
        self.row().name
    }

    /// The action of this name.
    pub fn named(name: &str) -> Option<Action> {
        ROWS.iter().find(|r| r.name == name).map(|r| r.action)
    }

    /// True if it changes the platform, which a read-only screen refuses.
    pub fn is_act(self) -> bool {
        use Action as A;
        matches!(
            self,
            A::Start
                | A::Stop
                | A::Sleep
                | A::Restart
                | A::Kill
                | A::Fence
                | A::Probe
                | A::Deploy
                | A::Undeploy
                | A::Shell
                | A::Roll
                | A::Enable
                | A::Revert
                | A::ExampleTraffic
                | A::Reload
                | A::ReloadSecrets
                | A::ReapOrphans
        )
    }

    /// The action that a finding names as its help; fencing and its end share a key.
    pub fn helping(name: &str) -> Option<Action> {
        Self::named(if name == "unfence" { "fence" } else { name })
    }

    /// The view it goes to, if that is what it does.
    pub fn page(self) -> Option<Page> {
        Page::ALL.into_iter().find(|p| p.action() == self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_action_has_its_row_and_a_name_of_its_own() {
        let names: BTreeSet<_> = ROWS.iter().map(|r| r.name).collect();
        assert_eq!(names.len(), ROWS.len());
        for row in ROWS {
            assert_eq!(row.action.row().name, row.name);
            assert_eq!(Action::named(row.name), Some(row.action));
            assert!(!row.doc.is_empty() && !row.doc.ends_with('.'), "{}", row.name);
        }
    }
}
