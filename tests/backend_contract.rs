//! One suite that holds for every backend; below it what only local programs, and what only containers can break.

mod docker;
mod harbour;
mod leaks;
mod process;
mod reaper;
mod rig;
mod simulated;

use mcpdeck::backend::{BackendError, Exit};
use mcpdeck::model::instance::BackendKind;
use rig::{LONG, Pipes, SHORT, eventually, key, rigs};

#[tokio::test]
async fn it_talks_and_ends_when_its_stdin_closes() {
    for rig in rigs("it_talks_and_ends_when_its_stdin_closes") {
        let started = rig.start("a").await.unwrap();
        let mut pipes = Pipes::of(started.attached);
        assert!(pipes.ping(1).await, "{}", rig.name);
        assert!(pipes.ping(2).await, "{}", rig.name);
        pipes.stdin = None;
        let exit = started.exit.await.unwrap();
        assert_eq!((exit.code, exit.signal, exit.oom), (Some(0), None, false), "{}", rig.name);
        assert_eq!(pipes.rest_of_stdout().await, "", "{}: stdout ends with it", rig.name);
    }
}

#[tokio::test]
async fn how_it_ended_is_told() {
    type Words = fn(&Exit) -> (Option<i32>, Option<i32>);
    let words: Words = |exit| (exit.code, exit.signal);
    for rig in rigs("how_it_ended_is_told") {
        let by_itself = rig.backend().start(rig.failing("a", 3)).await.unwrap();
        assert_eq!(words(&by_itself.exit.await.unwrap()), (Some(3), None), "{}: by itself", rig.name);

        // The pipes are held, so that nothing but the signal can end it.
        let stopped = rig.start("a").await.unwrap();
        rig.backend().stop(&key("a"), SHORT, LONG).await.unwrap();
        assert_eq!(words(&stopped.exit.await.unwrap()), (None, Some(15)), "{}: stop", rig.name);

        let killed = rig.start("a").await.unwrap();
        rig.backend().kill(&key("a")).await.unwrap();
        assert_eq!(words(&killed.exit.await.unwrap()), (None, Some(9)), "{}: kill", rig.name);
    }
}

#[tokio::test]
async fn one_key_runs_once() {
    for rig in rigs("one_key_runs_once") {
        let first = rig.start("a@eaton").await.unwrap();
        let refused = rig.start("a@eaton").await.err().map(|e| e.to_string());
        assert_eq!(refused.as_deref(), Some("a@eaton is already running"), "{}", rig.name);
        let _other = rig.start("a@rexel").await.unwrap();
        assert!(Pipes::of(first.attached).ping(1).await, "{}: the first is untouched", rig.name);
        rig.backend().kill(&key("a@eaton")).await.unwrap();
        rig.start("a@eaton").await.unwrap();
        rig.kill_all(&["a@eaton", "a@rexel"]).await;
    }
}

#[tokio::test]
async fn stopping_what_is_stopped_is_fine() {
    for rig in rigs("stopping_what_is_stopped_is_fine") {
        let never = key("never");
        rig.backend().stop(&never, LONG, LONG).await.unwrap();
        rig.backend().kill(&never).await.unwrap();
        let started = rig.start("a").await.unwrap();
        let a = key("a");
        let (one, two, three) = tokio::join!(
            rig.backend().stop(&a, SHORT, LONG),
            rig.backend().stop(&a, LONG, LONG),
            rig.backend().kill(&a)
        );
        one.and(two).and(three).unwrap();
        started.exit.await.unwrap();
        rig.backend().stop(&a, LONG, LONG).await.unwrap();
    }
}

#[tokio::test]
async fn a_stop_during_the_start_ends_it() {
    for rig in rigs("a_stop_during_the_start_ends_it") {
        let a = key("a");
        let (started, stopped) = tokio::join!(rig.start("a"), async {
            tokio::task::yield_now().await;
            rig.backend().stop(&a, SHORT, SHORT).await
        });
        stopped.unwrap();
        started.unwrap().exit.await.unwrap();
    }
}

#[tokio::test]
async fn a_start_that_nobody_waits_for_leaves_nothing() {
    for rig in rigs("a_start_that_nobody_waits_for_leaves_nothing") {
        let mut start = Box::pin(rig.start("a"));
        let _ = poll_once(&mut start).await;
        drop(start);
        eventually(rig.name, async || {
            let Ok(again) = rig.start("a").await else { return false };
            rig.backend().kill(&key("a")).await.unwrap();
            again.exit.await.is_ok()
        })
        .await;
    }
}

/// Polls a future once.
async fn poll_once<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|context| match std::pin::Pin::new(&mut *future).poll(context) {
        std::task::Poll::Ready(out) => std::task::Poll::Ready(Some(out)),
        std::task::Poll::Pending => std::task::Poll::Ready(None),
    })
    .await
}

#[tokio::test]
async fn usage_is_told_of_those_that_run() {
    for rig in rigs("usage_is_told_of_those_that_run") {
        let started = rig.start("a").await.unwrap();
        let usage = rig.backend().usage(&[key("a"), key("absent")]).await;
        assert_eq!(usage.iter().map(|(key, _)| key.to_string()).collect::<Vec<_>>(), ["a"], "{}", rig.name);
        let unlimited = started.notes.iter().any(|note| note.starts_with("memory unlimited"));
        let expected = (!unlimited).then_some(256 << 20);
        assert_eq!(usage[0].1.memory_limit, expected, "{}: the limit in force", rig.name);
        rig.kill_all(&["a"]).await;
        assert_eq!(rig.backend().usage(&[key("a")]).await, [], "{}", rig.name);
    }
}

#[tokio::test]
async fn doze_pauses_and_keeps_what_was_sent() {
    for rig in rigs("doze_pauses_and_keeps_what_was_sent") {
        let started = rig.start("a").await.unwrap();
        let mut pipes = Pipes::of(started.attached);
        assert!(pipes.ping(1).await);
        let a = key("a");
        rig.backend().doze(&a).await.unwrap();
        pipes.send(2).await;
        assert!(
            tokio::time::timeout(SHORT, pipes.answer()).await.is_err(),
            "{}: a paused one does not answer",
            rig.name
        );
        if rig.backend().kind() == BackendKind::Simulated {
            assert_eq!(rig.backend().usage(std::slice::from_ref(&a)).await[0].1.cpu, Some(0.0));
        }
        rig.backend().wake(&a).await.unwrap();
        assert!(pipes.answer().await.contains("\"id\":2"), "{}", rig.name);
        rig.backend().doze(&a).await.unwrap();
        pipes.stdin = None;
        rig.backend().stop(&a, LONG, LONG).await.unwrap();
        assert_eq!(started.exit.await.unwrap().code, Some(0), "{}: a paused one stops politely too", rig.name);
    }
}

#[tokio::test]
async fn nothing_of_ours_is_an_orphan() {
    for rig in rigs("nothing_of_ours_is_an_orphan") {
        let _started = rig.start("a").await.unwrap();
        assert_eq!(rig.backend().orphans().await, [], "{}", rig.name);
        assert_eq!(rig.backend().reap().await.unwrap(), 0, "{}", rig.name);
        assert_eq!(rig.backend().usage(&[key("a")]).await.len(), 1, "{}: it still runs", rig.name);
        rig.kill_all(&["a"]).await;
    }
}

#[tokio::test]
async fn what_another_backend_runs_is_refused() {
    let rigs: Vec<_> = rigs("what_another_backend_runs_is_refused").collect();
    let others = rigs.iter().cycle().skip(1);
    for (rig, other) in rigs.iter().zip(others).filter(|(a, b)| a.backend().kind() != b.backend().kind()) {
        let refused = rig.backend().start(other.spec("a")).await.err().unwrap();
        assert!(matches!(refused, BackendError::Unsupported { .. }), "{}: {refused}", rig.name);
        // The refusal did not keep the key.
        rig.start("a").await.unwrap();
        rig.kill_all(&["a"]).await;
    }
}
