use super::*;
use proptest::prelude::*;

const START: u64 = 1_700_000_000_000;

fn subject(n: usize) -> Subject {
    Subject::Tenant(format!("t{n}").as_str().into())
}

fn usage(cpu: f32, memory: u64) -> InstanceUsage {
    InstanceUsage { cpu: Some(cpu), memory: Some(memory), ..InstanceUsage::default() }
}

fn at(second: u64) -> Stamp {
    Stamp(START + second * 1000)
}

/// (seconds since the start, cpu)
fn line(history: &UsageHistory) -> Vec<(u64, Option<f32>)> {
    history.points.iter().map(|(at, usage)| ((at.0 - START) / 1000, usage.cpu)).collect()
}

#[test]
fn what_is_looked_at_is_kept_by_the_second_for_a_quarter_of_an_hour() {
    let mut histories = Histories::default();
    for second in 0..2000 {
        histories.record(at(second), &subject(1), &usage(second as f32, 1 << 20), true);
    }
    let history = histories.of(&subject(1));
    let expected: Vec<_> = (1099..2000).map(|s| (s, Some(s as f32))).collect();
    assert_eq!(line(&history), expected);
    assert!(history.reach.starts_with("15 min by 1 s ("), "{}", history.reach);
    assert_eq!(history.points[0].1.memory, Some(1 << 20));
    assert_eq!(histories.of(&subject(2)), UsageHistory::default(), "nothing is known of it");
}

#[test]
fn a_sleep_of_the_machine_is_a_gap() {
    let mut histories = Histories::default();
    for second in [1, 2, 3, 300, 301] {
        histories.record(at(second), &subject(1), &usage(5.0, 1), true);
    }
    let expected = [(1, Some(5.0)), (2, Some(5.0)), (3, Some(5.0)), (299, None), (300, Some(5.0)), (301, Some(5.0))];
    assert_eq!(line(&histories.of(&subject(1))), expected);
    histories.series.get_mut(&subject(1)).unwrap().thin(2);
    let thinned = [(3, Some(5.0)), (299, None), (301, Some(5.0))];
    assert_eq!(line(&histories.of(&subject(1))), thinned, "a mean never reaches over a gap");
}

#[test]
fn what_is_not_looked_at_is_thinned_first_and_the_newest_stays() {
    let mut histories = Histories::with_cap(40 << 10);
    for second in 0..600 {
        histories.record(at(second), &subject(0), &usage(1.0, 1), true);
        for other in 1..4 {
            histories.record(at(second), &subject(other), &usage(1.0, 1), false);
        }
    }
    assert!(histories.of(&subject(0)).reach.starts_with("10 min by 1 s"), "{}", histories.of(&subject(0)).reach);
    let other = histories.of(&subject(1));
    assert!(other.reach.starts_with("10 min by ") && other.points.len() < 400, "{}", other.reach);
    assert_eq!(line(&other).last().unwrap().0, 599);
}

#[test]
fn a_clock_that_is_set_back_begins_anew() {
    let mut histories = Histories::default();
    histories.record(at(500), &subject(1), &usage(1.0, 1), true);
    histories.record(at(499), &subject(1), &usage(2.0, 1), true);
    assert_eq!(line(&histories.of(&subject(1))), [(500, Some(1.0))], "a second is not worth it");
    histories.record(at(100), &subject(1), &usage(3.0, 1), true);
    assert_eq!(line(&histories.of(&subject(1))), [(100, Some(3.0))]);
}

#[test]
fn limits_and_what_is_unknown_come_back_as_they_went_in() {
    let mut histories = Histories::default();
    let sample = InstanceUsage {
        memory_limit: Some(512 << 20),
        cpu_limit: Some(150.0),
        net_in: Some(0),
        pids: Some(3),
        ..InstanceUsage::default()
    };
    histories.record(at(1), &subject(1), &sample, false);
    assert_eq!(histories.of(&subject(1)).points, [(at(1), sample)]);
}

/// (subject, seconds since the last sample, cpu, looked at)
fn samples() -> impl Strategy<Value = Vec<(usize, u64, u16, bool)>> {
    prop::collection::vec(
        (0..12_usize, prop_oneof![9 => 0..20_u64, 1 => 121..400_u64], 0..1600_u16, any::<bool>()),
        0..800,
    )
}

proptest! {
    #[test]
    fn the_cap_holds_whatever_comes(samples in samples(), cap in 4_usize..64) {
        let cap = cap << 10;
        let mut histories = Histories::with_cap(cap);
        let mut second = 0;
        for (who, wait, cpu, looked) in samples {
            second += wait;
            histories.record(at(second), &subject(who), &usage(f32::from(cpu), 1), looked);
            let counted: usize = histories.series.values().map(|s| s.bytes() + SERIES).sum();
            prop_assert_eq!(histories.bytes, counted);
            prop_assert!(counted <= cap);
        }
    }

    #[test]
    fn thinning_keeps_means_and_gaps(samples in samples(), level in 1_usize..3) {
        let mut series = Series::default();
        let mut second = 0;
        for (_, wait, cpu, _) in samples {
            second += wait;
            series.add(second as u32 * SECOND, &usage(f32::from(cpu), 1));
        }
        // Each stretch between two gaps: its begin, its end and its integral.
        let stretches = |series: &Series| {
            let mut out: Vec<(u32, u32, f64)> = Vec::new();
            for p in &series.points {
                let area = f64::from(p.span) * f64::from(p.values[0]);
                match out.last_mut() {
                    Some(last) if last.1 == p.begin() => (last.1, last.2) = (p.end, last.2 + area),
                    _ => out.push((p.begin(), p.end, area)),
                }
            }
            out
        };
        let before = stretches(&series);
        series.thin(level);
        let after = stretches(&series);
        prop_assert_eq!(before.len(), after.len());
        for (a, b) in before.iter().zip(&after) {
            prop_assert_eq!((a.0, a.1), (b.0, b.1));
            prop_assert!((a.2 - b.2).abs() <= 1.0 + a.2 * 1e-4, "{} became {}", a.2, b.2);
        }
        prop_assert!(series.points.iter().all(|p| p.span <= STEPS[level].max(GAP)));
    }
}
