//! The suite on a store over three stores in memory: with all tasks on one of them, and with tasks on each. And broken
//! sharded stores, each rejected by the case that is meant to catch it.

use std::process::ExitCode;
use std::sync::Arc;

use conformance_tests::cases::Case;
use conformance_tests::mutants::{MutantHarness, RIGHT};
use conformance_tests::runner::{Unpassed, run_case};
use conformance_tests::sharded::wrong::{MUTANTS, Mutant};
use conformance_tests::sharded::{Sharded, outage};
use conformance_tests::{Harness, trials};
use libtest_mimic::{Arguments, Failed, Trial};

/// Generated histories on the store whose tasks have one slot.
const HISTORIES: u32 = 300;

fn main() -> ExitCode {
    let one_slot = Sharded::one_slot("memory_sharded", parts()).histories(HISTORIES);
    let mut all = trials(Arc::new(one_slot));
    let spread = Arc::new(Sharded::spread("memory_spread", parts()));
    all.extend(outage::trials(&spread));
    all.extend(trials(spread));
    for mutant in MUTANTS {
        let name = format!("a store that {} is rejected by {}", mutant.name, mutant.killer);
        all.push(Trial::test(name, || is_rejected(mutant)));
    }
    libtest_mimic::run(&Arguments::from_args(), all).exit_code()
}

fn parts() -> Vec<Arc<dyn Harness>> {
    (0..3)
        .map(|_| Arc::new(MutantHarness(&RIGHT)) as Arc<dyn Harness>)
        .collect()
}

fn is_rejected(mutant: &Mutant) -> Result<(), Failed> {
    let harness = Arc::new(Sharded::spread("broken", parts()).made_by(mutant.make));
    let verdict = match mutant.killer.strip_prefix("outage::") {
        Some(name) => {
            let case = outage::CASES.iter().find(|case| case.name == name);
            outage::run(&harness, case.ok_or("there is no such case")?)
        }
        None => {
            let harness: Arc<dyn Harness> = harness;
            run_case(
                &harness,
                Case::find(mutant.killer).ok_or("there is no such case")?,
            )
        }
    };
    match verdict {
        Err(Unpassed::Failed(_)) => Ok(()),
        other => Err(Failed::from(format!("the broken store passed: {other:?}"))),
    }
}
