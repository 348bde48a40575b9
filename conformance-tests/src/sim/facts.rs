//! Everything that is known about a history so far. Updated by each fact after the invariants have seen it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use retry_core::clock::Monotonic;
use retry_core::id::{SessionId, TaskId};
use retry_core::task::{Action, State};

use super::alerts;
use super::config::{Config, MAX_PARTS};
use super::cover::Coverage;
use super::fact::{Answer, By, Claim, Fact, How, Op, Row, RowStep, Run, Who};
use super::outbox::RowFact;

/// A session, as the store has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct SessionFact {
    pub(super) who: Who,
    pub(super) part: usize,
    pub(super) lost: bool,
}

/// A worker's host.
#[derive(Debug, Clone, Default)]
pub(super) struct HostFact {
    pub(super) life: u32,
    pub(super) up: bool,
    pub(super) stopping: bool,
    pub(super) paused: bool,
    /// It stood still in this life.
    pub(super) paused_once: bool,
    pub(super) started_at: Monotonic,
    pub(super) parts: [PartFact; MAX_PARTS],
    /// Calls of this life that failed or were given up.
    pub(super) failures: u64,
    /// Calls, and things that call for one, in this second and the one before.
    pub(super) calls: Window,
    pub(super) work: Window,
    pub(super) futures: usize,
    /// Enqueues of its program that are under way.
    pub(super) programs: usize,
    /// When it last claimed, started or ended something.
    pub(super) busy_at: Monotonic,
}

/// What a worker knows of one part of the store.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct PartFact {
    /// The session that the worker knows of, until it learns that it is lost.
    pub(super) session: Option<SessionId>,
    /// When the lease ends on the worker's own count.
    pub(super) lease_end: Monotonic,
    /// When the last successful renewal was sent.
    pub(super) renewed: Option<Monotonic>,
    pub(super) last_failed: Option<Monotonic>,
    /// When it asked for the last reading of the store's clock that it has.
    pub(super) clock_read: Option<Monotonic>,
    /// When that was answered.
    pub(super) clock_told: Option<Monotonic>,
    /// When it read the store's clock first after this had stepped.
    pub(super) saw_step: Option<Monotonic>,
    /// The same of a step that is long beyond doubt, seen between two readings.
    pub(super) saw_far_step: Option<Monotonic>,
}

/// A count per virtual second.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Window {
    second: u64,
    now: u64,
    before: u64,
}

impl Window {
    fn add(&mut self, at: Monotonic) {
        let second = at.since_start().as_secs();
        if second != self.second {
            self.before = if second == self.second + 1 { self.now } else { 0 };
            (self.second, self.now) = (second, 0);
        }
        self.now += 1;
    }

    /// What was counted in the second of `at`, and in that and the one before it.
    pub(super) fn counts(self, at: Monotonic) -> (u64, u64) {
        let second = at.since_start().as_secs();
        if second == self.second {
            (self.now, self.now + self.before)
        } else if second == self.second + 1 {
            (0, self.now)
        } else {
            (0, 0)
        }
    }
}

#[derive(Debug)]
pub(super) struct Facts {
    pub(super) config: Config,
    pub(super) now: Monotonic,
    /// The clock of each part of the store.
    pub(super) store_now: [i64; MAX_PARTS],
    /// How far a worker's reading of the store's clock may be ahead of it.
    pub(super) ahead_ms: i64,
    pub(super) rows: BTreeMap<TaskId, Row>,
    pub(super) gone: BTreeSet<TaskId>,
    /// When each stored task changed last.
    pub(super) changed_at: BTreeMap<TaskId, Monotonic>,
    /// The part of the store that has or had each task.
    pub(super) places: BTreeMap<TaskId, usize>,
    pub(super) scripts: BTreeSet<usize>,
    pub(super) sessions: BTreeMap<SessionId, SessionFact>,
    pub(super) hosts: Vec<HostFact>,
    pub(super) runs: Vec<Run>,
    pub(super) runs_of: BTreeMap<(TaskId, u64), Vec<usize>>,
    pub(super) active: Vec<usize>,
    pub(super) starts: BTreeMap<TaskId, u32>,
    pub(super) checkpoints: BTreeSet<(TaskId, u64)>,
    pub(super) acknowledged: BTreeSet<TaskId>,
    pub(super) refused: BTreeSet<usize>,
    /// The task that each script became that a client enqueued.
    pub(super) enqueued: BTreeMap<usize, TaskId>,
    pub(super) completed: BTreeSet<(TaskId, u32, u32)>,
    pub(super) unknown_nonces: BTreeSet<u64>,
    /// Tasks that were inserted as running, and those of them that a worker's program told it to run.
    pub(super) births: BTreeSet<TaskId>,
    pub(super) told_to_run: BTreeSet<TaskId>,
    /// How often the store gave each version of a task to a worker.
    pub(super) claims: BTreeMap<(TaskId, u64), usize>,
    /// Tasks whose versions may come twice: a power cut undid what was acknowledged about them, or they were deleted at
    /// once on success and inserted again by a client that was not told (law 1).
    pub(super) unfenced: BTreeSet<TaskId>,
    /// How often the clock of a part of the store stepped, and when it did last.
    pub(super) steps: u32,
    pub(super) stepped_at: Monotonic,
    /// How far the clock of each part stepped last.
    pub(super) step: [Duration; MAX_PARTS],
    /// When the store lost writes last.
    pub(super) cut_at: Option<Monotonic>,
    /// Whose payload was replaced after a part of its split was stored: what the old one split into stays.
    pub(super) replaced_in_split: BTreeSet<TaskId>,
    /// How often each version of a task was told to have failed.
    pub(super) told: BTreeMap<(TaskId, u64), usize>,
    /// The rows of the outbox, and how often something happened to one.
    pub(super) outbox: BTreeMap<TaskId, RowFact>,
    outbox_steps: u64,
    /// When the opening of each session was first sent. It is sent again as it was, and its lease counts from then.
    openings: BTreeMap<SessionId, Monotonic>,
    pub(super) cover: Coverage,
}

impl Facts {
    pub(super) fn new(config: Config, hosts: usize) -> Self {
        Self {
            now: Monotonic::default(),
            store_now: [0; MAX_PARTS],
            ahead_ms: i64::try_from(config.rates.latency_ms).unwrap_or(0) + 1,
            rows: BTreeMap::new(),
            gone: BTreeSet::new(),
            changed_at: BTreeMap::new(),
            places: BTreeMap::new(),
            scripts: BTreeSet::new(),
            sessions: BTreeMap::new(),
            hosts: vec![HostFact::default(); hosts],
            runs: Vec::new(),
            runs_of: BTreeMap::new(),
            active: Vec::new(),
            starts: BTreeMap::new(),
            checkpoints: BTreeSet::new(),
            acknowledged: BTreeSet::new(),
            refused: BTreeSet::new(),
            enqueued: BTreeMap::new(),
            completed: BTreeSet::new(),
            unknown_nonces: BTreeSet::new(),
            births: BTreeSet::new(),
            told_to_run: BTreeSet::new(),
            claims: BTreeMap::new(),
            unfenced: BTreeSet::new(),
            steps: 0,
            stepped_at: Monotonic::default(),
            step: [Duration::ZERO; MAX_PARTS],
            cut_at: None,
            replaced_in_split: BTreeSet::new(),
            told: BTreeMap::new(),
            outbox: BTreeMap::new(),
            outbox_steps: 0,
            openings: BTreeMap::new(),
            cover: Coverage::default(),
            config,
        }
    }

    pub(super) fn lease(&self) -> Duration {
        Duration::from_millis(self.config.fleet.lease_ms)
    }

    /// Whether a host is a worker's, and this its present life.
    pub(super) fn lives(&self, who: Who) -> bool {
        who.host < self.config.fleet.workers
            && self.hosts[who.host].life == who.life
            && self.hosts[who.host].up
    }

    pub(super) fn is_live_session(&self, id: SessionId) -> bool {
        self.sessions.get(&id).is_some_and(|session| !session.lost)
    }

    /// The part of the store that has or had a task.
    pub(super) fn place(&self, id: TaskId) -> usize {
        self.places.get(&id).copied().unwrap_or(0)
    }

    /// Whether a version of the task is given once.
    pub(super) fn is_fenced(&self, id: TaskId) -> bool {
        !self.unfenced.contains(&id)
    }

    /// How often a version could be run: by its claims, and by its birth.
    pub(super) fn grants_of(&self, id: TaskId, version: u64) -> usize {
        self.claims_of(id, version) + usize::from(version == 1 && self.births.contains(&id))
    }

    /// How often this version was given to a worker.
    pub(super) fn claims_of(&self, id: TaskId, version: u64) -> usize {
        self.claims.get(&(id, version)).copied().unwrap_or(0)
    }

    /// Whether the session under which it started is live.
    pub(super) fn is_live_session_of(&self, run: &Run) -> bool {
        run.session.is_some_and(|session| self.is_live_session(session))
    }

    /// The runs of the task under this claim.
    pub(super) fn runs_under(&self, id: TaskId, version: u64) -> impl Iterator<Item = &Run> {
        self.runs_of
            .get(&(id, version))
            .into_iter()
            .flatten()
            .map(|index| &self.runs[*index])
    }

    /// The runs under this claim that decide its outcome: the last one of the handler, which may have been repeated, and its
    /// fallback. Of a task that was tried before it was born, the try's; also where it was stored as pending, and its worker
    /// claimed it before it learned so, and took that for the birth.
    pub(super) fn deciding_runs(&self, id: TaskId, claim: &Claim) -> Vec<&Run> {
        let version = claim.version;
        let born = version == 1 && self.births.contains(&id) && self.claims_of(id, 1) == 0;
        let unrun = version == 1 && self.runs_under(id, 1).next().is_none();
        let tried = self
            .runs_under(id, 0)
            .filter(|run| born || (unrun && run.tried && claim.who == Some(run.who)));
        let mut runs: Vec<&Run> = tried.chain(self.runs_under(id, version)).collect();
        let last = runs.iter().rposition(|run| !run.fallback).unwrap_or(0);
        runs.drain(..last);
        runs
    }

    /// The runs of the task under the last claim up to this version: checkpoints raise it behind the claim.
    pub(super) fn runs_up_to(&self, id: TaskId, version: u64) -> impl Iterator<Item = &Run> {
        let claims = self.runs_of.range((id, 0)..=(id, version));
        let last = claims.last().map(|(_, runs)| runs);
        last.into_iter().flatten().map(|index| &self.runs[*index])
    }

    pub(super) fn active_runs(&self) -> impl Iterator<Item = &Run> {
        self.active.iter().map(|index| &self.runs[*index])
    }

    /// Takes note of a fact.
    pub(super) fn update(&mut self, fact: &Fact<'_>) {
        match fact {
            Fact::Sent { who, .. } => self.hosts[who.host].calls.add(self.now),
            Fact::Answered {
                who,
                part,
                op,
                sent,
                answer,
                nonces,
                session,
            } => {
                self.answered((*who, *part), *op, *sent, *answer, *session);
                match answer {
                    Answer::Unknown => self.unknown_nonces.extend(nonces.iter()),
                    // The next exchange is a new one that carries the same edits.
                    _ => self.unknown_nonces.retain(|nonce| !nonces.contains(nonce)),
                }
            }
            Fact::Changed { by, before, after } => self.changed(by, *before, *after),
            Fact::Opened { who, part, session } => {
                self.sessions.insert(
                    *session,
                    SessionFact {
                        who: *who,
                        part: *part,
                        lost: false,
                    },
                );
            }
            Fact::Marked { .. } | Fact::Closed { .. } | Fact::Drained => {}
            Fact::Quiet => self.note_cancels(),
            Fact::Started { run } => self.started(run),
            Fact::Ended { run, how } => self.ended(run.index, *how, run.cancelled),
            Fact::Checkpointed { .. } => {}
            Fact::Alerted { alert, .. } => {
                if let Some(task) = alert.task.as_ref().filter(|_| alerts::is_of_failure(alert)) {
                    *self.told.entry((task.id, task.version)).or_default() += 1;
                }
            }
            Fact::Enqueued { id, .. } => {
                self.acknowledged.insert(*id);
            }
            Fact::Refused { script } => {
                self.refused.insert(*script);
            }
            Fact::Outbox { id, step } => self.row_step(*id, *step),
            Fact::Completed { token, reruns } => {
                self.completed.insert((token.task, token.step, *reruns));
            }
        }
    }

    fn row_step(&mut self, id: TaskId, step: RowStep) {
        self.outbox_steps += 1;
        let row = self.outbox.entry(id).or_insert(RowFact {
            written: self.outbox_steps,
            committed: None,
            handed_over: false,
        });
        match step {
            RowStep::Written => {}
            RowStep::Committed => row.committed = Some(self.outbox_steps),
            RowStep::HandedOver(_) => row.handed_over = true,
        }
    }

    /// When the opening of a session was first sent: now, unless it was before.
    pub(super) fn first_opening(&mut self, session: SessionId, now: Monotonic) -> Monotonic {
        *self.openings.entry(session).or_insert(now)
    }

    fn answered(
        &mut self,
        (who, part): (Who, usize),
        op: Op,
        sent: Monotonic,
        answer: Answer,
        session: Option<SessionId>,
    ) {
        let (now, lease, stepped) = (self.now, self.lease(), self.steps > 0 && sent >= self.stepped_at);
        // Two readings are each uncertain by half a delay, and one of a host that stood still counts up to a third of a lease.
        let far = self.steps == 1 && self.step[part] > lease / 3 * 2;
        let host = &mut self.hosts[who.host];
        if host.life != who.life {
            return;
        }
        let known = &mut host.parts[part];
        let watched = matches!(op, Op::Exchange | Op::Open | Op::Renew | Op::Expired | Op::List);
        match (op, answer) {
            (_, Answer::Rejected | Answer::Contended | Answer::Unknown) => {
                host.failures += 1;
                if watched && answer != Answer::Contended {
                    known.last_failed = Some(now);
                }
            }
            // A slow answer is no reading.
            (Op::Time, Answer::Good) if now.saturating_since(sent) <= lease / 3 => {
                if stepped && far && known.clock_told.is_some_and(|told| told < self.stepped_at) {
                    known.saw_far_step.get_or_insert(now);
                }
                (known.clock_read, known.clock_told) = (Some(sent), Some(now));
                if stepped {
                    known.saw_step.get_or_insert(now);
                }
            }
            (Op::Open, Answer::Good) => {
                (known.session, known.lease_end, known.renewed) = (session, sent + lease, None);
            }
            (Op::Renew, Answer::Good) if known.session == session => {
                (known.lease_end, known.renewed) = (sent + lease, Some(sent));
            }
            (Op::Renew | Op::Exchange, Answer::SessionLost) if known.session == session => {
                known.session = None;
            }
            _ => {}
        }
    }

    fn changed(&mut self, by: &By<'_>, before: Option<&Row>, after: Option<&Row>) {
        match (before, after) {
            (_, Some(row)) => {
                if before.is_none() && self.gone.contains(&row.task.id) {
                    self.forget(row.task.id);
                    self.unfenced.insert(row.task.id);
                }
                // A new row that a later task of its call replaced at once carries that one's payload, and is not it.
                let replaced = row.task.version > 0 && row.task.state == State::Pending;
                if let (By::Insert, None, Some(script), false) = (by, before, row.script, replaced) {
                    self.enqueued.entry(script).or_insert(row.task.id);
                }
                let splits = |before: &Row| before.script != row.script && before.task.children.total > 0;
                if before.is_some_and(splits) {
                    self.replaced_in_split.insert(row.task.id);
                }
                if before.is_none() && row.is(State::Running) {
                    self.births.insert(row.task.id);
                }
                if matches!(by, By::Claim) {
                    *self.claims.entry((row.task.id, row.task.version)).or_default() += 1;
                }
                let mut row = row.clone();
                if row.task.cancel_requested && row.flagged_at.is_none() {
                    row.flagged_at = Some(self.now);
                }
                if let (By::Claim, Some(who)) = (by, row.claim.and_then(|claim| claim.who)) {
                    self.hosts[who.host].busy_at = self.now;
                }
                self.changed_at.insert(row.task.id, self.now);
                self.scripts.extend(row.script);
                self.places.insert(row.task.id, row.part);
                self.note_work();
                if let (By::Edit { edit, .. }, Some(State::Running), State::Running) =
                    (by, before.map(|row| row.task.state), row.task.state)
                    && matches!(edit.action, Action::Set(_))
                {
                    self.checkpoints.insert((row.task.id, row.task.version));
                }
                self.rows.insert(row.task.id, row);
            }
            (Some(row), None) => {
                self.note_work();
                self.rows.remove(&row.task.id);
                self.gone.insert(row.task.id);
            }
            (None, None) => {}
        }
    }

    /// A deleted task that a late insert brings back has nothing to do with its first life (law 1).
    fn forget(&mut self, id: TaskId) {
        self.runs_of.retain(|(other, _), _| *other != id);
        self.completed.retain(|(other, _, _)| *other != id);
        self.checkpoints.retain(|(other, _)| *other != id);
        self.told.retain(|(other, _), _| *other != id);
    }

    /// A caller went away before the answer.
    pub(super) fn given_up(&mut self, who: Who) {
        let host = &mut self.hosts[who.host];
        host.failures += u64::from(host.life == who.life);
    }

    /// A change is a reason for every worker to call the store.
    fn note_work(&mut self) {
        let now = self.now;
        self.hosts.iter_mut().for_each(|host| host.work.add(now));
    }

    fn note_cancels(&mut self) {
        let (now, hosts) = (self.now, &self.hosts);
        for index in &self.active {
            let run = &mut self.runs[*index];
            if run.ctx.is_cancelled() && !hosts[run.who.host].paused {
                run.cancelled_at.get_or_insert(now);
            }
        }
    }

    fn started(&mut self, run: &Run) {
        *self.starts.entry(run.id).or_default() += 1;
        self.runs_of
            .entry((run.id, run.version))
            .or_default()
            .push(run.index);
        self.active.push(run.index);
        self.hosts[run.who.host].busy_at = self.now;
        self.runs.push(run.clone());
    }

    fn ended(&mut self, index: usize, how: How, cancelled: bool) {
        self.active.retain(|active| *active != index);
        let run = &mut self.runs[index];
        (run.ended, run.cancelled) = (Some(how), cancelled);
        let now = self.now;
        let host = &mut self.hosts[run.who.host];
        host.work.add(now);
        host.busy_at = now;
    }
}
