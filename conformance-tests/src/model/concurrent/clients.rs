//! What one client does in a round, and the record of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use retry_core::id::Nonce;
use retry_core::store::{Applied, Inserted, Result, TaskStore};
use retry_core::task::{Action, ClaimedTask, Edit};
use retry_core::time::Timestamp;

use crate::model::call::{Answer, Call};
use crate::model::op::EditSpec;
use crate::model::spec;

/// What a client will do.
#[derive(Debug, Clone)]
pub(super) enum Planned {
    Call(Call),
    /// Makes a claim and settles what it got, with these nonces.
    ClaimAndSettle(Call, Vec<EditSpec>, Vec<Nonce>),
}

/// A call with its answer; `called` and `returned` are places in one count of all beginnings and ends.
#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) client: usize,
    pub(super) call: Call,
    pub(super) now: Timestamp,
    pub(super) called: u64,
    pub(super) returned: u64,
    pub(super) answer: Result<Answer>,
}

impl Record {
    /// Whether neither call had returned when the other began.
    pub(super) const fn overlaps(&self, other: &Self) -> bool {
        self.called < other.returned && other.called < self.returned
    }

    /// Whether its answer says that nothing was written.
    pub(super) fn has_no_effect(&self) -> bool {
        let inserted = |answer: &Inserted| matches!(answer, Inserted::Repeated | Inserted::Duplicate { .. });
        let applied = |answer: &Applied| !matches!(answer, Applied::Done { .. });
        match &self.answer {
            Ok(Answer::Inserted(answers)) => answers.iter().all(inserted),
            Ok(Answer::Exchanged(answer)) => {
                let claimed = answer.claimed.iter().any(|claimed| !claimed.tasks.is_empty());
                answer.applied.iter().all(applied) && !claimed
            }
            _ => !self.call.writes(),
        }
    }

    /// The call with its place in time and its answer.
    pub(super) fn describe(&self) -> String {
        let answer = match &self.answer {
            Ok(answer) => answer.describe(),
            Err(error) => format!("{error:?}"),
        };
        let (client, from, to) = (self.client, self.called, self.returned);
        format!(
            "client {client} [{from}–{to}] at {}: {} → {answer}",
            self.now,
            self.call.describe()
        )
    }
}

/// A client: its handle, its clock, its plan.
pub(super) struct Client {
    pub(super) number: usize,
    pub(super) store: Arc<dyn TaskStore>,
    pub(super) now: Timestamp,
    pub(super) plan: Vec<Planned>,
    pub(super) count: Arc<AtomicU64>,
}

impl Client {
    /// Does everything planned, one call after the other.
    pub(super) async fn work(self) -> Vec<Record> {
        let mut records = Vec::new();
        for planned in &self.plan {
            match planned {
                Planned::Call(call) => records.push(self.call(call.clone()).await),
                Planned::ClaimAndSettle(claim, specs, nonces) => {
                    let record = self.call(claim.clone()).await;
                    let edits = self.settles(&record, specs, nonces);
                    records.push(record);
                    if !edits.is_empty() {
                        records.push(self.call(Call::Exchange(edits, Vec::new())).await);
                    }
                }
            }
        }
        records
    }

    async fn call(&self, call: Call) -> Record {
        let called = self.count.fetch_add(1, Ordering::SeqCst);
        let answer = call.perform_patiently(&*self.store, self.now).await;
        Record {
            client: self.number,
            now: self.now,
            called,
            returned: self.count.fetch_add(1, Ordering::SeqCst),
            answer,
            call,
        }
    }

    fn settles(&self, record: &Record, specs: &[EditSpec], nonces: &[Nonce]) -> Vec<Edit> {
        let Ok(Answer::Exchanged(answer)) = &record.answer else {
            return Vec::new();
        };
        let claimed = answer.claimed.iter().flat_map(|claimed| &claimed.tasks);
        let settle = |(nth, (claimed, nonce)): (usize, (&ClaimedTask, &Nonce))| {
            let (task, spec) = (&claimed.task, specs.get(nth % specs.len().max(1))?);
            let action = spec::pick_action(task, spec, self.now, nonce.get())?;
            // A parent is not forgotten while its children are stored.
            let forgets = matches!(action, Action::Delete { .. }) && task.children.total > 0;
            (!forgets).then(|| Edit {
                id: task.id,
                version: task.version,
                nonce: *nonce,
                action,
                insert: Vec::new(),
            })
        };
        claimed.zip(nonces).enumerate().filter_map(settle).collect()
    }
}
