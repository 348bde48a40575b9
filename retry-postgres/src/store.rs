//! The store: every call is marshalled to a transaction, and its answer back.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use retry_core::id::{SessionId, TaskId};
use retry_core::name::Queue;
use retry_core::store::{
    ClaimRequest, Claimed, CountScope, Counts, Durability, Exchanged, Expired, ExpiredRequest, Inserted,
    Listed, Page, QueueInfo, QueueSetting, Renewed, Result, Session, SessionInfo, StoreError, StoreErrorKind,
    TaskFilter, TaskStore, Waker, Wakeups, check,
};
use retry_core::task::{Edit, NewTask, TaskDetail};
use retry_core::time::Timestamp;

use crate::at_once::{self, AtOnce};
use crate::call::{Calls, Form, Work};
use crate::config::{Config, OpenError, PostgresBuilder};
use crate::connect::{self, Connector};
use crate::hints::{Listener, Notifier};
use crate::insert::{self, Newcomer, altered};
use crate::pace::Pace;
use crate::pool::Pool;
use crate::queries::{self, Queries};
use crate::rescue::Marked;
use crate::{apply, claim, count, purge, queues, read, record, rescue, schema, sessions};

/// An idle connection is closed after about this long.
pub(crate) const MAX_REST: Duration = Duration::from_mins(3);

/// A [`TaskStore`] in a PostgreSQL database. Clones share its connections; the last one closes them when it is dropped.
#[derive(Clone)]
pub struct PostgresStore {
    pub(crate) inner: Arc<Inner>,
}

/// What all clones share.
pub(crate) struct Inner {
    pub(crate) config: Config,
    pub(crate) calls: Calls,
    pool: Arc<Pool>,
    /// For heartbeats, which no load may delay.
    reserved: Arc<Pool>,
    /// Of what a session holds.
    counting: Pace,
    connector: Connector,
    waker: Arc<Waker>,
    notifier: Option<Notifier>,
    /// Started when somebody watches.
    listener: Mutex<Option<Listener>>,
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("place", &self.inner.calls.place)
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects with the default options to the server of a `postgres://` URL, creating the tables if there are none.
    ///
    /// # Errors
    /// The URL or the server cannot be used; the message says why and what to do.
    pub async fn connect(url: &str) -> std::result::Result<Self, OpenError> {
        Self::builder(url).connect().await
    }

    /// Options for a store on the server of a `postgres://` URL.
    pub fn builder(url: &str) -> PostgresBuilder {
        PostgresBuilder::new(url)
    }

    pub(crate) async fn start(config: Config) -> Result<Self> {
        let place: Arc<str> = config.place().into();
        let queries = Arc::new(Queries::new(&config.schema));
        let spans = config.timeouts;
        let connector = Connector::new(&config, place.to_string());
        let pool = |size| {
            let queries = Arc::clone(&queries);
            Arc::new(Pool::new(connector.clone(), queries, size, spans.acquire))
        };
        let settings = if config.pooler {
            connect::settings(spans.statement, spans.lock, spans.call)
        } else {
            Vec::new()
        };
        let calls = Calls {
            queries: Arc::clone(&queries),
            random: Arc::clone(&config.random),
            place,
            begin: queries::begin_with(&settings),
            pooler: config.pooler,
            limit: spans.call,
        };
        let notifier = config.notify.then(|| {
            let (connector, queries) = (connector.clone(), Arc::clone(&queries));
            Notifier::start(connector, queries, config.schema.channel(), calls.begin.clone())
        });
        let inner = Inner {
            pool: pool(config.max_connections),
            reserved: pool(1),
            counting: Pace::default(),
            calls,
            connector,
            waker: Arc::new(Waker::new()),
            notifier,
            listener: Mutex::new(None),
            config,
        };
        for pool in [&inner.pool, &inner.reserved] {
            pool.close_resting_for(MAX_REST);
        }
        let store = Self {
            inner: Arc::new(inner),
        };
        if store.inner.config.migrate {
            store.migrate().await?;
        } else {
            let schema = store.inner.config.schema.clone();
            store
                .call(Form::Read, move |tx| {
                    let schema = schema.clone();
                    Box::pin(async move { schema::verify(tx, &schema).await })
                })
                .await?;
        }
        Ok(store)
    }

    async fn mark(&self, which: Marked, now: Timestamp, limit: usize) -> Result<usize> {
        self.call(Form::Write, move |tx| {
            Box::pin(rescue::mark(tx, which, now, limit))
        })
        .await
    }

    /// A claim beside no edit: one statement, which commits by itself, where that is enough.
    async fn claim_at_once(&self, request: &ClaimRequest, now: Timestamp) -> Result<Claimed> {
        let request = Arc::new(request.clone());
        let asked = Arc::clone(&request);
        let at_once = self.call(Form::Write, move |tx| {
            let request = Arc::clone(&asked);
            Box::pin(async move { at_once::claim(tx, &request, now).await })
        });
        match at_once.await? {
            AtOnce::Done(claimed) => Ok(claimed),
            AtOnce::Several => {
                self.call(Form::Transaction, move |tx| {
                    let request = Arc::clone(&request);
                    Box::pin(async move { claim::by_steps(tx, &request, now).await })
                })
                .await
            }
            // The rows are the session's already, so a failure from here on is none of a call that did nothing.
            AtOnce::Unfinished(claim) => {
                let finished = self.call(Form::Transaction, move |tx| {
                    let claim = claim.clone();
                    Box::pin(async move { at_once::finish(tx, &claim, now).await })
                });
                finished.await.map_err(StoreError::into_unknown)
            }
        }
    }

    async fn call<T: Send + 'static>(&self, form: Form, work: impl Work<T>) -> Result<T> {
        let (answer, effects) = self.inner.calls.run(&self.inner.pool, form, work).await?;
        for queue in &effects.woken {
            self.inner.waker.wake(queue);
        }
        if let (Some(notifier), false) = (&self.inner.notifier, effects.woken.is_empty()) {
            notifier.tell(&effects.woken);
        }
        Ok(answer)
    }
}

#[async_trait]
impl TaskStore for PostgresStore {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        check::insert(tasks)?;
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        let is_plain = insert::is_plain(tasks);
        let form = if is_plain { Form::Write } else { Form::Transaction };
        // A pooler's connections always need a transaction, which the refusal of a repeated task would end.
        let is_plain = is_plain && !self.inner.calls.pooler;
        let tasks: Arc<[NewTask]> = tasks.into();
        self.call(form, move |tx| {
            let tasks = Arc::clone(&tasks);
            Box::pin(async move {
                let newcomers: Vec<_> = tasks.iter().map(|new| Newcomer { new, edited: None }).collect();
                if is_plain {
                    return insert::insert_plain(tx, &newcomers, now).await;
                }
                Ok(insert::insert(tx, &newcomers, now).await?.answers)
            })
        })
        .await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        check::exchange(edits, claims)?;
        if edits.is_empty() && claims.is_empty() {
            return Ok(Exchanged::default());
        }
        if let ([], [claim]) = (edits, claims)
            && at_once::may(claim)
        {
            let claimed = self.claim_at_once(claim, now).await?;
            return Ok(Exchanged::new(Vec::new(), vec![claimed]));
        }
        let (edits, claims): (Arc<[Edit]>, Arc<[ClaimRequest]>) = (edits.into(), claims.into());
        self.call(Form::Transaction, move |tx| {
            let (edits, claims) = (Arc::clone(&edits), Arc::clone(&claims));
            Box::pin(async move {
                let applied = apply::apply(tx, &edits, now).await?;
                let mut claimed = Vec::with_capacity(claims.len());
                for request in &*claims {
                    claimed.push(claim::claim(tx, request, now).await?);
                }
                Ok(Exchanged::new(applied, claimed))
            })
        })
        .await
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, _now: Timestamp) -> Result<()> {
        let info = info.clone();
        self.call(Form::Write, move |tx| {
            let info = info.clone();
            Box::pin(async move { sessions::open(tx, &info, until).await })
        })
        .await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, _now: Timestamp) -> Result<Renewed> {
        let Inner {
            calls,
            reserved,
            counting,
            ..
        } = &*self.inner;
        let counting = counting.begin();
        let counted = counting.is_some();
        let renewing = calls.run(reserved, Form::Write, move |tx| {
            Box::pin(sessions::renew(tx, session, until, counted))
        });
        renewing.await.map(|(renewed, _)| renewed)
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        self.call(Form::Transaction, move |tx| {
            Box::pin(sessions::close(tx, session))
        })
        .await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        self.call(Form::Read, |tx| Box::pin(sessions::list(tx))).await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        check::expired(request)?;
        let request = *request;
        let mut marked = 0;
        if request.mark && request.limit > 0 {
            // Its own transaction, which must end before the look at the tasks begins.
            marked = match self.mark(Marked::All, now, request.limit).await {
                // A process that hangs inside a claim must not keep the others' sessions from being marked.
                Err(error) if error.kind() == StoreErrorKind::Busy => {
                    self.mark(Marked::Free, now, request.limit).await?
                }
                marked => marked?,
            };
        }
        self.call(Form::Read, move |tx| {
            Box::pin(async move { rescue::expired(tx, &request, marked, now).await })
        })
        .await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        self.call(Form::Read, move |tx| Box::pin(read::get(tx, id))).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        check::page(page)?;
        let (filter, page) = (filter.clone(), *page);
        self.call(Form::Read, move |tx| {
            let filter = filter.clone();
            Box::pin(async move { read::list(tx, &filter, &page).await })
        })
        .await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        let scope = scope.clone();
        let form = if scope.exact {
            Form::Transaction
        } else {
            Form::Read
        };
        self.call(form, move |tx| {
            let scope = scope.clone();
            Box::pin(async move {
                if scope.exact {
                    count::exact(tx, &scope).await
                } else {
                    count::within_budget(tx, &scope).await
                }
            })
        })
        .await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        check::purge(limit)?;
        self.call(Form::Transaction, move |tx| {
            Box::pin(purge::purge(tx, now, limit))
        })
        .await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        let queue = queue.clone();
        self.call(Form::Write, move |tx| {
            let queue = queue.clone();
            Box::pin(async move { queues::set(tx, &queue, setting).await })
        })
        .await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        self.call(Form::Read, |tx| Box::pin(queues::list(tx))).await
    }

    async fn time(&self) -> Result<Timestamp> {
        self.call(Form::Read, |tx| {
            Box::pin(async move {
                let statement = tx.query(&tx.sql.time);
                let row = tx.row(statement).await?;
                let millis = row.map_or(Ok(0), |row| record::value(&row, 0)).map_err(altered)?;
                Ok(Timestamp::from_millis(millis))
            })
        })
        .await
    }

    async fn migrate(&self) -> Result<()> {
        let schema = self.inner.config.schema.clone();
        let looked_for = schema.clone();
        // Without the look ahead every start of a worker would wait for the lock.
        let is_current = self.call(Form::Read, move |tx| {
            let schema = looked_for.clone();
            Box::pin(async move { schema::is_current(tx, &schema).await })
        });
        if is_current.await? {
            return Ok(());
        }
        self.call(Form::Transaction, move |tx| {
            let schema = schema.clone();
            Box::pin(async move { schema::migrate(tx, &schema).await })
        })
        .await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        let inner = &self.inner;
        if inner.config.notify && !inner.config.pooler {
            let mut listener = inner.listener.lock().unwrap_or_else(PoisonError::into_inner);
            if listener.is_none() && tokio::runtime::Handle::try_current().is_ok() {
                let channel = inner.config.schema.channel();
                let ours = inner.notifier.as_ref().map(Notifier::voice);
                let waker = Arc::clone(&inner.waker);
                *listener = Some(Listener::start(&inner.connector, channel, waker, ours));
            }
        }
        inner.waker.watch(queues)
    }

    fn durability(&self) -> Durability {
        Durability::Synced
    }
}
