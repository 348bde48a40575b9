//! Many histories on several threads: progress, coverage, the first failure shrunk to one line.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use retry_core::clock::{Clock as _, SystemClock};

use super::command::{self, Campaign};
use super::config::Options;
use super::cover::Coverage;
use super::{History, Violation, run, shrink};

/// From this many histories on everything that happens sometimes must have happened.
pub const COMPLETE: u64 = 20_000;
/// Histories between two lines of progress.
const STRIDE: u64 = 20_000;

/// How a campaign ended.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Summary {
    /// Histories lived.
    pub histories: u64,
    /// Events in all.
    pub events: u64,
    /// Virtual milliseconds in all.
    pub millis: u64,
    /// What they hit.
    pub coverage: Coverage,
    /// The first failure, as found.
    pub failure: Option<(Options, Violation)>,
}

/// Lives the histories of a campaign until one fails. `say` gets lines of progress.
pub fn campaign(campaign: &Campaign, say: &(dyn Fn(&str) + Sync)) -> Summary {
    let clock = SystemClock::new();
    let limit = campaign
        .minutes
        .map(|minutes| std::time::Duration::from_secs(minutes * 60));
    let begun = clock.monotonic();
    let (next, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let summary = Mutex::new(Summary::default());
    let live = || {
        while !stop.load(Ordering::Relaxed) {
            let nth = next.fetch_add(1, Ordering::Relaxed);
            let elapsed = clock.monotonic().saturating_since(begun);
            let over = limit.map_or(nth >= campaign.seeds, |limit| elapsed >= limit);
            if over {
                return;
            }
            let options = Options {
                seed: campaign.from.wrapping_add(nth),
                ..Options::default()
            };
            let mut history = run(&options);
            if campaign.twice {
                compare(&mut history, &run(&options));
            }
            let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
            if summary.add(&options, history) {
                stop.store(true, Ordering::Relaxed);
            }
            if summary.histories % STRIDE == 0 {
                let rate = u128::from(summary.histories) * 60_000 / elapsed.as_millis().max(1);
                say(&format!("{} histories, {rate} a minute", summary.histories));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..campaign.threads {
            scope.spawn(live);
        }
        live();
    });
    let summary = summary.into_inner().unwrap_or_else(PoisonError::into_inner);
    let seconds = clock.monotonic().saturating_since(begun).as_secs_f64();
    say(&summary.line(seconds));
    say(&summary.faults());
    summary
}

/// The same seed gives the same trace.
fn compare(history: &mut History, again: &History) {
    if history.violation.is_none() && (history.hash, history.events) != (again.hash, again.events) {
        let text = format!("{} events, then {}", history.events, again.events);
        history.violation = Some(Violation {
            invariant: "determinism",
            text,
        });
    }
}

impl Summary {
    /// Adds a history; whether it failed first.
    fn add(&mut self, options: &Options, history: History) -> bool {
        self.histories += 1;
        self.events += history.events;
        self.millis += history.millis;
        self.coverage.add(&history.coverage);
        let first = self.failure.is_none() && history.violation.is_some();
        if first {
            self.failure = history.violation.map(|violation| (options.clone(), violation));
        }
        first
    }

    fn line(&self, seconds: f64) -> String {
        let rate = |n: u64| precise(n) / seconds.max(0.001) * 60.0;
        format!(
            "{} histories ({:.0} a minute), {} events, {:.1} virtual days, in {seconds:.1} s",
            self.histories,
            rate(self.histories),
            self.events,
            precise(self.millis) / 86_400_000.0
        )
    }

    fn faults(&self) -> String {
        let (faults, kinds, pairs) = self.coverage.faults();
        format!(
            "{:.1} faults a history, of {kinds} kinds; {pairs} pairs of a fault and a kind of call",
            precise(faults) / precise(self.histories.max(1))
        )
    }

    /// What should have happened and did not, once there were enough histories.
    #[must_use]
    pub fn uncovered(&self) -> Vec<String> {
        if self.histories < COMPLETE {
            Vec::new()
        } else {
            self.coverage.missing()
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate for people to read")]
const fn precise(n: u64) -> f64 {
    n as f64
}

/// The report of a failure: what broke, and the line that replays the smallest history that breaks it.
#[must_use]
pub fn explain(options: &Options) -> String {
    let (smallest, history) = shrink(options);
    let violation = history.violation.unwrap_or(Violation {
        invariant: "none",
        text: "the history does not fail again".to_owned(),
    });
    format!(
        "{}: {}\n{}",
        violation.invariant,
        violation.text,
        command::replay(&smallest)
    )
}

/// The exit code of a command line.
pub fn main(words: impl IntoIterator<Item = String>, say: &(dyn Fn(&str) + Sync)) -> u8 {
    match command::parse(words) {
        Err(message) => {
            say(&format!("{message}\n\n{}", command::HELP));
            2
        }
        Ok(command::Command::Help) => {
            say(command::HELP);
            0
        }
        Ok(command::Command::One(options)) => one(&options, say),
        Ok(command::Command::Many(asked)) => many(&asked, say),
    }
}

fn one(options: &Options, say: &(dyn Fn(&str) + Sync)) -> u8 {
    let history = run(options);
    history.lines.iter().for_each(|line| say(line));
    say(&format!("{} events, hash {:016x}", history.events, history.hash));
    match history.violation {
        None => 0,
        Some(violation) => {
            say(&format!("{}: {}", violation.invariant, violation.text));
            let narrowed = options.tasks.is_some() || options.events.is_some();
            if !narrowed && !options.trace {
                say(&explain(options));
            }
            1
        }
    }
}

fn many(asked: &Campaign, say: &(dyn Fn(&str) + Sync)) -> u8 {
    let summary = campaign(asked, say);
    match (&asked.expect, &summary.failure) {
        (Some(expected), Some((options, violation))) => {
            let n = summary.histories;
            say(&format!(
                "caught by {} in history {n}, seed 0x{:x}",
                violation.invariant, options.seed
            ));
            u8::from(expected != "any" && expected != violation.invariant)
        }
        (Some(_), None) => {
            say("nothing was caught");
            1
        }
        (None, Some((options, _))) => {
            say(&explain(options));
            1
        }
        (None, None) => {
            let uncovered = summary.uncovered();
            for what in &uncovered {
                say(&format!("never happened: {what}"));
            }
            u8::from(!uncovered.is_empty())
        }
    }
}
