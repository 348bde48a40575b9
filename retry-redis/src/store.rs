//! The store: every call is marshalled to a script, and its answer back.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

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

use crate::args::Args;
use crate::aside::put_aside;
use crate::claim::Brought;
use crate::config::{Config, OpenError, RedisBuilder};
use crate::error::unexpected;
use crate::keys::Keys;
use crate::reply::Reply;
use crate::server::Server;
use crate::watcher::Watcher;
use crate::{claim, connect, edit, insert, list, purge, queues, read, rescue, schema, scripts, sessions};

/// A [`TaskStore`] in one namespace of a Redis or Valkey server. Clones share its connections.
#[derive(Clone)]
pub struct RedisStore {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    keys: Arc<Keys>,
    server: Server,
    /// Renewals have a connection of their own: behind large answers they would come too late.
    renewals: Server,
    durability: Durability,
    waker: Arc<Waker>,
    watcher: Mutex<Option<Watcher>>,
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("address", &self.inner.server.address())
            .field("namespace", &self.namespace())
            .finish_non_exhaustive()
    }
}

impl RedisStore {
    /// Connects with the default options: `redis://user:password@host:port/database`, `rediss://` for TLS.
    ///
    /// # Errors
    /// The server cannot be used; the message says why and what to do.
    pub async fn connect(url: impl AsRef<str>) -> std::result::Result<Self, OpenError> {
        Self::builder(url).connect().await
    }

    /// Options for a store on the server at `url`.
    pub fn builder(url: impl AsRef<str>) -> RedisBuilder {
        RedisBuilder::new(url.as_ref())
    }

    pub(crate) async fn start(config: Config) -> std::result::Result<Self, OpenError> {
        let keys = Arc::new(Keys::new(&config.namespace));
        let server = Server::new(&config, &keys)?;
        let durability = connect::inspect(&server, &config).await?;
        if config.migrate {
            schema::migrate(&server).await?;
        } else {
            schema::verify(&server).await?;
        }
        let inner = Inner {
            renewals: Server::new(&config, &keys)?,
            config,
            keys,
            server,
            durability,
            waker: Arc::new(Waker::new()),
            watcher: Mutex::new(None),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
    }

    /// What tells its keys from others.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.inner.config.namespace.as_str()
    }

    /// The names of all its keys. Nothing else is ever written.
    #[must_use]
    pub fn keys(&self) -> &[String] {
        self.inner.keys.all()
    }

    fn server(&self) -> &Server {
        &self.inner.server
    }
}

#[async_trait]
impl TaskStore for RedisStore {
    async fn insert(&self, tasks: &[NewTask], now: Timestamp) -> Result<Vec<Inserted>> {
        check::insert(tasks)?;
        if tasks.is_empty() {
            return Ok(Vec::new());
        }
        insert::insert(self.server(), tasks, now).await
    }

    async fn exchange(&self, edits: &[Edit], claims: &[ClaimRequest], now: Timestamp) -> Result<Exchanged> {
        check::exchange(edits, claims)?;
        if edits.is_empty() && claims.is_empty() {
            return Ok(Exchanged::default());
        }
        let mut args = Args::new();
        args.number(now.as_millis()).build(|out| {
            for n in [edits.len(), claims.len()] {
                out.extend(u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes());
            }
        });
        for edit in edits {
            edit::push(edit, now, &mut args);
        }
        for claim in claims {
            claim::push(claim, &mut args);
        }
        let answer = self.server().run(&scripts::EXCHANGE, &args).await?;
        let mut parts = Reply::new(answer, self.server().address()).array()?;
        let applied = edit::applied(parts.part()?.array()?)?;
        let mut claimed = Vec::with_capacity(claims.len());
        for answer in parts.part()?.array()? {
            let Brought {
                claimed: mut answer,
                unreadable,
            } = claim::claimed(answer)?;
            answer.bad.extend(put_aside(self.server(), unreadable, now).await);
            claimed.push(answer);
        }
        if applied.len() != edits.len() || claimed.len() != claims.len() {
            return Err(unexpected(self.server().address()));
        }
        Ok(Exchanged::new(applied, claimed))
    }

    async fn open_session(&self, info: &SessionInfo, until: Timestamp, _now: Timestamp) -> Result<()> {
        sessions::open(self.server(), info, until).await
    }

    async fn renew(&self, session: SessionId, until: Timestamp, _now: Timestamp) -> Result<Renewed> {
        sessions::renew(&self.inner.renewals, session, until).await
    }

    async fn close_session(&self, session: SessionId) -> Result<()> {
        sessions::close(self.server(), session).await
    }

    async fn sessions(&self) -> Result<Vec<Session>> {
        sessions::list(self.server()).await
    }

    async fn expired(&self, request: &ExpiredRequest, now: Timestamp) -> Result<Expired> {
        check::expired(request)?;
        rescue::expired(self.server(), request, now).await
    }

    async fn get(&self, id: TaskId) -> Result<Option<TaskDetail>> {
        read::get(self.server(), id).await
    }

    async fn list(&self, filter: &TaskFilter, page: &Page) -> Result<Listed> {
        check::page(page)?;
        list::list(self.server(), filter, page).await
    }

    async fn count(&self, scope: &CountScope) -> Result<Counts> {
        queues::count(self.server(), scope).await
    }

    async fn purge(&self, now: Timestamp, limit: usize) -> Result<u64> {
        check::purge(limit)?;
        purge::purge(self.server(), now, limit).await
    }

    async fn set_queue(&self, queue: &Queue, setting: QueueSetting) -> Result<()> {
        queues::set(self.server(), queue, setting).await
    }

    async fn queues(&self) -> Result<Vec<QueueInfo>> {
        queues::list(self.server()).await
    }

    async fn time(&self) -> Result<Timestamp> {
        let answer = self.server().run(&scripts::TIME, &Args::new()).await?;
        let mut parts = Reply::new(answer, self.server().address()).array()?;
        let (seconds, micros) = (parts.part()?.int()?, parts.part()?.int()?);
        Ok(Timestamp::from_millis(
            seconds.saturating_mul(1_000).saturating_add(micros / 1_000),
        ))
    }

    async fn migrate(&self) -> Result<()> {
        schema::migrate(self.server()).await
    }

    fn watch(&self, queues: &[Queue]) -> Wakeups {
        let wakeups = self.inner.waker.watch(queues);
        let mut watcher = self.inner.watcher.lock().unwrap_or_else(PoisonError::into_inner);
        if watcher.is_none() {
            *watcher = Watcher::start(&self.inner.config, self.inner.keys.channel(), &self.inner.waker);
        }
        wakeups
    }

    fn durability(&self) -> Durability {
        self.inner.durability
    }
}
