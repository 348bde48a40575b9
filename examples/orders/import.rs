//! Takes the orders of a file into the database: each order and its delivery in one transaction, so neither exists
//! without the other, wherever the program is killed.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use rusqlite::{Connection, OptionalExtension as _, Transaction, TransactionBehavior, params};
use task_retry::Client;
use task_retry::sqlite::SqliteStore;
use tokio_util::sync::CancellationToken;

use crate::order::Order;

/// Orders written in one transaction. One each would be as safe, and slower: every commit waits for the disk.
const BATCH: usize = 100;

/// How many malformed lines are shown; all are counted.
const SHOWN: usize = 20;

/// How an import ended.
#[derive(Debug, Default)]
pub(crate) struct Imported {
    pub(crate) new: usize,
    pub(crate) known: usize,
    pub(crate) malformed: usize,
}

/// An import in the making.
pub(crate) struct Import {
    pub(crate) client: Client<SqliteStore>,
    pub(crate) db: PathBuf,
    pub(crate) file: PathBuf,
    pub(crate) strict: bool,
    pub(crate) stop: CancellationToken,
}

/// Opens the application's own connection and its own table, in the file that holds the tasks as well.
pub(crate) fn open(db: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(db)?;
    // The store writes to the same file, and so may another instance of this program.
    connection.busy_timeout(Duration::from_secs(10))?;
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS orders (
            id      TEXT PRIMARY KEY,
            task_id TEXT NOT NULL,
            body    TEXT NOT NULL
        ) STRICT",
    )?;
    Ok(connection)
}

/// A number of things, in words.
pub(crate) fn counted(number: usize, thing: &str) -> String {
    let s = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{s}")
}

impl Import {
    /// Imports what is missing. Blocks.
    pub(crate) fn run(&self) -> anyhow::Result<Imported> {
        let mut connection = open(&self.db).context("cannot open the table of orders")?;
        if self.strict {
            self.refuse_malformed(&connection)?;
        }
        let mut imported = Imported::default();
        let mut seen = HashSet::new();
        let mut lines = self.lines()?.peekable();
        while lines.peek().is_some() && !self.stop.is_cancelled() {
            // Immediate: the transaction will write, so it waits its turn here and nowhere else.
            let tx = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for line in lines.by_ref().take(BATCH) {
                let (number, line) = line.with_context(|| format!("cannot read {}", self.file.display()))?;
                match examine(&tx, &line, &mut seen)? {
                    Line::New(order, body) => {
                        self.take_in(&tx, *order, &body)?;
                        imported.new += 1;
                    }
                    Line::Known => imported.known += 1,
                    Line::Malformed(why) if self.strict => bail!("{}: {why}", self.place(number)),
                    Line::Malformed(why) => {
                        imported.malformed += 1;
                        self.report(imported.malformed, number, &why);
                    }
                }
            }
            tx.commit()?;
        }
        Ok(imported)
    }

    /// Writes one order and enqueues its delivery in the same transaction.
    fn take_in(&self, tx: &Transaction<'_>, order: Order, body: &str) -> anyhow::Result<()> {
        let id = order.id.clone();
        let delivery = self.client.enqueue(order).in_tx(tx)?;
        let mut insert = tx.prepare_cached("INSERT INTO orders (id, task_id, body) VALUES (?1, ?2, ?3)")?;
        insert.execute(params![id, delivery.id.to_string(), body])?;
        Ok(())
    }

    /// Reads the whole file before anything is written.
    fn refuse_malformed(&self, connection: &Connection) -> anyhow::Result<()> {
        let mut malformed = 0;
        let mut seen = HashSet::new();
        for line in self.lines()? {
            let (number, line) = line.with_context(|| format!("cannot read {}", self.file.display()))?;
            if let Line::Malformed(why) = examine(connection, &line, &mut seen)? {
                malformed += 1;
                self.report(malformed, number, &why);
            }
        }
        if malformed > 0 {
            let lines = counted(malformed, "malformed line");
            bail!("{lines}; nothing was imported (--strict)");
        }
        Ok(())
    }

    /// The lines that are not blank, each with its number in the file.
    fn lines(&self) -> anyhow::Result<impl Iterator<Item = io::Result<(usize, Vec<u8>)>> + use<>> {
        let file = File::open(&self.file).with_context(|| format!("cannot open {}", self.file.display()))?;
        let lines = (1..).zip(BufReader::new(file).split(b'\n'));
        Ok(lines.filter_map(|(number, line)| match line {
            Ok(line) if line.trim_ascii().is_empty() => None,
            Ok(line) => Some(Ok((number, line))),
            Err(error) => Some(Err(error)),
        }))
    }

    fn report(&self, nth: usize, number: usize, why: &str) {
        let what = if self.strict { "malformed" } else { "skipped" };
        match nth {
            ..=SHOWN => eprintln!("{}: {what}: {why}", self.place(number)),
            n if n == SHOWN + 1 => eprintln!("… and further lines"),
            _ => {}
        }
    }

    fn place(&self, number: usize) -> String {
        format!("{}:{number}", self.file.display())
    }
}

/// What a line holds.
enum Line {
    /// An order that the database does not have, and its text.
    New(Box<Order>, String),
    /// An order that it has.
    Known,
    /// Neither, for this reason.
    Malformed(String),
}

fn examine(connection: &Connection, line: &[u8], seen: &mut HashSet<String>) -> anyhow::Result<Line> {
    let order = match Order::parse(line) {
        Ok(order) => order,
        Err(why) => return Ok(Line::Malformed(why)),
    };
    if !seen.insert(order.id.clone()) {
        let why = format!("order {} stands on an earlier line", order.id);
        return Ok(Line::Malformed(why));
    }
    let body = serde_json::to_string(&order)?;
    let mut find = connection.prepare_cached("SELECT body FROM orders WHERE id = ?1")?;
    let stored: Option<String> = find.query_row([&order.id], |row| row.get(0)).optional()?;
    Ok(match stored {
        None => Line::New(Box::new(order), body),
        Some(stored) if stored == body => Line::Known,
        Some(_) => Line::Malformed(format!(
            "order {} is in the database already, but differs",
            order.id
        )),
    })
}
