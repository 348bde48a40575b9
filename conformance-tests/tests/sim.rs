//! The simulation in the gate: kept seeds, fresh ones, and the promise that a seed decides its trace.

use conformance_tests::sim::campaign::{self, explain};
use conformance_tests::sim::command::{Campaign, kept};
use conformance_tests::sim::run;

#[test]
fn kept_seeds_keep_their_promises() {
    for options in kept().expect("the kept seeds are written as the command line is") {
        if run(&options).violation.is_some() {
            panic!("{}", explain(&options));
        }
    }
}

#[test]
fn a_seed_decides_its_trace() {
    lives(&Campaign {
        from: 0x1_0000,
        seeds: 100,
        twice: true,
        ..Campaign::default()
    });
}

#[test]
fn fresh_seeds_keep_their_promises() {
    lives(&Campaign {
        from: 1,
        seeds: 300,
        ..Campaign::default()
    });
}

fn lives(asked: &Campaign) {
    let summary = campaign::campaign(asked, &|_| {});
    if let Some((options, violation)) = summary.failure {
        panic!(
            "{}: {}\n{}",
            violation.invariant,
            violation.text,
            explain(&options)
        );
    }
    assert_eq!(summary.histories, asked.seeds);
}
