//! The laws in one sentence each, for failure messages. The full text is in [`retry_core::store`].

/// The laws of the contract, in order.
pub const LAWS: &[(&str, &str)] = &[
    (
        "L1",
        "insert is atomic per call and durable, and a repeated id is the same task",
    ),
    (
        "L2",
        "a duplicate is an answer, not an error; one task wins a unique key",
    ),
    (
        "L3",
        "a claim is exclusive: while a lease is current nobody else receives the task",
    ),
    (
        "L4",
        "never early: nothing is claimed before its `run_at` by the caller's `now`",
    ),
    (
        "L5",
        "order: by level, within it by lanes in the order of their first due task, inside a lane by (`run_at`, id)",
    ),
    (
        "L6",
        "only the current version writes, and a final state is final except for rerun and delete",
    ),
    (
        "L7",
        "attempts are durable before the handler runs and never go down except by snooze, continue, a new step and a rerun",
    ),
    (
        "L8",
        "an edit and the tasks it inserts are one write, and a parent's counters are exact",
    ),
    (
        "L9",
        "a lost session stays lost, and its tasks are reported until they are settled",
    ),
    (
        "L10",
        "an unknown outcome is safe: repeating a call converges, and a dropped call leaves nothing open",
    ),
    (
        "L11",
        "reads see the caller's own writes, and paging neither skips nor repeats a row",
    ),
    (
        "L12",
        "bytes come back as they went in; case and trailing spaces matter",
    ),
    (
        "L13",
        "bounded work: a call costs in proportion to what it carries, and one over a bound is refused before any write",
    ),
    (
        "L14",
        "bad stored data is reported beside its neighbours and never blocks them",
    ),
    (
        "L15",
        "a paused queue yields nothing; running tasks go on; a born-leased insert becomes pending",
    ),
];

/// The sentence of a law.
#[must_use]
pub fn text(law: &str) -> Option<&'static str> {
    LAWS.iter().find(|(name, _)| *name == law).map(|(_, text)| *text)
}
