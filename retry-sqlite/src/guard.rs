//! What a user's statements may not do inside the writer's transaction: end it, or change the writer's connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rusqlite::Connection;
use rusqlite::hooks::{AuthAction, AuthContext, Authorization};

use crate::error::Outcome;

/// The savepoints by which the writer keeps its writes apart.
const OURS: [&str; 2] = ["retry_call", "retry_user"];

/// Pragmas that only look, also with an argument.
const READ_ONLY: [&str; 8] = [
    "table_info",
    "table_xinfo",
    "table_list",
    "index_info",
    "index_xinfo",
    "index_list",
    "foreign_key_list",
    "foreign_key_check",
];

/// Pragmas that belong to the user, also to write. Not `defer_foreign_keys`: it would last for the whole group, and other
/// users' statements would not be refused until the commit.
const THE_USERS: [&str; 2] = ["user_version", "application_id"];

/// A switch for the rules. SQLite asks only when a statement is prepared, so they cost nothing later.
#[derive(Debug, Clone)]
pub(crate) struct Guard {
    on: Arc<AtomicBool>,
}

impl Guard {
    /// Installs the rules, switched off.
    pub(crate) fn install(conn: &Connection) -> Outcome<Self> {
        let guard = Self { on: Arc::default() };
        let on = Arc::clone(&guard.on);
        let rule = move |context: AuthContext<'_>| {
            if on.load(Ordering::Relaxed) && forbids(context.action) {
                Authorization::Deny
            } else {
                Authorization::Allow
            }
        };
        conn.authorizer(Some(rule))?;
        Ok(guard)
    }

    pub(crate) fn switch(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }
}

fn forbids(action: AuthAction<'_>) -> bool {
    match action {
        AuthAction::Transaction { .. } | AuthAction::Attach { .. } | AuthAction::Detach { .. } => true,
        AuthAction::Savepoint { savepoint_name, .. } => {
            OURS.iter().any(|ours| savepoint_name.eq_ignore_ascii_case(ours))
        }
        AuthAction::Pragma {
            pragma_name,
            pragma_value,
        } => {
            let named = |list: &[&str]| list.iter().any(|name| pragma_name.eq_ignore_ascii_case(name));
            pragma_value.is_some() && !named(&READ_ONLY) && !named(&THE_USERS)
        }
        _ => false,
    }
}
