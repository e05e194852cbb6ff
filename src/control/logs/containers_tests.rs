use super::super::Logs;
use super::*;
use crate::backend::engine::{ExecPipe, ExecSpec, Inventory};
use crate::backend::{BackendError, ContainerSpec, Fut, Progress};
use crate::model::Stamp;
use crate::model::container::{ContainerAct, ContainerKey, EngineId, EngineState};
use crate::model::secret::Secret;
use crate::model::server::Limits;
use crate::model::usage::InstanceUsage;
use std::collections::VecDeque;
use std::sync::Mutex;
use tokio::sync::watch;

/// An engine that has logs and nothing else: each reading of one takes the next of its scripts.
struct Scripted {
    id: EngineId,
    readings: Mutex<VecDeque<Vec<RawLine>>>,
    asked: Mutex<Vec<LogRange>>,
    inventory: watch::Sender<Arc<Inventory>>,
    /// The last script's reading stays open.
    held: Mutex<Vec<mpsc::Sender<RawLine>>>,
}

impl Scripted {
    fn new(state: EngineState, readings: &[&[(u64, &str)]]) -> Arc<Self> {
        let line = |(at, text): &(u64, &str)| RawLine { at: Stamp(*at), stderr: false, text: (*text).to_owned() };
        let readings = readings.iter().map(|lines| lines.iter().map(line).collect()).collect();
        let empty = Inventory { state, url: String::new(), version: None, seen: Stamp(1), containers: Vec::new() };
        Arc::new(Self {
            id: "local".into(),
            readings: Mutex::new(readings),
            asked: Mutex::default(),
            inventory: watch::Sender::new(Arc::new(empty)),
            held: Mutex::default(),
        })
    }
}

fn no<T>() -> Fut<'static, Result<T, BackendError>> {
    Box::pin(async { Err(BackendError::Unsupported { backend: "scripted", what: "do this" }) })
}

impl Engine for Scripted {
    fn id(&self) -> &EngineId {
        &self.id
    }

    fn watch(&self) -> watch::Receiver<Arc<Inventory>> {
        self.inventory.subscribe()
    }

    fn logs(&self, _id: &str, range: LogRange) -> mpsc::Receiver<RawLine> {
        self.asked.lock().unwrap().push(range);
        let (to, lines) = mpsc::channel(4);
        let script = self.readings.lock().unwrap().pop_front();
        match script {
            Some(script) => drop(tokio::spawn(async move {
                for line in script {
                    if to.send(line).await.is_err() {
                        return;
                    }
                }
            })),
            None => self.held.lock().unwrap().push(to),
        }
        lines
    }

    fn act(&self, _: &str, _: ContainerAct, _: Duration) -> Fut<'_, Result<(), BackendError>> {
        no()
    }

    fn deploy(&self, _: &str, _: ContainerSpec, _: Limits, _: Progress) -> Fut<'_, Result<String, BackendError>> {
        no()
    }

    fn remove(&self, _: &str, _: Duration) -> Fut<'_, Result<(), BackendError>> {
        no()
    }

    fn inspect(&self, _: &str) -> Fut<'_, Result<String, BackendError>> {
        no()
    }

    fn exec(&self, _: &str, _: ExecSpec) -> Fut<'_, Result<ExecPipe, BackendError>> {
        no()
    }

    fn stats(&self, _: &[ContainerKey]) -> Fut<'_, Vec<(ContainerKey, InstanceUsage)>> {
        Box::pin(async { Vec::new() })
    }

    fn is_local(&self) -> bool {
        true
    }
}

fn source(engine: &Arc<Scripted>, name: &str) -> Source {
    let key = ContainerKey { engine: engine.id.clone(), id: name.into() };
    Source {
        engine: engine.clone(),
        id: name.into(),
        target: LogTarget::Container(key, name.to_owned()),
        hidden: Hidden::new(&[Secret::new("hunter22".to_owned())]),
    }
}

/// What a reader of these sources gets, and how it ended.
async fn read_all(sources: Vec<Source>, wanted: Wanted) -> (Vec<String>, Option<Refusal>) {
    let (say, said) = mpsc::channel(BATCHES);
    let count = sources.len();
    let mut reading = JoinSet::new();
    for source in sources {
        let say = say.clone();
        reading.spawn(async move { source.read(range(wanted), &say).await });
    }
    drop(say);
    let (to, mut chunks) = mpsc::channel(1);
    let merged = tokio::spawn(async move { merge(said, count, wanted, &to).await });
    let mut texts = Vec::new();
    while let Some(chunk) = chunks.recv().await {
        let Chunk::Logs(lines) = chunk else { panic!("{chunk:?}") };
        texts.extend(lines.into_iter().map(|line| format!("{} {}", line.target, line.text)));
    }
    (texts, merged.await.unwrap())
}

const LAST: Wanted = Wanted { tail: 4, since: None, follow: false };

#[tokio::test(start_paused = true)]
async fn several_logs_are_one_in_order_of_time_and_clean() {
    let a = Scripted::new(EngineState::Up, &[&[(1, "one"), (4, "\x1b[31mfour\x07"), (6, "key hunter22!")]]);
    let b = Scripted::new(EngineState::Up, &[&[(2, "two"), (3, "three"), (5, "\u{202e}five")]]);
    let (texts, end) = read_all(vec![source(&a, "a"), source(&b, "b")], LAST).await;
    assert_eq!(texts, ["b three", "a four", "b five", "a key •••!"], "the newest four of both");
    assert_eq!(end, None);
    assert_eq!(*a.asked.lock().unwrap(), [LogRange { tail: Some(4), since: None, follow: false }]);
}

#[tokio::test(start_paused = true)]
async fn a_silent_engine_ends_it_with_the_reason() {
    let silent = EngineState::Silent { since: Stamp(1), reason: "connection refused".into() };
    for (follow, at_once) in [(false, true), (true, true), (false, false), (true, false)] {
        // A reading that stays open and says nothing: the engine hangs.
        let engine = Scripted::new(if at_once { silent.clone() } else { EngineState::Up }, &[]);
        let reading = tokio::spawn(read_all(vec![source(&engine, "a")], Wanted { follow, ..LAST }));
        while !at_once && engine.asked.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let now = Inventory { state: silent.clone(), ..(**engine.inventory.borrow()).clone() };
        engine.inventory.send_replace(Arc::new(now));
        let (texts, end) = reading.await.unwrap();
        assert_eq!(texts, [""; 0]);
        assert!(matches!(&end, Some(Refusal::Silent(_))), "{follow} {at_once} {end:?}");
        let end = end.map(|why| why.to_string());
        assert_eq!(end.as_deref(), Some("the engine local does not answer: connection refused"), "{follow}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_where_it_was_when_the_container_runs_again() {
    let engine = Scripted::new(EngineState::Up, &[&[(1, "before")], &[(9, "after")]]);
    let found = crate::backend::engine::Found {
        id: "a".into(),
        name: "a".into(),
        image: String::new(),
        state: crate::model::container::ContainerState::Running,
        since: Stamp(1),
        exit_code: None,
        oom: false,
        memory_limit: None,
        restarts: 0,
        health: None,
        labels: Default::default(),
        ports: Vec::new(),
        networks: Vec::new(),
        pid: None,
    };
    let before = engine.inventory.borrow().clone();
    engine.inventory.send_replace(Arc::new(Inventory { containers: vec![Arc::new(found)], ..(*before).clone() }));
    let (say, mut said) = mpsc::channel(BATCHES);
    let reading = tokio::spawn({
        let source = source(&engine, "a");
        async move { source.read(range(Wanted { follow: true, ..LAST }), &say).await }
    });
    for expected in ["before", "after"] {
        let Some(Said::Lines(lines)) = said.recv().await else { panic!("no {expected}") };
        assert_eq!(lines[0].text, expected);
    }
    while engine.asked.lock().unwrap().len() < 3 {
        tokio::time::sleep(AGAIN).await;
    }
    let since: Vec<_> = engine.asked.lock().unwrap().iter().map(|range| range.since).collect();
    assert_eq!(since, [None, Some(Stamp(2)), Some(Stamp(10))]);
    engine.inventory.send_replace(before);
    engine.held.lock().unwrap().clear();
    assert!(matches!(said.recv().await, Some(Said::Over(None))), "it is gone: that is a normal end");
    reading.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_does_not_read_holds_the_engine_up_and_one_that_leaves_ends_it() {
    let many: Vec<(u64, &str)> = (0..100_000).map(|n| (n, "x")).collect();
    let engine = Scripted::new(EngineState::Up, &[&many]);
    let (say, said) = mpsc::channel(BATCHES);
    let reading = tokio::spawn({
        let source = source(&engine, "a");
        async move { source.read(range(LAST), &say).await }
    });
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(said.len() <= BATCHES && !reading.is_finished());
    drop(said);
    reading.await.unwrap();
}

#[tokio::test]
async fn without_a_container_the_rings_alone_are_told() {
    let logs = Logs::new();
    logs.push(&LogTarget::Deck, LogSource::Deck, None, "own".into());
    let (to, mut chunks) = mpsc::channel(1);
    logs.follow_rings(vec![LogTarget::Deck], LAST, to).await;
    assert!(matches!(chunks.recv().await, Some(Chunk::Logs(lines)) if lines[0].text == "own"));
}
