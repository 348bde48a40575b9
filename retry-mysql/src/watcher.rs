//! Wake-ups across processes: while somebody waits, a look at the newest id now and then. It costs the writers nothing, which a
//! counter of changes would, and it misses what no insert shows, such as a retry in another process: hints may be lost.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use retry_core::id::TaskId;

use crate::args::Args;
use crate::error::Outcome;
use crate::record;
use crate::store::{Inner, MySqlStore};

/// How long a server that does not answer is left alone.
const REST: Duration = Duration::from_secs(1);

/// The newest task that this process inserted and told its workers of.
#[derive(Debug, Default)]
pub(crate) struct Told(Mutex<Option<TaskId>>);

impl Told {
    /// The workers were told of this one.
    pub(crate) fn note(&self, id: Option<TaskId>) {
        let mut newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *newest = id.max(*newest);
    }

    fn newest(&self) -> Option<TaskId> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks until the last handle of the store is gone.
pub(crate) fn start(inner: &Arc<Inner>) {
    if inner.config.poll_interval.is_some() {
        tokio::spawn(watch(Arc::downgrade(inner)));
    }
}

async fn watch(store: Weak<Inner>) {
    let mut newest: Option<Option<TaskId>> = None;
    while let Some(pause) = store.upgrade().and_then(|inner| {
        let interval = inner.config.poll_interval?;
        Some(
            inner
                .config
                .clock
                .sleep_until(inner.config.clock.monotonic() + interval),
        )
    }) {
        pause.await;
        let Some(inner) = store.upgrade() else { return };
        if !inner.waker.is_watched() {
            newest = None;
            continue;
        }
        let Ok(now) = look(Arc::clone(&inner)).await else {
            // A server that does not answer has nothing to tell, and is not to be asked too often.
            newest = None;
            let clock = &inner.config.clock;
            let rest = clock.sleep_until(clock.monotonic() + REST);
            drop(inner);
            rest.await;
            continue;
        };
        // An insert of this process is noted before its caller hears of it, so nobody is told twice.
        let is_news = newest.is_some_and(|newest| now > newest) && now > inner.told.newest();
        if is_news {
            inner.waker.wake_all();
        }
        newest = Some(now);
    }
}

async fn look(inner: Arc<Inner>) -> retry_core::store::Result<Option<TaskId>> {
    let store = MySqlStore { inner };
    let look = store.read(|mut db, _| {
        Box::pin(async move {
            let row = db.row(&db.q.newest, Args::new()).await?;
            let newest: Outcome<_> = Ok(row
                .and_then(|row| record::opt_id(&row, 0).ok().flatten())
                .map(TaskId::from_bytes));
            newest
        })
    });
    look.await
}
