//! The statements of an outbox, rendered once for its table; how many rows are written at a time.

use retry_core::outbox::NewRow;
use sqlx::SqlStr;

use crate::args::Args;
use crate::queries::{Rows, Sql, Tables, code, joined};

/// More bytes than these do not go in one statement: written into its text, they are twice as many.
const LARGE: usize = 4 * 1024 * 1024;

/// Proves that a transaction is open. Outside of one the savepoint is gone with the statement that sets it, and nothing of what
/// follows is done. The numbers of the rows are nothing to the user, whose `LAST_INSERT_ID()` is kept meanwhile.
const BEGIN: &str =
    "SAVEPOINT retry_outbox; ROLLBACK TO SAVEPOINT retry_outbox; SET @retry_outbox_last = LAST_INSERT_ID()";

const END: &str = "DO LAST_INSERT_ID(@retry_outbox_last); RELEASE SAVEPOINT retry_outbox";

/// Undoes what was written before a failure.
pub(super) const UNDO: &str = "DO LAST_INSERT_ID(@retry_outbox_last); ROLLBACK TO SAVEPOINT retry_outbox; RELEASE SAVEPOINT retry_outbox";

/// All statements.
#[derive(Debug)]
pub(super) struct OutboxQueries {
    pub(super) database: String,
    pub(super) table: String,
    pub(super) create: Sql,
    pub(super) columns: Sql,
    pub(super) next: Sql,
    /// Removes, then gives the first rows.
    pub(super) exchange: Sql,
    pub(super) place_aside: Sql,
    pub(super) set_aside: Sql,
    pub(super) waiting: Sql,
    write: Rows,
}

impl OutboxQueries {
    pub(super) fn new(database: &str, table: &str) -> Self {
        let one = |text: &str| Tables::outbox(&code(text), database, table);
        let next = one(include_str!("../../sql/outbox_next.sql"));
        let remove = one(include_str!("../../sql/outbox_remove.sql"));
        Self {
            database: database.to_owned(),
            table: table.to_owned(),
            // People read it.
            create: Tables::outbox(include_str!("../../sql/outbox_create.sql"), database, table),
            columns: one(include_str!("../../sql/outbox_columns.sql")),
            exchange: remove.and_then(&next),
            next,
            place_aside: one(include_str!("../../sql/outbox_place_aside.sql")),
            set_aside: one(include_str!("../../sql/outbox_set_aside.sql")),
            waiting: one(include_str!("../../sql/outbox_waiting.sql")),
            write: Rows::new(&one(include_str!("../../sql/outbox_write.sql"))),
        }
    }

    /// The texts that write rows inside a savepoint, one for each round trip; bodies are UTF-8.
    pub(super) fn writes(&self, rows: &[NewRow]) -> Vec<SqlStr> {
        let chunks = chunks(rows);
        let last = chunks.len().saturating_sub(1);
        let text = |(n, chunk): (usize, &[NewRow])| {
            let args = chunk.iter().fold(Args::new(), |args, row| {
                let body = str::from_utf8(&row.body).unwrap_or_default();
                args.with(row.id.to_bytes())
                    .with(row.kind.as_str())
                    .with(row.created_at.as_millis())
                    .with(body)
            });
            let write = self.write.of(chunk.len(), args.literals());
            joined([
                (n == 0).then_some(BEGIN),
                Some(write.as_str()),
                (n == last).then_some(END),
            ])
        };
        chunks.into_iter().enumerate().map(text).collect()
    }
}

/// Cuts rows where their bytes become too many for one statement. No row is larger than one may be.
fn chunks(mut rows: &[NewRow]) -> Vec<&[NewRow]> {
    let mut chunks = Vec::new();
    while !rows.is_empty() {
        let mut bytes = 0;
        let fits = rows.iter().take_while(|row| {
            bytes += row.body.len();
            bytes <= LARGE
        });
        let (chunk, rest) = rows.split_at(fits.count().max(1));
        chunks.push(chunk);
        rows = rest;
    }
    chunks
}

#[cfg(test)]
mod tests {
    use retry_core::id::TaskId;
    use retry_core::name::Kind;
    use retry_core::time::Timestamp;

    use super::*;

    fn row(bytes: usize) -> NewRow {
        NewRow {
            id: TaskId::MIN,
            kind: Kind::new("a").unwrap(),
            created_at: Timestamp::from_millis(7),
            body: vec![b'x'; bytes],
        }
    }

    #[test]
    fn one_row_is_one_text_that_proves_the_transaction_first() {
        let sql = OutboxQueries::new("shop", "retry_outbox");
        let texts = sql.writes(&[row(1)]);
        let zeros = "0".repeat(32);
        assert_eq!(
            texts.iter().map(SqlStr::as_str).collect::<Vec<_>>(),
            [format!(
                "{BEGIN}; INSERT INTO `shop`.`retry_outbox` (id, kind, created_at, body) VALUES \
                 (x'{zeros}', CONVERT(x'61' USING utf8mb4), 7, CONVERT(x'78' USING utf8mb4)); {END}"
            )]
        );
        let two = sql.writes(&[row(0), row(0)]);
        assert!(two.len() == 1 && two[0].as_str().matches(&zeros).count() == 2);
    }

    #[test]
    fn many_bytes_go_in_several_texts() {
        let sizes = |rows: &[usize]| -> Vec<usize> {
            let rows: Vec<NewRow> = rows.iter().copied().map(row).collect();
            chunks(&rows).into_iter().map(<[NewRow]>::len).collect()
        };
        assert_eq!(sizes(&[LARGE, 1, 2]), [1, 2]);
        assert_eq!(sizes(&[LARGE - 1, 1, LARGE + 1, 1]), [2, 1, 1]);
        assert!(sizes(&[]).is_empty());
        let sql = OutboxQueries::new("shop", "retry_outbox");
        let texts = sql.writes(&[row(LARGE), row(1)]);
        let [first, second] = &texts[..] else {
            panic!("{} texts", texts.len())
        };
        assert!(first.as_str().starts_with(BEGIN) && !first.as_str().ends_with(END));
        assert!(!second.as_str().starts_with(BEGIN) && second.as_str().ends_with(END));
    }
}
