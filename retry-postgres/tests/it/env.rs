//! What a test has of a server that others use as well: schemas and roles of its own, which are removed after it.

use std::sync::{Mutex, PoisonError};

use retry_postgres::{PostgresBuilder, PostgresStore};
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use test_servers::{Address, Reach, ignore, unique};

/// What the roles of the tests log in with, where the server asks for it.
const PASSWORD: &str = "w";

/// A test's part of a server.
pub(crate) struct Env {
    pub(crate) url: String,
    /// What removes it, on a server that lives on.
    undo: Option<Mutex<Vec<String>>>,
}

impl Env {
    pub(crate) fn on(server: &impl Reach) -> Self {
        Self {
            url: server.url(),
            undo: server.is_given().then(Mutex::default),
        }
    }

    /// The options of a store in a schema of its own, and the schema.
    pub(crate) fn builder(&self) -> (PostgresBuilder, String) {
        let schema = unique("it");
        self.undo(format!("DROP SCHEMA IF EXISTS {schema} CASCADE"));
        (PostgresStore::builder(&self.url).schema(&schema), schema)
    }

    /// A store in a schema of its own.
    pub(crate) async fn fresh(&self) -> (PostgresStore, String) {
        let (builder, schema) = self.builder();
        (builder.connect().await.expect("the store opens"), schema)
    }

    /// A connection beside the store, as a user's program has one.
    pub(crate) async fn beside(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.expect("a connection")
    }

    /// Makes a role that may log in, and gives the URL by which it does. Who may not make one has the test ignored.
    pub(crate) async fn role(&self, name: &str, attributes: &str) -> String {
        let mut conn = self.beside().await;
        needs(
            &mut conn,
            &format!("CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {attributes}"),
        )
        .await;
        self.undo(format!("DROP ROLE IF EXISTS {name}"));
        self.undo(format!("DROP OWNED BY {name}"));
        Address::of(&self.url).user(name, PASSWORD).to_string()
    }

    /// Has a statement run after the test, before those that were told earlier.
    pub(crate) fn undo(&self, sql: String) {
        if let Some(undo) = &self.undo {
            undo.lock().unwrap_or_else(PoisonError::into_inner).push(sql);
        }
    }
}

impl Reach for Env {
    fn url(&self) -> String {
        self.url.clone()
    }

    fn is_given(&self) -> bool {
        self.undo.is_some()
    }
}

impl Drop for Env {
    fn drop(&mut self) {
        let Some(undo) = self.undo.take() else { return };
        let undo = undo.into_inner().unwrap_or_else(PoisonError::into_inner);
        let url = self.url.clone();
        // A thread of its own: a runtime cannot be waited for inside another one.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime").block_on(async {
                let Ok(mut conn) = PgConnection::connect(&url).await else {
                    return;
                };
                let patience = "SET lock_timeout = '2s'".to_owned();
                for sql in [patience].into_iter().chain(undo.into_iter().rev()) {
                    // What is left behind disturbs no other run.
                    let _ = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
                }
            });
        });
        let _ = dropping.join();
    }
}

/// Runs what a server may refuse that was given for tests: then the test is ignored.
pub(crate) async fn needs(conn: &mut PgConnection, sql: &str) {
    /// No right to it, no such extension here, and not at all here.
    const REFUSED: [&str; 3] = ["42501", "58P01", "0A000"];
    let Err(error) = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).execute(conn).await else {
        return;
    };
    let code = error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code);
    if code.is_some_and(|code| REFUSED.contains(&code.as_ref())) {
        let words: Vec<&str> = sql.split(' ').take(2).collect();
        ignore(format!("needs a server that grants {}", words.join(" ")));
    }
    panic!("{sql}: {error}");
}
