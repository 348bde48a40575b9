//! The store: what the trait's methods pass on, in the order of the trait.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::seams::SystemRandom;
use retry_core::store::{
    ClaimRequest, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted, Listed, Page,
    QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, TaskFilter, TaskStore, Waker, Wakeups,
    check,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use crate::args::Args;
use crate::calls::Commit;
use crate::claim::claim;
use crate::config::{Config, MySqlBuilder};
use crate::db::Db;
use crate::effects::Effects;
use crate::error::{During, store_error};
use crate::insert::is_one_row;
use crate::leases;
use crate::load::{Look, load};
use crate::pool::{Bound, Pool, TRUSTED};
use crate::queries::Queries;
use crate::server::Server;
use crate::watcher::{self, Told};
use crate::write::write;
use crate::{count, purge, queues, read, record, rescue, schema, sessions};

/// A [`TaskStore`] in a MySQL or MariaDB database. Clones share its connections.
///
/// It belongs to the tokio runtime on which it was connected.
#[derive(Clone)]
pub struct MySqlStore {
    pub(crate) inner: Arc<Inner>,
}

impl fmt::Debug for MySqlStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MySqlStore")
            .field("place", &self.inner.place)
            .finish_non_exhaustive()
    }
}

impl Inner {
    /// Closes the connections that nobody uses: the server they led to is gone.
    pub(crate) fn forget_idle(&self) {
        for pool in [&self.writers, &self.readers, &self.renewer] {
            pool.forget_idle();
        }
    }
}

/// What the clones share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) place: String,
    pub(crate) queries: Queries,
    pub(crate) random: SystemRandom,
    pub(crate) writers: Arc<Pool>,
    pub(crate) readers: Arc<Pool>,
    /// One connection that nothing but renewals waits for.
    pub(crate) renewer: Arc<Pool>,
    pub(crate) waker: Waker,
    /// What the watcher need not tell of.
    pub(crate) told: Told,
    durability: Durability,
}

impl MySqlStore {
    /// Connects with the default options to `mysql://user:password@host:port/database`.
    ///
    /// # Errors
    /// As [`MySqlBuilder::connect`].
    pub async fn connect(url: &str) -> std::result::Result<Self, crate::OpenError> {
        Self::builder(url).connect().await
    }

    /// The options of a store at `mysql://user:password@host:port/database`.
    pub fn builder(url: &str) -> MySqlBuilder {
        MySqlBuilder::new(url)
    }

    pub(crate) async fn start(config: Config) -> Result<Self> {
        let store = Self::reach(config).await?;
        if store.inner.config.migrate {
            store.migrate().await?;
        }
        let inner = Arc::clone(&store.inner);
        store
            .read(move |mut db, _| {
                let inner = Arc::clone(&inner);
                Box::pin(async move { schema::verify(&mut db, &inner.config.tables, &inner.place).await })
            })
            .await?;
        watcher::start(&store.inner);
        Ok(store)
    }

    /// Connects and checks the server. Whether it has the tables is not looked at.
    pub(crate) async fn reach(config: Config) -> Result<Self> {
        let queries = Queries::new(&config.tables);
        let place = config.place.clone();
        let worded = |fault| store_error(fault, During::Connect, &place);
        let first = Pool::new(&config, "DO 0".to_owned(), Bound::ONE_FOR_RENEWALS, TRUSTED);
        let mut lent = first.take().await.map_err(worded)?;
        let server = Server::inspect(&mut Db::own(&mut lent.conn, &queries))
            .await
            .map_err(worded)?;
        let durability = server.check(config.relaxed_durability, &config.place)?;
        let settings = || server.session(config.call_timeout, config.lock_timeout);
        let bound = |size, purpose, option| Bound {
            size,
            purpose,
            option: Some(option),
        };
        let writes = bound(config.connections, "writing", "connections");
        let reads = bound(config.readers, "reading", "readers");
        let inner = Inner {
            writers: Pool::new(&config, settings(), writes, TRUSTED),
            readers: Pool::new(&config, settings(), reads, TRUSTED),
            // A renewal that fails on a dead connection is uncertain, and they are rare: each asks first.
            renewer: Pool::new(&config, settings(), Bound::ONE_FOR_RENEWALS, Duration::ZERO),
            random: SystemRandom::new(),
            waker: Waker::new(),
            told: Told::default(),
            place: config.place.clone(),
            queries,
            durability,
            config,
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }
}

#[async_trait]
impl TaskStore for MySqlStore {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        check::insert(tasks)?;
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let commit = if is_one_row(tasks) {
            Commit::ByItself
        } else {
            Commit::Transaction
        };
        let tasks: Arc<[NewTask]> = Arc::from(tasks);
        let work = self.write_and_wake(commit, move |mut db, tried| {
            let tasks = Arc::clone(&tasks);
            Box::pin(async move {
                let mut rows = load(&mut db, &[], &tasks, now, Look::of_try(tried)).await?;
                let inserted: Vec<Inserted> = tasks.iter().map(|new| rows.insert(new, None)).collect();
                write(&mut db, &rows).await?;
                Ok((inserted, rows.effects))
            })
        });
        work.await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        check::exchange(edits, claims)?;
        if edits.is_empty() && claims.is_empty() {
            return Ok(Exchanged::default());
        }
        let (edits, claims): (Arc<[Edit]>, Arc<[ClaimRequest]>) = (Arc::from(edits), Arc::from(claims));
        let work = self.write_and_wake(Commit::Transaction, move |mut db, tried| {
            let (edits, claims) = (Arc::clone(&edits), Arc::clone(&claims));
            Box::pin(async move {
                let (mut applied, mut effects) = (Vec::new(), Effects::default());
                if !edits.is_empty() {
                    let mut rows = load(&mut db, &edits, &[], now, Look::of_try(tried)).await?;
                    applied.extend(edits.iter().map(|edit| rows.apply(edit)));
                    write(&mut db, &rows).await?;
                    effects = rows.effects;
                }
                // Behind the edits: the shared lock on the session makes its renewal wait.
                let asked = claims.iter().map(|request| (request.session, &request.queue));
                let leases = leases::read(&mut db, asked).await?;
                let mut claimed = Vec::with_capacity(claims.len());
                for request in claims.iter() {
                    claimed.push(claim(&mut db, request, now, &leases, &mut effects).await?);
                }
                Ok((Exchanged::new(applied, claimed), effects))
            })
        });
        work.await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, _now: Timestamp) -> Result<()> {
        let info = Arc::new(info.clone());
        let work = self.write(move |mut db, _| {
            let info = Arc::clone(&info);
            Box::pin(async move { sessions::open(&mut db, &info, until).await })
        });
        work.await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, _now: Timestamp) -> Result<Renewed> {
        self.renew_with(move |mut db, _| {
            Box::pin(async move { sessions::renew(&mut db, session, until).await })
        })
        .await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.write(move |mut db, _| Box::pin(async move { sessions::close(&mut db, session).await }))
            .await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.read(|mut db, _| Box::pin(async move { sessions::list(&mut db).await }))
            .await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        check::expired(request)?;
        let request = *request;
        let mut left = request.limit;
        if request.mark && left > 0 {
            let work = self.write(move |mut db, tried| {
                Box::pin(async move { rescue::mark(&mut db, now, left, tried).await })
            });
            left -= work.await?;
        }
        self.read(move |mut db, _| {
            Box::pin(async move { rescue::report(&mut db, &request, left, now).await })
        })
        .await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.read(move |mut db, _| Box::pin(async move { read::get(&mut db, id).await }))
            .await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        check::page(page)?;
        let (filter, page) = (Arc::new(filter.clone()), *page);
        let work = self.read(move |mut db, _| {
            let filter = Arc::clone(&filter);
            Box::pin(async move { read::list(&mut db, &filter, &page).await })
        });
        work.await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        let scope = Arc::new(scope.clone());
        let work = self.read(move |mut db, _| {
            let scope = Arc::clone(&scope);
            Box::pin(async move { count::count(&mut db, &scope).await })
        });
        work.await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        check::purge(limit)?;
        self.write(move |mut db, _| Box::pin(async move { purge::purge(&mut db, now, limit).await }))
            .await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        let name = queue.clone();
        let work = self.write(move |mut db, _| {
            let name = name.clone();
            Box::pin(async move { queues::set(&mut db, &name, setting).await })
        });
        work.await?;
        if setting == QueueSetting::Resume {
            self.inner.waker.wake(queue);
        }
        Ok(())
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.read(|mut db, _| Box::pin(async move { queues::list(&mut db).await }))
            .await
    }

    async fn time(&self) -> Result<Timestamp> {
        let work = self.read(|mut db, _| {
            Box::pin(async move {
                let row = db.row(&db.q.time, Args::new()).await?;
                Ok(row.and_then(|row| record::int(&row, 0).ok()))
            })
        });
        let millis = work.await?.ok_or_else(|| {
            retry_core::store::StoreError::rejected(
                retry_core::store::StoreErrorKind::Other,
                "the server did not tell its time",
            )
        })?;
        Ok(Timestamp::from_millis(millis))
    }

    async fn migrate(&self) -> Result<()> {
        let inner = Arc::clone(&self.inner);
        let work = self.write(move |mut db, _| {
            let inner = Arc::clone(&inner);
            Box::pin(async move {
                // Half of what the call may take.
                let wait = inner.config.call_timeout / 2;
                schema::migrate(&mut db, &inner.config.tables, &inner.place, wait).await
            })
        });
        work.await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        self.inner.waker.watch(queues)
    }

    fn durability(&self) -> Durability {
        self.inner.durability
    }
}
