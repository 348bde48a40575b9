//! Servers, databases, tasks and sessions for the tests, all from numbers.

use std::future::Future;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use retry_core::headers::Headers;
use retry_core::id::{Nonce, SessionId, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::name::{Kind, Queue, WorkerName};
use retry_core::payload::Payload;
use retry_core::priority::Priority;
use retry_core::store::{ClaimRequest, SessionInfo, TaskStore as _, TaskStoreExt as _};
use retry_core::task::{ClaimedTask, Edit, NewTask, Settings};
use retry_core::time::Timestamp;
use retry_mysql::{MySqlBuilder, MySqlStore};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use test_servers::Server;

/// The time in every test.
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_700_000_000_000);

/// So late that no lease ends by itself.
pub(crate) const FAR: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// How often a test looks for what must happen.
const LOOKS: usize = 100_000;

/// A database of its own on a server.
pub(crate) struct Place {
    pub(crate) server: Arc<Server>,
    pub(crate) name: String,
}

impl Place {
    /// An empty database.
    pub(crate) async fn new(server: &Arc<Server>) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let name = format!("it_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let place = Self {
            server: Arc::clone(server),
            name,
        };
        let mut conn = place.connect_to("").await;
        run(&mut conn, &format!("CREATE DATABASE {}", place.name)).await;
        place
    }

    /// The address, through `port`.
    pub(crate) fn url_at(&self, port: u16) -> String {
        format!("mysql://retry:retry@127.0.0.1:{port}/{}", self.name)
    }

    /// The same without TLS, which MySQL has by itself: for somebody at `port` who reads what is said.
    pub(crate) fn url_in_clear_at(&self, port: u16) -> String {
        format!("{}?ssl-mode=DISABLED", self.url_at(port))
    }

    pub(crate) fn url(&self) -> String {
        self.url_at(self.server.ports()[0])
    }

    pub(crate) fn builder(&self) -> MySqlBuilder {
        MySqlStore::builder(&self.url())
    }

    pub(crate) async fn store(&self) -> MySqlStore {
        self.builder().connect().await.unwrap()
    }

    /// A connection of the test's own.
    pub(crate) async fn connect(&self) -> MySqlConnection {
        self.connect_to(&self.name).await
    }

    async fn connect_to(&self, database: &str) -> MySqlConnection {
        let url = format!(
            "mysql://retry:retry@127.0.0.1:{}/{database}",
            self.server.ports()[0]
        );
        MySqlConnection::connect(&url).await.unwrap()
    }
}

/// An empty database with the store's tables, and the store.
pub(crate) async fn fresh(server: &Arc<Server>) -> (Place, MySqlStore) {
    let place = Place::new(server).await;
    let store = place.store().await;
    (place, store)
}

pub(crate) async fn run(conn: &mut MySqlConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(conn).await.unwrap();
}

/// The first column of the first row, as a number.
pub(crate) async fn number(conn: &mut MySqlConnection, sql: &str) -> i64 {
    sqlx::query(AssertSqlSafe(sql))
        .fetch_one(conn)
        .await
        .unwrap()
        .try_get(0)
        .unwrap()
}

pub(crate) fn task_id(n: u64) -> TaskId {
    TaskId::from_bytes(u128::from(n).to_be_bytes())
}

pub(crate) fn kind(name: &str) -> Kind {
    Kind::new(name).unwrap()
}

/// Task number `n`, due now.
pub(crate) fn task(n: u64) -> NewTask {
    NewTask {
        id: task_id(n),
        kind: kind("work"),
        queue: Queue::default(),
        priority: Priority::Normal,
        payload: Payload::encode(&n).unwrap(),
        headers: Headers::new(),
        run_at: NOW,
        unique: None,
        parent: None,
        settings: Settings::default(),
        wait_secret: n,
        leased_by: None,
    }
}

pub(crate) fn tasks(numbers: std::ops::Range<u64>) -> Vec<NewTask> {
    numbers.map(task).collect()
}

/// A new session.
pub(crate) async fn session(store: &MySqlStore, n: u64) -> SessionId {
    let info = SessionInfo {
        id: SessionId::from_random(n, n),
        name: WorkerName::new(format!("worker-{n}")).unwrap(),
        host: "here".to_owned(),
        queues: vec![Queue::default()],
        kinds: vec![kind("work")],
    };
    store.open_session(&info, FAR, NOW).await.unwrap();
    info.id
}

pub(crate) fn request(session: SessionId, limit: usize) -> ClaimRequest {
    ClaimRequest::new(session, Queue::default(), [kind("work")], limit)
}

pub(crate) async fn claimed(store: &MySqlStore, session: SessionId, limit: usize) -> Vec<ClaimedTask> {
    store.claim(request(session, limit), NOW).await.unwrap().tasks
}

/// The settle of a success.
pub(crate) fn success(claimed: &ClaimedTask, nonce: u64) -> Edit {
    decided(
        claimed,
        Event::Succeed {
            output: None,
            via_fallback: false,
        },
        nonce,
    )
}

pub(crate) fn decided(claimed: &ClaimedTask, event: Event, nonce: u64) -> Edit {
    Edit {
        id: claimed.task.id,
        version: claimed.task.version,
        nonce: Nonce::from_random(nonce),
        action: transition(&claimed.task, event, NOW, 0).unwrap(),
        insert: Vec::new(),
    }
}

/// Asks again until the answer is right.
pub(crate) async fn until<F: Future<Output = bool>>(what: &str, mut right: impl FnMut() -> F) {
    for _ in 0..LOOKS {
        if right().await {
            return;
        }
        tokio::task::yield_now().await;
    }
    panic!("it never happened: {what}");
}

/// Randomness that a seed decides.
pub(crate) fn random(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *seed;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The servers of this test program: started once for each set of settings, stopped at its end.
#[derive(Default)]
pub(crate) struct Servers(Mutex<Option<Arc<Server>>>);

impl Servers {
    /// The server that tests share which change nothing about it.
    pub(crate) fn shared(&self) -> Result<Arc<Server>, test_servers::Error> {
        let mut shared = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(server) = &*shared {
            return Ok(Arc::clone(server));
        }
        let server = Arc::new(test_servers::start(test_servers::Kind::MySql)?);
        Ok(Arc::clone(shared.insert(server)))
    }
}

/// Longer than anything that a test waits for.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
