//! The world that a seed describes: its fleet, its tasks, what happens to it and when.

use std::collections::BTreeSet;

use super::author::Author;
use super::exec::HostId;
use super::features::{Feature, Features};
use super::relays::Fall;
use super::rng::Rng;
use super::script::Script;

/// Which history to run. What is not given is decided by the seed; the rest narrows it, as shrinking does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// Decides everything.
    pub seed: u64,
    /// Features that are left out though the seed has them.
    pub without: Features,
    /// At most this many workers.
    pub workers: Option<usize>,
    /// Only these of the seed's tasks.
    pub tasks: Option<BTreeSet<usize>>,
    /// Only these of the seed's happenings.
    pub events: Option<BTreeSet<usize>>,
    /// Keep the trace's lines.
    pub trace: bool,
}

/// Something that happens to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Happening {
    Crash {
        host: HostId,
        down: u64,
    },
    Freeze {
        host: HostId,
        millis: u64,
    },
    /// Everything but the store.
    Sleep {
        millis: u64,
    },
    Restart {
        host: HostId,
        down: u64,
    },
    Skew {
        host: HostId,
        millis: i64,
    },
    Outage {
        part: usize,
        millis: u64,
    },
    PowerCut {
        part: usize,
    },
    ClockStep {
        part: usize,
        millis: i64,
    },
    Operator {
        act: Operator,
        draw: u64,
    },
    PauseQueue {
        queue: usize,
        millis: u64,
    },
    /// To one of the outbox's relays.
    Relay {
        relay: usize,
        fall: Fall,
        millis: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Operator {
    Cancel,
    Rerun,
    RerunFromStart,
    Delete,
    Reschedule,
    Edit,
    Look,
}

#[derive(Debug, Clone)]
pub(super) struct Planned<T> {
    /// Its place in the seed's list, by which shrinking names it.
    pub(super) index: usize,
    pub(super) at: u64,
    pub(super) what: T,
}

/// An enqueue.
#[derive(Debug, Clone, Copy)]
pub(super) struct Enqueue {
    pub(super) script: usize,
    /// With how many of its successors in one call; one goes through the coalescer.
    pub(super) many: bool,
    pub(super) client: usize,
    /// As running under the session of this worker, at the store itself.
    pub(super) born_on: Option<usize>,
    /// By the program of this worker, to be run there.
    pub(super) here: Option<(usize, Here)>,
    /// Through the outbox.
    pub(super) outbox: Option<Commit>,
}

/// A transaction of the outbox's database.
#[derive(Debug, Clone, Copy)]
pub(super) struct Commit {
    /// How long it is open.
    pub(super) millis: u64,
    pub(super) commits: bool,
}

/// The outbox's relays.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Relays {
    /// How many; none without [`Feature::Outbox`].
    pub(super) count: usize,
    /// Rows of one hand-over.
    pub(super) batch: usize,
}

/// How a worker's program enqueues what is to run there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Here {
    /// Started in the background.
    Start,
    /// Run in the program's own future.
    Inline,
    /// Run there before it is stored.
    Try,
    /// In a transaction that takes a while; some are rolled back.
    Transaction { millis: u64, ends: Ends },
}

/// How a transaction ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Ends {
    Commits,
    /// With the hook called all the same: a savepoint took the task along.
    CommitsWithout,
    RollsBack,
    /// The hook is dropped, and the commit was done.
    Forgets,
}

/// How often calls go wrong, per mille of calls.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    pub(super) latency_ms: u64,
    pub(super) rejected: u64,
    pub(super) unknown: u64,
    pub(super) hang: u64,
    pub(super) hang_ms: u64,
    pub(super) late: u64,
    pub(super) hints: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Fleet {
    pub(super) workers: usize,
    pub(super) clients: usize,
    pub(super) lease_ms: u64,
    pub(super) concurrency: usize,
    pub(super) prefetch: usize,
    /// Limits of [`super::script::KindOf::Few`] and of the second queue, with [`Feature::Limits`].
    pub(super) few: usize,
    pub(super) queue_limit: usize,
    pub(super) timeout_ms: u64,
    pub(super) grace_ms: u64,
    pub(super) cancel_grace_ms: u64,
    pub(super) sync_ms: u64,
}

#[derive(Debug, Clone)]
pub(super) struct Config {
    pub(super) features: Features,
    pub(super) fleet: Fleet,
    pub(super) rates: Rates,
    pub(super) scripts: Vec<Script>,
    pub(super) tasks: Vec<Planned<Enqueue>>,
    pub(super) events: Vec<Planned<Happening>>,
    pub(super) chaos_ms: u64,
    pub(super) parts: usize,
    pub(super) outbox: Relays,
}

/// The most relays.
const MAX_RELAYS: usize = 2;

/// Parts of the store with [`Feature::Parts`].
pub(super) const MAX_PARTS: usize = 2;

// Labels of the seed's parts.
const FEATURES: u64 = 1;
const FLEET: u64 = 2;
const RATES: u64 = 3;
const TASKS: u64 = 4;
const EVENTS: u64 = 5;
const RELAYS: u64 = 6;

impl Config {
    pub(super) fn new(options: &Options) -> Self {
        let root = Rng::new(options.seed).split(0);
        let mut rng = root.split(FEATURES);
        // A swarm: each history has its own part of the features, sometimes few, sometimes most.
        let share = rng.pick(&[100, 300, 500, 700]);
        let drawn: Features = Feature::ALL
            .iter()
            .copied()
            .filter(|_| rng.chance(share))
            .collect();
        let features = fitting(drawn.minus(options.without));
        let fleet = fleet(&mut root.split(FLEET), options);
        let chaos_ms = rng.pick(&[3_000, 10_000, 25_000]);
        let (scripts, tasks) = tasks(&root.split(TASKS), features, &fleet, chaos_ms);
        let events = events(&root.split(EVENTS), features, &fleet, chaos_ms);
        Self {
            features,
            rates: rates(&mut root.split(RATES), features, fleet.lease_ms),
            tasks: kept(tasks, options.tasks.as_ref()),
            events: kept(events, options.events.as_ref()),
            fleet,
            scripts,
            chaos_ms,
            outbox: relays(&mut root.split(RELAYS), features),
            parts: if features.has(Feature::Parts) {
                MAX_PARTS
            } else {
                1
            },
        }
    }
}

/// A hand-over reaches one part only, and a store that loses what it acknowledged loses rows that are gone from the outbox.
fn fitting(features: Features) -> Features {
    if features.has(Feature::Parts) || features.has(Feature::PowerCut) {
        return features.minus(Features::default().with(Feature::Outbox));
    }
    features
}

fn relays(rng: &mut Rng, features: Features) -> Relays {
    let (count, batch) = (rng.pick(&[1, 2, 2]), rng.pick(&[1, 2, 3, 10]));
    if features.has(Feature::Outbox) {
        Relays { count, batch }
    } else {
        Relays::default()
    }
}

fn kept<T>(mut planned: Vec<Planned<T>>, only: Option<&BTreeSet<usize>>) -> Vec<Planned<T>> {
    planned.retain(|planned| only.is_none_or(|only| only.contains(&planned.index)));
    planned.sort_by_key(|planned| planned.at);
    planned
}

fn fleet(rng: &mut Rng, options: &Options) -> Fleet {
    let workers = rng.pick(&[1, 2, 2, 3, 3, 4, 6]);
    Fleet {
        workers: options.workers.map_or(workers, |most| workers.min(most.max(1))),
        clients: 2,
        lease_ms: rng.pick(&[1_000, 3_000, 6_000, 15_000]),
        concurrency: rng.pick(&[1, 2, 4, 8]),
        prefetch: rng.pick(&[0, 1, 4, 16]),
        few: rng.pick(&[1, 2]),
        queue_limit: rng.pick(&[1, 3]),
        timeout_ms: rng.range(200, 3_000),
        grace_ms: rng.pick(&[0, 500, 3_000]),
        cancel_grace_ms: rng.pick(&[0, 200, 2_000]),
        sync_ms: rng.pick(&[200, 1_000, 5_000]),
    }
}

fn rates(rng: &mut Rng, features: Features, lease_ms: u64) -> Rates {
    let mut rate = |feature, choices: &[u64]| {
        let drawn = rng.pick(choices);
        if features.has(feature) { drawn } else { 0 }
    };
    Rates {
        // Two round trips must fit into a lease well, or nothing keeps it.
        latency_ms: rate(Feature::Latency, &[2, 20, 200, 900]).min(lease_ms / 6),
        rejected: rate(Feature::Rejected, &[10, 60, 300]),
        unknown: rate(Feature::Unknown, &[10, 60, 300]),
        hang: rate(Feature::Hang, &[4, 20, 60]),
        hang_ms: rate(Feature::Hang, &[500, 4_000, 20_000]),
        late: rate(Feature::Late, &[10, 60]),
        hints: rate(Feature::Hints, &[100, 500, 900]),
    }
}

fn tasks(
    root: &Rng,
    features: Features,
    fleet: &Fleet,
    chaos_ms: u64,
) -> (Vec<Script>, Vec<Planned<Enqueue>>) {
    let mut rng = root.split(0);
    let most = rng.pick(&[2, 8, 20, 40]);
    let count = usize::try_from(rng.range(1, most)).unwrap_or(1);
    let (mut scripts, mut tasks) = (Vec::new(), Vec::new());
    let burst = rng.chance(400);
    for index in 0..count {
        // Each task has randomness of its own: leaving one out changes no other.
        let mut rng = root.split(1 + index as u64);
        let at = if burst { rng.below(50) } else { rng.below(chaos_ms) };
        let (many, client) = (rng.chance(200), rng.index(fleet.clients));
        let mut born = rng.split(1);
        let born = born.chance(200).then(|| born.index(fleet.workers));
        let mut here = rng.split(2);
        let here = here
            .chance(500)
            .then(|| (here.index(fleet.workers), here_how(&mut here)));
        let mut author = Author {
            features,
            scripts: &mut scripts,
            rng: rng.split(0),
        };
        let script = author.write(2);
        // What never ends by itself nobody finds before it is stored.
        let tries = rng.split(3).chance(300) && features.has(Feature::Try) && !scripts[script].is_stuck();
        let here = here.map(|(worker, how)| (worker, if tries { Here::Try } else { how }));
        tasks.push(Planned {
            index,
            at,
            what: Enqueue {
                script,
                many,
                client,
                born_on: born.filter(|_| features.has(Feature::Born)),
                here: here.filter(|(_, how)| features.has(Feature::Here) || *how == Here::Try),
                outbox: commit(&mut rng.split(4)).filter(|_| features.has(Feature::Outbox)),
            },
        });
    }
    (scripts, tasks)
}

fn commit(rng: &mut Rng) -> Option<Commit> {
    let through = rng.chance(600);
    let commit = Commit {
        millis: rng.pick(&[0, 0, 20, 400, 5_000]),
        commits: rng.chance(850),
    };
    through.then_some(commit)
}

fn here_how(rng: &mut Rng) -> Here {
    let millis = rng.pick(&[0, 3, 500, 12_000]);
    let ends = rng.pick(&[
        Ends::Commits,
        Ends::Commits,
        Ends::CommitsWithout,
        Ends::RollsBack,
        Ends::Forgets,
    ]);
    let transaction = Here::Transaction { millis, ends };
    rng.pick(&[Here::Start, Here::Inline, transaction, transaction])
}

fn events(root: &Rng, features: Features, fleet: &Fleet, chaos_ms: u64) -> Vec<Planned<Happening>> {
    let mut events = Vec::new();
    for (label, feature) in Feature::ALL.iter().enumerate() {
        let mut rng = root.split(label as u64);
        let count = rng.range(1, 5);
        for nth in 0..count {
            let mut rng = rng.split(nth);
            let at = rng.below(chaos_ms);
            let Some(what) = happening(*feature, &mut rng, fleet) else {
                break;
            };
            let index = label * 10 + usize::try_from(nth).unwrap_or(0);
            if features.has(*feature) {
                events.push(Planned { index, at, what });
            }
        }
    }
    events
}

fn happening(feature: Feature, rng: &mut Rng, fleet: &Fleet) -> Option<Happening> {
    let host = rng.index(fleet.workers);
    let part = rng.split(1).index(MAX_PARTS);
    let short = rng.range(10, 2_000);
    let lease = fleet.lease_ms;
    let signed = |millis: u64, negative: bool| {
        let millis = i64::try_from(millis).unwrap_or(0);
        if negative { -millis } else { millis }
    };
    let operator = |act, draw| Some(Happening::Operator { act, draw });
    match feature {
        Feature::Crash => Some(Happening::Crash { host, down: short }),
        Feature::Restart => Some(Happening::Restart { host, down: short }),
        Feature::Freeze => {
            let millis = if rng.chance(500) {
                rng.range(lease / 2, lease * 2)
            } else {
                short
            };
            Some(Happening::Freeze { host, millis })
        }
        Feature::Skew => {
            let millis = signed(rng.pick(&[5, 3_000, 600_000, 86_400_000]), rng.chance(500));
            Some(Happening::Skew { host, millis })
        }
        // Together shorter than the window in which a call may be sent again.
        Feature::Sleep => Some(Happening::Sleep {
            millis: rng.range(10_000, 60_000),
        }),
        Feature::Outage => Some(Happening::Outage {
            part,
            millis: rng.range(50, lease * 2),
        }),
        Feature::PowerCut => Some(Happening::PowerCut { part }),
        Feature::ClockStep => {
            let negative = rng.chance(400);
            let hours = rng.split(2).chance(150);
            let most = match negative {
                true => lease,
                false if hours => 7_200_000,
                false => lease * 3,
            };
            Some(Happening::ClockStep {
                part,
                millis: signed(rng.range(1, most), negative),
            })
        }
        Feature::Cancel => operator(Operator::Cancel, rng.next()),
        Feature::Rerun => {
            let act = rng.pick(&[
                Operator::Rerun,
                Operator::Rerun,
                Operator::RerunFromStart,
                Operator::Delete,
            ]);
            operator(act, rng.next())
        }
        Feature::Edit => operator(
            rng.pick(&[Operator::Reschedule, Operator::Edit, Operator::Look]),
            rng.next(),
        ),
        Feature::PauseQueue => Some(Happening::PauseQueue {
            queue: rng.index(2),
            millis: short * 2,
        }),
        Feature::Outbox => Some(relay_falls(rng, short, lease)),
        _ => None,
    }
}

fn relay_falls(rng: &mut Rng, short: u64, lease: u64) -> Happening {
    let falls = [
        Fall::Crash,
        Fall::Crash,
        Fall::Freeze,
        Fall::Restart,
        Fall::Cancel,
    ];
    let fall = rng.pick(&falls);
    let frozen = rng.range(lease / 2, lease * 2);
    Happening::Relay {
        relay: rng.index(MAX_RELAYS),
        fall,
        millis: if fall == Fall::Freeze { frozen } else { short },
    }
}
