//! Looks for a sequential order of overlapping calls that explains their answers, after Wing and Gong.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use retry_core::id::TaskId;
use retry_core::name::Queue;
use retry_core::store::{Applied, Inserted, QueueInfo, Renewed, Session};
use retry_core::task::TaskDetail;
use retry_core::time::Timestamp;

use super::clients::Record;
use super::excuse::Excuse;
use super::order;
use crate::model::call::{Answer, Call};
use crate::model::compare;
use crate::model::reference::Reference;
use crate::verdict::{Failure, Verdict, equal};

/// States examined before the search gives up: more than any right answer has needed, and seconds at most.
const BUDGET: usize = 20_000;

/// How a search ended.
pub(super) enum Found {
    /// What the model holds after a right order.
    Order(Box<Reference>),
    /// No order explains the answers; this is how far the best one came, and why not further.
    None(Vec<usize>, Vec<Failure>),
    /// The budget ran out.
    Unknown,
}

/// Everything that is stored after the last call.
pub(super) struct Stored {
    /// By id.
    pub(super) details: Vec<TaskDetail>,
    pub(super) queues: Vec<QueueInfo>,
    pub(super) sessions: Vec<Session>,
}

/// The search. Calls are bits of a mask, by their place in `records`.
pub(super) struct Search<'a> {
    records: &'a [Record],
    excuses: Vec<Excuse>,
    stored: &'a Stored,
    seen: HashMap<u64, Vec<Reference>>,
    examined: usize,
    best: (Vec<usize>, Vec<Failure>),
}

impl<'a> Search<'a> {
    pub(super) fn new(records: &'a [Record], before: &Reference, stored: &'a Stored) -> Self {
        let parents: BTreeMap<TaskId, TaskId> = before
            .tasks()
            .filter_map(|task| task.parent.map(|parent| (task.id, parent)))
            .collect();
        let excuse = |record| Excuse::of(record, records, &parents);
        Self {
            records,
            excuses: records.iter().map(excuse).collect(),
            stored,
            seen: HashMap::new(),
            examined: 0,
            best: (Vec::new(), Vec::new()),
        }
    }

    pub(super) fn run(mut self, before: &Reference) -> Found {
        let mut order = Vec::new();
        match self.after(0, before, &mut order) {
            Some(model) => Found::Order(Box::new(model)),
            None if self.examined >= BUDGET => Found::Unknown,
            None => Found::None(self.best.0, self.best.1),
        }
    }

    /// Goes on from a model in which the calls of `done` were made, in the order `order`.
    fn after(&mut self, done: u64, model: &Reference, order: &mut Vec<usize>) -> Option<Reference> {
        self.examined += 1;
        if self.examined >= BUDGET {
            return None;
        }
        if order.len() == self.records.len() {
            return match self.fits_what_is_stored(model) {
                Ok(()) => Some(model.clone()),
                Err(failure) => {
                    self.keep_best(order, vec![failure]);
                    None
                }
            };
        }
        let known = self.seen.entry(done).or_default();
        if known.contains(model) {
            return None;
        }
        known.push(model.clone());
        let mut nexts = Vec::new();
        let mut refused = Vec::new();
        for index in self.may_be_next(done) {
            let mut next = model.clone();
            match self.make(index, &mut next) {
                // What changes nothing, wherever it stands, may as well stand here: every order with it later is right too.
                Ok(()) if self.records[index].has_no_effect() => {
                    nexts = vec![(index, next)];
                    break;
                }
                Ok(()) => nexts.push((index, next)),
                Err(failure) => refused.push(failure),
            }
        }
        self.keep_best(order, refused);
        for (index, next) in nexts {
            order.push(index);
            let found = self.after(done | 1 << index, &next, order);
            if found.is_some() {
                return found;
            }
            order.pop();
        }
        None
    }

    fn keep_best(&mut self, order: &[usize], refused: Vec<Failure>) {
        if self.best.1.is_empty() || order.len() > self.best.0.len() {
            self.best = (order.to_vec(), refused);
        }
    }

    /// The calls that no call still to be made had to precede, those that returned first in front.
    fn may_be_next(&self, done: u64) -> Vec<usize> {
        let open = || (0..self.records.len()).filter(|index| done >> index & 1 == 0);
        let first_end = open().map(|index| self.records[index].returned).min();
        let mut next: Vec<usize> = open()
            .filter(|index| first_end.is_some_and(|end| self.records[*index].called <= end))
            .collect();
        next.sort_by_key(|index| self.records[*index].returned);
        next
    }

    /// Makes a call in the model, if its answer is one that may be given now.
    fn make(&self, index: usize, model: &mut Reference) -> Verdict {
        let (record, excuse) = (&self.records[index], &self.excuses[index]);
        let given = match &record.answer {
            Ok(answer) => answer,
            Err(error) => return Err(Failure::call("a call beside others", error)),
        };
        if !excuse.writes {
            let wanted = model.answer(&record.call, record.now);
            return compare::allowed(&record.call, given.clone(), wanted, model, record.now);
        }
        // A call that overlaps a change of a queue's setting may meet either.
        let queues: Vec<&Queue> = excuse.queues.iter().collect();
        let mut first = Ok(());
        for choice in 0..1_u32 << queues.len() {
            let chosen = queues.iter().enumerate().filter(|(at, _)| choice >> at & 1 == 1);
            let toggled: BTreeSet<Queue> = chosen.map(|(_, queue)| (*queue).clone()).collect();
            let mut tried = model.clone();
            toggle(&mut tried, &toggled);
            match beside_others(&record.call, given, excuse, &mut tried, record.now) {
                Ok(()) => {
                    toggle(&mut tried, &toggled);
                    *model = tried;
                    return Ok(());
                }
                Err(failure) if choice == 0 => first = Err(failure),
                Err(_) => {}
            }
        }
        first
    }

    fn fits_what_is_stored(&self, model: &Reference) -> Verdict {
        let details: Vec<&TaskDetail> = model.rows.values().map(|row| &row.detail).collect();
        let stored: Vec<&TaskDetail> = self.stored.details.iter().collect();
        for (stored, wanted) in stored.iter().zip(&details) {
            equal("L6", "a task after concurrent calls", stored, wanted)?;
        }
        equal("L1", "how many tasks are stored", stored.len(), details.len())?;
        // Neither depends on the time.
        let mut now = model.clone();
        for (call, given) in [
            (Call::Queues, Answer::Queues(self.stored.queues.clone())),
            (Call::Sessions, Answer::Sessions(self.stored.sessions.clone())),
        ] {
            let wanted = now.answer(&call, Timestamp::EPOCH);
            compare::allowed(&call, given, wanted, &now, Timestamp::EPOCH)?;
        }
        Ok(())
    }
}

fn toggle(model: &mut Reference, queues: &BTreeSet<Queue>) {
    for queue in queues {
        if !model.paused.remove(queue) {
            model.paused.insert(queue.clone());
        }
    }
}

/// Compares an answer, with the excuses of a call that others overlap.
pub(super) fn beside_others(
    call: &Call,
    given: &Answer,
    excuse: &Excuse,
    model: &mut Reference,
    now: Timestamp,
) -> Verdict {
    match (call, given) {
        (Call::Insert(tasks), Answer::Inserted(given)) => {
            let wanted: Vec<Inserted> = tasks.iter().map(|task| model.insert(task, now)).collect();
            equal(
                "L1",
                "the answers to an insert",
                hidden(given, excuse),
                hidden(&wanted, excuse),
            )
        }
        (Call::Exchange(edits, claims), Answer::Exchanged(given)) => {
            let wanted: Vec<Applied> = edits.iter().map(|edit| model.apply(edit, now)).collect();
            let of = |applied: &[Applied]| -> Vec<Applied> {
                applied.iter().map(|applied| without(applied, excuse)).collect()
            };
            equal("L6", "the answers to the edits", of(&given.applied), of(&wanted))?;
            equal("L3", "the claims answered", given.claimed.len(), claims.len())?;
            let mut answers = claims.iter().zip(&given.claimed);
            answers.try_for_each(|(request, given)| order::claim(model, request, given, excuse, now))
        }
        (call, Answer::Renewed(given)) => {
            // How many it holds may be counted at any moment of the call.
            let wanted = model.answer(call, now);
            let lives = |renewed: &Renewed| *renewed != Renewed::Lost;
            let wanted = matches!(&wanted, Answer::Renewed(wanted) if lives(wanted));
            equal("L9", "whether a session lives", lives(given), wanted)
        }
        (call @ (Call::Mark | Call::Round(_)), Answer::Reported(given)) => {
            let Answer::Reported(wanted) = model.answer(call, now) else {
                unreachable!("the model reports")
            };
            let untouched = |items: &[_]| -> Vec<_> {
                let kept = |(task, _): &&(retry_core::task::Task, _)| !excuse.touches(task.id);
                items.iter().filter(kept).cloned().collect()
            };
            equal("L9", "what is reported", untouched(given), untouched(&wanted))
        }
        // A listing, a count and the lists of queues and sessions are not of one moment.
        (Call::List(..) | Call::Count(_) | Call::Queues | Call::Sessions, _) => Ok(()),
        (call, given) => {
            let wanted = model.answer(call, now);
            compare::allowed(call, given.clone(), wanted, model, now)
        }
    }
}

/// The answers without the states of holders that other calls touch: they are of any moment of the call.
fn hidden(answers: &[Inserted], excuse: &Excuse) -> Vec<(Inserted, bool)> {
    let hide = |answer: &Inserted| match answer {
        Inserted::Duplicate { holder, .. } if excuse.touches(*holder) => {
            (Inserted::Replaced { holder: *holder }, true)
        }
        other => (*other, false),
    };
    answers.iter().map(hide).collect()
}

fn without(applied: &Applied, excuse: &Excuse) -> Applied {
    match applied {
        Applied::Done { inserted, took } => Applied::Done {
            inserted: hidden(inserted, excuse)
                .into_iter()
                .map(|(answer, _)| answer)
                .collect(),
            took: *took,
        },
        other => other.clone(),
    }
}
