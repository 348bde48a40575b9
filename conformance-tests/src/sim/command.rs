//! The command line of the simulator: words in, a [`Command`] out, and back again for the line that replays a failure.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::config::Options;
use super::features::{Feature, Features};

/// What `--help` prints.
pub const HELP: &str = "\
Simulates clients and workers on a store that fails, one history per seed.

    cargo xtask sim                    100,000 histories from a new place on
    cargo xtask sim --seeds N          N histories
    cargo xtask sim --minutes M        as many as fit
    cargo xtask sim --from S           start at seed S
    cargo xtask sim --seed S           one history
        --trace                        print what happens in it
        --without A,B --workers N --tasks 1,2 --events 1,2
                                       leave out parts of it, as shrinking does
    cargo xtask sim --threads T        that many at once, 2 unless told otherwise
    cargo xtask sim --twice            each history two times; both must have the same trace
    cargo xtask sim --expect NAME      succeed when a history breaks the promise NAME, or any with `any`";

/// What the user asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Print the help.
    Help,
    /// One history.
    One(Options),
    /// Many.
    Many(Campaign),
}

/// Many histories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Campaign {
    /// The first seed.
    pub from: u64,
    /// How many.
    pub seeds: u64,
    /// Or for how long.
    pub minutes: Option<u64>,
    /// How many at once.
    pub threads: usize,
    /// Lives each history two times and compares the traces.
    pub twice: bool,
    /// A failure is what is wanted: the name of the promise, or `any`.
    pub expect: Option<String>,
}

impl Default for Campaign {
    fn default() -> Self {
        Self {
            from: 1,
            seeds: 100_000,
            minutes: None,
            threads: 2,
            twice: false,
            expect: None,
        }
    }
}

/// Reads the words after the program's name.
///
/// # Errors
/// What is not understood.
pub fn parse(words: impl IntoIterator<Item = String>) -> Result<Command, String> {
    let mut words = words.into_iter();
    let (mut options, mut campaign, mut one) = (Options::default(), Campaign::default(), false);
    while let Some(word) = words.next() {
        if matches!(word.as_str(), "--help" | "-h" | "help") {
            return Ok(Command::Help);
        }
        match word.as_str() {
            "--trace" => options.trace = true,
            "--twice" => campaign.twice = true,
            _ => {}
        }
        if matches!(word.as_str(), "--trace" | "--twice") {
            continue;
        }
        let value = words.next().ok_or_else(|| format!("`{word}` needs a value"))?;
        match word.as_str() {
            "--seed" => (options.seed, one) = (number(&value)?, true),
            "--without" => options.without = features(&value)?,
            "--workers" => options.workers = Some(count(&value)?),
            "--tasks" => options.tasks = Some(list(&value)?),
            "--events" => options.events = Some(list(&value)?),
            "--from" => campaign.from = number(&value)?,
            "--seeds" => campaign.seeds = number(&value)?,
            "--minutes" => campaign.minutes = Some(number(&value)?),
            "--threads" => campaign.threads = count(&value)?.max(1),
            "--expect" => campaign.expect = Some(value),
            _ => return Err(format!("the simulator does not know `{word}`")),
        }
    }
    Ok(if one {
        Command::One(options)
    } else {
        Command::Many(campaign)
    })
}

fn number(text: &str) -> Result<u64, String> {
    let parsed = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    parsed.map_err(|_| format!("`{text}` is not a number"))
}

fn count(text: &str) -> Result<usize, String> {
    usize::try_from(number(text)?).map_err(|_| format!("`{text}` is too large"))
}

fn list(text: &str) -> Result<BTreeSet<usize>, String> {
    text.split(',')
        .filter(|part| !part.is_empty() && *part != "none")
        .map(count)
        .collect()
}

fn features(text: &str) -> Result<Features, String> {
    let feature = |name: &str| {
        let found = Feature::ALL
            .iter()
            .copied()
            .find(|feature| feature.name() == name);
        found.ok_or_else(|| format!("there is no feature `{name}`"))
    };
    text.split(',')
        .filter(|part| !part.is_empty())
        .map(feature)
        .collect()
}

/// The kept seeds: each broke a promise once.
///
/// # Errors
/// A line is not understood.
pub fn kept() -> Result<Vec<Options>, String> {
    let lines = include_str!("seeds.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let options = lines.map(|line| match parse(line.split_whitespace().map(str::to_owned))? {
        Command::One(options) => Ok(options),
        _ => Err(format!("`{line}` names no seed")),
    });
    options.collect()
}

/// The words that replay a history.
#[must_use]
pub fn replay(options: &Options) -> String {
    let mut line = format!("cargo xtask sim --seed 0x{:x}", options.seed);
    let joined = |items: Vec<String>| {
        if items.is_empty() {
            "none".to_owned()
        } else {
            items.join(",")
        }
    };
    let indexes = |set: &BTreeSet<usize>| joined(set.iter().map(usize::to_string).collect());
    let without: Vec<String> = options
        .without
        .iter()
        .map(|feature| feature.name().to_owned())
        .collect();
    let mut add = |name: &str, value: Option<String>| {
        if let Some(value) = value {
            // Writing to a string does not fail.
            let _ = write!(line, " --{name} {value}");
        }
    };
    add("without", (!without.is_empty()).then(|| without.join(",")));
    add("workers", options.workers.map(|n| n.to_string()));
    add("tasks", options.tasks.as_ref().map(indexes));
    add("events", options.events.as_ref().map(indexes));
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_replay_line_is_understood() {
        let options = Options {
            seed: 0xabc,
            without: [Feature::Latency, Feature::Crash].into_iter().collect(),
            workers: Some(2),
            tasks: Some(BTreeSet::from([1, 4])),
            events: Some(BTreeSet::new()),
            trace: false,
        };
        let line = replay(&options);
        let words = line.strip_prefix("cargo xtask sim ").unwrap();
        assert_eq!(parsed(words), Ok(Command::One(options)));
    }

    #[test]
    fn mistakes_are_named() {
        for line in ["--seed", "--seed x", "--without nothing", "--fast 1"] {
            assert!(parsed(line).is_err(), "`{line}` must be refused");
        }
    }
}
