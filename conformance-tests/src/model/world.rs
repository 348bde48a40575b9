//! Resolves operations into calls, against what the model holds at that moment.

use std::collections::BTreeMap;
use std::time::Duration;

use retry_core::clock::{Clock as _, ManualClock};
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{ClaimRequest, Mark, QueueSetting};
use retry_core::task::{Action, Edit, NewTask, State, Task};
use retry_core::time::Timestamp;

use super::call::Call;
use super::op::{ClaimSpec, EditSpec, Fate, NewSpec, Op, Shape};
use super::reference::Reference;
use super::spec;
use crate::fixture::{Names, kind};

/// The state of a running history beside the store.
#[derive(Debug, Default)]
pub(super) struct World {
    pub(super) clock: ManualClock,
    pub(super) model: Reference,
    pub(super) names: Names,
    /// Every session that was ever opened.
    opened: Vec<SessionId>,
    /// Edits that were decided and not sent.
    decided: Vec<Edit>,
    sent: Vec<Edit>,
    pub(super) inserted: Vec<NewTask>,
    /// Tasks whose rows were damaged, as they were before. The model knows them no more.
    pub(super) damaged: BTreeMap<TaskId, Task>,
    /// Milliseconds by which the caller's clock was stepped back.
    back: i64,
    /// Marks of the last full claim of each queue.
    pub(super) marks: Vec<(Queue, Vec<Mark>)>,
}

/// What a history does next.
#[derive(Debug)]
pub(super) enum Step {
    Call(Call),
    /// A call whose outcome stays unknown, and what a client does about it.
    Unknown(Fate, Call),
    /// Purges up to so many.
    PurgeSome(usize),
    /// Marks and reports up to so many.
    MarkSome(usize),
    Pass(Duration),
    Back(Duration),
    Reopen,
    Damage(TaskId),
}

impl World {
    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The steps of an operation; none when nothing fits.
    pub(super) fn resolve(&mut self, op: &Op) -> Vec<Step> {
        let call = match op {
            Op::Insert(specs) => {
                let tasks: Vec<NewTask> = specs.iter().map(|spec| self.new_task(spec)).collect();
                self.inserted.extend(tasks.iter().cloned());
                Some(Call::Insert(tasks))
            }
            Op::InsertAgain(pick) => self.insert_again(*pick),
            Op::Exchange(edits, claims) => {
                let edits: Vec<Edit> = edits.iter().filter_map(|spec| self.edit(spec)).collect();
                let claims = claims.iter().filter_map(|spec| self.claim(spec)).collect();
                Some(self.exchange(edits, claims))
            }
            Op::Decide(spec) => {
                let edit = self.edit(spec);
                self.decided.extend(edit);
                None
            }
            Op::SendDecided(pick) => (!self.decided.is_empty()).then(|| {
                let edit = self.decided.remove(usize::from(*pick) % self.decided.len());
                self.exchange(vec![edit], Vec::new())
            }),
            Op::SendAgain(pick) => {
                pick_of(&self.sent, *pick).map(|edit| Call::Exchange(vec![edit.clone()], Vec::new()))
            }
            Op::Open => {
                let info = self.names.session();
                self.opened.push(info.id);
                Some(Call::Open(info, self.in_seconds(15)))
            }
            Op::OpenAgain(pick) => self.open_again(*pick),
            Op::Renew(pick, by) => self
                .session(*pick)
                .map(|session| Call::Renew(session, self.lease(*by))),
            Op::Close(pick) => self.session(*pick).map(Call::Close),
            Op::Mark => Some(Call::Mark),
            Op::Round(page) => Some(Call::Round(1 + usize::from(*page) % 4)),
            Op::Rescue => return self.rescue(),
            Op::RunChildren(pick, well) => return self.run_children(*pick, *well),
            Op::Read(read) => Some(self.read(read)),
            Op::Purge(false) => Some(Call::Purge),
            Op::Purge(true) => {
                let month = Duration::from_hours(24 * 31);
                return vec![Step::Pass(month), Step::Call(Call::Purge)];
            }
            Op::PurgeSome(limit) => return vec![Step::PurgeSome(1 + usize::from(*limit) % 3)],
            Op::MarkSome(limit) => return vec![Step::MarkSome(1 + usize::from(*limit) % 3)],
            Op::SetQueue(name, pause) => {
                let setting = if *pause {
                    QueueSetting::Pause
                } else {
                    QueueSetting::Resume
                };
                Some(Call::SetQueue(spec::queue(*name), setting))
            }
            Op::Pass(span) => return vec![Step::Pass(spec::span(*span))],
            Op::Back(by) => return vec![Step::Back(Duration::from_secs(u64::from(*by) * 14))],
            Op::Crash => return self.crash(),
            Op::Unknown(fate, op) => return self.unknown(*fate, op),
            Op::Damage(pick) => return self.damage(*pick).map(Step::Damage).into_iter().collect(),
            Op::InsertMany(spec) => Some(self.insert_many(spec)),
            Op::ClaimMany(session) => self.claim_many(*session),
            Op::SettleMany(spec) => Some(self.settle_many(spec)),
        };
        call.filter(|call| !self.meets_damage(call))
            .map(Step::Call)
            .into_iter()
            .collect()
    }

    fn unknown(&mut self, fate: Fate, op: &Op) -> Vec<Step> {
        let steps = self.resolve(op).into_iter();
        steps
            .map(|step| match step {
                Step::Call(call) if call.writes() => Step::Unknown(fate, call),
                other => other,
            })
            .collect()
    }

    /// Steps the caller's clock, and every clock that shares it, back.
    pub(super) fn step_back(&mut self, by: Duration) {
        self.back -= i64::try_from(by.as_millis()).unwrap_or(0);
        self.clock.set_skew(self.back);
    }

    fn in_seconds(&self, seconds: u64) -> Timestamp {
        self.now().saturating_add(Duration::from_secs(seconds))
    }

    /// The end of a lease: soon, or as far away as a time can be.
    fn lease(&self, by: u8) -> Timestamp {
        match by {
            255 => Timestamp::MAX,
            254 => Timestamp::MIN,
            _ => self.in_seconds(u64::from(by) % 20),
        }
    }

    pub(super) fn exchange(&mut self, edits: Vec<Edit>, claims: Vec<ClaimRequest>) -> Call {
        self.sent.extend(edits.iter().cloned());
        Call::Exchange(edits, claims)
    }

    /// Mostly a live session.
    pub(super) fn session(&self, pick: u8) -> Option<SessionId> {
        let all = self.model.sessions.keys().copied();
        let live: Vec<SessionId> = all.filter(|id| self.model.is_live(*id)).collect();
        // Now and then one that is lost, or forgotten.
        let any = live.is_empty() || pick % 8 == 7;
        pick_of(if any { &self.opened } else { &live }, pick / 8).copied()
    }

    pub(super) fn new_task(&mut self, spec: &NewSpec) -> NewTask {
        let ids: Vec<TaskId> = self.model.rows.keys().copied().collect();
        let known = spec.known.and_then(|pick| pick_of(&ids, pick)).copied();
        let leased_by = spec.leased_by.and_then(|pick| self.session(pick));
        let now = self.now();
        let id = known.unwrap_or_else(|| self.names.id(now));
        NewTask {
            leased_by,
            wait_secret: self.names.draw(),
            ..spec::new_task(spec, id, now)
        }
    }

    /// The edit of an event on one of the tasks that the machine allows it for.
    fn edit(&mut self, what: &EditSpec) -> Option<Edit> {
        let now = self.now();
        let random = self.names.draw();
        let all = self.model.tasks();
        let meant: Vec<Task> = all
            .filter(|task| spec::is_among(task.state, what.among))
            .cloned()
            .collect();
        let task = pick_of(&meant, what.pick)?.clone();
        let action = spec::pick_action(&task, what, now, random)?;
        let deletes = matches!(action, Action::Delete { .. });
        if deletes && self.has_children(task.id) {
            return None;
        }
        let mut insert = Vec::new();
        if spec::takes_children(&action) {
            insert = self.children(&task, what);
        }
        // Only the end of an attempt brings follow-ups.
        if task.state == State::Running && matches!(action, Action::Set(_) | Action::Delete { .. }) {
            for spec in &what.follow_ups {
                let plain = NewTask {
                    leased_by: None,
                    ..self.new_task(spec)
                };
                insert.push(plain);
            }
        }
        Some(Edit {
            id: task.id,
            version: task.version + u64::from(what.wrong_version),
            nonce: self.names.nonce(),
            action,
            insert,
        })
    }

    /// One of the events that the machine allows for this task, without inserts.
    pub(super) fn settle(&mut self, task: &Task, what: &EditSpec) -> Option<Edit> {
        let action = spec::pick_action(task, what, self.now(), self.names.draw())?;
        if matches!(action, Action::Delete { .. }) && self.has_children(task.id) {
            return None;
        }
        Some(Edit {
            id: task.id,
            version: task.version,
            nonce: self.names.nonce(),
            action,
            insert: Vec::new(),
        })
    }

    fn children(&mut self, parent: &Task, what: &EditSpec) -> Vec<NewTask> {
        let new = NewSpec::child(what.at);
        (0..u32::from(what.children))
            .map(|index| {
                let id = TaskId::child(parent.id, parent.reruns, parent.step, index);
                self.names.remember(id, "child");
                NewTask {
                    parent: Some(parent.id),
                    wait_secret: self.names.draw(),
                    ..spec::new_task(&new, id, self.now())
                }
            })
            .collect()
    }

    pub(super) fn claim(&self, spec: &ClaimSpec) -> Option<ClaimRequest> {
        let session = self.session(spec.session)?;
        let kinds = spec::KINDS.iter().enumerate();
        let asked = kinds.filter(|(bit, _)| spec.kinds & (1 << bit) != 0);
        let plain = ClaimRequest {
            kinds: asked
                .map(|(_, name)| (kind(name), usize::from(spec.kind_limit)))
                .collect(),
            max_suspects: usize::from(spec.max_suspects),
            ..ClaimRequest::new(session, spec::queue(spec.queue), [], usize::from(spec.limit))
        };
        Some(match &spec.shape {
            Shape::Plain => plain,
            Shape::ByIds(picks) => {
                let ids: Vec<TaskId> = self.model.rows.keys().copied().collect();
                let ids: Vec<TaskId> = picks
                    .iter()
                    .filter_map(|pick| pick_of(&ids, *pick))
                    .copied()
                    .collect();
                // Which of the ids a limit would leave out is the store's choice, so there is none.
                let kinds = plain.kinds.into_iter().map(|(kind, _)| (kind, 9)).collect();
                ClaimRequest {
                    kinds,
                    limit: 9,
                    max_suspects: 9,
                    ids: Some(ids),
                    ..plain
                }
            }
            Shape::Window(from, to) => {
                let due: Vec<Timestamp> = self.model.tasks().map(|task| task.run_at).collect();
                let at = |span: &u8| match span {
                    255 => Timestamp::MAX,
                    254 => Timestamp::MIN,
                    // Exactly where a task is due.
                    128..254 if !due.is_empty() => due[usize::from(*span) % due.len()],
                    _ => self
                        .now()
                        .saturating_sub(Duration::from_secs(u64::from(*span) % 30)),
                };
                ClaimRequest {
                    not_before: from.as_ref().map(at),
                    not_after: to.as_ref().map(at),
                    ..plain
                }
            }
            Shape::BehindMarks => {
                let marks = self.marks.iter().find(|(queue, _)| *queue == plain.queue);
                let after = marks.map(|(_, marks)| marks.clone()).unwrap_or_default();
                ClaimRequest { after, ..plain }
            }
        })
    }

    /// A forgotten parent is not inserted again while children of its first life are stored: nobody would know whose they
    /// are.
    fn insert_again(&self, pick: u8) -> Option<Call> {
        let task = pick_of(&self.inserted, pick)?;
        let forgotten = !self.model.rows.contains_key(&task.id);
        (!(forgotten && self.has_children(task.id))).then(|| Call::Insert(vec![task.clone()]))
    }

    pub(super) fn has_children(&self, parent: TaskId) -> bool {
        self.model.tasks().any(|task| task.parent == Some(parent))
    }

    fn open_again(&self, pick: u8) -> Option<Call> {
        let session = self.session(pick)?;
        let presence = self.model.sessions.get(&session)?;
        // A store may have forgotten a lost session that holds nothing.
        let forgotten = presence.lost && self.model.held_by(session).is_empty();
        (!forgotten).then(|| Call::Open(presence.info.clone(), presence.opened_until))
    }

    /// A crash ends the process, and with it every session. An embedded store may know that by itself, so they are
    /// closed on every store.
    fn crash(&self) -> Vec<Step> {
        let live = self
            .model
            .sessions
            .keys()
            .filter(|session| self.model.is_live(**session));
        let close = live.map(|session| Step::Call(Call::Close(*session)));
        std::iter::once(Step::Reopen).chain(close).collect()
    }
}

pub(super) fn pick_of<T>(all: &[T], pick: u8) -> Option<&T> {
    all.get(usize::from(pick).checked_rem(all.len())?)
}
