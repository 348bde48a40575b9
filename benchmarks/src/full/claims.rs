//! F and U: what other rows do to the time of one claim.

use anyhow::{Result, ensure};
use retry_core::draft::Draft;
use retry_core::priority::Priority;
use retry_core::time::Timestamp;

use crate::args::Run;
use crate::clock::Stopwatch;
use crate::job::{After, Job};
use crate::place::Place;
use crate::raw::Hand;
use crate::stats::{Sample, Unit, percentile};

/// Claims that are timed.
const CLAIMS: usize = 100;
/// Tasks of one claim, as long as there are any: the second half finds nothing due.
const LIMIT: usize = 10;

/// F: tasks of the future, in all priorities.
pub(super) async fn future(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let later = |number: usize| {
        let draft = Job::draft(number, After::Keep).run_at(Timestamp::MAX);
        draft.priority(Priority::ALL[number % Priority::ALL.len()])
    };
    compare("F", run, n, later).await
}

/// U: tasks of an unregistered kind, due before all others and urgent.
pub(super) async fn unknown(run: &Run, n: usize) -> Result<Vec<Sample>> {
    let first = |number: usize| {
        let draft = Job::unknown(number).run_at(Timestamp::EPOCH);
        draft.priority(Priority::Urgent)
    };
    compare("U", run, n, first).await
}

/// Both stores are asked in turns, so that the machine's mood is the same for both.
async fn compare(name: &str, run: &Run, n: usize, other: impl Fn(usize) -> Draft) -> Result<Vec<Sample>> {
    let (alone, crowded) = (Place::fresh(run).await?, Place::fresh(run).await?);
    let mut hands = [Hand::open(&alone, run).await?, Hand::open(&crowded, run).await?];
    hands[1].insert_all(n, other).await?;
    for hand in &mut hands {
        hand.insert_all(CLAIMS * LIMIT, |number| Job::draft(number, After::Keep))
            .await?;
    }
    let mut samples = Vec::new();
    for (what, expected) in [("full", LIMIT), ("empty", 0)] {
        let mut millis = [Vec::new(), Vec::new()];
        for _ in 0..CLAIMS {
            for (hand, millis) in hands.iter().zip(&mut millis) {
                let watch = Stopwatch::start();
                let claimed = hand.exchange(&[], LIMIT).await?;
                millis.push(watch.elapsed().as_secs_f64() * 1e3);
                ensure!(claimed.len() == expected, "a claim got {} tasks", claimed.len());
            }
        }
        let [without, with] = millis.map(|millis| percentile(&millis, 50));
        let ratio = format!("{name}.{what}");
        samples.push(Sample::new(format!("{ratio}-time"), n, with, Unit::Millis));
        samples.push(Sample::new(ratio, n, with / without, Unit::Ratio));
    }
    Ok(samples)
}
