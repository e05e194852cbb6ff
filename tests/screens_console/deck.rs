//! A screen whose owner is made up: questions are answered at once, streams are written by the test.

use crate::support::sample;
use mcpdeck::control::handle::Link;
use mcpdeck::model::call::{Call, CallDetail, CallId, CallRecord, Era, Origin};
use mcpdeck::model::guard::Cap;
use mcpdeck::model::message::{CallEvent, Catalog, ConsoleCall, HistoryEntry, Impact, Preview};
use mcpdeck::model::principal::Role;
use mcpdeck::model::stack::StackStep;
use mcpdeck::model::timeline::Timeline;
use mcpdeck::model::usage::{InstanceUsage, UsageHistory};
use mcpdeck::model::{
    Answer, Chunk, Command, Environment, Feed, InstanceKey, Outcome, Query, Refusal, Snapshot, Stamp, State,
};
use mcpdeck::ui::app::{App, Effect, Msg, Token};
use mcpdeck::ui::keymap::parse_keys;
use mcpdeck::ui::update::update;
use mcpdeck::ui::{Options, Page, picture};
use std::collections::BTreeSet;

pub struct Deck {
    pub app: App,
    pub snapshot: Snapshot,
    pub size: (u16, u16),
    /// Everything the screen asked of the loop, but for questions.
    pub effects: Vec<Effect>,
    /// Answers to servers' questions that were given.
    pub replies: Vec<String>,
    /// The newest stream.
    pub stream: Option<(Token, Feed)>,
    /// What a reaping would do.
    pub follows: Vec<String>,
    /// Calls of the sample that were under way and are over.
    pub finished: BTreeSet<CallId>,
    /// True if acts are judged as an owner does it, instead of all being fine.
    pub judged: bool,
}

impl Deck {
    pub fn open(view: Page, size: (u16, u16)) -> Self {
        Self::with(view, size, sample::rich(), |_| ())
    }

    pub fn with(view: Page, size: (u16, u16), snapshot: Snapshot, change: impl FnOnce(&mut Options)) -> Self {
        let mut options = Options { view, ..Options::plain() };
        change(&mut options);
        let app = App::new(&options, Link::Attached);
        let mut deck = Self {
            app,
            snapshot,
            size,
            effects: Vec::new(),
            replies: Vec::new(),
            stream: None,
            follows: vec![REAPED.to_owned()],
            finished: BTreeSet::new(),
            judged: false,
        };
        deck.take(Msg::Tick(sample::NOW, 0));
        deck.take(Msg::Resize(size.0, size.1));
        deck.take(Msg::Snapshot);
        deck
    }

    pub fn take(&mut self, msg: Msg) {
        let mut todo = vec![msg];
        while let Some(msg) = todo.pop() {
            for effect in update(&mut self.app, &self.snapshot, msg) {
                match effect {
                    Effect::Ask(token, Query::Impact(command)) if self.judged => {
                        let impact = mcpdeck::control::impact::impact(&self.snapshot, &command, 10);
                        todo.push(Msg::Answer(token, Ok(Answer::Impact(impact))));
                    }
                    Effect::Ask(token, Query::Reply { message, .. }) => {
                        self.replies.push(message);
                        todo.push(Msg::Answer(token, Ok(Answer::Replied)));
                    }
                    Effect::Ask(token, query) => todo.push(Msg::Answer(token, self.answer(&query))),
                    Effect::Follow(token, feed) => {
                        self.stream = Some((token, feed.clone()));
                        self.effects.push(Effect::Follow(token, feed));
                    }
                    other => self.effects.push(other),
                }
            }
        }
    }

    fn answer(&self, query: &Query) -> Result<Answer, Refusal> {
        match query {
            Query::Call(id) => Ok(Answer::Call(Box::new(detail(*id, self.finished.contains(id))))),
            query => answer(query, &self.follows),
        }
    }

    /// What the owner has next.
    pub fn next(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
        self.take(Msg::Snapshot);
    }

    /// Presses keys, with a drawn frame between them as in life; `'text'` types text.
    pub fn keys(&mut self, keys: &str) -> &mut Self {
        for key in parse_keys(keys).expect("keys") {
            self.take(Msg::Key(key));
            self.picture();
        }
        self
    }

    /// Types a text, character by character.
    pub fn types(&mut self, text: &str) -> &mut Self {
        for c in text.chars() {
            let key = if c == ' ' { "space".to_owned() } else { c.to_string() };
            self.keys(&key);
        }
        self
    }

    pub fn chunk(&mut self, chunk: Chunk) -> &mut Self {
        let token = self.stream.as_ref().expect("a stream").0;
        self.take(Msg::Chunk(token, chunk));
        self.take(Msg::Paint);
        self
    }

    /// Every stream that was begun, in order.
    pub fn streams(&self) -> Vec<(Token, &Feed)> {
        let streams = self.effects.iter().filter_map(|e| match e {
            Effect::Follow(token, feed) => Some((*token, feed)),
            _ => None,
        });
        streams.collect()
    }

    pub fn picture(&self) -> String {
        picture::plain(&picture::paint(&self.app, &self.snapshot, self.size))
    }

    /// Calls that were sent.
    pub fn sent(&self) -> Vec<&ConsoleCall> {
        let calls = self.effects.iter().filter_map(|e| match e {
            Effect::Follow(_, Feed::Call(call)) => Some(&**call),
            _ => None,
        });
        calls.collect()
    }

    pub fn ran(&self) -> Vec<&Command> {
        let commands = self.effects.iter().filter_map(|e| match e {
            Effect::Run { command, .. } => Some(command),
            _ => None,
        });
        commands.collect()
    }

    pub fn copied(&self) -> Vec<&str> {
        let texts = self.effects.iter().filter_map(|e| match e {
            Effect::Copy(text) => Some(text.as_str()),
            _ => None,
        });
        texts.collect()
    }
}

const TOOLS: &str = r#"[
  {"name":"classify_product","description":"Finds the class of a product","annotations":{"readOnlyHint":true},
   "inputSchema":{"type":"object","required":["query"],"properties":{
     "query":{"type":"string","minLength":1,"description":"what the product is called"},
     "limit":{"type":"integer","minimum":1,"maximum":100,"default":10},
     "standard":{"enum":["ETIM-8","ETIM-9"]},
     "exact":{"type":"boolean"},
     "filter":{"type":"object","properties":{"brand":{"type":"string"},"year":{"type":"integer"}}},
     "tags":{"type":"array","items":{"type":"string"}}}}},
  {"name":"delete_class","description":"Deletes a class","annotations":{"readOnlyHint":false,"destructiveHint":true},
   "inputSchema":{"type":"object","required":["id"],"properties":{"id":{"type":"string"}}}}]"#;

/// What the made-up owner says.
fn answer(query: &Query, reaped: &[String]) -> Result<Answer, Refusal> {
    Ok(match query {
        Query::Catalog { .. } => Answer::Catalog(Catalog {
            tools: TOOLS.to_owned(),
            prompts: r#"[{"name":"summarise","arguments":[{"name":"text","required":true}]}]"#.to_owned(),
            resources: r#"[{"uri":"file:///readme.md","name":"readme"}]"#.to_owned(),
            templates: r#"[{"uriTemplate":"etim://class/{id}","name":"class"}]"#.to_owned(),
            capabilities: r#"{"completions":{},"tools":{}}"#.to_owned(),
            listed_at: Some(sample::ago(60)),
            era: Some(Era::Modern),
            ..Catalog::default()
        }),
        Query::Preview(call) => Answer::Preview(preview(call)),
        Query::History { tenant, .. } => Answer::History(history(tenant.as_ref().map_or("eaton", |t| t.as_str()))),
        Query::Inspect(_) => Answer::Inspect(INSPECTED.to_owned()),
        Query::Usage(_) => Answer::Usage(usage()),
        Query::StackPlan { stack, undeploy } => Answer::StackPlan(plan(stack.as_str(), *undeploy)),
        Query::Impact(command) => Answer::Impact(impact(command, reaped)),
        other => return Err(Refusal::Failed(format!("nobody answers {other:?}"))),
    })
}

const INSPECTED: &str = r#"{"Id":"02c5a1b2c3d4","Name":"/mcpdeck-lab-fra1-eaton-models-vllm",
  "Config":{"User":"65534:65534","Env":["HF_TOKEN=(masked)","CUDA_VISIBLE_DEVICES=0"],
    "Labels":{"io.mcpdeck.platform":"lab-fra1","io.mcpdeck.stack":"eaton-models","io.mcpdeck.part":"vllm"}},
  "HostConfig":{"Memory":34359738368,"NanoCpus":8000000000,"PidsLimit":512,"ReadonlyRootfs":true,"Privileged":false,
    "CapDrop":["ALL"],"CapAdd":null,"SecurityOpt":["no-new-privileges"],"RestartPolicy":{"Name":"no"},
    "DeviceRequests":[{"Count":0,"DeviceIDs":["0"]}]},
  "State":{"Status":"running","Pid":5120,"Health":{"Status":"healthy","FailingStreak":0}}}"#;

/// Ten minutes of a load that comes and goes.
fn usage() -> UsageHistory {
    let point = |n: u64| {
        let wave = (n % 40) as f32;
        let usage = InstanceUsage {
            cpu: Some(20.0 + wave * 4.0),
            memory: Some((20 << 30) + (n << 24)),
            net_in: Some(n % 40 * 9_000),
            net_out: Some(n % 40 * 50_000),
            disk_read: Some(if n % 100 < 8 { 80 << 20 } else { 0 }),
            disk_write: Some(0),
            ..InstanceUsage::default()
        };
        (sample::ago(600 - n), usage)
    };
    UsageHistory { points: (0..600).map(point).collect(), reach: "10 min by 1 s".to_owned() }
}

fn plan(stack: &str, undeploy: bool) -> Vec<StackStep> {
    let step = |part: &str, does: &str, refused: Option<&str>| StackStep {
        part: part.to_owned(),
        does: does.to_owned(),
        refused: refused.map(str::to_owned),
    };
    match (stack, undeploy) {
        (_, true) => vec![step("embeddings", "stop, remove", None), step("vllm", "stop, remove", None)],
        ("vattenfall-models", _) => {
            vec![step("vllm", "start", Some("needs 32 GiB of GPU 0, 11 free, held by eaton-models/vllm (40 GiB)"))]
        }
        _ => vec![step("vllm", "nothing: it runs", None), step("embeddings", "recreate (image changed)", None)],
    }
}

const REAPED: &str = "container mcpdeck-lab-fra1-search-hilti is removed";

fn impact(command: &Command, reaped: &[String]) -> Impact {
    let follows = match command {
        Command::ReapOrphans => reaped.to_vec(),
        Command::Container { .. } => vec!["it is stopped; its data stays".to_owned()],
        _ => Vec::new(),
    };
    Impact {
        instances: command.target().cloned().into_iter().collect(),
        tenants: vec!["eaton".into()],
        environment: Environment::Lab,
        in_flight: 0,
        follows,
        type_name: None,
        refused: None,
        bulk_cap: Cap { instances: 10, reason: "platform.bulk_cap says so".to_owned() },
    }
}

fn preview(call: &ConsoleCall) -> Preview {
    let acts = call.body.contains("delete_class");
    Preview {
        instance: Some(InstanceKey::shared(call.server.clone())),
        state: Some(State::Ready),
        reason: "explicit".to_owned(),
        confidence: 1.0,
        headers: Vec::new(),
        meta: r#"{"id":"eaton"}"#.to_owned(),
        arguments: vec![("customer_id".to_owned(), call.tenant.to_string()), ("lakehouse_path".to_owned(), "/lake".to_owned())],
        after: r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":{"customer_id":"eaton"}}}"#.to_owned(),
        refused: None,
        read_only_tool: !acts,
        confirm: acts.then(|| "EATON".to_owned()),
    }
}

pub fn record(id: u64, outcome: Outcome, took_us: u64) -> CallRecord {
    CallRecord {
        id: CallId(id),
        at: sample::ago(60 - id % 60),
        tenant: ["eaton", "segurcaixa", "vattenfall-de"][id as usize % 3].into(),
        server: ["etim", "law"][id as usize % 2].into(),
        instance: Some(InstanceKey::shared("etim".into())),
        method: "tools/call".into(),
        tool: Some(["classify_product", "search"][id as usize % 2].into()),
        outcome,
        took_us,
        wake_us: 0,
        upstream_us: took_us,
        request_bytes: 210,
        response_bytes: 1_100 + id * 13,
        era: Some(Era::Modern),
        origin: Origin::Http,
        principal: "agent".into(),
        role: Some(Role::Tenant),
        error: outcome.is_error().then(|| "no answer within 30 s".to_owned()),
    }
}

fn history(tenant: &str) -> Vec<HistoryEntry> {
    let entry = |id, tool: &str, outcome| HistoryEntry {
        id,
        at: sample::ago(id * 60),
        tenant: tenant.into(),
        server: "etim".into(),
        method: "tools/call".into(),
        tool: Some(tool.to_owned()),
        params: format!(r#"{{"name":"{tool}","arguments":{{"query":"breaker"}}}}"#),
        raw: false,
        outcome,
        took_us: 41_000,
        operator: "eva".to_owned(),
        response: Some(
            r#"{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":"EC000042"}]}}"#.to_owned(),
        ),
    };
    vec![entry(1, "classify_product", Outcome::Ok), entry(2, "classify_product", Outcome::Timeout)]
}

fn detail(id: CallId, over: bool) -> CallDetail {
    let pending = sample::rich().pending.into_iter().find(|call| call.id == id && !over);
    let request = r#"{"jsonrpc":"2.0","id":5,"method":"tools/call","params":{"name":"classify_product","arguments":{"query":"breaker"}}}"#;
    if let Some(call) = pending {
        return CallDetail {
            call: Call::Pending(call),
            timeline: Timeline { auth_us: Some(310), passed_us: [120, 260, 900, 0] },
            request: Some(request.to_owned()),
            sent: Some(request.to_owned()),
            response: None,
            notes: Vec::new(),
        };
    }
    CallDetail {
        call: Call::Done(record(id.0, Outcome::Ok, 43_000).into()),
        timeline: Timeline { auth_us: Some(310), passed_us: [120, 260, 900, 42_600] },
        request: Some(request.to_owned()),
        sent: None,
        response: Some(
            r#"{"jsonrpc":"2.0","id":5,"result":{"content":[{"type":"text","text":"EC000042"}],"isError":false}}"#
                .to_owned(),
        ),
        notes: vec!["`password` was masked".to_owned()],
    }
}

/// The stream of a call that goes well.
pub fn answered(code: &str) -> Vec<Chunk> {
    let wire =
        |sent, ms: u64, text: &str| CallEvent::Wire { at: Stamp(sample::NOW.0 + ms), sent, text: text.to_owned() };
    let body = format!(
        r#"{{"jsonrpc":"2.0","id":17,"result":{{"content":[{{"type":"text","text":"{code} 3-phase circuit breaker, low voltage, with a long description"}}],"isError":false}}}}"#
    );
    [
        CallEvent::Accepted { id: CallId(1017) },
        wire(true, 4, r#"{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"classify_product","arguments":{"query":"3-phase","customer_id":"eaton"}}}"#),
        CallEvent::Progress { percent: Some(40.0), text: "searching".to_owned() },
        wire(false, 47, &body),
        CallEvent::Body(body.clone()),
        CallEvent::Done(Box::new(CallRecord { tenant: "eaton".into(), server: "etim".into(), ..record(1017, Outcome::Ok, 43_000) })),
    ]
    .into_iter()
    .map(Chunk::Call)
    .collect()
}
