//! Every numeric bound of the contract, each with its reason. Exceeding one is an error before any write.

use std::time::Duration;

/// Bytes in a kind, queue or worker name: fits every store's index key and any dashboard column.
pub const MAX_NAME_BYTES: usize = 128;

/// Bytes in a unique key: the longest key that MySQL indexes whole beside the kind.
pub const MAX_KEY_BYTES: usize = 255;

/// Bytes in a payload (also an output, a checkpoint and a completion): a task is an instruction, not a file; larger
/// data belongs in the user's own storage with its address in the payload.
pub const MAX_PAYLOAD_BYTES: usize = 1024 * 1024;

/// Bytes in all headers of a task together, keys and values: they travel with every claim.
pub const MAX_HEADERS_BYTES: usize = 16 * 1024;

/// Bytes of an error text that are kept; longer ones are cut on a character boundary and marked.
pub const MAX_ERROR_BYTES: usize = 8 * 1024;

/// Failed attempts kept in a task's history; older ones are forgotten.
pub const MAX_FAILURES_KEPT: usize = 20;

/// Tasks that one call inserts, edits that one call applies, tasks that one call claims: bounds the time a store's
/// single writer, transaction or script is held by one caller.
pub const MAX_BATCH: usize = 1_000;

/// Bytes of payloads, headers and outputs that one call carries: below the default packet limits of the servers.
pub const MAX_CALL_BYTES: usize = 8 * 1024 * 1024;

/// Kinds named by one claim: each costs one index peek per priority.
pub const MAX_CLAIM_KINDS: usize = 64;

/// Children that one split inserts in the same write as the parent's change.
pub const MAX_SPLIT_CHILDREN: usize = 1_000;

/// Bytes of the children that one chunk of a split inserts: half of what a call carries, so that a chunk leaves room for
/// the other outcomes of its exchange.
pub const MAX_CHUNK_BYTES: usize = MAX_CALL_BYTES / 2;

/// Chunks after which a split hands its task back and goes on in another attempt: the crash budget and the attempts
/// then count failures of a small part of the split, and a shutdown, a timeout or another worker comes in between.
pub const CHUNKS_PER_ATTEMPT: u32 = 50;

/// Shards of one split. A parent's counters are 32-bit integers in every store and count over all its lives; twenty
/// largest splits fit.
pub const MAX_SHARDS: u32 = 100_000_000;

/// Records that a listing or an inexact count examines before it gives up with a cursor or an "at least".
pub const MAX_EXAMINED: usize = 10_000;

/// Tasks on one page of a listing.
pub const MAX_PAGE: usize = 1_000;

/// Lanes that `queues` reports.
pub const MAX_LANES_REPORTED: usize = 1_000;

/// `purge` never removes a row created less than this ago: the window in which an insert with an unknown outcome may
/// be sent again and must meet its first copy.
pub const RESEND_WINDOW: Duration = Duration::from_mins(10);

/// How long `purge` puts off a finished child whose parent is not final yet.
pub const PURGE_CHILD_DELAY: Duration = Duration::from_hours(1);

/// Parts of a sharded store: each costs every worker a session and five loops, and should keep its share of the 4,096 slots
/// even (sixteen slots each, at the most parts).
pub const MAX_PARTS: usize = 256;

/// How long a sharded store waits for one call of a part before it goes on without: longer than a fail-over's pause or a
/// commit behind a full disk queue takes, and a third of the default lease, so that whoever waits can still act.
pub const PART_CALL_LIMIT: Duration = Duration::from_secs(5);

/// How long a sharded store waits for a part to tell its time, which also tries one that has not answered: it is the least that
/// can be asked, and a reading that took longer is worth less than an old one.
pub const PART_TIME_LIMIT: Duration = Duration::from_secs(2);

/// Calls of a part that fail one after the other before no more are tried: one or two are what a pool's stale connections
/// give after the server was restarted.
pub const PART_FAILURES: u32 = 3;

/// How long such a part is left alone before one call tries it again. Each further failure doubles it.
pub const PART_FIRST_PAUSE: Duration = Duration::from_secs(1);

/// The longest such pause, and so how long a part that is back may be overlooked: a default lease, by when a lost worker
/// would have been noticed, too.
pub const PART_LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Timestamps stay within ±2⁵³ milliseconds, the integers every store and every JSON reader holds exactly.
pub const MAX_TIMESTAMP_MILLIS: i64 = 1 << 53;

/// Versions and nonces stay below 2⁵³ for the same reason (Lua numbers are doubles).
pub const MAX_VERSION: u64 = (1 << 53) - 1;

/// Attempts, crashes and steps saturate here: the largest count every store's signed 32-bit column holds.
pub const MAX_COUNT: u32 = i32::MAX as u32;

/// Bytes of an alert rule: a condition is a line, not a program, and each failed attempt pays for judging it.
pub const MAX_RULE_BYTES: usize = 1_024;

/// Levels of nesting in an alert rule: bounds the stack that reading and judging it takes.
pub const MAX_RULE_DEPTH: usize = 32;

/// Alerts that wait for each sink unless told otherwise; further ones are dropped and counted. With the largest error
/// texts they take 8 MiB.
pub const DEFAULT_ALERT_QUEUE: usize = 1_000;

/// Cool-downs remembered at a time. Beyond it they begin anew: alerts then come more often, never less.
pub const MAX_COOL_DOWNS: usize = 10_000;

/// Bytes in the name of an outbox: with what the relay puts before it, it is the name of a queue, and short enough for the
/// name of a table.
pub const MAX_OUTBOX_NAME_BYTES: usize = 48;

/// Bytes of a task as a row of an outbox keeps it: the largest payload and all headers, even if each of their characters
/// is escaped, fit; two hand-overs of such rows fit into a call.
pub const MAX_OUTBOX_BODY_BYTES: usize = 2 * 1024 * 1024;

/// Rows that one hand-over takes at most, unless told otherwise: half a call's, so that other outcomes find room beside it.
pub const DEFAULT_OUTBOX_BATCH: usize = MAX_BATCH / 2;

/// Bytes of the rows of one hand-over: half of what a call carries, for the same reason.
pub const MAX_OUTBOX_BATCH_BYTES: usize = MAX_CALL_BYTES / 2;
