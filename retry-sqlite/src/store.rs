//! The store: every call is marshalled to the writer or to a reader, and its answer back.

use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, PoisonError};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed, Page,
    QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError, TaskFilter, TaskStore, Waker,
    Wakeups, check,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;
use rusqlite::{Connection, Savepoint};
use tokio::sync::oneshot;

use crate::apply::Editor;
use crate::calls::lost_answer;
use crate::claim::claim;
use crate::config::{Config, OpenError, SqliteBuilder};
use crate::dropped::Dropped;
use crate::effects::Effects;
use crate::error::{During, Outcome, store_error};
use crate::insert::Inserter;
use crate::job::Desk;
use crate::readers::Readers;
use crate::session_lock::SessionLocks;
use crate::transaction::{Surroundings, TransactionJob};
use crate::writer::Message;
use crate::{aside, connect, count, purge, queues, read, rescue, schema, sessions};

/// A [`TaskStore`] in one SQLite file. Clones share its connections; the last one closes them when it is dropped, which
/// waits for the writes that were sent.
#[derive(Clone)]
pub struct SqliteStore {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) inbox: Option<Sender<Message>>,
    pub(crate) writer: Option<JoinHandle<()>>,
    pub(crate) readers: Option<Readers>,
    pub(crate) waker: Arc<Waker>,
    pub(crate) locks: Arc<SessionLocks>,
    pub(crate) around: Surroundings,
    pub(crate) commits: Arc<AtomicU64>,
    pub(crate) dropped: Dropped,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.readers.take());
        drop(self.inbox.take());
        // A closure may hold the last clone: the writer cannot wait for itself, and ends without being waited for.
        if let Some(writer) = self.writer.take()
            && writer.thread().id() != thread::current().id()
        {
            let _ = writer.join();
        }
    }
}

impl SqliteStore {
    /// Opens the store with the default options, creating the file and its tables if there are none.
    ///
    /// # Errors
    /// The file cannot be used; the message says why and what to do.
    pub fn open(path: impl AsRef<Path>) -> std::result::Result<Self, OpenError> {
        Self::builder(path).build()
    }

    /// Options for a store in the file `path`.
    pub fn builder(path: impl AsRef<Path>) -> SqliteBuilder {
        SqliteBuilder::new(path.as_ref())
    }

    pub(crate) fn of(inner: Inner) -> Self {
        Self {
            inner: Arc::new(inner),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.config.path
    }

    /// A new connection to the store's file, for statements of your own and `in_tx`: it is as durable as the store, and
    /// waits up to five seconds for the write lock, closely enough to get it beside a busy store. Begin what writes with
    /// `BEGIN IMMEDIATE`.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn connection(&self) -> Result<Connection> {
        let config = &self.inner.config;
        let open = || {
            let conn = connect::open(config)?;
            connect::users(&conn, config)?;
            Ok(conn)
        };
        open().map_err(|fault| store_error(fault, During::Open, &config.path))
    }

    /// Forgets a task that a listing reports as bad, with everything that is kept about it; false: there is no such task.
    ///
    /// A bad row blocks nothing, but no edit can remove it: an edit is decided on the record, which cannot be read. A parent
    /// that waits for the task counts it as failed. Save a copy of the file before, if the reason is not known.
    ///
    /// # Errors
    /// [`Invalid`](retry_core::store::StoreErrorKind::Invalid) when the task can be read: nothing is removed. Otherwise as
    /// any write; repeating it is safe.
    pub async fn remove_damaged(&self, id: TaskId) -> Result<bool> {
        let now = self.inner.config.clock.now();
        self.write(0, move |desk| {
            aside::remove(desk.conn, id, now, desk.memo, desk.effects)
        })
        .await
    }

    /// How many times the writer has committed since the store was opened. Writes that arrive together share a commit, so
    /// beside the number of writes it tells how well they group.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner.commits.load(Ordering::Relaxed)
    }

    /// Runs `work` on the writer's connection, in the transaction of a group, and commits what it did: a business write and
    /// the tasks that follow from it are one. Many of them that arrive together share one commit.
    ///
    /// `work` runs its own statements on the savepoint, and enqueues with `.in_tx(savepoint)`. It must be quick: nothing else
    /// is written meanwhile, and after [`TRANSACTION_LIMIT`](crate::TRANSACTION_LIMIT) it is interrupted. It cannot begin or
    /// end a transaction, attach a file, or set a pragma of the connection; savepoints of its own are allowed. Calls of the
    /// store itself from inside `work` are refused.
    ///
    /// # Errors
    /// What `work` answers with `Err` (all it did is rolled back), or a [`StoreError`] when it panicked, took too long, or the
    /// commit failed. When the future is dropped, the work is done completely or not at all.
    pub async fn transaction<T, E, F>(&self, work: F) -> std::result::Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        F: FnOnce(&Savepoint<'_>) -> std::result::Result<T, E> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Box::new(TransactionJob {
            work: Some(work),
            answer: None,
            refused: None,
            reply,
            around: self.inner.around.clone(),
        }))?;
        self.answer(answer)
            .await
            .unwrap_or_else(|| Err(E::from(lost_answer())))
    }

    pub(crate) fn is_writer_thread(&self) -> bool {
        let writer = self.inner.writer.as_ref().map(|writer| writer.thread().id());
        writer == Some(thread::current().id())
    }

    /// Keeps the effects of an insert inside a transaction until it commits.
    pub(crate) fn enlist_effects(&self, effects: Effects) {
        let mut enlisted = self
            .inner
            .around
            .enlisted
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        enlisted.merge(effects);
    }
}

#[async_trait]
impl TaskStore for SqliteStore {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        check::insert(tasks)?;
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let tasks = tasks.to_vec();
        let bytes = tasks.iter().map(NewTask::bytes).sum();
        self.write(bytes, move |desk| {
            Inserter::new(desk.conn, now)?.insert_all(&tasks, desk.memo, desk.effects)
        })
        .await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        check::exchange(edits, claims)?;
        if edits.is_empty() && claims.is_empty() {
            return Ok(Exchanged::default());
        }
        let (edits, claims) = (edits.to_vec(), claims.to_vec());
        let bytes = edits.iter().map(Edit::bytes).sum();
        self.write(bytes, move |Desk { conn, memo, effects }| {
            let mut applied = Vec::with_capacity(edits.len());
            if !edits.is_empty() {
                let mut editor = Editor::new(conn, now, memo, effects)?;
                for edit in &edits {
                    applied.push(editor.apply(edit)?);
                }
                editor.finish()?;
            }
            let claimed = claims
                .iter()
                .map(|request| claim(conn, request, now, memo, effects));
            Ok(Exchanged::new(applied, claimed.collect::<Outcome<_>>()?))
        })
        .await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, _now: Timestamp) -> Result<()> {
        let (info, locks) = (info.clone(), Arc::clone(&self.inner.locks));
        self.write(0, move |desk| sessions::open(desk.conn, &locks, &info, until))
            .await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, _now: Timestamp) -> Result<Renewed> {
        let locks = Arc::clone(&self.inner.locks);
        self.write(0, move |desk| {
            sessions::renew(desk.conn, &locks, session, until, desk.effects)
        })
        .await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.write(0, move |desk| sessions::close(desk.conn, session, desk.effects))
            .await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.read(|conn, _| sessions::list(conn)).await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        check::expired(request)?;
        let (request, locks) = (*request, Arc::clone(&self.inner.locks));
        self.write(0, move |desk| {
            rescue::expired(desk.conn, &locks, &request, now, desk.memo)
        })
        .await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.read(move |conn, memo| read::get(conn, id, memo)).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        check::page(page)?;
        let (filter, page) = (filter.clone(), *page);
        self.read(move |conn, memo| read::list(conn, &filter, &page, memo))
            .await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        let scope = scope.clone();
        self.read(move |conn, memo| count::count(conn, &scope, memo))
            .await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        check::purge(limit)?;
        self.write(0, move |desk| purge::purge(desk.conn, now, limit, desk.effects))
            .await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        let queue = queue.clone();
        self.write(0, move |desk| {
            queues::set(desk.conn, &queue, setting, desk.effects)
        })
        .await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.read(queues::list).await
    }

    async fn time(&self) -> Result<Timestamp> {
        Ok(self.inner.config.clock.now())
    }

    async fn migrate(&self) -> Result<()> {
        let path = self.path().to_owned();
        self.write(0, move |desk| schema::migrate_within(desk.conn, &path))
            .await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        let wakeups = self.inner.waker.watch(queues);
        if let Some(inbox) = &self.inner.inbox {
            // A closed store wakes nobody.
            let _ = inbox.send(Message::Watched);
        }
        wakeups
    }

    fn durability(&self) -> Durability {
        self.inner.config.synchronous.durability()
    }
}
