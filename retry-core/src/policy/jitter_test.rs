//! Jitter: the range each shape draws from, and how evenly it draws.

use std::time::Duration;

use super::*;

fn doubling() -> Backoff {
    Backoff::plain_exponential(Duration::from_secs(1), 2).unwrap()
}

#[test]
fn ranges_are_those_of_the_source() {
    let backoff = doubling();
    let cases = [
        (Jitter::None, 1, (1_000, 1_000)),
        (Jitter::None, 4, (8_000, 8_000)),
        (Jitter::Full, 1, (0, 1_000)),
        (Jitter::Full, 4, (0, 8_000)),
        (Jitter::Equal, 1, (500, 1_000)),
        (Jitter::Equal, 4, (4_000, 8_000)),
        (Jitter::Decorrelated, 1, (1_000, 3_000)),
        (Jitter::Decorrelated, 2, (1_000, 3_000)),
        (Jitter::Decorrelated, 4, (1_000, 12_000)),
    ];
    for (jitter, failures, range) in cases {
        assert_eq!(
            jitter.range_ms(&backoff, failures),
            range,
            "{jitter:?} after {failures}"
        );
    }
}

#[test]
fn equal_keeps_at_least_half_of_an_odd_delay() {
    let backoff = Backoff::fixed(Duration::from_millis(5));
    assert_eq!(Jitter::Equal.range_ms(&backoff, 1), (3, 5));
}

#[test]
fn decorrelated_keeps_steep_growth_and_follows_a_list_down() {
    let steep = Backoff::exponential(Duration::from_secs(5), Duration::from_secs(10), 10).unwrap();
    assert_eq!(Jitter::Decorrelated.range_ms(&steep, 2), (5_000, 100_000));
    let falling = Backoff::list([Duration::from_secs(10), Duration::from_secs(1)]).unwrap();
    assert_eq!(Jitter::Decorrelated.range_ms(&falling, 2), (1_000, 30_000));
    assert_eq!(Jitter::Decorrelated.range_ms(&falling, 3), (1_000, 3_000));
}

#[test]
fn every_range_is_in_order_at_the_far_ends() {
    let endless = Backoff::linear(Duration::MAX).cap(Duration::MAX);
    for jitter in [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated] {
        for failures in [0, 1, 2, 1 << 31, u32::MAX] {
            let (low, high) = jitter.range_ms(&endless, failures);
            assert!(
                low <= high && high == u64::MAX,
                "{jitter:?} after {failures}: {low}..={high}"
            );
        }
    }
}

#[test]
fn picks_stay_in_range_and_reach_both_ends() {
    for (low, high) in [
        (0, 0),
        (7, 7),
        (0, 1),
        (3, 9),
        (u64::MAX - 3, u64::MAX),
        (u64::MAX, u64::MAX),
    ] {
        let picks: Vec<u64> = (0..1_000).map(|seed| pick(low, high, seed)).collect();
        assert_eq!(picks.iter().min(), Some(&low));
        assert_eq!(picks.iter().max(), Some(&high));
    }
}

#[test]
fn the_whole_range_of_u64_can_be_picked_from() {
    let seeds = [0, 1, u64::MAX / 2, u64::MAX - 1, u64::MAX];
    assert!(
        seeds
            .iter()
            .all(|&seed| pick(0, u64::MAX, seed) == scramble(seed))
    );
}

#[test]
fn scramble_matches_the_published_generator() {
    // The first outputs of SplitMix64 from state 0, of which the nth is the output step on n - 1 increments.
    assert_eq!(scramble(0), 0xE220_A839_7B1D_CDAF);
    assert_eq!(scramble(0x9E37_79B9_7F4A_7C15), 0x6E78_9E6A_A1B9_65F4);
}

#[test]
fn picks_are_even_for_weak_random_numbers_too() {
    // Counters, multiples, and numbers that differ only in their high bits.
    let streams: [fn(u64) -> u64; 3] = [|n| n, |n| n * 1_000, |n| n << 50];
    for stream in streams {
        let mut slices = [0_u32; 10];
        for n in 0..10_000 {
            let slice = usize::try_from(pick(0, 9, stream(n))).unwrap();
            slices[slice] += 1;
        }
        assert!(
            slices.iter().all(|count| (850..=1_150).contains(count)),
            "{slices:?}"
        );
    }
}
