//! Hints between processes: `NOTIFY` after commits on a connection of its own, `LISTEN` on another. Both may be lost:
//! polling remains the truth.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use retry_core::name::Queue;
use retry_core::store::Waker;
use sqlx::postgres::{PgListener, PgPoolOptions};
use sqlx::{PgConnection, SqlStr};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::connect::Connector;
use crate::error::Outcome;
use crate::queries::Queries;
use crate::record;
use crate::tx::Tx;
use crate::wait;

/// A queue that was told of is not told of again for this long; what comes meanwhile is told of then.
const QUIET: Duration = Duration::from_millis(5);

/// The pause before a lost connection is opened again.
const RECONNECT: Duration = Duration::from_secs(1);

/// Tells other processes which queues have due tasks.
#[derive(Debug)]
pub(crate) struct Notifier {
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    queues: Mutex<Queues>,
    changed: Notify,
    voice: Arc<Voice>,
}

/// The server's process behind the notifier's connection: this program was woken without its hints, and need not be
/// woken again.
#[derive(Debug, Default)]
pub(crate) struct Voice {
    process: AtomicI32,
}

impl Voice {
    fn is_ours(&self, process: u32) -> bool {
        i32::try_from(process).is_ok_and(|process| process == self.process.load(Ordering::Acquire))
    }
}

#[derive(Debug, Default)]
struct Queues {
    /// To be told of.
    pending: BTreeSet<Queue>,
    /// Told of a moment ago.
    quiet: BTreeSet<Queue>,
}

impl State {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what may be told of now.
    fn take(&self) -> Vec<Queue> {
        let mut queues = self.queues();
        let now: Vec<Queue> = queues.pending.difference(&queues.quiet).cloned().collect();
        for queue in &now {
            queues.pending.remove(queue);
            queues.quiet.insert(queue.clone());
        }
        now
    }

    /// Allows queues to be told of again.
    fn rested(&self, rested: &[Queue]) {
        let mut queues = self.queues();
        for queue in rested {
            queues.quiet.remove(queue);
        }
        drop(queues);
        self.changed.notify_one();
    }
}

impl Notifier {
    /// `begin` begins a transaction.
    pub(crate) fn start(connector: Connector, queries: Arc<Queries>, channel: String, begin: SqlStr) -> Self {
        let state = Arc::new(State::default());
        let speaker = Speaker {
            connector,
            queries,
            channel,
            begin,
        };
        let task = tokio::spawn(speaker.tell(Arc::clone(&state)));
        Self { state, task }
    }

    /// Who is speaking.
    pub(crate) fn voice(&self) -> Arc<Voice> {
        Arc::clone(&self.state.voice)
    }

    /// Tells of queues soon: at once, unless they were told of a moment ago.
    pub(crate) fn tell<'q>(&self, queues: impl IntoIterator<Item = &'q Queue>) {
        self.state.queues().pending.extend(queues.into_iter().cloned());
        self.state.changed.notify_one();
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Sends hints.
struct Speaker {
    connector: Connector,
    queries: Arc<Queries>,
    channel: String,
    begin: SqlStr,
}

impl Speaker {
    async fn tell(self, state: Arc<State>) {
        let mut conn: Option<PgConnection> = None;
        loop {
            state.changed.notified().await;
            let queues = state.take();
            if queues.is_empty() {
                continue;
            }
            if conn.is_none() {
                conn = self.connector.open(&self.queries).await.ok();
            }
            let sent = match &mut conn {
                Some(open) => wait::within(RECONNECT, self.send(open, &queues, &state.voice)).await,
                None => Err(wait::Elapsed),
            };
            if !matches!(sent, Ok(Ok(()))) {
                // Lost hints cost a poll; a server in trouble is not pressed further.
                conn = None;
                wait::pause(RECONNECT).await;
            }
            let state = Arc::clone(&state);
            tokio::spawn(async move {
                wait::pause(QUIET).await;
                state.rested(&queues);
            });
        }
    }

    /// In a transaction, which a pooler sends to one server process as a whole.
    async fn send(&self, conn: &mut PgConnection, queues: &[Queue], voice: &Voice) -> Outcome<()> {
        sqlx::raw_sql(self.begin.clone()).execute(&mut *conn).await?;
        let mut tx = Tx::new(&mut *conn, Arc::clone(&self.queries), false);
        let statement = tx.query(&tx.sql.backend);
        if let Some(Ok(process)) = tx.row(statement).await?.map(|row| record::value(&row, 0)) {
            voice.process.store(process, Ordering::Release);
        }
        let names: Vec<String> = queues.iter().map(|queue| queue.as_str().to_owned()).collect();
        let statement = tx.query(&tx.sql.notify).bind(self.channel.clone()).bind(names);
        tx.rows(statement).await?;
        sqlx::raw_sql("COMMIT").execute(&mut *conn).await?;
        Ok(())
    }
}

/// Listens for the hints of other processes until it is dropped.
#[derive(Debug)]
pub(crate) struct Listener {
    task: JoinHandle<()>,
}

impl Listener {
    pub(crate) fn start(
        connector: &Connector,
        channel: String,
        waker: Arc<Waker>,
        ours: Option<Arc<Voice>>,
    ) -> Self {
        let options = connector.options();
        let task = tokio::spawn(async move {
            // The driver's listener wants a pool; this one never has more than the listener's own connection.
            let pool = PgPoolOptions::new().max_connections(1).connect_lazy_with(options);
            let ours = ours.unwrap_or_default();
            let mut is_first = true;
            loop {
                if let Ok(listener) = PgListener::connect_with(&pool).await {
                    listen(listener, &channel, &waker, &ours, is_first).await;
                    is_first = false;
                }
                wait::pause(RECONNECT).await;
            }
        });
        Self { task }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Wakes watchers until the connection fails.
async fn listen(mut listener: PgListener, channel: &str, waker: &Waker, ours: &Voice, is_first: bool) {
    if listener.listen(channel).await.is_err() {
        return;
    }
    if !is_first {
        // What was told of while nobody listened is lost.
        waker.wake_all();
    }
    loop {
        match listener.try_recv().await {
            Ok(Some(hint)) if ours.is_ours(hint.process_id()) => {}
            Ok(Some(hint)) => {
                if let Ok(queue) = Queue::new(hint.payload()) {
                    waker.wake(&queue);
                }
            }
            // The driver has connected again by itself.
            Ok(None) => waker.wake_all(),
            Err(_) => return,
        }
    }
}
