//! A task before it has an id and a time: what a caller wants done, with its options.

mod decode;
mod invalid;
mod options;
mod samples;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use decode::{DecodeError, VERSION_HEADER, decode};
pub use invalid::InvalidTask;
pub use options::TaskOptions;
pub(crate) use options::option_setters;
pub use samples::{assert_decodes, assert_decodes_version, assert_tolerates_new_fields};

use crate::id::{Shard, TaskId};
use crate::limits::MAX_COUNT;
use crate::name::{Kind, Queue};
use crate::payload::Payload;
use crate::task::{NewTask, Settings};
use crate::time::Timestamp;

/// A type that travels as a task's payload: it names the kind, and with it the handler.
///
/// ```
/// # use retry_core as task_retry;
/// use task_retry::draft::{TaskOptions, TaskPayload};
/// use serde::{Deserialize, Serialize};
///
/// #[derive(Serialize, Deserialize)]
/// struct Welcome {
///     email: String,
/// }
///
/// impl TaskPayload for Welcome {
///     const KIND: &'static str = "welcome";
///
///     fn options() -> TaskOptions {
///         TaskOptions::new().queue("mail")
///     }
/// }
/// ```
pub trait TaskPayload: Serialize + DeserializeOwned + Send + 'static {
    /// Selects the handler: 1–128 bytes of `[A-Za-z0-9._:/-]`.
    const KIND: &'static str;

    /// Names under which tasks of this type were enqueued before its kind was renamed. Its handler runs them as well.
    const ALIASES: &'static [&'static str] = &[];

    /// The version of the payload's form, from 1, kept in a header of each task. Raise it with a change after which stored
    /// payloads would not decode, or would mean something else, and tell [`migrate`](Self::migrate) how to read them.
    const VERSION: u32 = 1;

    /// Brings a payload of an older version, `from`, into today's form, before it is decoded.
    ///
    /// # Errors
    /// It cannot be brought into that form; the task fails at once with the reason. Do not quote the payload there.
    fn migrate(
        from: u32,
        payload: serde_json::Value,
    ) -> Result<serde_json::Value, Box<dyn std::error::Error + Send + Sync>> {
        let _ = from;
        Ok(payload)
    }

    /// What every task of this kind gets unless told otherwise. The worker takes the retry policy from here as well.
    fn options() -> TaskOptions {
        TaskOptions::new()
    }

    /// What this very task gets: a unique key from its fields, say. `options` are those of its kind.
    fn options_for(&self, options: TaskOptions) -> TaskOptions {
        options
    }
}

/// A task to be enqueued: kind, payload and options. What is invalid is kept and reported when it is sent, before
/// anything is written.
#[derive(Debug, Clone)]
#[must_use]
pub struct Draft {
    kind: Result<Kind, InvalidTask>,
    payload: Result<Payload, InvalidTask>,
    options: TaskOptions,
    /// The version of the payload's form.
    version: u32,
}

impl Draft {
    /// A task with a typed payload.
    pub fn of<P: TaskPayload>(payload: &P) -> Self {
        Self {
            kind: Kind::new(P::KIND).map_err(|error| InvalidTask::name("kind", P::KIND, error)),
            payload: Payload::encode(payload).map_err(InvalidTask::from),
            options: payload.options_for(P::options()),
            version: P::VERSION,
        }
    }

    /// A task of any kind with a payload given as JSON, for callers that do not have the type. Where that has a version
    /// above 1, set the header [`VERSION_HEADER`].
    pub fn raw(kind: impl AsRef<str>, payload: Payload) -> Self {
        let kind = Kind::new(kind.as_ref()).map_err(|error| InvalidTask::name("kind", kind.as_ref(), error));
        Self {
            kind,
            payload: Ok(payload),
            options: TaskOptions::new(),
            version: 1,
        }
    }

    /// Puts other options in place of all that were set.
    pub fn options(mut self, options: TaskOptions) -> Self {
        self.options = options;
        self
    }

    pub(crate) fn map_options(mut self, change: impl FnOnce(TaskOptions) -> TaskOptions) -> Self {
        self.options = change(self.options);
        self
    }

    option_setters!();

    /// In this queue if none was named.
    pub(crate) fn queue_unless_named(mut self, queue: &Queue) -> Self {
        self.options.queue.get_or_insert_with(|| queue.clone());
        self
    }

    /// Adds headers that are not set and fit; one that does not is left out.
    pub(crate) fn inherit(mut self, headers: impl IntoIterator<Item = (String, String)>) -> Self {
        for (key, value) in headers {
            if self.options.headers.get(&key).is_none() {
                // Handed down from elsewhere, so no mistake of who made the draft.
                let _ = self.options.headers.insert(key, value);
            }
        }
        self
    }

    /// The slot that its keys ask for: that of its shard key, else of its unique key. None: it may go anywhere.
    #[must_use]
    pub fn shard(&self) -> Option<Shard> {
        let of_unique = || {
            let unique = self.options.unique.as_ref()?;
            Some(Shard::of_unique(self.kind.as_ref().ok()?, &unique.key))
        };
        self.options.shard.or_else(of_unique)
    }

    /// The task to insert, under an `id` of its [slot](Self::shard). `secret` becomes part of its wait tokens.
    ///
    /// # Errors
    /// The first thing that is invalid about it.
    pub fn build(
        self,
        id: TaskId,
        now: Timestamp,
        secret: u64,
        parent: Option<TaskId>,
    ) -> Result<NewTask, InvalidTask> {
        let mut options = self.options.checked()?;
        if self.version != 1 {
            options.headers.insert(VERSION_HEADER, self.version.to_string())?;
        }
        let retry = &options.retry;
        Ok(NewTask {
            id,
            kind: self.kind?,
            payload: self.payload?,
            run_at: options.due(now),
            parent,
            wait_secret: secret,
            leased_by: None,
            settings: Settings {
                max_attempts: retry.max_attempts().map(|max| max.min(MAX_COUNT)),
                give_up_after: retry.give_up_after(),
                give_up_at: retry.give_up_after().map(|after| now.saturating_add(after)),
                rescue_delay: options.rescue_delay,
                crash_budget: options.crash_budget,
                expires_at: options.expires_at_time(now),
                expires_after: options
                    .expires_at_time(now)
                    .map(|expires| expires.saturating_since(now)),
                deadline_after: options.deadline_after,
                on_wait_deadline: options.on_wait_deadline,
                on_failed_children: options.on_failed_children,
                retention: options.retention,
            },
            queue: options.queue.unwrap_or_default(),
            priority: options.priority,
            headers: options.headers,
            unique: options.unique,
        })
    }
}

impl<P: TaskPayload> From<P> for Draft {
    fn from(payload: P) -> Self {
        Self::of(&payload)
    }
}
