use super::*;
use crate::control::fixture;
use crate::model::server::Settings;

/// A stack whose effects are told in words.
struct Told {
    life: Life,
    at: Duration,
}

/// `web` needs `api`, `api` needs `db`; `cache` needs nothing.
fn shop() -> Told {
    let parts = vec![
        fixture::part("web", &["api"]),
        fixture::part("api", &["db"]),
        fixture::part("db", &[]),
        fixture::part("cache", &[]),
    ];
    Told { life: Life::new(fixture::stack("shop", parts), Settings::default().restart), at: Duration::ZERO }
}

const JOB: JobId = JobId(7);

impl Told {
    fn apply(&mut self, event: Event) -> String {
        let now = Now { at: self.at, stamp: Stamp(1000) };
        let effects = self.life.apply(now, event);
        let name = |at: usize| self.life.def.parts[at].name.clone();
        let word = |effect: Effect| match effect {
            Effect::Keep { part, make, .. } => format!("{} {}", if make { "make" } else { "take" }, name(part)),
            Effect::Drop(_) | Effect::Say(..) => String::new(),
            Effect::Lower { part, .. } => format!("lower {}", name(part)),
            Effect::Retry { part, after, .. } => format!("retry {} in {} ms", name(part), after.as_millis()),
            Effect::Finish(job, Ok(text)) => format!("{job} ok: {text}"),
            Effect::Finish(job, Err(text)) => format!("{job} failed: {text}"),
            Effect::Warn(text) => format!("warn: {text}"),
        };
        effects.into_iter().map(word).filter(|word| !word.is_empty()).collect::<Vec<_>>().join(", ")
    }

    fn part(&mut self, name: &str, report: Report) -> String {
        let part = self.life.def.parts.iter().position(|part| part.name == name).unwrap();
        let run = self.life.parts[part].run;
        self.apply(Event::Part { part, run, report })
    }

    fn phases(&self) -> String {
        let parts = self.life.def.parts.iter().zip(&self.life.parts);
        parts.map(|(def, part)| format!("{} {:?}", def.name, part.phase)).collect::<Vec<_>>().join(", ")
    }

    fn deployed() -> Self {
        let mut shop = shop();
        shop.apply(Event::Deploy(Some(JOB)));
        for part in ["db", "cache", "api", "web"] {
            shop.part(part, Report::Ready);
        }
        shop
    }
}

#[test]
fn parts_start_in_the_order_of_their_needs_and_side_by_side_where_they_can() {
    let mut shop = shop();
    assert_eq!(shop.apply(Event::Deploy(Some(JOB))), "make db, make cache");
    assert_eq!(shop.phases(), "web Waiting, api Waiting, db Starting, cache Starting");
    assert_eq!(shop.life.parts[0].message, "waits for api");
    assert_eq!(shop.part("cache", Report::Ready), "");
    assert_eq!(shop.part("db", Report::Done), "make api");
    assert_eq!(shop.part("api", Report::Ready), "make web");
    assert_eq!(shop.part("web", Report::Ready), "j7 ok: 4 parts are ready");
    assert_eq!(shop.phases(), "web Ready, api Ready, db Done, cache Ready");
}

#[test]
fn a_part_that_fails_fails_the_job_and_what_waits_for_it_is_not_started() {
    let mut shop = shop();
    shop.apply(Event::Deploy(Some(JOB)));
    assert_eq!(shop.part("db", Report::Failed("exited 1".into())), "");
    assert_eq!(shop.phases(), "web Down, api Down, db Failed, cache Starting");
    assert_eq!(shop.life.parts[0].message, "not started: it needs api");
    assert_eq!(shop.part("cache", Report::Ready), "j7 failed: part db: exited 1");
}

#[test]
fn a_second_deployment_asks_the_engine_again_for_what_runs() {
    let mut shop = Told::deployed();
    assert_eq!(shop.apply(Event::Deploy(Some(JOB))), "make db, make cache");
    assert_eq!(shop.phases(), "web Waiting, api Waiting, db Starting, cache Starting");
}

#[test]
fn undeploying_goes_backwards() {
    let mut shop = Told::deployed();
    assert_eq!(shop.apply(Event::Undeploy(JOB)), "lower web, lower cache");
    assert_eq!(shop.part("cache", Report::Lowered(Ok(()))), "");
    assert_eq!(shop.part("web", Report::Lowered(Ok(()))), "lower api");
    assert_eq!(shop.part("api", Report::Lowered(Err("busy".into()))), "lower db");
    assert_eq!(shop.part("db", Report::Lowered(Ok(()))), "j7 failed: part api: busy");
    assert_eq!(shop.phases(), "web Down, api Failed, db Down, cache Down");
}

#[test]
fn undeploying_ends_a_deployment() {
    let mut shop = shop();
    shop.apply(Event::Deploy(Some(JobId(1))));
    let told = shop.apply(Event::Undeploy(JOB));
    assert_eq!(told, "j1 failed: another act on the stack came after it, lower web, lower cache");
}

#[test]
fn a_cancelled_deployment_leaves_what_is_ready() {
    let mut shop = shop();
    shop.apply(Event::Deploy(Some(JOB)));
    shop.part("cache", Report::Ready);
    assert_eq!(shop.apply(Event::Cancel { job: JobId(1), why: "x".into() }), "", "another job");
    assert_eq!(shop.apply(Event::Cancel { job: JOB, why: "cancelled by ana".into() }), "");
    assert_eq!(shop.phases(), "web Down, api Down, db Down, cache Ready");
}

#[test]
fn what_ends_later_is_started_again_with_growing_pauses_and_then_given_up_for_a_while() {
    let mut shop = Told::deployed();
    shop.at = Duration::from_secs(5);
    let warn = "warn: part db of stack shop ended: exited 1";
    assert_eq!(shop.part("db", Report::Ended("exited 1".into())), format!("{warn}, retry db in 500 ms"));
    assert_eq!(shop.phases(), "web Ready, api Ready, db Backoff, cache Ready");
    assert_eq!(shop.part("db", Report::Retry), "make db");
    for pause in [1000, 2000, 4000] {
        assert_eq!(shop.part("db", Report::Failed("no".into())), format!("retry db in {pause} ms"));
        assert_eq!(shop.part("db", Report::Retry), "make db");
    }
    let given_up = shop.part("db", Report::Failed("no".into()));
    assert_eq!(given_up, "warn: part db of stack shop failed 5 times: no, retry db in 300000 ms");
    assert_eq!(shop.life.parts[2].message, "5 times in a row: no; again in 300 s");
    assert_eq!(shop.part("db", Report::Retry), "make db");
    shop.part("db", Report::Ready);
    shop.at = Duration::from_secs(500);
    assert!(shop.part("db", Report::Ended("exited 1".into())).ends_with("retry db in 500 ms"), "it ran for long");
}

#[test]
fn what_an_operator_stopped_stays_stopped() {
    let mut shop = Told::deployed();
    let run = shop.life.parts[2].run;
    shop.apply(Event::Hold { part: 2, why: "stopped by ana".into() });
    let late = Event::Part { part: 2, run, report: Report::Ended("exited 143".into()) };
    assert_eq!(shop.apply(late), "", "older work no longer counts");
    assert_eq!(shop.phases(), "web Ready, api Ready, db Held, cache Ready");
    assert_eq!(shop.apply(Event::Resume(2)), "take db");
}

#[test]
fn what_runs_since_an_earlier_owner_is_taken_up_and_nothing_else_is_started() {
    let mut shop = shop();
    assert_eq!(shop.apply(Event::Found(vec![(2, There::Runs), (3, There::Runs)])), "take db, take cache");
    assert_eq!(shop.phases(), "web Down, api Down, db Starting, cache Starting");
    shop.part("db", Report::Ready);
    assert_eq!(shop.phases(), "web Down, api Down, db Ready, cache Starting");
}

#[test]
fn what_ended_while_nobody_looked_comes_again_with_what_it_needs() {
    let mut shop = shop();
    let told = shop.apply(Event::Found(vec![(1, There::Ended), (3, There::Done)]));
    assert_eq!(told, "make db", "api ended and needs it; web was never there");
    assert_eq!(shop.phases(), "web Down, api Waiting, db Starting, cache Done");
    assert_eq!(shop.part("db", Report::Ready), "make api");
    assert_eq!(shop.apply(Event::Found(vec![])), "");
}
