//! Makes a failing history smaller: fewer features, workers, tasks and happenings, as long as it breaks the same promise.

use std::collections::BTreeSet;

use super::config::{Config, Options};
use super::features::{Feature, Features};
use super::{History, run};

/// Histories that shrinking may cost.
const MOST_RUNS: u32 = 1_500;

/// The smallest failing history that was found, and how it ends.
#[must_use]
pub fn shrink(failing: &Options) -> (Options, History) {
    let history = run(failing);
    let Some(violation) = history.violation.clone() else {
        return (failing.clone(), history);
    };
    let mut shrinker = Shrinker {
        best: failing.clone(),
        history,
        invariant: violation.invariant,
        runs: 0,
    };
    loop {
        let before = shrinker.best.clone();
        shrinker.events();
        shrinker.tasks();
        shrinker.features();
        shrinker.workers();
        if shrinker.best == before || shrinker.runs >= MOST_RUNS {
            return (shrinker.best, shrinker.history);
        }
    }
}

struct Shrinker {
    best: Options,
    history: History,
    invariant: &'static str,
    runs: u32,
}

impl Shrinker {
    /// Keeps `smaller` if it breaks the same promise.
    fn attempt(&mut self, smaller: Options) -> bool {
        if self.runs >= MOST_RUNS || smaller == self.best {
            return false;
        }
        self.runs += 1;
        let history = run(&smaller);
        let same = history
            .violation
            .as_ref()
            .is_some_and(|violation| violation.invariant == self.invariant);
        if same {
            (self.best, self.history) = (smaller, history);
        }
        same
    }

    fn features(&mut self) {
        for feature in Config::new(&self.best).features.iter().collect::<Vec<Feature>>() {
            let without: Features = self.best.without.iter().chain([feature]).collect();
            self.attempt(Options {
                without,
                ..self.best.clone()
            });
        }
    }

    fn workers(&mut self) {
        let workers = Config::new(&self.best).fleet.workers;
        for fewer in 1..workers {
            if self.attempt(Options {
                workers: Some(fewer),
                ..self.best.clone()
            }) {
                return;
            }
        }
    }

    fn tasks(&mut self) {
        let all = Config::new(&self.best)
            .tasks
            .iter()
            .map(|task| task.index)
            .collect();
        self.fewer(all, |options, tasks| options.tasks = Some(tasks));
    }

    fn events(&mut self) {
        let all = Config::new(&self.best)
            .events
            .iter()
            .map(|event| event.index)
            .collect();
        self.fewer(all, |options, events| options.events = Some(events));
    }

    /// Leaves out ever smaller groups of a list.
    fn fewer(&mut self, mut kept: BTreeSet<usize>, set: impl Fn(&mut Options, BTreeSet<usize>)) {
        let mut group = kept.len();
        while group > 0 {
            let members: Vec<usize> = kept.iter().copied().collect();
            for left_out in members.chunks(group) {
                let fewer: BTreeSet<usize> = kept
                    .iter()
                    .copied()
                    .filter(|index| !left_out.contains(index))
                    .collect();
                let mut smaller = self.best.clone();
                set(&mut smaller, fewer.clone());
                if self.attempt(smaller) {
                    kept = fewer;
                }
            }
            group /= 2;
        }
    }
}
