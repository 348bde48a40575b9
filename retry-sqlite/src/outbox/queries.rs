//! The statements of an outbox, rendered once for its table.

/// All statements, for a table with a checked name.
#[derive(Debug)]
pub(super) struct OutboxQueries {
    pub(super) table: String,
    pub(super) create: String,
    pub(super) write: String,
    pub(super) remove: String,
    pub(super) first: String,
    pub(super) body: String,
    pub(super) set_aside: String,
    pub(super) waiting: String,
}

/// Takes the table's name as a parameter.
pub(super) const COLUMNS: &str = include_str!("../../sql/outbox_columns.sql");

impl OutboxQueries {
    /// None when a table of an outbox may not have this name.
    pub(super) fn new(table: &str) -> Option<Self> {
        let is_plain = (1..=48).contains(&table.len())
            && !table.starts_with(|c: char| c.is_ascii_digit())
            && !table.starts_with("sqlite_")
            && table
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        if !is_plain {
            return None;
        }
        let render = |text: &str| text.replace("{table}", &format!("\"{table}\""));
        Some(Self {
            table: table.to_owned(),
            create: render(include_str!("../../sql/outbox_create.sql")),
            write: render(include_str!("../../sql/outbox_write.sql")),
            remove: render(include_str!("../../sql/outbox_remove.sql")),
            first: render(include_str!("../../sql/outbox_first.sql")),
            body: render(include_str!("../../sql/outbox_body.sql")),
            set_aside: render(include_str!("../../sql/outbox_set_aside.sql")),
            waiting: render(include_str!("../../sql/outbox_waiting.sql")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_names_pass() {
        let longest = "a".repeat(48);
        for table in ["a", "_", "retry_outbox", "q9", longest.as_str()] {
            assert!(OutboxQueries::new(table).is_some(), "{table}");
        }
        let too_long = "a".repeat(49);
        for table in [
            "",
            "9a",
            "A",
            "a-b",
            "a\"",
            "a'; DROP TABLE x",
            "sqlite_a",
            "é",
            too_long.as_str(),
        ] {
            assert!(OutboxQueries::new(table).is_none(), "{table}");
        }
    }
}
