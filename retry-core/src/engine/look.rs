//! What one part of the store shows of tasks that wait, at one moment.

use std::collections::BTreeMap;
use std::time::Duration;

use super::part::Part;
use crate::clock::Clock as _;
use crate::name::{Kind, Queue};
use crate::store::{QueueInfo, Result, Session};
use crate::time::Timestamp;

#[derive(Debug)]
pub(super) struct Look {
    queues: Vec<QueueInfo>,
    sessions: Vec<Session>,
    now: Timestamp,
}

/// The oldest due task of a queue and kind.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// How long it has been due.
    pub(super) span: Duration,
    /// Whether a live worker runs that kind of that queue.
    pub(super) handled: bool,
}

impl Look {
    pub(super) async fn at(part: &Part) -> Result<Self> {
        let queues = part.call(part.store.queues()).await?;
        let sessions = part.call(part.store.sessions()).await?;
        let now = part.clock.now();
        Ok(Self {
            queues,
            sessions,
            now,
        })
    }

    fn live(&self) -> impl Iterator<Item = &Session> {
        self.sessions.iter().filter(|session| !session.lost)
    }

    pub(super) fn live_sessions(&self) -> usize {
        self.live().count()
    }

    /// How long the oldest due task of each queue has waited.
    pub(super) fn lags(&self) -> BTreeMap<Queue, Duration> {
        let lag = |queue: &QueueInfo| {
            let waits = queue.lanes.iter().map(|(_, due)| self.now.saturating_since(*due));
            (queue.queue.clone(), waits.max().unwrap_or_default())
        };
        self.queues.iter().map(lag).collect()
    }

    /// The heads of the queues that are not paused.
    pub(super) fn heads(&self) -> impl Iterator<Item = (&Queue, &Kind, Head)> {
        self.queues
            .iter()
            .filter(|queue| !queue.paused)
            .flat_map(move |queue| {
                let mut heads = BTreeMap::new();
                for (lane, due) in &queue.lanes {
                    let head = heads.entry(&lane.kind).or_insert(*due);
                    *head = (*head).min(*due);
                }
                let queue = &queue.queue;
                heads.into_iter().map(move |(kind, due)| {
                    let span = self.now.saturating_since(due);
                    let handled = self.is_handled(queue, kind);
                    (queue, kind, Head { span, handled })
                })
            })
    }

    fn is_handled(&self, queue: &Queue, kind: &Kind) -> bool {
        self.live().any(|session| {
            let info = &session.info;
            info.queues.contains(queue) && info.kinds.contains(kind)
        })
    }
}
