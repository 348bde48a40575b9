//! A task as a row of an outbox keeps it: three lines of text, which an operator can read.
//!
//! The first is JSON: the version of the form, and what selects and places the task. The second are its settings, as stores
//! keep them. What follows is the payload, byte for byte.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::table::NewRow;
use crate::headers::{Headers, InvalidHeader};
use crate::id::TaskId;
use crate::limits::MAX_OUTBOX_BODY_BYTES;
use crate::name::{Kind, Queue, UniqueKey};
use crate::payload::Payload;
use crate::priority::Priority;
use crate::store::{Result, StoreError};
use crate::task::{KeyScope, NewTask, OnDuplicate, Settings, Unique};
use crate::time::Timestamp;

/// The form that this program writes.
const VERSION: u32 = 1;

/// The first line. What is absent has the value that most tasks have; unknown fields are passed over.
#[derive(Serialize, Deserialize)]
struct Head {
    v: u32,
    kind: Kind,
    queue: Queue,
    #[serde(default, skip_serializing_if = "is_default")]
    priority: Priority,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    run_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    unique: Option<Key>,
    secret: u64,
}

/// Read before the rest: of another version it may mean anything.
#[derive(Deserialize)]
struct Version {
    v: u32,
}

#[derive(Serialize, Deserialize)]
struct Key {
    key: UniqueKey,
    #[serde(default, skip_serializing_if = "is_default")]
    scope: KeyScope,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    replace: Option<Replace>,
}

#[derive(Serialize, Deserialize)]
struct Replace {
    payload: bool,
    run_at: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Why a row cannot be handed over: it holds no task that this program can read.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It was written by a newer program, in this form.
    Newer(u32),
    /// No program ever wrote this form.
    Never(u32),
    /// It is larger than any row that was written.
    TooLarge(usize),
    /// It is no text, or a line is missing.
    Torn,
    /// A line is damaged.
    Json(serde_json::Error),
    Header(InvalidHeader),
}

impl fmt::Display for Unreadable {
    // Not what the decoder quotes: rows hold what is the users'.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newer(version) => write!(
                f,
                "the row is of version {version}, this program reads version {VERSION}"
            ),
            Self::Never(version) => write!(f, "the row is damaged: no row is of version {version}"),
            Self::TooLarge(bytes) => write!(f, "the row has {bytes} bytes"),
            Self::Torn => f.write_str("the row is damaged: a part is missing, or it is no text"),
            Self::Json(error) => write!(
                f,
                "the row is damaged at column {} of its first two lines",
                error.column()
            ),
            Self::Header(error) => write!(f, "the row is damaged: {error}"),
        }
    }
}

impl From<serde_json::Error> for Unreadable {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

/// The row of a task that has no parent and is not born leased.
///
/// # Errors
/// It is too large.
pub(crate) fn encode(task: NewTask, now: Timestamp) -> Result<NewRow> {
    let unique = task.unique.map(|unique| Key {
        key: unique.key,
        scope: unique.scope,
        replace: match unique.on_duplicate {
            OnDuplicate::Keep => None,
            OnDuplicate::Replace { payload, run_at } => Some(Replace { payload, run_at }),
        },
    });
    let head = Head {
        v: VERSION,
        kind: task.kind.clone(),
        queue: task.queue,
        priority: task.priority,
        headers: task
            .headers
            .iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect(),
        run_at: task.run_at,
        unique,
        secret: task.wait_secret,
    };
    // Texts and numbers always serialize.
    let head = serde_json::to_string(&head).map_err(|error| StoreError::invalid(error.to_string()))?;
    let settings = task.settings.to_stored();
    let body = format!("{head}\n{settings}\n{}", task.payload.as_json()).into_bytes();
    let row = NewRow {
        id: task.id,
        kind: task.kind,
        created_at: now,
        body,
    };
    super::check::write(std::slice::from_ref(&row))?;
    Ok(row)
}

/// The task of a row.
pub(crate) fn decode(id: TaskId, body: Vec<u8>) -> std::result::Result<NewTask, Unreadable> {
    if body.len() > MAX_OUTBOX_BODY_BYTES {
        return Err(Unreadable::TooLarge(body.len()));
    }
    let body = String::from_utf8(body).map_err(|_| Unreadable::Torn)?;
    let (head, rest) = body.split_once('\n').ok_or(Unreadable::Torn)?;
    let Version { v } = serde_json::from_str(head)?;
    match v.cmp(&VERSION) {
        Ordering::Less => return Err(Unreadable::Never(v)),
        Ordering::Greater => return Err(Unreadable::Newer(v)),
        Ordering::Equal => {}
    }
    let (settings, payload) = rest.split_once('\n').ok_or(Unreadable::Torn)?;
    let head: Head = serde_json::from_str(head)?;
    let mut headers = Headers::new();
    for (key, value) in head.headers {
        headers.insert(key, value).map_err(Unreadable::Header)?;
    }
    let unique = head.unique.map(|unique| Unique {
        key: unique.key,
        scope: unique.scope,
        on_duplicate: match unique.replace {
            None => OnDuplicate::Keep,
            Some(Replace { payload, run_at }) => OnDuplicate::Replace { payload, run_at },
        },
    });
    Ok(NewTask {
        id,
        kind: head.kind,
        queue: head.queue,
        priority: head.priority,
        payload: Payload::from_stored(payload),
        headers,
        run_at: head.run_at,
        unique,
        parent: None,
        settings: Settings::from_stored(settings)?,
        wait_secret: head.secret,
        leased_by: None,
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::draft::Draft;
    use crate::id::{Shard, TaskIds};
    use crate::limits::{MAX_HEADERS_BYTES, MAX_PAYLOAD_BYTES};
    use crate::seams::{Random as _, SeededRandom};

    fn now() -> Timestamp {
        Timestamp::from_millis(1_700_000_000_000)
    }

    fn built(draft: Draft) -> NewTask {
        let id = TaskIds::new().next(now(), Shard::new(77), 3);
        draft.build(id, now(), u64::MAX, None).unwrap()
    }

    fn plain() -> Draft {
        Draft::raw("mail", Payload::null())
    }

    fn every() -> Vec<NewTask> {
        let odd = Payload::from_json(" {\n \"a\" : \"\\u00e9\\n€\",\n\n \"b\":1.0}\n\n").unwrap();
        let unusual = Draft::raw("mail", odd)
            .queue("slow")
            .priority(Priority::Urgent)
            .header("trace", "a\n\"b\"\u{1}")
            .delay(Duration::from_hours(7))
            .crash_budget(None)
            .unique_with(
                " Zoë\n",
                KeyScope::UntilPurged,
                OnDuplicate::Replace {
                    payload: true,
                    run_at: false,
                },
            );
        let keyed = plain().unique("k");
        let largest = Payload::from_json(format!("\"{}\"", "\\n".repeat(MAX_PAYLOAD_BYTES / 2 - 1))).unwrap();
        let largest = Draft::raw("m".repeat(128), largest).header("h", "\u{1}".repeat(MAX_HEADERS_BYTES - 1));
        [plain(), unusual, keyed, largest].map(built).into()
    }

    #[test]
    fn a_task_comes_back_as_it_was() {
        for task in every() {
            let row = encode(task.clone(), now()).unwrap();
            assert_eq!((row.id, row.created_at), (task.id, now()));
            assert_eq!(decode(row.id, row.body).unwrap(), task);
        }
    }

    #[test]
    fn the_form_is_pinned() {
        // Rows in users' tables have it.
        let task = built(plain().unique("k"));
        let body = encode(task.clone(), now()).unwrap().body;
        let expected = concat!(
            r#"{"v":1,"kind":"mail","queue":"default","run_at":1700000000000,"#,
            r#""unique":{"key":"k"},"secret":18446744073709551615}"#,
            "\n",
            r#"{"attempts":100,"rescue":5000,"crashes":3,"keep":[86400000,2592000000,86400000]}"#,
            "\nnull"
        );
        assert_eq!(String::from_utf8(body).unwrap(), expected);
        assert_eq!(decode(task.id, expected.into()).unwrap(), task);
    }

    #[test]
    fn of_another_version_nothing_is_read() {
        let body = b"{\"v\":2,\"kind\":7}\nwhatever".to_vec();
        let id = TaskId::MIN;
        assert!(matches!(decode(id, body), Err(Unreadable::Newer(2))));
        // Nobody will come who can read it: it must not be waited for.
        let body = b"{\"v\":0,\"kind\":\"mail\"}\n{}\nnull".to_vec();
        assert!(matches!(decode(id, body), Err(Unreadable::Never(0))));
        for torn in ["", "{\"v\":1}", "\n\n", "{}\n{}\nnull"] {
            assert!(decode(id, torn.into()).is_err(), "{torn:?}");
        }
    }

    #[test]
    fn a_row_is_bounded_both_ways() {
        // What was never checked as a payload may be of any length.
        let payload = |n: usize| Payload::from_stored(format!("\"{}\"", "x".repeat(n)));
        let bare = encode(built(Draft::raw("mail", payload(0))), now())
            .unwrap()
            .body
            .len();
        let fits = MAX_OUTBOX_BODY_BYTES - bare;
        let row = encode(built(Draft::raw("mail", payload(fits))), now()).unwrap();
        assert!(decode(row.id, row.body).is_ok());
        assert!(encode(built(Draft::raw("mail", payload(fits + 1))), now()).is_err());
        let body = vec![b'x'; MAX_OUTBOX_BODY_BYTES + 1];
        assert!(matches!(decode(TaskId::MIN, body), Err(Unreadable::TooLarge(_))));
    }

    #[test]
    fn damage_is_answered_and_never_panics() {
        let random = SeededRandom::new(7);
        let draw = |below: usize| usize::try_from(random.next_u64() % below as u64).unwrap_or(0);
        let rows = every()
            .into_iter()
            .take(3)
            .map(|task| encode(task, now()).unwrap());
        for row in rows {
            let mut told = 0;
            for _ in 0..4_000 {
                let mut body = row.body.clone();
                for _ in 0..=draw(3) {
                    let at = draw(body.len());
                    match draw(4) {
                        0 => body[at] ^= 1 << draw(8),
                        1 => body[at] = u8::try_from(draw(256)).unwrap_or(0),
                        2 => drop(body.drain(at..at + draw(body.len() - at).min(9))),
                        _ => body.truncate(at + 1),
                    }
                    if body.is_empty() {
                        break;
                    }
                }
                match decode(row.id, body) {
                    Ok(task) => assert!(task.parent.is_none() && task.leased_by.is_none()),
                    Err(error) => {
                        told += 1;
                        assert!(error.to_string().starts_with("the row"));
                    }
                }
            }
            assert!(told > 1_000, "most damage is seen: {told}");
        }
    }
}
