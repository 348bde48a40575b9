//! One caller: it inserts some tasks, claims some, and settles them with its next claim.

use std::fmt;
use std::sync::Arc;

use retry_core::headers::Headers;
use retry_core::id::{Nonce, SessionId, Shard};
use retry_core::machine::{Event, transition};
use retry_core::name::WorkerName;
use retry_core::priority::Priority;
use retry_core::seams::{Random as _, SeededRandom};
use retry_core::store::{
    Applied, Certainty, ClaimRequest, Claimed, Exchanged, Inserted, SessionInfo, TaskStore,
};
use retry_core::task::{ClaimedTask, Edit, NewTask, Settings};
use retry_core::time::Timestamp;

use super::ledger::Ledger;
use super::tries::Tries;
use super::{Open, Plan};
use crate::fixture::{json, kind, queue};
use crate::verdict::{Failure, Verdict};

/// The most tasks of one call.
const MOST: u64 = 4;

pub(super) struct Caller {
    plan: Plan,
    number: usize,
    random: SeededRandom,
    ledger: Arc<Ledger>,
}

/// What a caller holds.
struct Held {
    session: SessionId,
    tasks: Vec<ClaimedTask>,
}

impl Caller {
    pub(super) fn new(plan: &Plan, number: usize, ledger: Arc<Ledger>) -> Self {
        let seed = plan.seed.wrapping_mul(1_000_003).wrapping_add(number as u64);
        Self {
            plan: plan.clone(),
            number,
            random: SeededRandom::new(seed),
            ledger,
        }
    }

    /// Opens a store, uses it, and leaves nothing half done.
    pub(super) async fn live(self, open: Open) -> Verdict {
        let store = self
            .tries("opening a store")
            .all(|| self.draw(), || open())
            .await?;
        let store = &*store;
        let mut held = self.open_session(store).await?;
        let mut round = 0;
        while !self.ledger.is_over() && self.plan.rounds.is_none_or(|most| round < most) {
            round += 1;
            self.insert(store).await?;
            held = self.exchange(store, held, true).await?;
        }
        let held = self.exchange(store, held, false).await?;
        self.close_session(store, held.session).await
    }

    fn tries(&self, what: &'static str) -> Tries<'_> {
        Tries::new(what, &self.plan, &self.ledger)
    }

    fn draw(&self) -> u64 {
        self.random.next_u64()
    }

    async fn open_session(&self, store: &dyn TaskStore) -> Verdict<Held> {
        let name = WorkerName::new(format!("caller-{}", self.number));
        let info = SessionInfo {
            id: SessionId::from_random(self.draw(), self.draw()),
            name: name.unwrap_or_else(|error| panic!("no worker's name: {error}")),
            host: "crowd".to_owned(),
            queues: vec![queue("default")],
            kinds: vec![kind("work")],
        };
        let call = || store.open_session(&info, Timestamp::MAX, self.plan.now);
        self.tries("open_session").all(|| self.draw(), call).await?;
        Ok(Held {
            session: info.id,
            tasks: Vec::new(),
        })
    }

    async fn close_session(&self, store: &dyn TaskStore, session: SessionId) -> Verdict {
        let call = || store.close_session(session);
        self.tries("close_session").all(|| self.draw(), call).await
    }

    fn task(&self) -> NewTask {
        let now = self.plan.now;
        NewTask {
            id: self.ledger.id(now, Shard::default(), self.draw()),
            kind: kind("work"),
            queue: queue("default"),
            priority: Priority::Normal,
            payload: json("{\"to\":\"Zoë\"}"),
            headers: Headers::new(),
            run_at: now,
            unique: None,
            parent: None,
            settings: Settings::default(),
            wait_secret: self.draw(),
            leased_by: None,
        }
    }

    async fn insert(&self, store: &dyn TaskStore) -> Verdict {
        let tasks: Vec<_> = (0..=self.draw() % MOST).map(|_| self.task()).collect();
        let mut tries = self.tries("insert");
        let call = || store.insert(&tasks, self.plan.now);
        let answers = tries.all(|| self.draw(), call).await?;
        let is_right = |answer: &Inserted| match answer {
            Inserted::New { leased } => !leased,
            Inserted::Repeated => tries.is_unknown,
            _ => false,
        };
        if answers.len() != tasks.len() || !answers.iter().all(is_right) {
            return Err(wrong("L10", "insert", &answers, tries.is_unknown));
        }
        for task in &tasks {
            self.ledger.note_inserted(task.id);
        }
        Ok(())
    }

    /// Settles what is held and claims more. While the outcome is unknown the claim is not made again, and the session that may
    /// have got something by it is given up.
    async fn exchange(&self, store: &dyn TaskStore, held: Held, more: bool) -> Verdict<Held> {
        let Held { session, tasks } = held;
        let edits: Vec<Edit> = tasks.iter().map(|claimed| self.success(claimed)).collect();
        let limit = 1 + usize::try_from(self.draw() % MOST).unwrap_or_default();
        let request = ClaimRequest::new(session, queue("default"), [kind("work")], limit);
        let mut claims = if more { vec![request] } else { Vec::new() };
        let (mut tries, mut is_doubtful) = (self.tries("exchange"), false);
        let answer = loop {
            match tries.once(store.exchange(&edits, &claims, self.plan.now)).await {
                Ok(answer) => break answer,
                Err(error) => {
                    if error.certainty() == Certainty::Unknown && !claims.is_empty() {
                        is_doubtful = true;
                        claims.clear();
                    }
                    tries.after(error, self.draw()).await?;
                }
            }
        };
        let Exchanged { applied, claimed, .. } = answer;
        self.check_settled(&tasks, &applied, tries.is_unknown)?;
        let tasks = self.check_claimed(claimed)?;
        if is_doubtful {
            self.ledger.note_doubtful(session);
            self.close_session(store, session).await?;
            return self.open_session(store).await;
        }
        Ok(Held { session, tasks })
    }

    fn success(&self, claimed: &ClaimedTask) -> Edit {
        success(claimed, self.draw(), self.plan.now)
    }

    fn check_settled(&self, tasks: &[ClaimedTask], applied: &[Applied], is_unknown: bool) -> Verdict {
        let is_right = |answer: &Applied| match answer {
            Applied::Done { .. } => true,
            Applied::Repeated => is_unknown,
            _ => false,
        };
        if applied.len() != tasks.len() || !applied.iter().all(is_right) {
            return Err(wrong("L10", "the settles of claimed tasks", applied, is_unknown));
        }
        for claimed in tasks {
            self.ledger.note_settled(claimed.task.id, claimed.task.version);
        }
        Ok(())
    }

    fn check_claimed(&self, claimed: Vec<Claimed>) -> Verdict<Vec<ClaimedTask>> {
        let mut tasks = Vec::new();
        for claimed in claimed {
            if claimed.session_lost {
                let what = "a claim of an open session";
                return Err(Failure::new(
                    "L9",
                    what,
                    "the session is lost",
                    "it is nobody's but the caller's to end",
                ));
            }
            tasks.extend(claimed.tasks);
        }
        for claimed in &tasks {
            let (id, version) = (claimed.task.id, claimed.task.version);
            if !self.ledger.note_claimed(id, version) {
                let given = format!("version {version} of {id}");
                return Err(Failure::new(
                    "L3",
                    "a claim",
                    given,
                    "a version that nobody has got before",
                ));
            }
        }
        Ok(tasks)
    }
}

/// The edit that ends a claimed task well.
pub(super) fn success(claimed: &ClaimedTask, random: u64, now: Timestamp) -> Edit {
    let event = Event::Succeed {
        output: None,
        via_fallback: false,
    };
    let action = transition(&claimed.task, event, now, 0);
    Edit {
        id: claimed.task.id,
        version: claimed.task.version,
        nonce: Nonce::from_random(random),
        action: action.unwrap_or_else(|refused| panic!("a running task can succeed: {refused}")),
        insert: Vec::new(),
    }
}

fn wrong(law: &str, what: &str, given: &(impl fmt::Debug + ?Sized), is_unknown: bool) -> Failure {
    let allowed = if is_unknown {
        "done now or by an earlier sending"
    } else {
        "done now: every sending before was certainly refused"
    };
    Failure::new(law, what, format!("{given:?}"), allowed)
}
