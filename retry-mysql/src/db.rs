//! Running statements on one connection: arguments in, rows out.

use sqlx::mysql::{MySqlArguments, MySqlConnection, MySqlRow};
use sqlx::{Arguments as _, Encode, MySql, Type};

use crate::error::Outcome;
use crate::queries::{Many, Queries, Sql};

/// One connection, the store's or the user's, and the statements.
#[derive(Debug)]
pub(crate) struct Db<'c> {
    pub(crate) conn: &'c mut MySqlConnection,
    pub(crate) q: &'c Queries,
}

/// The arguments of a statement, in its order.
#[derive(Default)]
pub(crate) struct Args(MySqlArguments);

impl Args {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Adds a value: a number, bytes, a text, or an option of one.
    pub(crate) fn with<'q, T: Encode<'q, MySql> + Type<MySql>>(mut self, value: T) -> Self {
        // Numbers and bytes always encode; one that is missing would be refused by the driver's count.
        let _ = self.0.add(value);
        self
    }
}

impl Db<'_> {
    /// Runs a statement and gives the number of rows it wrote or found to be right already.
    pub(crate) async fn run(&mut self, sql: &Sql, args: Args) -> Outcome<u64> {
        let done = sqlx::query_with(sql.text(), args.0)
            .execute(&mut *self.conn)
            .await?;
        Ok(done.rows_affected())
    }

    /// Runs a statement and gives its rows.
    pub(crate) async fn rows(&mut self, sql: &Sql, args: Args) -> Outcome<Vec<MySqlRow>> {
        Ok(sqlx::query_with(sql.text(), args.0)
            .fetch_all(&mut *self.conn)
            .await?)
    }

    /// Runs a statement and gives its first row.
    pub(crate) async fn row(&mut self, sql: &Sql, args: Args) -> Outcome<Option<MySqlRow>> {
        Ok(self.rows(sql, args).await?.into_iter().next())
    }

    /// Inserts `rows` in chunks; `add` adds the arguments of one row.
    pub(crate) async fn insert<T>(
        &mut self,
        many: &Many,
        rows: &[T],
        add: impl Fn(Args, &T) -> Args,
    ) -> Outcome<()> {
        for (sql, chunk) in many.chunks(rows) {
            self.run(sql, chunk.iter().fold(Args::new(), &add)).await?;
        }
        Ok(())
    }
}

/// Bytes as the hexadecimal digits in which lists carry them.
pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 15])
        .map(|digit| char::from(DIGITS[usize::from(digit)]))
        .collect()
}

/// The list of ids that `{ids}` takes, in the given order.
pub(crate) fn ids<'i>(ids: impl IntoIterator<Item = &'i [u8; 16]>) -> String {
    let mut list = String::from("[");
    for id in ids {
        list.push_str(if list.len() == 1 { "\"" } else { ",\"" });
        list.push_str(&hex(id));
        list.push('"');
    }
    list.push(']');
    list
}
