//! Arguments for every statement, with lists of any length.

use crate::plans::ROWS;
use crate::support::{NOW, session, task_id};

/// `n` values of an array.
fn array(n: u64, value: impl Fn(u64) -> String) -> String {
    let values: Vec<String> = (1..=n).map(value).collect();
    format!("'{{{}}}'", values.join(","))
}

/// The same value `n` times.
fn all(n: u64, value: &str) -> String {
    array(n, |_| value.to_owned())
}

fn ids(n: u64) -> String {
    array(n, |n| task_id(n * 90).to_string())
}

fn now() -> String {
    NOW.as_millis().to_string()
}

fn quoted(value: impl std::fmt::Display) -> String {
    format!("'{value}'")
}

fn holder() -> String {
    quoted(String::from(session(1).id))
}

fn one() -> String {
    quoted(task_id(7))
}

/// Arguments for the statement `name` with lists of `n` values.
pub(crate) fn arguments(name: &str, n: u64) -> Vec<String> {
    inserts(name, n)
        .or_else(|| edits(name, n))
        .or_else(|| claims(name, n))
        .or_else(|| rounds(name, n))
        .or_else(|| reads(name, n))
        .unwrap_or_else(|| vec![ids(n)])
}

fn inserts(name: &str, n: u64) -> Option<Vec<String>> {
    let many = |value: &str| all(n, value);
    Some(match name {
        "insert_new" | "insert_task" => {
            let new = array(n, |n| task_id(ROWS * 2 + n).to_string());
            let keys = array(n, |n| format!("new {n}"));
            let (null, zero) = (|| many("NULL"), || many("0"));
            let task = [
                many("default"),
                many("work"),
                many("4"),
                zero(),
                many("1"),
                zero(),
                zero(),
            ];
            let more = [null(), null(), keys, null(), null(), many("4")];
            let body = [many("1"), zero(), null(), null(), many("1")];
            [now(), new]
                .into_iter()
                .chain(task)
                .chain(more)
                .chain(body)
                .collect()
        }
        "key_holder" => vec![many("work"), array(n, |n| format!("key {}", n * 5))],
        "replace_task" => vec![one(), now(), "NULL".to_owned(), "NULL".to_owned()],
        "body_write" => vec![one(), quoted("1"), "true".to_owned(), "NULL".to_owned()],
        "lease_check" | "lease_look" => vec![ids(n), many("default")],
        _ => return None,
    })
}

fn edits(name: &str, n: u64) -> Option<Vec<String>> {
    let many = |value: &str| all(n, value);
    Some(match name {
        "edit_write" => {
            let values = [
                "4", "1", "1", "0", "4", "0", "NULL", "f", "NULL", "5", "f", "1", "0", "0", "0", "2", "9",
                "f", "4",
            ];
            std::iter::once(ids(n)).chain(values.map(many)).collect()
        }
        "settle_delete" => vec![ids(n), many("1"), many("9")],
        "note_write" => {
            let values = ["NULL", "NULL", "no", "NULL", "1", "NULL"];
            std::iter::once(ids(n)).chain(values.map(many)).collect()
        }
        "failure_add" => vec![ids(n), many("x"), "20".to_owned()],
        "settings_write" | "note_store_early" => vec![ids(n), many("x")],
        "bad_write" | "purge_put_off" => vec![ids(n), now()],
        _ => return None,
    })
}

fn claims(name: &str, n: u64) -> Option<Vec<String>> {
    let queue = || quoted("default");
    let no = || "false".to_owned();
    Some(match name {
        "claim_heads" => vec![holder(), queue(), array(n.min(64), |n| format!("k{n}")), no()],
        "claim_at_once" => {
            let kinds = n.min(64);
            let limits = [all(kinds, "5"), n.to_string(), "1".to_owned()];
            let times = [now(), now(), "8388608".to_owned(), now()];
            let first = [holder(), queue(), array(kinds, |n| format!("k{n}"))];
            first.into_iter().chain(limits).chain(times).collect()
        }
        "claim_heads_after" => {
            let lanes = n.min(512);
            let places = array(lanes, |n| (n / 8).to_string());
            let kinds = array(lanes, |n| format!("k{}", n / 8));
            let levels = array(lanes, |n| (n % 8).to_string());
            let behind = array(lanes, |_| task_id(5).to_string());
            vec![
                holder(),
                queue(),
                places,
                kinds,
                levels,
                all(lanes, "5"),
                behind,
                no(),
            ]
        }
        "claim_take" => {
            let lane = [queue(), quoted("work"), "4".to_owned()];
            let window = [now(), "0".to_owned(), one(), n.to_string()];
            lane.into_iter().chain(window).collect()
        }
        "claim_write" => vec![holder(), now(), ids(n)],
        _ => return None,
    })
}

fn rounds(name: &str, n: u64) -> Option<Vec<String>> {
    let rows = n.to_string();
    Some(match name {
        "purge_due" => vec!["4".to_owned(), now(), now(), rows],
        "session_open" => {
            let texts = ["w", "h", "[]", "[]"].map(quoted);
            [holder(), now()].into_iter().chain(texts).collect()
        }
        "session_renew" | "session_renew_uncounted" => vec![holder(), now(), rows],
        "session_mark" | "session_mark_free" => vec![now(), rows],
        "session_get" | "session_close" | "session_holds" | "session_dead" | "session_delete"
        | "expired_sessions" => vec![holder()],
        "expired_held" => vec![holder(), one(), rows],
        "expired_alarm" => vec![now(), "0".to_owned(), one(), rows],
        "queue_pause" | "queue_resume" => vec![quoted("default")],
        "notify" => vec![quoted("channel"), all(n, "default")],
        _ => return None,
    })
}

fn reads(name: &str, n: u64) -> Option<Vec<String>> {
    let (rows, first) = (n.to_string(), "NULL".to_owned());
    Some(match name {
        "get" => vec![one()],
        "list_newest" => vec![first, rows],
        "list_parent" | "list_session" => vec![first, rows, one()],
        "list_state" => vec![first, rows, "5".to_owned()],
        "list_record" => vec![ids(n), "NULL".to_owned(), "true".to_owned()],
        "count_pending" | "count_running" | "count_ended" | "lane_list" => vec![rows],
        "count_pending_queue" => vec![rows, quoted("default")],
        "count_listed" => vec![rows, "5".to_owned()],
        "time" | "backend" | "session_list" | "session_sweep" | "paused_list" | "queue_list" => Vec::new(),
        _ => return None,
    })
}
