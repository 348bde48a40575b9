//! The policy as a whole: presets, limits, the next run, and the properties that jitter must keep.

use super::*;

const ALL_JITTER: [Jitter; 4] = [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated];
const COUNTS: [u32; 10] = [0, 1, 2, 3, 17, 64, 1_000_000, 1 << 31, u32::MAX - 1, u32::MAX];
const START: Timestamp = Timestamp::from_millis(1_700_000_000_000);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn after(time: Timestamp, seconds: u64) -> Timestamp {
    time.saturating_add(secs(seconds))
}

fn timetable(policy: &RetryPolicy, retries: u32) -> Vec<u64> {
    policy.timetable(retries).iter().map(Duration::as_secs).collect()
}

/// Policies with every jitter over ordinary and extreme delays, minimum and cap.
fn extremes() -> Vec<RetryPolicy> {
    let backoffs = [
        Backoff::fixed(Duration::ZERO),
        Backoff::fixed(Duration::MAX),
        Backoff::linear(Duration::MAX).cap(Duration::MAX),
        Backoff::plain_exponential(secs(1), 2).unwrap().cap(secs(3_600)),
        Backoff::exponential(secs(5), secs(10), 10).unwrap(),
        Backoff::exponential(secs(1), Duration::MAX, u32::MAX).unwrap(),
        Backoff::list([secs(100), secs(1), secs(10)]).unwrap(),
        Backoff::custom(|failures| secs(u64::from(failures % 7))),
    ];
    let mut all = Vec::new();
    for backoff in backoffs {
        for jitter in ALL_JITTER {
            for min_delay in [Duration::ZERO, Duration::from_nanos(1), secs(3), secs(3_600)] {
                for measured_from in [MeasuredFrom::AttemptStart, MeasuredFrom::AttemptEnd] {
                    let builder = RetryPolicy::builder().backoff(backoff.clone()).jitter(jitter);
                    all.push(
                        builder
                            .min_delay(min_delay)
                            .measured_from(measured_from)
                            .build()
                            .unwrap(),
                    );
                }
            }
        }
    }
    all
}

#[test]
fn presets_have_their_figures() {
    assert_eq!(timetable(&RetryPolicy::linear(secs(20)), 3), [20, 40, 60]);
    assert_eq!(
        timetable(&RetryPolicy::linear_from_double(secs(20)), 3),
        [40, 60, 80]
    );
    assert_eq!(
        timetable(&RetryPolicy::tenfold(), u32::MAX),
        [5, 100, 1_000, 10_000, 100_000]
    );
    assert_eq!(timetable(&RetryPolicy::once(), 3), [0_u64; 0]);
    assert_eq!(RetryPolicy::linear(secs(20)).max_attempts(), None);
    assert_eq!(RetryPolicy::linear_from_double(secs(20)).max_attempts(), None);
    assert_eq!(RetryPolicy::tenfold().max_attempts(), Some(6));
    assert_eq!(RetryPolicy::once().max_attempts(), Some(1));
}

#[test]
fn presets_pass_the_builders_checks_and_are_exact() {
    let presets = [
        RetryPolicy::default(),
        RetryPolicy::once(),
        RetryPolicy::tenfold(),
        RetryPolicy::linear(Duration::MAX),
        RetryPolicy::linear_from_double(Duration::ZERO),
    ];
    assert!(presets.iter().all(|preset| preset.to_builder().build().is_ok()));
    assert!(presets[1..].iter().all(|preset| preset.jitter() == Jitter::None));
}

#[test]
fn the_default_outlasts_a_weekend_and_looks_again_within_the_hour() {
    let policy = RetryPolicy::default();
    assert_eq!(
        timetable(&policy, 13),
        [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1_024, 2_048, 3_600]
    );
    let delays = policy.timetable(u32::MAX);
    assert_eq!(delays.len(), 99);
    assert_eq!(delays.iter().max(), Some(&secs(3_600)));
    assert_eq!(delays.iter().sum::<Duration>(), secs(317_295));
    let random = |failures| u64::from(failures);
    let plan: Duration = (1..100)
        .map(|failures| policy.delay(failures, random(failures)))
        .sum();
    assert!((60..72).contains(&(plan.as_secs() / 3_600)), "{plan:?}");
}

#[test]
fn limits_are_carried() {
    let builder = RetryPolicy::builder()
        .max_attempts(3)
        .give_up_after(secs(172_800));
    let policy = builder.build().unwrap();
    assert_eq!(policy.max_attempts(), Some(3));
    assert_eq!(policy.give_up_after(), Some(secs(172_800)));
    let policy = policy.to_builder().endless().never_give_up().build().unwrap();
    assert_eq!(policy.max_attempts(), None);
    assert_eq!(policy.give_up_after(), None);
    assert_eq!(policy.timetable(1_000).len(), 1_000);
}

#[test]
fn contradictions_are_refused() {
    let build = |builder: RetryPolicyBuilder| builder.build().map(|_| ());
    assert_eq!(
        build(RetryPolicy::builder().max_attempts(0)),
        Err(PolicyError::ZeroAttempts)
    );
    assert_eq!(build(RetryPolicy::builder().max_attempts(1)), Ok(()));
    assert_eq!(build(RetryPolicy::builder().max_attempts(u32::MAX)), Ok(()));
    assert_eq!(
        build(RetryPolicy::builder().give_up_after(Duration::ZERO)),
        Err(PolicyError::ZeroGiveUp)
    );
    assert_eq!(build(RetryPolicy::builder().give_up_after(Duration::MAX)), Ok(()));
    let capped = || RetryPolicy::builder().backoff(Backoff::fixed(secs(1)).cap(secs(10)));
    assert_eq!(build(capped().min_delay(secs(10))), Ok(()));
    let refused = PolicyError::MinDelayAboveCap {
        min_delay: secs(11),
        cap: secs(10),
    };
    assert_eq!(build(capped().min_delay(secs(11))), Err(refused));
    let text = refused.to_string();
    assert!(text.contains("11s") && text.contains("10s"), "{text}");
}

#[test]
fn the_next_run_counts_from_the_end_by_default() {
    let policy = RetryPolicy::linear(secs(20));
    assert_eq!(policy.next_run(1, START, after(START, 7), 0), after(START, 27));
    assert_eq!(policy.next_run(2, START, after(START, 7), 0), after(START, 47));
}

#[test]
fn the_next_run_counts_from_the_start_on_request() {
    let builder = RetryPolicy::linear(secs(20))
        .to_builder()
        .measured_from(MeasuredFrom::AttemptStart);
    let policy = builder.build().unwrap();
    assert_eq!(policy.next_run(1, START, after(START, 7), 0), after(START, 20));
    assert_eq!(policy.next_run(1, START, after(START, 20), 0), after(START, 20));
    // An attempt longer than the delay: at once, and not before its end.
    assert_eq!(policy.next_run(1, START, after(START, 90), 0), after(START, 90));
    let rested = policy.to_builder().min_delay(secs(3)).build().unwrap();
    assert_eq!(rested.next_run(1, START, after(START, 90), 0), after(START, 93));
    assert_eq!(rested.next_run(1, START, after(START, 18), 0), after(START, 21));
}

#[test]
fn a_start_after_the_end_is_read_as_the_end() {
    let builder = RetryPolicy::linear(secs(20))
        .to_builder()
        .measured_from(MeasuredFrom::AttemptStart);
    assert_eq!(
        builder.build().unwrap().next_run(1, after(START, 500), START, 0),
        after(START, 20)
    );
}

#[test]
fn the_next_run_is_never_before_the_minimum_and_saturates() {
    let times = [
        Timestamp::MIN,
        Timestamp::from_millis(-1),
        Timestamp::from_millis(0),
        START,
        Timestamp::MAX,
    ];
    for policy in extremes() {
        for (ended, failures) in times
            .iter()
            .flat_map(|&ended| COUNTS.map(|failures| (ended, failures)))
        {
            for started in [Timestamp::MIN, ended] {
                let next = policy.next_run(failures, started, ended, u64::from(failures));
                let earliest = ended.saturating_add(policy.min_delay());
                let latest = ended.saturating_add(*policy.delay_range(failures).end());
                assert!(
                    earliest <= next && next <= latest,
                    "{policy:?} after {failures}, {ended:?}: {next:?}"
                );
            }
        }
    }
    let forever = RetryPolicy::linear(Duration::MAX);
    assert_eq!(forever.next_run(u32::MAX, START, START, 0), Timestamp::MAX);
}

#[test]
fn delays_stay_within_minimum_and_cap() {
    for policy in extremes() {
        let bounds = policy.min_delay()..=Duration::from_millis(policy.backoff().cap_ms());
        for failures in COUNTS {
            let range = policy.delay_range(failures);
            assert!(
                bounds.contains(range.start()) && bounds.contains(range.end()),
                "{policy:?}: {range:?}"
            );
            for seed in 0..50 {
                let delay = policy.delay(failures, seed);
                assert!(
                    range.contains(&delay),
                    "{policy:?} after {failures} with {seed}: {delay:?}"
                );
            }
        }
    }
}

#[test]
fn without_jitter_delays_never_go_down() {
    let backoff = Backoff::exponential(secs(5), secs(10), 10).unwrap();
    let builder = RetryPolicy::builder()
        .backoff(backoff)
        .jitter(Jitter::None)
        .min_delay(secs(60))
        .endless();
    let policy = builder.build().unwrap();
    let delays = COUNTS.map(|failures| policy.delay(failures, 0));
    assert!(delays.is_sorted(), "{delays:?}");
    assert_eq!(timetable(&policy, 3), [60, 100, 1_000]);
}

#[test]
fn the_same_random_number_gives_the_same_plan() {
    let plan = |seed: u64| -> Vec<Duration> {
        let policy = RetryPolicy::default();
        (1..100).map(|failures| policy.delay(failures, seed)).collect()
    };
    assert_eq!(plan(7), plan(7));
    assert_ne!(plan(7), plan(8));
}

#[test]
fn tasks_that_failed_at_one_instant_come_back_spread() {
    for jitter in [Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        // Without bounds, then with bounds that cut deep into the range of each shape.
        for (min, cap) in [(0, 100_000), (60, 70)] {
            let backoff = Backoff::plain_exponential(secs(10), 2).unwrap().cap(secs(cap));
            let builder = RetryPolicy::builder()
                .backoff(backoff)
                .jitter(jitter)
                .min_delay(secs(min));
            let policy = builder.build().unwrap();
            let range = policy.delay_range(4);
            let earliest = START.saturating_add(*range.start());
            let latest = START.saturating_add(*range.end());
            let instants = latest.as_millis() - earliest.as_millis() + 1;
            let mut slices = [0_u32; 100];
            for seed in 0..1_000 {
                let offset = policy.next_run(4, START, START, seed).as_millis() - earliest.as_millis();
                slices[usize::try_from(offset * 100 / instants).unwrap()] += 1;
            }
            let fullest = slices.iter().max().copied().unwrap();
            assert!(
                fullest <= 50,
                "{jitter:?} within {min}..={cap} s: {fullest} of 1,000 in one slice"
            );
        }
    }
}

#[test]
fn policies_are_shared_between_threads_and_printed() {
    fn check<T: Clone + std::fmt::Debug + Send + Sync + 'static>(_: &T) {}
    let policy = RetryPolicy::builder()
        .backoff(Backoff::custom(|_| secs(1)))
        .build()
        .unwrap();
    check(&policy);
    check(&policy.to_builder());
    check(&PolicyError::EmptyList);
    assert!(format!("{policy:?}").contains("Custom(..)"));
}
