//! The statements, one a file in `sql/`, where each says its law, its parameters and why it is as it is; rendered once for
//! a store's database and table prefix. This is the only place where a statement is put together.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr, SqlStr};

/// The columns of a task's hot row, in the order that `record::at` names.
const HOT: &str = "t.id, t.queue, t.kind, t.level, t.state, t.run_at, t.attempt, t.crashes, t.step, t.version, t.last_nonce, \
                   t.session, t.cancel_requested, t.alarm_at, t.purge_at, t.created_at, t.updated_at, t.unique_key, \
                   t.holds_key, t.parent, t.total, t.open, t.failed, t.failures, t.noted, t.early, t.payload IS NULL";

/// The rest of a task's record.
const COLD: &str = "t.settings, t.key_scope, t.wait_secret, n.reruns";

/// The same of a task without a note.
const COLD_OF_NEW: &str = "t.settings, t.key_scope, t.wait_secret, NULL";

/// A body, wherever it is.
const PAYLOAD: &str = "IFNULL(t.payload, b.payload)";
const HEADERS: &str = "IF(t.payload IS NULL, b.headers, t.headers)";

/// A list of ids, each as 32 hexadecimal digits, in the order of the list.
const IDS: &str = "JSON_TABLE(?, '$[*]' COLUMNS (id CHAR(32) CHARACTER SET latin1 PATH '$')) e";

/// The same where rows are locked: MySQL refuses a locking clause that takes a table function along, and a clause that names its
/// tables is unknown to MariaDB.
const IDS_TO_LOCK: &str =
    "(SELECT j.id FROM JSON_TABLE(?, '$[*]' COLUMNS (id CHAR(32) CHARACTER SET latin1 PATH '$')) j) e";

/// Rows that one statement inserts: whole batches in few round trips, and each statement prepared in four sizes only.
pub(crate) const SIZES: [usize; 4] = [500, 64, 8, 1];

/// A statement.
#[derive(Debug, Clone)]
pub(crate) struct Sql(Arc<str>);

impl Sql {
    /// What the driver takes. Statements consist of this crate's text and of names that were checked.
    pub(crate) fn text(&self) -> SqlStr {
        AssertSqlSafe(Arc::clone(&self.0)).into_sql_str()
    }

    /// The statement with literals in place of its parameters.
    pub(crate) fn with(&self, literals: impl Iterator<Item = String>) -> SqlStr {
        let mut parts = self.0.split('?');
        let mut text = parts.next().unwrap_or_default().to_owned();
        for (part, literal) in parts.zip(literals) {
            text.push_str(&literal);
            text.push_str(part);
        }
        AssertSqlSafe(text).into_sql_str()
    }

    /// Both statements in one text.
    pub(crate) fn and_then(&self, next: &Self) -> Self {
        Self(Arc::from(format!("{}; {}", self.0, next.0)))
    }

    /// What connections are told when they are new: this crate's text and numbers.
    pub(crate) fn settings(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

/// A statement that inserts rows, in each of the [`SIZES`].
#[derive(Debug)]
pub(crate) struct Many([Sql; 4]);

impl Many {
    /// The statement for a single row.
    pub(crate) const fn one(&self) -> &Sql {
        let [.., one] = &self.0;
        one
    }

    /// Splits `rows` into chunks, each with the statement for it.
    pub(crate) fn chunks<'r, T>(&self, mut rows: &'r [T]) -> Vec<(&Sql, &'r [T])> {
        let mut chunks = Vec::new();
        for (sql, size) in self.0.iter().zip(SIZES) {
            while rows.len() >= size {
                let (chunk, rest) = rows.split_at(size);
                chunks.push((sql, chunk));
                rows = rest;
            }
        }
        chunks
    }
}

/// A statement that inserts any number of rows, for connections on which nothing is prepared.
#[derive(Debug)]
pub(crate) struct Rows {
    before: String,
    row: String,
}

impl Rows {
    pub(crate) fn new(sql: &Sql) -> Self {
        let (before, row) = sql.0.split_once("{row ").unwrap_or((&sql.0, ""));
        Self {
            before: before.to_owned(),
            row: row.trim_end_matches('}').to_owned(),
        }
    }

    /// The statement for `rows` of them, with literals in place of its parameters.
    pub(crate) fn of(&self, rows: usize, literals: impl Iterator<Item = String>) -> SqlStr {
        let text = format!("{}{}", self.before, vec![self.row.as_str(); rows].join(", "));
        Sql(Arc::from(text)).with(literals)
    }
}

/// Statements in one text.
pub(crate) fn joined<'t>(texts: impl IntoIterator<Item = Option<&'t str>>) -> SqlStr {
    let texts: Vec<&str> = texts.into_iter().flatten().collect();
    AssertSqlSafe(texts.join("; ")).into_sql_str()
}

/// A statement without its comments and line breaks.
pub(crate) fn code(text: &str) -> String {
    let code: Vec<&str> = text
        .lines()
        .map(|line| line.split_once("--").map_or(line, |(code, _)| code).trim())
        .collect();
    code.join(" ").trim().to_owned()
}

/// Where the tables are: a checked database and a checked prefix of their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tables {
    pub(crate) database: String,
    pub(crate) prefix: String,
}

impl Tables {
    fn render(&self, text: &str) -> String {
        let code = code(text)
            .replace("{hot}", HOT)
            .replace("{cold}", COLD)
            .replace("{cold_of_new}", COLD_OF_NEW)
            .replace("{payload}", PAYLOAD)
            .replace("{headers}", HEADERS)
            .replace("{ids}", IDS)
            .replace("{ids_to_lock}", IDS_TO_LOCK);
        let Self { database, prefix } = self;
        code.replace("retry_", &format!("`{database}`.{prefix}"))
    }

    /// A statement of an outbox, whose table has a checked name in a checked database.
    pub(crate) fn outbox(text: &str, database: &str, table: &str) -> Sql {
        let text = text.replace("{table}", &format!("`{database}`.`{table}`"));
        Sql(Arc::from(text))
    }

    fn one(&self, text: &str) -> Sql {
        Sql(Arc::from(self.render(text)))
    }

    fn many(&self, text: &str) -> Many {
        let text = self.render(text);
        let (before, rest) = text.split_once("{row ").unwrap_or((&text, ""));
        let (row, after) = rest.split_once('}').unwrap_or((rest, ""));
        Many(SIZES.map(|size| {
            Sql(Arc::from(format!(
                "{before}{}{after}",
                vec![row; size].join(", ")
            )))
        }))
    }

    /// The statements that create the schema, one after the other.
    pub(crate) fn create(&self) -> Vec<Sql> {
        let text = self.render(include_str!("../sql/create.sql"));
        let statements = text.split(';').map(str::trim);
        statements
            .filter(|sql| !sql.is_empty())
            .map(|sql| Sql(Arc::from(sql)))
            .collect()
    }
}

macro_rules! queries {
    (one { $($one:ident = $one_text:expr;)* } many { $($many:ident = $many_text:expr;)* }) => {
        /// All statements.
        #[derive(Debug)]
        pub(crate) struct Queries {
            $(pub(crate) $one: Sql,)*
            $(pub(crate) $many: Many,)*
        }

        impl Queries {
            pub(crate) fn new(tables: &Tables) -> Self {
                Self { $($one: tables.one($one_text),)* $($many: tables.many($many_text),)* }
            }
        }
    };
}

queries! {
    one {
    bad_write = include_str!("../sql/bad_write.sql");
    claim_bodies = include_str!("../sql/claim_bodies.sql");
    claim_find = include_str!("../sql/claim_find.sql");
    claim_head_after = include_str!("../sql/claim_head_after.sql");
    claim_heads = include_str!("../sql/claim_heads.sql");
    claim_ids = include_str!("../sql/claim_ids.sql");
    claim_lane = include_str!("../sql/claim_lane.sql");
    claim_write = include_str!("../sql/claim_write.sql");
    count_exact = include_str!("../sql/count_exact.sql");
    count_listed = include_str!("../sql/count_listed.sql");
    count_pending = include_str!("../sql/count_pending.sql");
    count_pending_queue = include_str!("../sql/count_pending_queue.sql");
    count_running = include_str!("../sql/count_running.sql");
    count_succeeded = include_str!("../sql/count_succeeded.sql");
    delete_bodies = include_str!("../sql/delete_bodies.sql");
    delete_body = include_str!("../sql/delete_body.sql");
    delete_failures = include_str!("../sql/delete_failures.sql");
    delete_notes = include_str!("../sql/delete_notes.sql");
    delete_tasks = include_str!("../sql/delete_tasks.sql");
    expired_alarm = include_str!("../sql/expired_alarm.sql");
    expired_held = include_str!("../sql/expired_held.sql");
    failure_list = include_str!("../sql/failure_list.sql");
    get = include_str!("../sql/get.sql");
    held_sessions = include_str!("../sql/held_sessions.sql");
    lanes = include_str!("../sql/lanes.sql");
    list_newest = include_str!("../sql/list_newest.sql");
    list_parent = include_str!("../sql/list_parent.sql");
    list_records = include_str!("../sql/list_records.sql");
    list_session = include_str!("../sql/list_session.sql");
    list_state = include_str!("../sql/list_state.sql");
    list_waiting = include_str!("../sql/list_waiting.sql");
    lock = include_str!("../sql/lock.sql");
    look_holders = include_str!("../sql/look_holders.sql");
    lock_holders = include_str!("../sql/lock_holders.sql");
    lock_tasks = include_str!("../sql/lock_tasks.sql");
    newest = include_str!("../sql/newest.sql");
    parent_states = include_str!("../sql/parent_states.sql");
    paused_list = include_str!("../sql/paused_list.sql");
    purge_delete = include_str!("../sql/purge_delete.sql");
    purge_due = include_str!("../sql/purge_due.sql");
    purge_put_off = include_str!("../sql/purge_put_off.sql");
    queue_pause = include_str!("../sql/queue_pause.sql");
    queue_resume = include_str!("../sql/queue_resume.sql");
    queues_behind = include_str!("../sql/queues_behind.sql");
    read_body = include_str!("../sql/read_body.sql");
    read_settings = include_str!("../sql/read_settings.sql");
    schema_engines = include_str!("../sql/schema_engines.sql");
    schema_exists = include_str!("../sql/schema_exists.sql");
    schema_version = include_str!("../sql/schema_version.sql");
    session_claims = include_str!("../sql/session_claims.sql");
    session_close = include_str!("../sql/session_close.sql");
    session_delete = include_str!("../sql/session_delete.sql");
    session_empty = include_str!("../sql/session_empty.sql");
    session_ended = include_str!("../sql/session_ended.sql");
    session_flagged = include_str!("../sql/session_flagged.sql");
    session_free = include_str!("../sql/session_free.sql");
    session_get = include_str!("../sql/session_get.sql");
    session_held = include_str!("../sql/session_held.sql");
    session_list = include_str!("../sql/session_list.sql");
    session_mark = include_str!("../sql/session_mark.sql");
    session_open = include_str!("../sql/session_open.sql");
    session_renew = include_str!("../sql/session_renew.sql");
    session_seen = include_str!("../sql/session_seen.sql");
    session_states = include_str!("../sql/session_states.sql");
    session_sweep = include_str!("../sql/session_sweep.sql");
    settings_of_server = include_str!("../sql/settings_of_server.sql");
    settle_tasks = include_str!("../sql/settle_tasks.sql");
    time = include_str!("../sql/time.sql");
    trim_failures = include_str!("../sql/trim_failures.sql");
    unlock = include_str!("../sql/unlock.sql");
    update_tasks = include_str!("../sql/update_tasks.sql");
    write_body = include_str!("../sql/write_body.sql");
    write_settings = include_str!("../sql/write_settings.sql");
    }
    many {
    claim_alike = include_str!("../sql/claim_alike.sql");
    insert_new = include_str!("../sql/insert_new.sql");
    insert_task = include_str!("../sql/insert_task.sql");
    insert_body = include_str!("../sql/insert_body.sql");
    insert_failure = include_str!("../sql/insert_failure.sql");
    write_note = include_str!("../sql/write_note.sql");
}
}
