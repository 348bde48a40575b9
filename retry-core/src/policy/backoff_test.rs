//! The delay sequences: their figures, their bounds, and their behaviour at the far ends.

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn first(backoff: &Backoff, count: u32) -> Vec<u64> {
    (1..=count)
        .map(|failures| {
            let delay = backoff.delay(failures);
            assert_eq!(delay.subsec_nanos(), 0, "a whole second was expected");
            delay.as_secs()
        })
        .collect()
}

/// Sequences at the edges of their parameters, all of them monotone.
fn extremes() -> Vec<Backoff> {
    let mut all = vec![
        Backoff::plain_exponential(Duration::from_millis(1), 2).unwrap(),
        Backoff::plain_exponential(Duration::from_millis(1), u32::MAX).unwrap(),
        Backoff::plain_exponential(Duration::from_millis(1), 1).unwrap(),
        Backoff::exponential(Duration::ZERO, Duration::MAX, u32::MAX).unwrap(),
        Backoff::exponential(Duration::ZERO, Duration::ZERO, 10).unwrap(),
        Backoff::exponential(secs(5), secs(10), 10).unwrap(),
        Backoff::list([Duration::ZERO, SECOND, Duration::MAX]).unwrap(),
        Backoff::custom(|failures| SECOND.saturating_mul(failures)),
    ];
    for delay in [Duration::ZERO, Duration::from_nanos(1), SECOND, Duration::MAX] {
        all.extend([
            Backoff::fixed(delay),
            Backoff::linear(delay),
            Backoff::linear_from_double(delay),
        ]);
    }
    let uncapped = all.clone();
    for cap in [
        Duration::ZERO,
        Duration::from_millis(1),
        secs(3_600),
        Duration::MAX,
    ] {
        all.extend(uncapped.iter().map(|backoff| backoff.clone().cap(cap)));
    }
    all
}

/// Failure counts in rising order, with every edge of the integers involved.
const COUNTS: [u32; 17] = [
    1,
    2,
    3,
    15,
    16,
    17,
    18,
    31,
    32,
    63,
    64,
    65,
    1_000_000,
    i32::MAX as u32,
    1 << 31,
    u32::MAX - 1,
    u32::MAX,
];

#[test]
fn fixed_is_always_the_same() {
    assert_eq!(first(&Backoff::fixed(secs(5)), 4), [5, 5, 5, 5]);
}

#[test]
fn linear_starts_at_the_interval() {
    assert_eq!(first(&Backoff::linear(secs(20)), 4), [20, 40, 60, 80]);
}

#[test]
fn linear_from_double_starts_at_twice_the_interval() {
    assert_eq!(first(&Backoff::linear_from_double(secs(20)), 3), [40, 60, 80]);
}

#[test]
fn exponential_waits_first_then_climbs_by_powers() {
    let backoff = Backoff::exponential(secs(5), secs(10), 10).unwrap();
    assert_eq!(first(&backoff, 5), [5, 100, 1_000, 10_000, 100_000]);
    let beyond = [6, 16, 17, 18, 19, 20, 1 << 31, u32::MAX];
    assert!(
        beyond
            .iter()
            .all(|&failures| backoff.delay(failures) == Backoff::DEFAULT_CAP)
    );
}

#[test]
fn exponential_is_exact_up_to_the_last_power_that_fits() {
    let milli = Duration::from_millis(1);
    let backoff = Backoff::plain_exponential(milli, 2).unwrap().cap(Duration::MAX);
    assert_eq!(backoff.delay(63), Duration::from_millis(1 << 62));
    assert_eq!(backoff.delay(64), Duration::from_millis(1 << 63));
    assert_eq!(backoff.delay(65), Duration::from_millis(u64::MAX));
    let tenfold = Backoff::exponential(milli, milli, 10).unwrap().cap(Duration::MAX);
    assert_eq!(tenfold.delay(17), Duration::from_millis(10_u64.pow(16)));
    assert_eq!(tenfold.delay(20), Duration::from_millis(10_u64.pow(19)));
    assert_eq!(tenfold.delay(21), Duration::from_millis(u64::MAX));
}

#[test]
fn plain_exponential_starts_at_first() {
    assert_eq!(
        first(&Backoff::plain_exponential(SECOND, 2).unwrap(), 6),
        [1, 2, 4, 8, 16, 32]
    );
    assert_eq!(
        first(&Backoff::plain_exponential(secs(3), 1).unwrap(), 3),
        [3, 3, 3]
    );
}

#[test]
fn list_repeats_its_last_delay() {
    let backoff = Backoff::list([secs(1), secs(30), secs(7)]).unwrap();
    assert_eq!(first(&backoff, 5), [1, 30, 7, 7, 7]);
    assert_eq!(backoff.delay(u32::MAX), secs(7));
}

#[test]
fn custom_is_asked_for_each_failure() {
    let backoff = Backoff::custom(|failures| SECOND * failures * failures);
    assert_eq!(first(&backoff, 4), [1, 4, 9, 16]);
}

#[test]
fn custom_is_opaque_in_debug_output() {
    let text = format!("{:?}", Backoff::custom(|_| SECOND));
    assert!(text.contains("Custom(..)"), "{text}");
}

#[test]
fn an_empty_list_is_refused() {
    assert_eq!(Backoff::list([]).unwrap_err(), PolicyError::EmptyList);
}

#[test]
fn a_factor_of_zero_is_refused() {
    assert_eq!(
        Backoff::plain_exponential(SECOND, 0).unwrap_err(),
        PolicyError::ZeroFactor
    );
    assert_eq!(
        Backoff::exponential(SECOND, SECOND, 0).unwrap_err(),
        PolicyError::ZeroFactor
    );
}

#[test]
fn zero_failures_are_read_as_one() {
    for backoff in extremes() {
        assert_eq!(backoff.delay(0), backoff.delay(1), "{backoff:?}");
    }
}

#[test]
fn a_set_cap_bounds_every_delay() {
    for cap in [Duration::ZERO, Duration::from_millis(1), secs(60)] {
        for backoff in extremes() {
            let backoff = backoff.cap(cap);
            assert!(
                COUNTS.iter().all(|&failures| backoff.delay(failures) <= cap),
                "{backoff:?}"
            );
        }
    }
}

#[test]
fn the_default_cap_bounds_growth_but_no_delay_that_was_given() {
    let month = secs(30 * 24 * 3_600);
    assert_eq!(Backoff::linear(SECOND).delay(u32::MAX), Backoff::DEFAULT_CAP);
    assert_eq!(Backoff::custom(move |_| month).delay(1), Backoff::DEFAULT_CAP);
    assert_eq!(Backoff::fixed(month).delay(1), month);
    assert_eq!(Backoff::linear(month).delay(2), month);
    assert_eq!(Backoff::list([month, SECOND]).unwrap().delay(1), month);
    assert_eq!(Backoff::exponential(month, SECOND, 2).unwrap().delay(1), month);
}

#[test]
fn delays_never_go_down() {
    for backoff in extremes() {
        let delays: Vec<Duration> = COUNTS.iter().map(|&failures| backoff.delay(failures)).collect();
        assert!(delays.is_sorted(), "{backoff:?}: {delays:?}");
    }
    let steep = Backoff::exponential(secs(5), secs(10), 10).unwrap();
    assert!((1..10_000).all(|failures| steep.delay(failures) <= steep.delay(failures + 1)));
}

#[test]
fn a_fraction_of_a_millisecond_is_rounded_up() {
    assert_eq!(
        Backoff::fixed(Duration::from_nanos(1)).delay(1),
        Duration::from_millis(1)
    );
    assert_eq!(
        Backoff::fixed(Duration::from_micros(1_500)).delay(1),
        Duration::from_millis(2)
    );
    assert_eq!(
        Backoff::fixed(Duration::from_millis(2)).delay(1),
        Duration::from_millis(2)
    );
    assert_eq!(whole_millis(Duration::MAX), u64::MAX);
}
