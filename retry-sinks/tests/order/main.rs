//! Order per key as the receiver sees it, over many seeded histories: relays that compete, are killed between any two polls or
//! paused past their leases, on a store and on the way to a broker that both fail in every way.

mod broker;
mod exec;
mod owners;
mod parts;
mod sharded;
mod store;
mod takeover;
mod world;

use world::{Seen, World};

/// Histories of a plain run.
const SEEDS: u64 = 40;

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).map_or(default, |text| text.parse().expect("a number"))
}

/// `RETRY_RELAY_SEED` is the first seed, `RETRY_RELAY_SEEDS` how many are lived.
#[test]
fn first_deliveries_keep_the_order_of_their_key_and_nothing_is_lost() {
    let first = number("RETRY_RELAY_SEED", 0);
    let mut sum = Seen::default();
    for seed in first..first + number("RETRY_RELAY_SEEDS", SEEDS) {
        match World::new(seed).live() {
            Ok(seen) => {
                sum.kills += seen.kills;
                sum.pauses += seen.pauses;
                sum.shutdowns += seen.shutdowns;
                sum.repeated += seen.repeated;
                sum.owners += seen.owners;
                sum.refused += seen.refused;
            }
            Err(why) => panic!("{why}\nrepeat it with RETRY_RELAY_SEED={seed} RETRY_RELAY_SEEDS=1"),
        }
    }
    // The histories are worth something only if these happened.
    let all = [
        sum.kills,
        sum.pauses,
        sum.shutdowns,
        sum.repeated,
        sum.owners,
        sum.refused,
    ];
    assert!(all.iter().all(|count| *count > 0), "{sum:?}");
}
