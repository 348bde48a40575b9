//! What the server must be like for the store to keep its promises, checked before anything else is done with it.

use std::collections::HashMap;
use std::time::Duration;

use retry_core::limits::MAX_CALL_BYTES;
use retry_core::store::{Durability, StoreError, StoreErrorKind};

use crate::args::Args;
use crate::db::Db;
use crate::error::Outcome;
use crate::record;

/// Which of the two families.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flavour {
    MySql,
    MariaDb,
}

/// The smallest `max_allowed_packet`: twice what one call carries, because lists in texts are longer than their contents.
pub(crate) const PACKET: u64 = 2 * MAX_CALL_BYTES as u64;

/// What a power cut may take when the log is flushed once a second.
const RELAXED_LOG: Duration = Duration::from_secs(1);

/// What it may take when the binary log is left to the operating system, which writes it back within half a minute.
const RELAXED_BINLOG: Duration = Duration::from_secs(60);

/// A server that was looked at.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    pub(crate) flavour: Flavour,
    variables: HashMap<String, String>,
}

impl Server {
    /// Asks the server how it is set.
    pub(crate) async fn inspect(db: &mut Db<'_>) -> Outcome<Self> {
        let mut variables = HashMap::new();
        for row in db.rows(&db.q.settings_of_server, Args::new()).await? {
            if let (Ok(name), Ok(value)) = (record::text(&row, 0), record::text(&row, 1)) {
                variables.insert(name.to_lowercase(), value.to_owned());
            }
        }
        Ok(Self::of(variables))
    }

    fn of(variables: HashMap<String, String>) -> Self {
        let is_maria = ["version", "version_comment"].iter().any(|name| {
            variables
                .get(*name)
                .is_some_and(|text| text.to_lowercase().contains("mariadb"))
        });
        Self {
            flavour: if is_maria {
                Flavour::MariaDb
            } else {
                Flavour::MySql
            },
            variables,
        }
    }

    fn get(&self, name: &str) -> &str {
        self.variables.get(name).map_or("", String::as_str)
    }

    fn is_on(&self, name: &str) -> bool {
        matches!(
            self.get(name).to_uppercase().as_str(),
            "ON" | "1" | "YES" | "SUPER"
        )
    }

    /// Refuses a server that cannot keep the store's promises.
    pub(crate) fn check(&self, accepts_relaxed: bool, place: &str) -> Result<Durability, StoreError> {
        let refuse = |kind, reason: String| Err(StoreError::rejected(kind, format!("{place}: {reason}")));
        let version = self.get("version");
        let (oldest, name) = match self.flavour {
            Flavour::MySql => ((8, 0), "MySQL"),
            Flavour::MariaDb => ((10, 6), "MariaDB"),
        };
        if numbers(version) < oldest {
            let reason = format!(
                "{name} {version} is too old; use {}.{} or newer",
                oldest.0, oldest.1
            );
            return refuse(StoreErrorKind::Schema, reason);
        }
        for variable in ["read_only", "super_read_only", "innodb_read_only"] {
            if self.is_on(variable) {
                let reason = format!("the server is {variable}, as a replica is; connect to the primary");
                return refuse(StoreErrorKind::ReadOnly, reason);
            }
        }
        let packet = self.get("max_allowed_packet");
        if packet.parse::<u64>().is_ok_and(|bytes| bytes < PACKET) {
            let reason = format!("max_allowed_packet is {packet}; set it to {PACKET} or more");
            return refuse(StoreErrorKind::Invalid, reason);
        }
        if self.is_on("log_bin") && self.get("binlog_format").eq_ignore_ascii_case("STATEMENT") {
            let reason = "binlog_format is STATEMENT, which forbids READ COMMITTED; set it to ROW".to_owned();
            return refuse(StoreErrorKind::Invalid, reason);
        }
        let (durability, reason) = self.durability();
        match reason {
            Some(reason) if !accepts_relaxed => refuse(
                StoreErrorKind::Invalid,
                format!("{reason}, or accept that with `relaxed_durability`"),
            ),
            _ => Ok(durability),
        }
    }

    /// What an answered write survives, and why it is not a power cut, with the remedy.
    fn durability(&self) -> (Durability, Option<String>) {
        let set_to_1 = |what: String| {
            Some(format!(
                "{what}, so a power cut takes what was answered; set it to 1"
            ))
        };
        let doublewrite = self.get("innodb_doublewrite");
        if !repairs_pages(doublewrite) {
            let reason = format!(
                "innodb_doublewrite is {doublewrite}, so a page that is written half when the power fails cannot be repaired, and \
                 with it tasks are lost; set it to ON"
            );
            return (Durability::None, Some(reason));
        }
        let flush = self.get("innodb_flush_log_at_trx_commit");
        let sync = self.get("sync_binlog");
        if self.is_on("log_bin") && sync != "1" {
            return (
                Durability::Periodic(RELAXED_BINLOG),
                set_to_1(format!("sync_binlog is {sync}")),
            );
        }
        // MariaDB's 3 syncs at prepare and at commit: more than 1.
        match flush {
            "1" | "3" => (Durability::Synced, None),
            _ => (
                Durability::Periodic(RELAXED_LOG),
                set_to_1(format!("innodb_flush_log_at_trx_commit is {flush}")),
            ),
        }
    }

    /// What each connection is told. A statement may take `statement`, a wait for a lock `lock`.
    pub(crate) fn session(&self, statement: Duration, lock: Duration) -> String {
        let limit = match self.flavour {
            Flavour::MariaDb => format!("max_statement_time = {}", statement.as_secs_f64()),
            Flavour::MySql => format!("max_execution_time = {}", statement.as_millis()),
        };
        let lock = lock.as_secs().max(1);
        format!(
            "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED; \
             SET SESSION autocommit = 1, completion_type = 0, innodb_lock_wait_timeout = {lock}, {limit}, \
             sql_mode = 'STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION'"
        )
    }
}

/// Whether a page that was written half is found whole elsewhere. Not by `DETECT_ONLY` (MySQL), which only finds it, nor by `fast`
/// (MariaDB 11), which syncs nothing. A server that has no such setting has no such pages.
fn repairs_pages(doublewrite: &str) -> bool {
    matches!(
        doublewrite.to_uppercase().as_str(),
        "" | "ON" | "1" | "TRUE" | "DETECT_AND_RECOVER"
    )
}

/// The first two numbers of a version.
fn numbers(version: &str) -> (u32, u32) {
    // Some MariaDB servers still pretend to be a 5.5 to replicas of old.
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    let mut parts = version
        .split(|c: char| !c.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(changed: &[(&str, &str)]) -> Server {
        let sound = [
            ("version", "8.0.36"),
            ("innodb_flush_log_at_trx_commit", "1"),
            ("log_bin", "ON"),
            ("sync_binlog", "1"),
            ("binlog_format", "ROW"),
            ("read_only", "OFF"),
            ("max_allowed_packet", "16777216"),
            ("innodb_doublewrite", "ON"),
        ];
        Server::of(
            sound
                .iter()
                .chain(changed)
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
        )
    }

    fn refusal(changed: &[(&str, &str)]) -> (StoreErrorKind, String) {
        let error = server(changed).check(false, "db:3306/x").unwrap_err();
        (error.kind(), error.to_string())
    }

    #[test]
    fn sound_servers_are_synced() {
        for version in [
            "8.0.36",
            "8.4.0",
            "9.1.0-commercial",
            "10.6.0-MariaDB",
            "10.11.19-MariaDB-0+deb12u1",
            "11.4.2-MariaDB",
        ] {
            assert_eq!(
                server(&[("version", version)]).check(false, "x").unwrap(),
                Durability::Synced,
                "{version}"
            );
        }
        assert_eq!(
            server(&[("innodb_doublewrite", "DETECT_AND_RECOVER")])
                .check(false, "x")
                .unwrap(),
            Durability::Synced
        );
        assert_eq!(
            server(&[("log_bin", "OFF"), ("sync_binlog", "0")])
                .check(false, "x")
                .unwrap(),
            Durability::Synced
        );
        assert_eq!(server(&[("version", "8.0.1")]).flavour, Flavour::MySql);
        assert_eq!(server(&[("version", "10.6.1-MariaDB")]).flavour, Flavour::MariaDb);
    }

    #[test]
    fn each_unsound_setting_is_refused_with_its_name() {
        for (name, value, kind) in [
            ("version", "5.7.44", StoreErrorKind::Schema),
            ("version", "10.5.9-MariaDB", StoreErrorKind::Schema),
            ("read_only", "ON", StoreErrorKind::ReadOnly),
            ("super_read_only", "1", StoreErrorKind::ReadOnly),
            ("innodb_read_only", "ON", StoreErrorKind::ReadOnly),
            ("max_allowed_packet", "16777215", StoreErrorKind::Invalid),
            ("binlog_format", "STATEMENT", StoreErrorKind::Invalid),
            ("innodb_flush_log_at_trx_commit", "2", StoreErrorKind::Invalid),
            ("sync_binlog", "0", StoreErrorKind::Invalid),
            ("innodb_doublewrite", "OFF", StoreErrorKind::Invalid),
            ("innodb_doublewrite", "DETECT_ONLY", StoreErrorKind::Invalid),
            ("innodb_doublewrite", "fast", StoreErrorKind::Invalid),
        ] {
            let (given, text) = refusal(&[(name, value)]);
            assert_eq!(given, kind, "{name}");
            assert!(text.starts_with("db:3306/x: "), "{text}");
            assert!(
                text.contains(name) || name == "version" && text.contains("too old"),
                "{text}"
            );
        }
    }

    #[test]
    fn relaxed_durability_is_declared() {
        let relaxed = |changed| server(changed).check(true, "x").unwrap();
        assert_eq!(
            relaxed(&[("innodb_flush_log_at_trx_commit", "2")]),
            Durability::Periodic(RELAXED_LOG)
        );
        assert_eq!(
            relaxed(&[("sync_binlog", "100")]),
            Durability::Periodic(RELAXED_BINLOG)
        );
        assert_eq!(relaxed(&[("innodb_doublewrite", "OFF")]), Durability::None);
    }
}
