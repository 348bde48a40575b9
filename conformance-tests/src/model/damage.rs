//! Damaged rows in a history: the model forgets them, and every answer is read as if they were not there.

use std::collections::BTreeSet;

use retry_core::id::TaskId;
use retry_core::store::Renewed;
use retry_core::task::Task;

use super::call::{Answer, Call};
use super::concurrent;
use super::history::History;
use super::reference::Reference;
use super::unknown::stands_alone;
use super::world::{World, pick_of};
use crate::verdict::{Verdict, holds};

impl World {
    /// A task whose row may be damaged: nothing else depends on it.
    pub(super) fn damage(&self, pick: u8) -> Option<TaskId> {
        let alone: Vec<&Task> = self.model.tasks().filter(|task| stands_alone(task)).collect();
        pick_of(&alone, pick).map(|task| task.id)
    }

    /// Whether a call names a damaged task: what the store answers then is its own affair.
    pub(super) fn meets_damage(&self, call: &Call) -> bool {
        let inserts = call.inserts().into_iter().map(|task| task.id);
        let mut named = inserts.chain(call.edits().iter().map(|edit| edit.id));
        named.any(|id| self.damaged.contains_key(&id))
    }

    fn damaged(&self, which: impl Fn(&Task) -> bool) -> u64 {
        self.damaged.values().filter(|task| which(task)).count() as u64
    }

    /// The answer without the damaged rows, which may stand in it or not.
    fn beside_damage(&self, call: &Call, given: Answer, wanted: &Answer) -> Answer {
        match (given, wanted) {
            (Answer::Reported(mut items), _) => {
                items.retain(|(task, _)| !self.damaged.contains_key(&task.id));
                Answer::Reported(items)
            }
            (Answer::Listed(mut rows), _) => {
                rows.retain(|row| !self.damaged.contains_key(&row.task.id));
                Answer::Listed(rows)
            }
            (Answer::Purged(n), Answer::Purged(wanted)) => {
                let right = (*wanted..=wanted + self.damaged(|_| true)).contains(&n);
                Answer::Purged(if right { *wanted } else { n })
            }
            (Answer::Renewed(Renewed::Live { mut cancel, held }), Answer::Renewed(wanted)) => {
                cancel.retain(|id| !self.damaged.contains_key(id));
                let more = self.damaged(|task| task.session.is_some());
                let held = match wanted {
                    Renewed::Live { held: wanted, .. } if (*wanted..=wanted + more).contains(&held) => {
                        *wanted
                    }
                    _ => held,
                };
                Answer::Renewed(Renewed::Live { cancel, held })
            }
            (Answer::Counts(mut given), Answer::Counts(wanted)) => {
                for ((queue, state), count) in &mut given {
                    let least = wanted.get(&(queue.clone(), *state)).copied().unwrap_or(0);
                    let most = least + self.damaged(|task| task.queue == *queue);
                    if (least..=most).contains(count) {
                        *count = least;
                    }
                }
                given.retain(|_, count| *count > 0);
                Answer::Counts(given)
            }
            (Answer::Queues(mut given), Answer::Queues(wanted)) => {
                // A damaged row may be the head of a lane; then the lanes of its queue are not compared.
                for info in &mut given {
                    if self.damaged(|task| task.queue == info.queue) > 0 {
                        let same = wanted.iter().find(|wanted| wanted.queue == info.queue);
                        info.lanes = same.map(|same| same.lanes.clone()).unwrap_or_default();
                    }
                }
                Answer::Queues(given)
            }
            (Answer::Exchanged(mut given), Answer::Exchanged(wanted)) => {
                let Call::Exchange(_, claims) = call else {
                    return Answer::Exchanged(given);
                };
                let answers = given.claimed.iter_mut().zip(&wanted.claimed);
                for (claim, (given, wanted)) in claims.iter().zip(answers) {
                    let beside = self.damaged(|task| task.queue == claim.queue) > 0;
                    let sooner = given.next_due.is_some()
                        && wanted.next_due.is_none_or(|next| given.next_due <= Some(next));
                    if beside && sooner {
                        given.next_due = wanted.next_due;
                    }
                }
                Answer::Exchanged(given)
            }
            (given, _) => given,
        }
    }
}

impl History {
    /// Damages a stored row.
    pub(super) async fn damage(&mut self, id: TaskId) {
        if !self.can_damage {
            return;
        }
        self.trail.push(format!("the row of {id} is damaged"));
        self.features.insert("a row is damaged".to_owned());
        self.instance.damage(id).await;
        if let Some(row) = self.world.model.rows.remove(&id) {
            self.world.damaged.insert(id, row.detail.task);
        }
    }

    /// Compares an answer of a store with damaged rows. A claim that met one reports it, once, and may give less.
    pub(super) fn compare_beside_damage(
        &mut self,
        call: &Call,
        given: Answer,
        wanted: Answer,
        before: Option<Reference>,
    ) -> Verdict {
        let now = self.world.now();
        let bad = bad_ids(&given);
        if bad.is_empty() {
            let given = self.world.beside_damage(call, given, &wanted);
            return super::compare::allowed(call, given, wanted, &self.world.model, now);
        }
        self.features.insert("a damaged row is reported".to_owned());
        for id in &bad {
            let right = self.world.damaged.contains_key(id) && self.told.insert(*id);
            holds(
                "L14",
                "a row that a claim reports",
                right,
                id,
                "a damaged one, once",
            )?;
        }
        self.world.model = before.unwrap_or_else(|| self.world.model.clone());
        concurrent::loosely(call, without_bad(given), &mut self.world.model, now)
    }
}

fn bad_ids(answer: &Answer) -> BTreeSet<TaskId> {
    let Answer::Exchanged(answer) = answer else {
        return BTreeSet::new();
    };
    let bad = answer.claimed.iter().flat_map(|claimed| &claimed.bad);
    bad.map(|bad| bad.id).collect()
}

fn without_bad(answer: Answer) -> Answer {
    let Answer::Exchanged(mut answer) = answer else {
        return answer;
    };
    answer.claimed.iter_mut().for_each(|claimed| claimed.bad.clear());
    Answer::Exchanged(answer)
}
