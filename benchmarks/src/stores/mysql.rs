//! MySQL or MariaDB: a database of its own on one server, whose user may create databases.

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use retry_mysql::MySqlStore;
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection};
use test_servers::Kind;

use super::mysql_toy::Toy;
use super::{Snapshot, Subject};
use crate::aims::Aim;
use crate::args::Run;
use crate::bare;
use crate::job::After;
use crate::place::{Ground, Place};
use crate::server::{Address, fresh_name, removed};

#[derive(Debug)]
pub(super) struct MySql(Address);

impl MySql {
    pub(super) fn new(given: &str) -> Self {
        Self(Address::new(Kind::MySql, given, &[]))
    }
}

#[async_trait]
impl Subject for MySql {
    fn name(&self) -> &'static str {
        "mysql"
    }

    fn url(&self) -> Result<String> {
        Ok(self.0.url()?.to_owned())
    }

    async fn fresh(&self, run: &Run) -> Result<Place> {
        let database = Database::create(self.0.url()?).await?;
        let store = MySqlStore::builder(&database.url())
            .connect()
            .await
            .context("the MySQL store cannot be opened")?;
        Place::open(store, database, run).await
    }

    async fn toy(&self, _: &Run, after: After) -> Result<Option<Box<dyn bare::Toy>>> {
        let database = Database::create(self.0.url()?).await?;
        Ok(Some(Box::new(Toy::fresh(database, after).await?)))
    }

    async fn snapshot(&self) -> Result<Option<Box<dyn Snapshot>>> {
        let mut connection = MySqlConnection::connect(self.0.url()?).await?;
        sqlx::raw_sql("START TRANSACTION WITH CONSISTENT SNAPSHOT")
            .execute(&mut connection)
            .await?;
        Ok(Some(Box::new(connection)))
    }

    fn is_on_disk(&self) -> bool {
        !self.0.is_given()
    }

    fn settings(&self, _: &Run) -> Option<String> {
        Some(self.0.text())
    }

    fn aims(&self) -> Vec<Aim> {
        vec![
            Aim::of_bare("E1", 3.5 / 4.6, 4.0 / 4.6),
            Aim::of_bare("E32", 20.0 / 78.0, 45.0 / 78.0),
            Aim::of_bare("EB", 90.0 / 286.0, 150.0 / 286.0),
            Aim::of_bare("D.keep", 30.0 / 76.0, 50.0 / 76.0),
            Aim::of_bare("MB", 20.0 / 47.0, 32.0 / 47.0),
        ]
    }
}

impl Snapshot for MySqlConnection {}

/// A database on the server, dropped in the end.
#[derive(Debug)]
pub(super) struct Database {
    server: String,
    name: String,
}

impl Database {
    async fn create(server: &str) -> Result<Self> {
        let database = Self {
            server: server.to_owned(),
            name: fresh_name(),
        };
        execute(server, &format!("CREATE DATABASE {}", database.name)).await?;
        Ok(database)
    }

    /// The server's URL with this database in place of its own.
    pub(super) fn url(&self) -> String {
        let (address, options) = match self.server.split_once('?') {
            Some((address, options)) => (address, format!("?{options}")),
            None => (self.server.as_str(), String::new()),
        };
        let (scheme, place) = address.split_once("://").unwrap_or(("mysql", address));
        let host = place.split_once('/').map_or(place, |(host, _)| host);
        format!("{scheme}://{host}/{}{options}", self.name)
    }
}

#[async_trait]
impl Ground for Database {
    /// InnoDB tells its sizes late and in extents.
    async fn bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (server, drop) = (
            self.server.clone(),
            format!("DROP DATABASE IF EXISTS {}", self.name),
        );
        removed(&self.name, async move { execute(&server, &drop).await });
    }
}

async fn execute(server: &str, statement: &str) -> Result<()> {
    let mut connection = MySqlConnection::connect(server).await?;
    sqlx::raw_sql(AssertSqlSafe(statement))
        .execute(&mut connection)
        .await?;
    Ok(connection.close().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_database_of_a_url_is_replaced() {
        for (server, expected) in [
            ("mysql://u:p@h:1/db", "mysql://u:p@h:1/x"),
            ("mysql://u@h", "mysql://u@h/x"),
            (
                "mysql://u@h:1/db?ssl-mode=disabled",
                "mysql://u@h:1/x?ssl-mode=disabled",
            ),
        ] {
            let database = std::mem::ManuallyDrop::new(Database {
                server: server.to_owned(),
                name: "x".to_owned(),
            });
            assert_eq!(database.url(), expected);
        }
    }
}
