//! What a test has of a server that others use as well: a database of its own and users, which are removed after it.

use std::sync::{Arc, Mutex, PoisonError};

use retry_mysql::{MySqlBuilder, MySqlStore};
use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Connection as _};
use test_servers::{Address, Reach, ignore, unique};

/// What the users of the tests log in with.
const PASSWORD: &str = "w";

/// A database of its own on a server.
pub(crate) struct Place {
    address: Address,
    pub(crate) name: String,
    /// What removes it, on a server that lives on.
    undo: Option<Mutex<Vec<String>>>,
}

impl Place {
    /// An empty database.
    pub(crate) async fn new(server: &Arc<impl Reach>) -> Self {
        let address = Address::of(&server.url());
        let name = unique("it");
        let mut conn = MySqlConnection::connect(&address.to_string()).await.unwrap();
        let create = format!("CREATE DATABASE {name}");
        sqlx::raw_sql(AssertSqlSafe(create))
            .execute(&mut conn)
            .await
            .unwrap();
        let drop = format!("DROP DATABASE {name}");
        Self {
            address: address.database(&name),
            name,
            undo: server.is_given().then(|| Mutex::new(vec![drop])),
        }
    }

    /// The address, through `port`.
    pub(crate) fn url_at(&self, port: u16) -> String {
        self.address.clone().at(port).to_string()
    }

    /// The same without TLS, which MySQL has by itself: for somebody at `port` who reads what is said.
    pub(crate) fn url_in_clear_at(&self, port: u16) -> String {
        self.address
            .clone()
            .at(port)
            .option("ssl-mode=DISABLED")
            .to_string()
    }

    pub(crate) fn url(&self) -> String {
        self.address.to_string()
    }

    pub(crate) fn builder(&self) -> MySqlBuilder {
        MySqlStore::builder(&self.url())
    }

    pub(crate) async fn store(&self) -> MySqlStore {
        self.builder().connect().await.unwrap()
    }

    /// A connection of the test's own.
    pub(crate) async fn connect(&self) -> MySqlConnection {
        MySqlConnection::connect(&self.url()).await.unwrap()
    }

    /// Makes a user, and gives the URL by which it comes. Where nobody may make one, the test is ignored.
    pub(crate) async fn user(&self, name: &str) -> String {
        let create = format!("CREATE USER '{name}'@'%' IDENTIFIED BY '{PASSWORD}'");
        needs(&mut self.connect().await, &create).await;
        if let Some(undo) = &self.undo {
            let mut undo = undo.lock().unwrap_or_else(PoisonError::into_inner);
            undo.push(format!("DROP USER '{name}'@'%'"));
        }
        self.address.clone().user(name, PASSWORD).to_string()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        let undo = undo.into_inner().unwrap_or_else(PoisonError::into_inner);
        let url = self.url();
        // A thread of its own: a runtime cannot be waited for inside another one.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let Ok(mut conn) = MySqlConnection::connect(&url).await else {
                    return;
                };
                let patience = "SET lock_wait_timeout = 2".to_owned();
                for sql in [patience].into_iter().chain(undo) {
                    // What is left behind disturbs no other run.
                    let _ = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
                }
            });
        });
        let _ = dropping.join();
    }
}

/// Runs what a server may refuse that was given for tests: then the test is ignored.
pub(crate) async fn needs(conn: &mut MySqlConnection, sql: &str) {
    let run = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await;
    granted(run, sql);
}

/// What a server answered, unless it refused: then the test is ignored.
pub(crate) fn granted<T>(answer: Result<T, sqlx::Error>, sql: &str) -> T {
    /// No right to it, not to a trigger where a binary log is written, and a password that the server's rules forbid.
    const REFUSED: [u16; 4] = [1044, 1227, 1419, 1819];
    let error = match answer {
        Ok(answer) => return answer,
        Err(error) => error,
    };
    let code = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<sqlx::mysql::MySqlDatabaseError>())
        .map(sqlx::mysql::MySqlDatabaseError::number);
    if code.is_some_and(|code| REFUSED.contains(&code)) {
        let words: Vec<&str> = sql.split(' ').take(2).collect();
        ignore(format!("needs a server that grants {}", words.join(" ")));
    }
    panic!("{sql}: {error}");
}
