//! The statements, one a file in `sql/`, where each says its law, its parameters and why it is as it is.
//!
//! The only module that renders a name into a statement, and so the only one that vouches for one: what it puts in is a
//! [`SchemaName`], which cannot hold anything that needs quoting.

use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

use crate::schema_name::SchemaName;

/// The columns of a whole task, in the order of [`at`](crate::record::at).
const RECORD: &str = "t.id, t.queue, t.kind, t.level, t.state, t.run_at, t.attempt, t.crashes, t.step, t.version, \
                      t.session, t.cancel_requested, t.alarm_at, t.purge_at, t.created_at, t.updated_at, t.unique_key, \
                      t.holds_key, t.parent, t.total, t.open, t.failed, b.settings, b.key_scope, b.wait_secret, n.reruns";

/// The tables they come from. LATERAL with LIMIT is one seek for each row and cannot become another join: planned while
/// the tables were empty, a plain join read all of `body` for each task.
const FROM: &str = "{schema}.task t \
                    LEFT JOIN LATERAL (SELECT * FROM {schema}.body WHERE id = t.id LIMIT 1) b ON true \
                    LEFT JOIN LATERAL (SELECT * FROM {schema}.note WHERE t.noted AND id = t.id LIMIT 1) n ON true";

/// A table in a schema of the user's own.
#[derive(Debug)]
pub(crate) struct TableName {
    pub(crate) schema: SchemaName,
    pub(crate) table: SchemaName,
}

/// The statements of an outbox.
#[derive(Debug)]
pub(crate) struct OutboxQueries {
    /// The table's schema.
    pub(crate) schema: String,
    /// The table with its schema, as it stands in the statements.
    pub(crate) table: String,
    pub(crate) create: SqlStr,
    pub(crate) columns: SqlStr,
    pub(crate) write: SqlStr,
    pub(crate) next: SqlStr,
    pub(crate) set_aside: SqlStr,
    pub(crate) waiting: SqlStr,
}

impl OutboxQueries {
    /// The statements for a table.
    pub(crate) fn new(name: &TableName) -> Self {
        let table = format!("{}.{}", name.schema.quoted(), name.table.quoted());
        let render = |text: &str| {
            let text = text.replace("{table}", &table);
            AssertSqlSafe(Arc::<str>::from(text)).into_sql_str()
        };
        Self {
            create: render(include_str!("../sql/outbox_create.sql")),
            columns: render(include_str!("../sql/outbox_columns.sql")),
            write: render(include_str!("../sql/outbox_write.sql")),
            next: render(include_str!("../sql/outbox_next.sql")),
            set_aside: render(include_str!("../sql/outbox_set_aside.sql")),
            waiting: render(include_str!("../sql/outbox_waiting.sql")),
            schema: name.schema.to_string(),
            table,
        }
    }
}

/// Puts the schema's name and the record's columns into a statement.
fn render(text: &'static str, schema: &SchemaName) -> SqlStr {
    let text = text
        .replace("{record}", RECORD)
        .replace("{from}", FROM)
        .replace("{schema}", &schema.quoted());
    AssertSqlSafe(Arc::<str>::from(text)).into_sql_str()
}

macro_rules! statements {
    ($($name:ident = $text:expr,)*) => {
        /// The statements of one schema.
        #[derive(Debug)]
        pub(crate) struct Queries {
            $(pub(crate) $name: SqlStr,)*
        }

        impl Queries {
            /// The statements for the tables in `schema`.
            pub(crate) fn new(schema: &SchemaName) -> Self {
                Self { $($name: render($text, schema),)* }
            }

            /// All of them with their names, for tests of their plans.
            pub(crate) fn all(&self) -> Vec<(&'static str, String)> {
                vec![$((stringify!($name), self.$name.as_str().to_owned()),)*]
            }
        }
    };
}

statements! {
    backend = include_str!("../sql/backend.sql"),
    bad_write = include_str!("../sql/bad_write.sql"),
    body_write = include_str!("../sql/body_write.sql"),
    claim_again = include_str!("../sql/claim_again.sql"),
    claim_at_once = include_str!("../sql/claim_at_once.sql"),
    claim_heads = include_str!("../sql/claim_heads.sql"),
    claim_heads_after = include_str!("../sql/claim_heads_after.sql"),
    claim_look_ids = include_str!("../sql/claim_look_ids.sql"),
    claim_take = include_str!("../sql/claim_take.sql"),
    claim_take_ids = include_str!("../sql/claim_take_ids.sql"),
    claim_write = include_str!("../sql/claim_write.sql"),
    count_ended = include_str!("../sql/count_ended.sql"),
    count_exact = include_str!("../sql/count_exact.sql"),
    count_listed = include_str!("../sql/count_listed.sql"),
    count_pending = include_str!("../sql/count_pending.sql"),
    count_pending_queue = include_str!("../sql/count_pending_queue.sql"),
    count_running = include_str!("../sql/count_running.sql"),
    create = include_str!("../sql/create.sql"),
    create_schema = include_str!("../sql/create_schema.sql"),
    edit_free_key = include_str!("../sql/edit_free_key.sql"),
    edit_lock = include_str!("../sql/edit_lock.sql"),
    edit_lock_now = include_str!("../sql/edit_lock_now.sql"),
    edit_write = include_str!("../sql/edit_write.sql"),
    expired_alarm = include_str!("../sql/expired_alarm.sql"),
    expired_held = include_str!("../sql/expired_held.sql"),
    expired_sessions = include_str!("../sql/expired_sessions.sql"),
    failure_add = include_str!("../sql/failure_add.sql"),
    get = include_str!("../sql/get.sql"),
    insert_new = include_str!("../sql/insert_new.sql"),
    insert_task = include_str!("../sql/insert_task.sql"),
    key_holder = include_str!("../sql/key_holder.sql"),
    lane_list = include_str!("../sql/lane_list.sql"),
    lease_check = include_str!("../sql/lease_check.sql"),
    lease_look = include_str!("../sql/lease_look.sql"),
    list_newest = include_str!("../sql/list_newest.sql"),
    list_parent = include_str!("../sql/list_parent.sql"),
    list_record = include_str!("../sql/list_record.sql"),
    list_session = include_str!("../sql/list_session.sql"),
    list_state = include_str!("../sql/list_state.sql"),
    note_bytes = include_str!("../sql/note_bytes.sql"),
    note_clear_error = include_str!("../sql/note_clear_error.sql"),
    note_early = include_str!("../sql/note_early.sql"),
    note_store_early = include_str!("../sql/note_store_early.sql"),
    note_write = include_str!("../sql/note_write.sql"),
    notify = include_str!("../sql/notify.sql"),
    parent_states = include_str!("../sql/parent_states.sql"),
    paused_list = include_str!("../sql/paused_list.sql"),
    purge_due = include_str!("../sql/purge_due.sql"),
    purge_put_off = include_str!("../sql/purge_put_off.sql"),
    queue_list = include_str!("../sql/queue_list.sql"),
    queue_pause = include_str!("../sql/queue_pause.sql"),
    queue_resume = include_str!("../sql/queue_resume.sql"),
    replace_task = include_str!("../sql/replace_task.sql"),
    schema_found = include_str!("../sql/schema_found.sql"),
    schema_lock = include_str!("../sql/schema_lock.sql"),
    schema_version = include_str!("../sql/schema_version.sql"),
    server = include_str!("../sql/server.sql"),
    session_close = include_str!("../sql/session_close.sql"),
    session_dead = include_str!("../sql/session_dead.sql"),
    session_delete = include_str!("../sql/session_delete.sql"),
    session_get = include_str!("../sql/session_get.sql"),
    session_holds = include_str!("../sql/session_holds.sql"),
    session_list = include_str!("../sql/session_list.sql"),
    session_mark = include_str!("../sql/session_mark.sql"),
    session_mark_free = include_str!("../sql/session_mark_free.sql"),
    session_open = include_str!("../sql/session_open.sql"),
    session_renew = include_str!("../sql/session_renew.sql"),
    session_renew_uncounted = include_str!("../sql/session_renew_uncounted.sql"),
    session_sweep = include_str!("../sql/session_sweep.sql"),
    settle_delete = include_str!("../sql/settle_delete.sql"),
    settings_read = include_str!("../sql/settings_read.sql"),
    settings_write = include_str!("../sql/settings_write.sql"),
    task_delete = include_str!("../sql/task_delete.sql"),
    task_exists = include_str!("../sql/task_exists.sql"),
    time = include_str!("../sql/time.sql"),
}

/// The first statement of a transaction, which brings the settings that its connection does not have.
pub(crate) fn begin_with(settings: &[(&str, String)]) -> SqlStr {
    let mut text = "BEGIN ISOLATION LEVEL READ COMMITTED".to_owned();
    for (name, value) in settings {
        text.push_str(&format!("; SET LOCAL {name} = '{value}'"));
    }
    AssertSqlSafe(Arc::<str>::from(text)).into_sql_str()
}
