//! The logs of all processes, read back and put in order.

use std::collections::{BTreeMap, HashMap};
use std::ops::RangeInclusive;
use std::time::UNIX_EPOCH;

use anyhow::{Context as _, Result};

use crate::event::{Completed, Event, How, Line};
use crate::place::Place;

/// How many milliseconds the clock of a file system may be behind: a tick of the slowest kernel.
const STAMPS: i64 = 10;

/// What was asked for.
#[derive(Debug, Clone, Default)]
pub(crate) struct Intent {
    pub(crate) kind: String,
    pub(crate) key: Option<String>,
    /// The acknowledgement: the task, and whether it was new.
    pub(crate) answer: Option<(String, bool)>,
    pub(crate) process: String,
    pub(crate) from: i64,
    /// When the answer came, of whatever sort.
    pub(crate) until: Option<i64>,
}

#[derive(Debug, Clone)]
pub(crate) struct Claim {
    pub(crate) at: i64,
    pub(crate) version: u64,
    pub(crate) attempt: u32,
    pub(crate) session: String,
    pub(crate) process: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Edited {
    pub(crate) version: u64,
    pub(crate) nonce: u64,
    pub(crate) raises: bool,
    pub(crate) done: bool,
    pub(crate) stale: bool,
    pub(crate) process: String,
}

#[derive(Debug, Clone)]
pub(crate) struct Ran {
    pub(crate) at: i64,
    pub(crate) version: u64,
    pub(crate) attempt: u32,
    pub(crate) step: u32,
    pub(crate) found: Option<u32>,
    pub(crate) process: String,
    pub(crate) end: Option<End>,
    /// It began when the power had been cut: its claim may be forgotten.
    pub(crate) overtaken: bool,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct End {
    pub(crate) at: i64,
    /// The version by then.
    pub(crate) version: u64,
    pub(crate) how: How,
}

/// What the logs tell of one task.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    pub(crate) claims: Vec<Claim>,
    pub(crate) edits: Vec<Edited>,
    pub(crate) runs: Vec<Ran>,
    /// Acknowledged checkpoints: the version after each, and how far.
    pub(crate) saved: Vec<(u64, u32)>,
    /// The answers to completions, each with its mark.
    pub(crate) completed: Vec<(u64, Completed)>,
}

impl Trace {
    /// The runs whose claim the store must remember.
    pub(crate) fn lasting(&self) -> impl Iterator<Item = &Ran> {
        self.runs.iter().filter(|run| !run.overtaken)
    }
}

/// Everything.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) intents: BTreeMap<u64, Intent>,
    pub(crate) refused: u64,
    /// Answers that came when the power had been cut; they count for nothing.
    pub(crate) overtaken: u64,
    pub(crate) tasks: HashMap<String, Trace>,
    /// Acknowledged leases by session: when, and until when.
    pub(crate) leases: HashMap<String, Vec<(i64, i64)>>,
    pub(crate) lost: u64,
    pub(crate) killed: HashMap<String, i64>,
    /// When a process was stopped.
    pub(crate) stopped: HashMap<String, Vec<i64>>,
    pub(crate) problems: Vec<String>,
}

impl History {
    /// Reads all logs.
    pub(crate) fn read(place: &Place) -> Result<Self> {
        let mut history = Self::default();
        let (mut lines, mut said) = (Vec::new(), Vec::new());
        for entry in std::fs::read_dir(place.logs())? {
            let path = entry?.path();
            let name = path
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            if path.extension().is_some_and(|ending| ending == "err") {
                if !text.trim().is_empty() {
                    let last = path.metadata()?.modified()?.duration_since(UNIX_EPOCH)?;
                    said.push((format!("{name} said: {}", text.trim()), last.as_millis()));
                }
                continue;
            }
            // A kill may have torn the last line.
            let whole = text.rfind('\n').map_or("", |end| &text[..end]);
            for line in whole.lines() {
                let line: Line = serde_json::from_str(line).with_context(|| format!("{name}: {line}"))?;
                lines.push((name.clone(), line));
            }
        }
        let cuts = history.take_all(lines);
        // A process may say what it thinks of a disk that answers with errors; with a real cut it would be gone.
        // The clock that stamps files is some milliseconds behind.
        let stamped = |cut: &RangeInclusive<i64>, at| (cut.start() - STAMPS..=*cut.end()).contains(&at);
        let in_cut = |at: u128| i64::try_from(at).is_ok_and(|at| cuts.iter().any(|cut| stamped(cut, at)));
        let said = said.into_iter().filter(|(_, last)| !in_cut(*last));
        history.problems.extend(said.map(|(what, _)| what));
        Ok(history)
    }

    /// Takes all lines in; answers from when until when the power was cut.
    fn take_all(&mut self, lines: Vec<(String, Line)>) -> Vec<RangeInclusive<i64>> {
        let cuts = lines.iter().filter_map(|(_, line)| match line.event {
            Event::Cut { from } => Some(from..=line.at),
            _ => None,
        });
        let cuts: Vec<_> = cuts.collect();
        for (process, line) in lines {
            // A sync that the cut overtook may have been answered: with a real one there would be nobody to hear it.
            if line.event.is_answer() && cuts.iter().any(|cut| cut.contains(&line.at)) {
                self.overtaken += 1;
            } else {
                self.take(&process, line);
            }
        }
        for trace in self.tasks.values_mut() {
            for run in &mut trace.runs {
                run.overtaken = cuts.iter().any(|cut| cut.contains(&run.at));
            }
            trace.claims.sort_by_key(|claim| claim.version);
            trace.runs.sort_by_key(|run| run.version);
        }
        cuts
    }

    fn of(&mut self, id: String) -> &mut Trace {
        self.tasks.entry(id).or_default()
    }

    fn take(&mut self, process: &str, line: Line) {
        match line.event {
            Event::Intent { .. } | Event::Answer { .. } | Event::Refused { .. } => self.asked(process, line),
            Event::Spawned { .. }
            | Event::Killed { .. }
            | Event::Stopped { .. }
            | Event::Continued { .. } => {
                self.harmed(line);
            }
            Event::Run { .. } | Event::Ended { .. } | Event::Saved { .. } => self.ran(process, line),
            _ => self.stored(process, line),
        }
    }

    /// What an enqueuer wanted and got.
    fn asked(&mut self, process: &str, Line { at, event }: Line) {
        match event {
            Event::Intent { n, kind, key } => {
                let intent = Intent {
                    kind,
                    key,
                    process: process.to_owned(),
                    from: at,
                    ..Intent::default()
                };
                if self.intents.insert(n, intent).is_some() {
                    self.problems
                        .push(format!("number {n} was used twice by the enqueuers"));
                }
            }
            Event::Answer { n, id, new } => {
                let intent = self.intents.entry(n).or_default();
                (intent.answer, intent.until) = (Some((id, new)), Some(at));
            }
            Event::Refused { n, .. } => {
                self.refused += 1;
                self.intents.entry(n).or_default().until = Some(at);
            }
            _ => {}
        }
    }

    /// What was done to a process.
    fn harmed(&mut self, Line { at, event }: Line) {
        match event {
            Event::Killed { process } => {
                self.killed.insert(process, at);
            }
            Event::Stopped { process } => self.stopped.entry(process).or_default().push(at),
            _ => {}
        }
    }

    /// What a handler did.
    fn ran(&mut self, process: &str, Line { at, event }: Line) {
        match event {
            Event::Run {
                id,
                version,
                attempt,
                step,
                found,
            } => self.of(id).runs.push(Ran {
                at,
                version,
                attempt,
                step,
                found,
                process: process.to_owned(),
                end: None,
                overtaken: false,
            }),
            Event::Ended {
                id,
                version,
                now,
                how,
            } => {
                let trace = self.tasks.get_mut(&id);
                let mut runs = trace.map_or(&mut [][..], |trace| &mut trace.runs).iter_mut();
                let begun =
                    |run: &&mut Ran| run.version == version && run.process == process && run.end.is_none();
                if let Some(run) = runs.find(begun) {
                    let version = now;
                    run.end = Some(End { at, version, how });
                }
            }
            Event::Saved {
                id,
                version,
                progress,
            } => self.of(id).saved.push((version, progress)),
            _ => {}
        }
    }

    /// What the store answered.
    fn stored(&mut self, process: &str, Line { at, event }: Line) {
        let process = process.to_owned();
        match event {
            Event::Claim {
                id,
                version,
                attempt,
                session,
                ..
            } => self.of(id).claims.push(Claim {
                at,
                version,
                attempt,
                session,
                process,
            }),
            Event::Edit {
                id,
                version,
                nonce,
                raises,
                done,
                answer,
            } => self.of(id).edits.push(Edited {
                version,
                nonce,
                raises,
                done,
                stale: answer == "Stale" || answer == "Missing",
                process,
            }),
            Event::Lease { session, until } => self.leases.entry(session).or_default().push((at, until)),
            Event::Lost { .. } => self.lost += 1,
            Event::Completed { id, mark, how } => self.of(id).completed.push((mark, how)),
            _ => {}
        }
    }

    /// Until when the session was acknowledged to have its lease, as known at `at`.
    pub(crate) fn lease_end(&self, session: &str, at: i64) -> Option<i64> {
        let leases = self.leases.get(session)?;
        leases
            .iter()
            .filter(|(told, _)| *told <= at)
            .map(|(_, until)| *until)
            .max()
    }

    /// When a run was over: at its end, or when its process was killed.
    pub(crate) fn over(&self, run: &Ran) -> i64 {
        let killed = self.killed.get(&run.process).copied();
        run.end.map(|end| end.at).or(killed).unwrap_or(i64::MAX)
    }
}
