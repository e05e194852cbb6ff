use super::*;
use proptest::prelude::*;

fn policy() -> RestartPolicy {
    crate::model::server::Settings::default().restart
}

fn at(seconds: u64, policy: &RestartPolicy) -> Now<'_> {
    Now { at: Duration::from_secs(seconds), policy, jitter: 1.0 }
}

fn why() -> String {
    "why".into()
}

/// A life that went through `events`, one a second.
fn after(events: &[Event]) -> (Life, Option<Effect>) {
    let policy = policy();
    let mut life = Life::default();
    let mut last = None;
    for (second, event) in events.iter().enumerate() {
        (life, last) = life.step(event.clone(), at(second as u64, &policy));
    }
    (life, last)
}

#[test]
fn each_event_leads_where_the_table_says() {
    use Event::*;
    let hang = || Hanging(Some("hangs".into()));
    let silent = || Silent(Some("engine local silent".into()));
    let bad = |failures| Probed { failures, reason: why() };
    let cases: Vec<(&str, Vec<Event>, State, Option<Effect>)> = vec![
        ("a call starts a dormant one", vec![Demand], State::Starting, Some(Effect::Create)),
        ("a second call starts nothing", vec![Demand, Demand], State::Starting, None),
        ("it answers", vec![Demand, Opened], State::Ready, None),
        ("idle stops it", vec![Demand, Opened, Idle], State::Stopping, Some(Effect::Stop)),
        ("and it sleeps", vec![Demand, Opened, Idle, Stopped], State::Dormant, None),
        (
            "a call while stopping starts it after",
            vec![Demand, Opened, Idle, Demand, Stopped],
            State::Starting,
            Some(Effect::Create),
        ),
        ("a hold stops it", vec![Demand, Opened, Hold(why())], State::Stopping, Some(Effect::Stop)),
        ("and it stays held", vec![Demand, Opened, Hold(why()), Stopped, Demand], State::Stopped, None),
        ("a hold ends a start", vec![Demand, Hold(why())], State::Stopping, Some(Effect::Stop)),
        ("a late answer of that start is nothing", vec![Demand, Hold(why()), Opened, Stopped], State::Stopped, None),
        ("sleep does not release a hold", vec![Hold(why()), Sleep(why())], State::Stopped, None),
        ("start does", vec![Hold(why()), Start(why())], State::Starting, Some(Effect::Create)),
        ("restart does, too", vec![Hold(why()), Restart(why())], State::Starting, Some(Effect::Create)),
        ("a crash waits", vec![Demand, Opened, Exited(why())], State::Backoff, None),
        (
            "nobody waits: it sleeps",
            vec![Demand, Opened, Exited(why()), RetryDue { waiting: false }],
            State::Dormant,
            None,
        ),
        (
            "somebody waits: it starts",
            vec![Demand, Opened, Exited(why()), RetryDue { waiting: true }],
            State::Starting,
            Some(Effect::Create),
        ),
        (
            "one started by hand comes back",
            vec![Start(why()), Opened, Exited(why()), RetryDue { waiting: false }],
            State::Starting,
            Some(Effect::Create),
        ),
        ("restart stops first", vec![Demand, Opened, Restart(why())], State::Stopping, Some(Effect::Stop)),
        ("and starts then", vec![Demand, Opened, Restart(why()), Stopped], State::Starting, Some(Effect::Create)),
        ("kill is at once", vec![Start(why()), Opened, Kill(why())], State::Stopping, Some(Effect::Kill)),
        ("a killed one rests", vec![Start(why()), Opened, Kill(why()), Stopped], State::Dormant, None),
        (
            "kill of a held one that will not stop",
            vec![Demand, Opened, Hold(why()), Kill(why()), Stopped],
            State::Stopped,
            None,
        ),
        ("a fenced one runs on", vec![Demand, Opened, Fence(why())], State::Fenced, None),
        ("and comes back as it is", vec![Demand, Opened, Fence(why()), hang(), Unfence], State::Degraded, None),
        ("no call starts a fenced one", vec![Fence(why()), Demand], State::Fenced, None),
        ("one failed probe is bad luck", vec![Demand, Opened, bad(1)], State::Ready, None),
        ("two are not", vec![Demand, Opened, bad(2)], State::Degraded, None),
        ("a good one heals", vec![Demand, Opened, bad(2), bad(0)], State::Ready, None),
        ("a hang degrades", vec![Demand, Opened, hang()], State::Degraded, None),
        ("a hang ends", vec![Demand, Opened, hang(), Hanging(None)], State::Ready, None),
        ("doze", vec![Demand, Opened, Doze, Dozed], State::Doze, None),
        ("a call wakes", vec![Demand, Opened, Doze, Dozed, Demand], State::Doze, Some(Effect::Wake)),
        ("and it serves", vec![Demand, Opened, Doze, Dozed, Demand, Woken], State::Ready, None),
        ("a call while it is being paused", vec![Demand, Opened, Doze, Demand, Dozed], State::Doze, Some(Effect::Wake)),
        ("a backend that cannot", vec![Demand, Opened, Doze, DozeFailed(why())], State::Ready, None),
        ("a lost connection", vec![Demand, Opened, Lost(why())], State::Stopping, Some(Effect::Stop)),
        ("is a failure", vec![Demand, Opened, Lost(why()), Stopped], State::Backoff, None),
        (
            "what cannot be stopped is unknown",
            vec![Demand, Opened, Hold(why()), StopFailed(why()), Start(why())],
            State::Unknown,
            None,
        ),
        ("a silent backend", vec![Demand, Opened, silent()], State::Unknown, None),
        ("that answers again", vec![Demand, Opened, silent(), Silent(None)], State::Ready, None),
        ("it died meanwhile", vec![Demand, Opened, silent(), Exited(why()), Silent(None)], State::Dormant, None),
        (
            "a stop that a silent backend did not do follows",
            vec![Demand, Opened, silent(), Sleep(why()), StopFailed(why()), Silent(None)],
            State::Stopping,
            Some(Effect::Stop),
        ),
        (
            "as does the start behind it",
            vec![Demand, Opened, silent(), Lost(why()), StopFailed(why()), Start(why()), Silent(None), Stopped],
            State::Starting,
            Some(Effect::Create),
        ),
        (
            "a start that failed for the backend's sake",
            vec![Start(why()), StartFailed(why()), Silent(None)],
            State::Starting,
            Some(Effect::Create),
        ),
        ("nobody wanted it", vec![Demand, StartFailed(why()), Silent(None)], State::Dormant, None),
        ("it ran since an earlier owner", vec![TakeUp(why())], State::Starting, Some(Effect::Create)),
        ("and was held", vec![Hold(why()), TakeUp(why())], State::Stopped, None),
        ("and was fenced", vec![Fence(why()), TakeUp(why())], State::Fenced, None),
        ("it is started already", vec![Demand, TakeUp(why())], State::Starting, None),
        ("what stands behind a dormant one ends", vec![TakeDown(why())], State::Stopping, Some(Effect::Stop)),
        ("and starts again", vec![TakeDown(why()), Restart(why()), Stopped], State::Starting, Some(Effect::Create)),
        ("a start tells how far it is", vec![Demand, Progress(why())], State::Starting, None),
        (
            "idle twice: paused, then stopped",
            vec![Demand, Opened, Doze, Dozed, Idle],
            State::Stopping,
            Some(Effect::Stop),
        ),
        (
            "a call while a paused one stops",
            vec![Demand, Opened, Doze, Dozed, Idle, Demand, Stopped],
            State::Starting,
            Some(Effect::Create),
        ),
        (
            "a wake that fails",
            vec![Demand, Opened, Doze, Dozed, Demand, WakeFailed(why())],
            State::Stopping,
            Some(Effect::Kill),
        ),
        ("a hold while it is being paused", vec![Demand, Opened, Doze, Hold(why()), Dozed], State::Stopping, None),
        ("an exit while it is paused", vec![Demand, Opened, Doze, Dozed, Exited(why())], State::Backoff, None),
    ];
    for (name, events, state, effect) in cases {
        let (life, last) = after(&events);
        assert_eq!((life.state(), last), (state, effect), "{name}");
    }
}

#[test]
fn five_failures_in_the_window_are_failed_and_one_more_try_follows_on_schedule() {
    let policy = policy();
    let mut life = Life::default();
    let mut now = Duration::ZERO;
    let step = |life: Life, event, now| life.step(event, Now { at: now, policy: &policy, jitter: 0.5 });
    let mut waits = vec![];
    (life, _) = step(life, Event::Demand, now);
    while life.phase == Phase::Starting {
        (life, _) = step(life, Event::StartFailed("no such program".into()), now);
        if let Phase::Backoff { until } = life.phase {
            waits.push((until - now).as_millis());
            now = until;
            (life, _) = step(life, Event::RetryDue { waiting: true }, now);
        }
    }
    assert_eq!(waits, [375, 750, 1500, 3000]);
    assert_eq!((life.state(), life.reason.as_str()), (State::Failed, "no such program"));
    now = life.retry_at().unwrap();
    let (early, effect) = step(life.clone(), Event::RetryDue { waiting: true }, now - Duration::from_millis(1));
    assert_eq!((early.state(), effect), (State::Failed, None), "not before its time");
    (life, _) = step(life, Event::RetryDue { waiting: false }, now);
    assert_eq!(life.state(), State::Starting);
    (life, _) = step(life, Event::StartFailed("still".into()), now);
    assert_eq!(life.state(), State::Failed, "a scheduled try that fails is failed at once");
    (life, _) = step(life, Event::Start("by hand".into()), now);
    (life, _) = step(life, Event::StartFailed("still".into()), now);
    assert_eq!(life.state(), State::Backoff, "a start by hand begins anew");
}

#[test]
fn backoff_is_capped_and_jittered() {
    let policy = policy();
    assert_eq!(backoff(&policy, 1, 0.0), Duration::from_millis(250));
    assert_eq!(backoff(&policy, 1, 1.0), Duration::from_millis(500));
    assert_eq!(backoff(&policy, 40, 1.0), policy.backoff_max);
}

fn events() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => Just(Event::Demand),
        1 => Just(Event::Start(why())),
        1 => Just(Event::Hold(why())),
        1 => Just(Event::Sleep(why())),
        1 => Just(Event::Restart(why())),
        1 => Just(Event::Kill(why())),
        1 => Just(Event::Fence(why())),
        1 => Just(Event::Unfence),
        1 => Just(Event::Idle),
        1 => Just(Event::Doze),
        2 => Just(Event::Exited(why())),
        1 => Just(Event::Lost(why())),
        1 => (0..4u32).prop_map(|failures| Event::Probed { failures, reason: why() }),
        1 => any::<bool>().prop_map(|on| Event::Hanging(on.then(why))),
        2 => any::<bool>().prop_map(|on| Event::Silent(on.then(why))),
        1 => Just(Event::TakeUp(why())),
        1 => Just(Event::Progress(why())),
        2 => any::<bool>().prop_map(|waiting| Event::RetryDue { waiting }),
        // Stands for: whatever is under way ends, well or badly.
        6 => Just(Event::Opened),
        3 => Just(Event::StartFailed(why())),
    ]
}

/// The world outside: what runs and what is under way, as the effects made it.
#[derive(Default)]
struct World {
    exists: bool,
    work: Option<Effect>,
}

impl World {
    /// `Opened` and `StartFailed` stand for the end of the work under way.
    fn translate(&mut self, event: Event) -> Option<Event> {
        let good = event == Event::Opened;
        match event {
            Event::Opened | Event::StartFailed(_) => Some(match (self.work.take()?, good) {
                (Effect::Create, true) => Event::Opened,
                (Effect::Create, false) => {
                    self.exists = false;
                    event
                }
                (Effect::Stop | Effect::Kill, true) => {
                    self.exists = false;
                    Event::Stopped
                }
                (Effect::Stop | Effect::Kill, false) => Event::StopFailed(why()),
                (Effect::Doze, true) => Event::Dozed,
                (Effect::Doze, false) => Event::DozeFailed(why()),
                (Effect::Wake, true) => Event::Woken,
                (Effect::Wake, false) => Event::WakeFailed(why()),
            }),
            Event::Exited(_) => {
                let running = self.exists && self.work.is_none();
                self.exists &= !running;
                running.then_some(event)
            }
            other => Some(other),
        }
    }

    fn carry_out(&mut self, effect: Effect) {
        match effect {
            Effect::Create => {
                assert!(!self.exists && self.work.is_none(), "two creations at once");
                self.exists = true;
            }
            // A stop or kill replaces whatever is under way: the worker ends it first.
            Effect::Stop | Effect::Kill => {}
            Effect::Doze | Effect::Wake => assert!(self.exists && self.work.is_none()),
        }
        self.work = Some(effect);
    }
}

proptest! {
    #[test]
    fn never_two_at_once_and_always_a_way_out(list in prop::collection::vec(events(), 1..200)) {
        let policy = policy();
        let mut life = Life::default();
        let mut world = World::default();
        for (second, event) in list.into_iter().enumerate() {
            let Some(event) = world.translate(event) else { continue };
            let held = life.desired == Desired::Held;
            let fenced = life.fenced;
            let demanded = event == Event::Demand;
            let (next, effect) = life.step(event, at(40 * second as u64, &policy));
            life = next;
            prop_assert!(!(demanded && (held || fenced) && effect.is_some()), "a call may not move what is held or fenced");
            if let Some(effect) = effect {
                world.carry_out(effect);
            }
            // What the machine believes is what is.
            prop_assert_eq!(life.is_live(), world.exists, "{:?}", life);
            let working = matches!(life.phase, Phase::Starting | Phase::Pausing { .. } | Phase::Waking | Phase::Stopping(_));
            prop_assert_eq!(working, world.work.is_some(), "{:?}", life);
            prop_assert!(!life.reason.is_empty());
        }
        // From wherever it is, a start and the good ends of its work bring it into service.
        (life, _) = {
            let (mut l, effect) = life.step(Event::Start(why()), at(1, &policy));
            if let Some(effect) = effect { world.carry_out(effect); }
            for _ in 0..4 {
                if let Some(event) = world.translate(Event::Opened) {
                    let (next, effect) = l.step(event, at(2, &policy));
                    l = next;
                    if let Some(effect) = effect { world.carry_out(effect); }
                }
            }
            l.step(Event::Unfence, at(3, &policy))
        };
        (life, _) = {
            let (mut l, effect) = life.step(Event::Silent(None), at(3, &policy));
            if let Some(effect) = effect { world.carry_out(effect); }
            for _ in 0..2 {
                if let Some(event) = world.translate(Event::Opened) {
                    let (next, effect) = l.step(event, at(3, &policy));
                    l = next;
                    if let Some(effect) = effect { world.carry_out(effect); }
                }
            }
            (l, ())
        };
        (life, _) = life.step(Event::Hanging(None), at(3, &policy));
        (life, _) = life.step(Event::Probed { failures: 0, reason: why() }, at(3, &policy));
        prop_assert_eq!(life.state(), State::Ready);
    }
}
