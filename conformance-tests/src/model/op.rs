//! What a generated history is made of. An operation names tasks and sessions by small numbers, which are resolved
//! when it runs, so that a history stays meaningful while it is shrunk.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// The longest history.
const MAX_OPS: usize = 60;

/// One operation.
#[derive(Debug, Clone)]
pub(super) enum Op {
    Insert(Vec<NewSpec>),
    Exchange(Vec<EditSpec>, Vec<ClaimSpec>),
    /// Decides an edit now that is sent later, when the task may have changed.
    Decide(EditSpec),
    SendDecided(u8),
    /// Sends an edit again that was sent before, as after an unknown outcome.
    SendAgain(u8),
    InsertAgain(u8),
    Open,
    OpenAgain(u8),
    Renew(u8, u8),
    Close(u8),
    Mark,
    Round(u8),
    /// Settles everything that is reported, as a rescuer does.
    Rescue,
    /// Runs the children of a waiting parent, well or badly by the bits of the second number.
    RunChildren(u8, u8),
    Read(ReadSpec),
    /// Purges, perhaps after a long time.
    Purge(bool),
    /// Purges up to a small limit.
    PurgeSome(u8),
    /// Marks and reports up to a small limit.
    MarkSome(u8),
    SetQueue(u8, bool),
    Pass(u8),
    /// The caller's clock steps back.
    Back(u8),
    Crash,
    /// The outcome of the calls of an operation stays unknown, so they are made again.
    Unknown(Fate, Box<Self>),
    /// Makes the stored row of a task unreadable.
    Damage(u8),
    /// Inserts a thousand tasks.
    InsertMany(NewSpec),
    /// Claims up to a thousand tasks.
    ClaimMany(u8),
    /// Settles everything that runs, up to a thousand tasks, in one call.
    SettleMany(EditSpec),
}

/// Why the outcome of a call is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// It never reached the store.
    LostRequest,
    /// It was carried out.
    LostAnswer,
    /// Its future was dropped after so many polls.
    Dropped(u8),
}

/// A task to insert.
#[derive(Debug, Clone)]
pub(super) struct NewSpec {
    pub(super) kind: u8,
    pub(super) queue: u8,
    pub(super) priority: u8,
    pub(super) due: u8,
    pub(super) key: Option<(u8, bool, u8)>,
    pub(super) leased_by: Option<u8>,
    pub(super) settings: u8,
    pub(super) known: Option<u8>,
    pub(super) text: u8,
}

/// An edit: one of the things that can happen to a task.
#[derive(Debug, Clone)]
pub(super) struct EditSpec {
    /// Among tasks of which states it picks.
    pub(super) among: u8,
    pub(super) pick: u8,
    pub(super) event: u8,
    pub(super) at: u8,
    pub(super) wrong_version: bool,
    pub(super) children: u8,
    pub(super) follow_ups: Vec<NewSpec>,
}

/// What happens to a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    Succeed,
    SucceedWithOutput,
    Retry,
    RetryInPlace,
    Fail,
    PutBack,
    Snooze,
    Continue,
    Checkpoint,
    Wait,
    Split,
    Resume,
    CompleteWell,
    CompleteBadly,
    CompleteRetry,
    EarlyResume,
    EarlyRetry,
    Cancel,
    Release,
    Rerun,
    RerunFromStart,
    Reopen,
    Reschedule,
    Edit,
    Delete,
    Expire,
    LeaseLost,
}

impl What {
    /// Everything, the simplest first; what leads on to more stands twice, and the way to children three times.
    pub(super) const ALL: &[Self] = &[
        Self::Succeed,
        Self::SucceedWithOutput,
        Self::Retry,
        Self::Fail,
        Self::Snooze,
        Self::Continue,
        Self::Checkpoint,
        Self::Wait,
        Self::Split,
        Self::Resume,
        Self::CompleteWell,
        Self::CompleteBadly,
        Self::CompleteRetry,
        Self::EarlyResume,
        Self::EarlyRetry,
        Self::Cancel,
        Self::Release,
        Self::Rerun,
        Self::RerunFromStart,
        Self::Reopen,
        Self::Reschedule,
        Self::Edit,
        Self::Delete,
        Self::Expire,
        Self::LeaseLost,
        Self::RetryInPlace,
        Self::PutBack,
        Self::Split,
        Self::Split,
        Self::Wait,
        Self::Rerun,
        Self::EarlyResume,
        Self::Checkpoint,
    ];
}

/// A claim.
#[derive(Debug, Clone)]
pub(super) struct ClaimSpec {
    pub(super) session: u8,
    pub(super) queue: u8,
    pub(super) kinds: u8,
    pub(super) limit: u8,
    pub(super) kind_limit: u8,
    pub(super) max_suspects: u8,
    pub(super) shape: Shape,
}

impl ClaimSpec {
    /// Everything that is due in the first queue.
    pub(super) const fn all(session: u8) -> Self {
        Self {
            session,
            queue: 0,
            kinds: 7,
            limit: 9,
            kind_limit: 9,
            max_suspects: 9,
            shape: Shape::Plain,
        }
    }
}

/// What a claim asks for besides lanes.
#[derive(Debug, Clone)]
pub(super) enum Shape {
    Plain,
    ByIds(Vec<u8>),
    Window(Option<u8>, Option<u8>),
    BehindMarks,
}

/// A read.
#[derive(Debug, Clone)]
pub(super) enum ReadSpec {
    Get(u8),
    List(u8, u8),
    Count(Option<u8>, bool),
    Queues,
    Sessions,
}

/// Histories.
pub(super) fn histories() -> impl Strategy<Value = Vec<Op>> {
    // Without a session and some tasks nothing runs.
    let usual = (vec(new_task(), 1..5), vec(op(), 2..MAX_OPS)).prop_map(|(first, ops)| {
        let start = [Op::Open, Op::Insert(first)];
        start.into_iter().chain(ops).collect()
    });
    prop_oneof![100 => usual, 1 => full_batches()]
}

/// Few operations on a thousand tasks.
fn full_batches() -> impl Strategy<Value = Vec<Op>> {
    let many = prop_oneof![
        3 => any::<u8>().prop_map(Op::ClaimMany),
        3 => edit().prop_map(Op::SettleMany),
        1 => edit().prop_map(|edit| Op::Unknown(Fate::LostAnswer, Box::new(Op::SettleMany(edit)))),
        3 => op(),
    ];
    (new_task(), vec(many, 1..8)).prop_map(|(task, ops)| {
        let start = [Op::Open, Op::InsertMany(task), Op::ClaimMany(0)];
        start.into_iter().chain(ops).collect()
    })
}

/// Mostly the first of a few, so that tasks meet in one place.
fn one_of(n: u8) -> impl Strategy<Value = u8> {
    prop_oneof![2 => Just(0), 1 => 0..n]
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        9 => certain_op(),
        1 => unknown_op(),
    ]
}

/// An operation whose outcome stays unknown; often one that may be dropped at any point.
fn unknown_op() -> impl Strategy<Value = Op> {
    let fate = prop_oneof![
        1 => Just(Fate::LostRequest),
        3 => Just(Fate::LostAnswer),
        2 => (0..5_u8).prop_map(Fate::Dropped),
    ];
    let plain = vec(new_task(), 2..6).prop_map(|mut tasks| {
        tasks.iter_mut().for_each(|task| task.key = None);
        Op::Insert(tasks)
    });
    let dropped = (0..5_u8, plain).prop_map(|(polls, op)| Op::Unknown(Fate::Dropped(polls), Box::new(op)));
    let any = (fate, certain_op()).prop_map(|(fate, op)| Op::Unknown(fate, Box::new(op)));
    prop_oneof![4 => any, 1 => dropped]
}

fn certain_op() -> impl Strategy<Value = Op> {
    let byte = any::<u8>;
    prop_oneof![
        6 => vec(new_task(), 0..3).prop_map(Op::Insert),
        20 => (vec(edit(), 0..4), vec(claim(), 0..3)).prop_map(|(edits, claims)| Op::Exchange(edits, claims)),
        6 => vec(claim(), 1..3).prop_map(|claims| Op::Exchange(Vec::new(), claims)),
        6 => byte().prop_map(|session| Op::Exchange(Vec::new(), vec![ClaimSpec::all(session)])),
        3 => edit().prop_map(Op::Decide),
        3 => byte().prop_map(Op::SendDecided),
        2 => byte().prop_map(Op::SendAgain),
        1 => byte().prop_map(Op::InsertAgain),
        2 => Just(Op::Open),
        1 => byte().prop_map(Op::OpenAgain),
        2 => (byte(), byte()).prop_map(|(pick, by)| Op::Renew(pick, by)),
        1 => byte().prop_map(Op::Close),
        1 => Just(Op::Mark),
        1 => byte().prop_map(Op::Round),
        3 => Just(Op::Rescue),
        3 => (byte(), byte()).prop_map(|(pick, well)| Op::RunChildren(pick, well)),
        3 => read().prop_map(Op::Read),
        2 => any::<bool>().prop_map(Op::Purge),
        1 => byte().prop_map(Op::PurgeSome),
        1 => byte().prop_map(Op::MarkSome),
        1 => (byte(), any::<bool>()).prop_map(|(queue, pause)| Op::SetQueue(queue, pause)),
        5 => byte().prop_map(Op::Pass),
        1 => byte().prop_map(Op::Back),
        1 => Just(Op::Crash),
        1 => byte().prop_map(Op::Damage),
    ]
}

pub(super) fn new_task() -> impl Strategy<Value = NewSpec> {
    let key = (any::<u8>(), any::<bool>(), any::<u8>());
    (
        (one_of(3), one_of(2), one_of(4), any::<u8>()),
        option::weighted(0.4, key),
        option::weighted(0.15, any::<u8>()),
        any::<u8>(),
        option::weighted(0.05, any::<u8>()),
        any::<u8>(),
    )
        .prop_map(
            |((kind, queue, priority, due), key, leased_by, settings, known, text)| NewSpec {
                kind,
                queue,
                priority,
                due,
                key,
                leased_by,
                settings,
                known,
                text,
            },
        )
}

pub(super) fn edit() -> impl Strategy<Value = EditSpec> {
    let numbers = (any::<u8>(), any::<u8>(), any::<u8>(), any::<u8>());
    let follow_ups = vec(new_task(), 0..2);
    (numbers, proptest::bool::weighted(0.04), 0..4_u8, follow_ups).prop_map(
        |((among, pick, event, at), wrong_version, children, follow_ups)| EditSpec {
            among,
            pick,
            event,
            at,
            wrong_version,
            children,
            follow_ups,
        },
    )
}

pub(super) fn claim() -> impl Strategy<Value = ClaimSpec> {
    let shape = prop_oneof![
        8 => Just(Shape::Plain),
        1 => vec(any::<u8>(), 0..4).prop_map(Shape::ByIds),
        1 => (option::of(any::<u8>()), option::of(any::<u8>())).prop_map(|(from, to)| Shape::Window(from, to)),
        1 => Just(Shape::BehindMarks),
    ];
    let kinds = prop_oneof![2 => Just(7), 1 => 1..8_u8];
    let kind_limit = prop_oneof![1 => Just(9), 1 => 0..6_u8];
    (any::<u8>(), one_of(2), kinds, 0..6_u8, kind_limit, 0..4_u8, shape).prop_map(
        |(session, queue, kinds, limit, kind_limit, max_suspects, shape)| ClaimSpec {
            session,
            queue,
            kinds,
            limit,
            kind_limit,
            max_suspects,
            shape,
        },
    )
}

pub(super) fn read() -> impl Strategy<Value = ReadSpec> {
    prop_oneof![
        any::<u8>().prop_map(ReadSpec::Get),
        (any::<u8>(), any::<u8>()).prop_map(|(filter, page)| ReadSpec::List(filter, page)),
        (option::of(0..2_u8), any::<bool>()).prop_map(|(queue, exact)| ReadSpec::Count(queue, exact)),
        Just(ReadSpec::Queues),
        Just(ReadSpec::Sessions),
    ]
}
