//! What InnoDB says of its transactions at this moment.
//!
//! Not from `information_schema.innodb_trx`: that is a copy which the server makes anew only when nobody on it has read the
//! copy for 0.1 s. Who asks it again and again sees the first answer for ever, and who asks it once may see the answer to
//! somebody else's question.

use sqlx::mysql::MySqlConnection;
use sqlx::{AssertSqlSafe, Row as _};

use crate::place::granted;

/// An open transaction.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Transaction {
    /// The connection's number.
    thread: u64,
    pub(crate) rows_locked: u64,
    pub(crate) waits_for_a_lock: bool,
}

/// The transactions that are open in a database, the asking connection's aside.
pub(crate) async fn transactions(conn: &mut MySqlConnection, database: &str) -> Vec<Transaction> {
    let show = "SHOW ENGINE INNODB STATUS";
    let status = granted(sqlx::raw_sql(show).fetch_one(&mut *conn).await, show);
    let mut open = parsed(status.get("Status"));
    let threads = threads(conn, database).await;
    open.retain(|transaction| threads.contains(&transaction.thread));
    open
}

async fn threads(conn: &mut MySqlConnection, database: &str) -> Vec<u64> {
    let sql = format!(
        "SELECT CAST(id AS UNSIGNED) FROM information_schema.processlist \
         WHERE db = '{database}' AND id <> CONNECTION_ID()"
    );
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(conn).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

/// The active ones of a status, each a paragraph that begins with `---TRANSACTION`.
fn parsed(status: &str) -> Vec<Transaction> {
    let (_, list) = status
        .split_once("LIST OF TRANSACTIONS")
        .expect("a status lists transactions");
    let list = list
        .split_once("\n--------\nFILE I/O")
        .map_or(list, |(list, _)| list);
    let paragraphs = list.split("\n---TRANSACTION ").skip(1);
    paragraphs
        .filter(|text| text.lines().next().is_some_and(|line| line.contains(", ACTIVE")))
        .map(|text| Transaction {
            thread: behind(text, "thread id ").expect("a transaction has a connection"),
            rows_locked: in_front(text, " row lock(s)").unwrap_or(0),
            waits_for_a_lock: text.contains("\nLOCK WAIT "),
        })
        .collect()
}

fn behind(text: &str, words: &str) -> Option<u64> {
    let (_, rest) = text.split_once(words)?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn in_front(text: &str, words: &str) -> Option<u64> {
    let (rest, _) = text.split_once(words)?;
    rest.rsplit(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
