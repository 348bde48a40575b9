//! The conformance suite on a MySQL or MariaDB server.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use conformance_tests::{Capabilities, Harness, Instance, Skip, TransactionEnd};
use retry_core::clock::ManualClock;
use retry_core::id::TaskId;
use retry_core::store::{Enlist as _, Inserted, Result as StoreResult, TaskStore};
use retry_core::task::NewTask;
use retry_core::time::Timestamp;
use retry_mysql::MySqlStore;
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _, Row as _};
use test_servers::{Address, Kind, Reach as _, Shared, shared, unique};

/// What a case may have written to.
const TABLES: [&str; 6] = ["task", "body", "note", "failure", "session", "paused"];

/// One server, whose user may create databases.
struct Server {
    server: Arc<Shared>,
    free: Free,
}

/// The databases whose cases have ended. They are emptied and used again, because creating one takes the server a second or more.
type Free = Arc<Mutex<Vec<String>>>;

#[async_trait]
impl Harness for Server {
    fn name(&self) -> &str {
        self.server.name()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::new()
            .reopen()
            .damage()
            .peer()
            .transactions()
            .histories(64)
    }

    async fn fresh(&self, _clock: ManualClock) -> Result<Box<dyn Instance>, Skip> {
        let server = self.server.reached();
        let server = server.map_err(|missing| Skip::new(missing.to_string()))?;
        let mut conn = MySqlConnection::connect(&server)
            .await
            .expect("the server answers");
        let name = match used(&mut conn, &self.free).await {
            Some(name) => name,
            None => created(&mut conn).await,
        };
        let database = Arc::new(Database {
            server,
            name,
            free: Arc::clone(&self.free),
        });
        Ok(Box::new(Fresh {
            store: open(&database).await,
            database,
        }))
    }
}

/// A database that no call is under way in any more, emptied.
async fn used(conn: &mut MySqlConnection, free: &Free) -> Option<String> {
    let names = free.lock().unwrap_or_else(PoisonError::into_inner).clone();
    for name in names {
        // What a case left unfinished on the server ends before its connection is gone from this list.
        let sql = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE db = '{name}'");
        let row = sqlx::query(AssertSqlSafe(sql)).fetch_one(&mut *conn).await;
        let connections: i64 = match row {
            Ok(row) => row.get(0),
            // MySQL cannot show statements with binary arguments, which some connection is running then.
            Err(sqlx::Error::Database(error)) if error.message().starts_with("Cannot convert string") => {
                continue;
            }
            Err(error) => panic!("the list of connections: {error}"),
        };
        if connections > 0 || !is_taken(free, &name) {
            continue;
        }
        let delete = TABLES
            .map(|table| format!("DELETE FROM {name}.retry_{table};"))
            .concat();
        let sql = format!("BEGIN; {delete} COMMIT");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut *conn)
            .await
            .expect("the tables are emptied");
        return Some(name);
    }
    None
}

/// Takes a database from the list, unless another case was faster.
fn is_taken(free: &Free, name: &str) -> bool {
    let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
    let place = free.iter().position(|other| other == name);
    place.map(|place| free.swap_remove(place)).is_some()
}

async fn created(conn: &mut MySqlConnection) -> String {
    let name = unique("retry_test");
    let sql = format!("CREATE DATABASE {name}");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(conn)
        .await
        .expect("the database is created");
    name
}

/// A database that one case has for itself.
struct Database {
    server: String,
    name: String,
    free: Free,
}

impl Database {
    fn url(&self) -> String {
        Address::of(&self.server).database(&self.name).to_string()
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(std::mem::take(&mut self.name));
    }
}

/// Removes the databases of all cases.
fn remove(server: &str, free: &Free) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let names = std::mem::take(&mut *free.lock().unwrap_or_else(PoisonError::into_inner));
    runtime.expect("a runtime").block_on(async {
        for name in names {
            run(server, format!("DROP DATABASE {name}")).await;
        }
    });
}

async fn run(url: &str, sql: String) -> u64 {
    let mut conn = MySqlConnection::connect(url).await.expect("the server answers");
    sqlx::raw_sql(AssertSqlSafe(sql))
        .execute(&mut conn)
        .await
        .expect("the statement runs")
        .rows_affected()
}

async fn open(database: &Database) -> MySqlStore {
    MySqlStore::builder(&database.url())
        .connect()
        .await
        .expect("the store connects")
}

struct Fresh {
    store: MySqlStore,
    database: Arc<Database>,
}

#[async_trait]
impl Instance for Fresh {
    fn store(&self) -> Arc<dyn TaskStore> {
        Arc::new(self.store.clone())
    }

    async fn reopen(self: Box<Self>) -> Box<dyn Instance> {
        let Self { store, database } = *self;
        drop(store);
        Box::new(Self {
            store: open(&database).await,
            database,
        })
    }

    async fn damage(&self, id: TaskId) {
        let sql = format!("UPDATE retry_task SET settings = '{{' WHERE id = UNHEX(REPLACE('{id}', '-', ''))");
        assert_eq!(run(&self.database.url(), sql).await, 1, "one row is damaged");
    }

    async fn peer(&self) -> Arc<dyn TaskStore> {
        Arc::new(open(&self.database).await)
    }

    async fn in_transaction(
        &self,
        tasks: &[NewTask],
        now: Timestamp,
        end: TransactionEnd,
    ) -> StoreResult<Vec<Inserted>> {
        let url = self.database.url();
        let mut conn = MySqlConnection::connect(&url)
            .await
            .expect("a connection beside the store");
        let mut tx = conn.begin().await.expect("a transaction");
        let tasks = Ok(tasks.to_vec());
        if end == TransactionEnd::RollbackToSavepoint {
            let mut savepoint = tx.begin().await.expect("a savepoint");
            let answer = self
                .store
                .enlist(&mut savepoint, tasks, now, |answer| answer)
                .await;
            savepoint.rollback().await.expect("rolled back");
            tx.commit().await.expect("committed");
            return answer;
        }
        let answer = self.store.enlist(&mut tx, tasks, now, |answer| answer).await;
        match end {
            TransactionEnd::Commit => tx.commit().await.expect("committed"),
            _ => tx.rollback().await.expect("rolled back"),
        }
        answer
    }
}

fn main() -> ExitCode {
    let servers = shared(Kind::MySql).into_iter().map(|server| Server {
        server,
        free: Free::default(),
    });
    let servers: Vec<Server> = servers.collect();
    let used: Vec<(Arc<Shared>, Free)> = servers
        .iter()
        .map(|of| (Arc::clone(&of.server), Arc::clone(&of.free)))
        .collect();
    let code = conformance_tests::run_all(servers);
    for (server, free) in used {
        if server.is_given() {
            remove(&server.url(), &free);
        }
    }
    code
}
