//! Power cuts: the writes of a store are kept, and those that were synced are done again.

use std::collections::BTreeMap;

use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    ClaimRequest, ExpiredRequest, MemoryStore, Page, QueueSetting, SessionInfo, TaskFilter, TaskStore as _,
};
use retry_core::task::{Edit, NewTask};
use retry_core::time::Timestamp;

use super::cover::Sometimes;
use super::fact::Row;
use super::server::{Server, done};
use super::shared::Shared;

/// A write, kept to be done again after a power cut.
#[derive(Debug, Clone)]
pub(super) enum Write {
    Insert(Vec<NewTask>, Timestamp),
    Edit(Box<Edit>, Timestamp),
    Claim(Box<ClaimRequest>, Timestamp),
    Open(Box<SessionInfo>, Timestamp, Timestamp),
    Renew(SessionId, Timestamp, Timestamp),
    Close(SessionId),
    Expired(ExpiredRequest, Timestamp),
    Purge(Timestamp, usize),
    SetQueue(Queue, QueueSetting),
}

impl Server {
    /// All writes so far survive a power cut.
    pub(super) fn sync(&self) {
        let mut state = self.state();
        state.synced = state.log.len();
    }

    /// Loses what was not synced.
    pub(super) fn power_cut(&self, shared: &Shared) {
        let lost;
        let store = {
            let mut state = self.state();
            let synced = state.synced;
            if state.log.len() == synced {
                return;
            }
            lost = state.log.split_off(synced);
            state.store = MemoryStore::with_clock(std::sync::Arc::new(self.clock.clone()));
            let store = state.store.clone();
            for write in &state.log {
                redo(&store, write);
            }
            store
        };
        shared.hit(Sometimes::PowerCut);
        let listed = done(store.list(&TaskFilter::default(), &Page::first(1_000))).unwrap_or_default();
        let now = shared.now();
        shared.facts(|facts| {
            facts.cut_at = Some(now);
            facts.unfenced.extend(lost.iter().flat_map(written));
            let (before, others) = std::mem::take(&mut facts.rows)
                .into_iter()
                .partition(|(_, row)| row.part == self.part);
            facts.rows = others;
            let before: BTreeMap<TaskId, Row> = before;
            for summary in listed.tasks {
                let (id, known) = (summary.task.id, before.get(&summary.task.id));
                let version = summary.task.version;
                let same = known.filter(|row| row.task == summary.task);
                if same.is_none() {
                    facts.unfenced.insert(id);
                }
                let row = Row {
                    part: self.part,
                    script: known.and_then(|row| row.script),
                    claim: known
                        .and_then(|row| row.claim)
                        .filter(|claim| claim.version <= version),
                    // A beat before the cut may have met the row as it is no more.
                    flagged_at: match same {
                        Some(row) => row.flagged_at,
                        None => summary.task.cancel_requested.then_some(now),
                    },
                    task: summary.task,
                };
                facts.rows.insert(id, row);
            }
            let gone: Vec<TaskId> = before
                .into_keys()
                .filter(|id| !facts.rows.contains_key(id))
                .collect();
            facts.unfenced.extend(gone.iter().copied());
            facts.gone.extend(gone);
        });
        drop(self.refresh_sessions(shared));
    }
}

/// The tasks that a write names. Those of claims and purges show by what the store has.
fn written(write: &Write) -> Vec<TaskId> {
    match write {
        Write::Insert(tasks, _) => tasks.iter().map(|task| task.id).collect(),
        Write::Edit(edit, _) => {
            let inserted = edit.insert.iter().map(|task| task.id);
            inserted.chain([edit.id]).collect()
        }
        _ => Vec::new(),
    }
}

fn redo(store: &MemoryStore, write: &Write) {
    // What failed at first fails again, without a trace.
    match write {
        Write::Insert(tasks, now) => drop(done(store.insert(tasks, *now))),
        Write::Edit(edit, now) => drop(done(store.exchange(std::slice::from_ref(edit), &[], *now))),
        Write::Claim(claim, now) => drop(done(store.exchange(&[], std::slice::from_ref(claim), *now))),
        Write::Open(info, until, now) => drop(done(store.open_session(info, *until, *now))),
        Write::Renew(id, until, now) => drop(done(store.renew(*id, *until, *now))),
        Write::Close(id) => drop(done(store.close_session(*id))),
        Write::Expired(request, now) => drop(done(store.expired(request, *now))),
        Write::Purge(now, limit) => drop(done(store.purge(*now, *limit))),
        Write::SetQueue(queue, setting) => drop(done(store.set_queue(queue, *setting))),
    }
}
