//! The store: every call is marshalled to the writer or to a reader, and its answer back.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::{self, JoinHandle};

use async_trait::async_trait;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed, Page,
    QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, TaskFilter, TaskStore, Waker, Wakeups,
    check,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use crate::apply::Editor;
use crate::calls::with_disk;
use crate::claim::claim;
use crate::config::{Config, OpenError, SledBuilder};
use crate::dropped::Dropped;
use crate::error::{During, Outcome, store_error};
use crate::files::Files;
use crate::group::Group;
use crate::insert::insert;
use crate::job::{Desk, Job};
use crate::read::Listing;
use crate::readers::Readers;
use crate::sessions::Orphans;
use crate::writer::Writer;
use crate::{count, purge, queues, read, rescue, sessions};

/// A [`TaskStore`] in one directory. Clones share it; the last one closes it when it is dropped, which waits for the
/// writes that were sent.
#[derive(Clone)]
pub struct SledStore {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) inbox: Option<Sender<Box<dyn Job>>>,
    writer: Option<JoinHandle<()>>,
    pub(crate) readers: Option<Readers>,
    pub(crate) files: Arc<Files>,
    waker: Arc<Waker>,
    commits: Arc<AtomicU64>,
    pub(crate) dropped: Dropped,
}

impl fmt::Debug for SledStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SledStore")
            .field("path", &self.path())
            .finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        drop(self.readers.take());
        drop(self.inbox.take());
        if let Some(writer) = self.writer.take() {
            // It never panics: it catches what its writes do.
            let _ = writer.join();
        }
    }
}

impl SledStore {
    /// Opens the store with the default options, creating the directory if there is none.
    ///
    /// # Errors
    /// The directory cannot be used; the message says why and what to do.
    pub fn open(path: impl AsRef<Path>) -> std::result::Result<Self, OpenError> {
        Self::builder(path).build()
    }

    /// Options for a store in the directory `path`.
    pub fn builder(path: impl AsRef<Path>) -> SledBuilder {
        SledBuilder::new(path.as_ref())
    }

    /// Opens the files and starts the threads.
    pub(crate) fn start(config: Config) -> std::result::Result<Self, OpenError> {
        let files = Files::open(&config.path, config.cache)?;
        Self::start_on(config, files)
    }

    /// Starts the threads on open files.
    pub(crate) fn start_on(config: Config, files: Files) -> std::result::Result<Self, OpenError> {
        let failed = |fault| OpenError::Store(store_error(fault, During::Call, &config.path));
        // One process has the files: whoever left a session in them is gone.
        let found = with_disk(&files, |disk| sessions::all(disk)).map_err(failed)?;
        let orphans: Orphans = found
            .into_iter()
            .filter(|row| !row.session.lost)
            .map(|row| row.session.info.id)
            .collect();
        let readers = Readers::start(config.readers).map_err(|error| failed(error.into()))?;
        let (inbox, jobs) = channel();
        let (files, waker, commits) = (Arc::new(files), Arc::new(Waker::new()), Arc::default());
        let writer = Writer {
            group: Group {
                files: Arc::clone(&files),
                orphans,
            },
            inbox: jobs,
            waker: Arc::clone(&waker),
            commits: Arc::clone(&commits),
        };
        let writer = thread::Builder::new()
            .name("retry-sled-writer".to_owned())
            .spawn(move || writer.run())
            .map_err(|error| failed(error.into()))?;
        Ok(Self {
            inner: Arc::new(Inner {
                config,
                inbox: Some(inbox),
                writer: Some(writer),
                readers: Some(readers),
                files,
                waker,
                commits,
                dropped: Dropped::default(),
            }),
        })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.config.path
    }

    /// How many groups of writes were committed since the store was opened. Writes that arrive together share one, so beside
    /// the number of writes it tells how well they group.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.inner.commits.load(Ordering::Relaxed)
    }

    /// Bytes of the store's files.
    ///
    /// # Errors
    /// The files cannot be asked.
    pub async fn size(&self) -> Result<u64> {
        self.read(|disk| disk.size()).await
    }
}

#[async_trait]
impl TaskStore for SledStore {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        check::insert(tasks)?;
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let tasks = tasks.to_vec();
        let bytes = tasks.iter().map(NewTask::bytes).sum();
        self.write(bytes, move |Desk { draft, effects, .. }| {
            let inserts = tasks.iter();
            inserts
                .map(|new| insert(draft, new, None, now, effects))
                .collect()
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
        self.write(bytes, move |Desk { draft, effects, .. }| {
            let mut editor = Editor { draft, now, effects };
            let applied = edits
                .iter()
                .map(|edit| editor.apply(edit))
                .collect::<Outcome<_>>()?;
            let claimed = claims.iter().map(|request| claim(draft, request, now, effects));
            Ok(Exchanged::new(applied, claimed.collect::<Outcome<_>>()?))
        })
        .await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, _now: Timestamp) -> Result<()> {
        let info = info.clone();
        self.write(0, move |Desk { draft, orphans, .. }| {
            sessions::open(draft, orphans, &info, until)
        })
        .await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, _now: Timestamp) -> Result<Renewed> {
        self.write(0, move |Desk { draft, orphans, .. }| {
            sessions::renew(draft, orphans, session, until)
        })
        .await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.write(0, move |Desk { draft, orphans, .. }| {
            sessions::close(draft, orphans, session)
        })
        .await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.read(|disk| sessions::list(disk)).await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        check::expired(request)?;
        let request = *request;
        self.write(0, move |Desk { draft, orphans, .. }| {
            rescue::expired(draft, orphans, &request, now)
        })
        .await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.read(move |disk| read::get(disk, id)).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        check::page(page)?;
        let mut listing = Listing::new(filter.clone(), *page);
        self.read_in_parts(move |files| {
            while !with_disk(files, |disk| listing.go_on(disk))? {}
            Ok(listing.into_listed())
        })
        .await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        let scope = scope.clone();
        self.read(move |disk| count::count(disk, &scope)).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        check::purge(limit)?;
        self.write(0, move |desk| purge::purge(desk.draft, now, limit))
            .await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        let queue = queue.clone();
        self.write(0, move |Desk { draft, effects, .. }| {
            queues::set(draft, &queue, setting, effects)
        })
        .await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.read(|disk| queues::list(disk)).await
    }

    async fn time(&self) -> Result<Timestamp> {
        Ok(self.inner.config.clock.now())
    }

    /// Opening did it.
    async fn migrate(&self) -> Result<()> {
        Ok(())
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.inner.waker.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.inner.files.durability
    }
}
