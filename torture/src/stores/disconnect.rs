//! How a server closes the connections of its clients itself, each in its own language.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use sqlx::{AssertSqlSafe, Connection as _, MySqlConnection, PgConnection};

/// How long Redis may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// Of those that connect by the protocol of clients; the server's own processes are none.
const POSTGRES: &str = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity \
                        WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

const MYSQL: &str = "SELECT CAST(id AS SIGNED) FROM information_schema.processlist \
                     WHERE id <> connection_id() AND user NOT IN ('system user', 'event_scheduler')";

/// `pg_terminate_backend` of every other client.
pub(super) async fn postgres(url: &str) -> Result<()> {
    let mut own = PgConnection::connect(url).await?;
    sqlx::raw_sql(POSTGRES).execute(&mut own).await?;
    Ok(own.close().await?)
}

/// `KILL` of every other connection.
pub(super) async fn mysql(url: &str) -> Result<()> {
    let mut own = MySqlConnection::connect(url).await?;
    let all: Vec<i64> = sqlx::query_scalar(MYSQL).fetch_all(&mut own).await?;
    for id in all {
        // It may have ended by itself.
        let kill = sqlx::raw_sql(AssertSqlSafe(format!("KILL {id}")));
        let _ = kill.execute(&mut own).await;
    }
    Ok(own.close().await?)
}

/// `CLIENT KILL` of all who call, and of all who listen.
pub(super) fn redis(port: u16) -> Result<()> {
    let mut own = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    own.set_read_timeout(Some(PATIENCE))?;
    for sort in ["normal", "pubsub"] {
        own.write_all(format!("CLIENT KILL TYPE {sort} SKIPME yes\r\n").as_bytes())?;
        let mut answer = [0; 64];
        let length = own.read(&mut answer)?;
        let answer = String::from_utf8_lossy(&answer[..length]);
        let closed = answer.strip_prefix(':').context("no number was answered")?;
        ensure!(closed.trim().parse::<u64>().is_ok(), "answered {answer:?}");
    }
    Ok(())
}
