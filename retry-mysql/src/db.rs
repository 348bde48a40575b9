//! Running statements on one connection: arguments in, rows out.

use sqlx::mysql::{MySqlConnection, MySqlRow};

use crate::args::Args;
use crate::error::Outcome;
use crate::queries::{Many, Queries, Sql};

/// More bytes than these go to the server row by row when they are written into the text, which doubles them.
const LARGE: usize = 4 * 1024 * 1024;

/// One connection, the store's or the user's, and the statements.
#[derive(Debug)]
pub(crate) struct Db<'c> {
    pub(crate) conn: &'c mut MySqlConnection,
    pub(crate) q: &'c Queries,
    how: How,
}

/// How statements are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Prepared once for each connection, with arguments beside them.
    Prepared,
    /// As texts with the arguments in them. A call that is dropped while the driver prepares a statement leaves its connection
    /// with answers that nobody reads; the driver gets over any other moment.
    Text,
}

impl<'c> Db<'c> {
    /// A connection of the store's own, on which every call runs to its end.
    pub(crate) const fn own(conn: &'c mut MySqlConnection, q: &'c Queries) -> Self {
        Self {
            conn,
            q,
            how: How::Prepared,
        }
    }

    /// A connection of the user's, who may drop the call.
    pub(crate) const fn users(conn: &'c mut MySqlConnection, q: &'c Queries) -> Self {
        Self {
            conn,
            q,
            how: How::Text,
        }
    }

    /// Whether the user commits.
    pub(crate) fn is_users(&self) -> bool {
        self.how == How::Text
    }

    /// Runs a statement and gives the number of rows it wrote or found to be right already.
    pub(crate) async fn run(&mut self, sql: &Sql, args: Args) -> Outcome<u64> {
        let done = match self.how {
            How::Prepared => {
                sqlx::query_with(sql.text(), args.bound())
                    .execute(&mut *self.conn)
                    .await?
            }
            How::Text => {
                sqlx::raw_sql(sql.with(args.literals()))
                    .execute(&mut *self.conn)
                    .await?
            }
        };
        Ok(done.rows_affected())
    }

    /// Runs a statement and gives its rows.
    pub(crate) async fn rows(&mut self, sql: &Sql, args: Args) -> Outcome<Vec<MySqlRow>> {
        Ok(match self.how {
            How::Prepared => {
                sqlx::query_with(sql.text(), args.bound())
                    .fetch_all(&mut *self.conn)
                    .await?
            }
            How::Text => {
                sqlx::raw_sql(sql.with(args.literals()))
                    .fetch_all(&mut *self.conn)
                    .await?
            }
        })
    }

    /// Runs statements as one text, and gives all their rows.
    pub(crate) async fn texts(&mut self, sql: &Sql, args: Args) -> Outcome<Vec<MySqlRow>> {
        let text = sql.with(args.literals());
        Ok(sqlx::raw_sql(text).fetch_all(&mut *self.conn).await?)
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
            let args = chunk.iter().fold(Args::new(), &add);
            if self.how == How::Text && args.len() > LARGE {
                for row in chunk {
                    self.run(many.one(), add(Args::new(), row)).await?;
                }
            } else {
                self.run(sql, args).await?;
            }
        }
        Ok(())
    }
}
