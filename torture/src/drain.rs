//! After the faults: everybody lives, nobody enqueues, and all must end.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use anyhow::Result;
use retry_core::client::Client;
use retry_core::store::{CountScope, Session};
use retry_core::task::State;
use serde::{Deserialize, Serialize};

use crate::alone;
use crate::crew::Crew;

/// How long nothing may end before it counts as stuck: many leases.
const STUCK: Duration = Duration::from_secs(30);
/// How long a process may take to shut down.
const SHUTDOWN: Duration = Duration::from_secs(40);

const OPEN: [State; 4] = [State::Pending, State::Running, State::Waiting, State::Joining];

/// What has to end before the store is audited.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Left {
    open: Vec<(u64, String)>,
    /// Sessions of the dead.
    dead: u64,
}

impl Default for Left {
    /// Nobody has looked yet.
    fn default() -> Self {
        Self {
            open: vec![(u64::MAX, "unknown".to_owned())],
            dead: 0,
        }
    }
}

impl Left {
    fn number(&self) -> u64 {
        let open = self.open.iter().map(|(number, _)| number);
        open.fold(self.dead, |sum, number| sum.saturating_add(*number))
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, state) in &self.open {
            write!(f, "{number} {state}, ")?;
        }
        write!(f, "{} sessions of the dead", self.dead)
    }
}

/// Counts what is left. The survivors forget the dead when their tasks are settled, at the next purge.
pub(crate) async fn look(client: &Client, living: &BTreeSet<String>) -> Result<Left> {
    let scope = CountScope {
        queue: None,
        exact: true,
    };
    let counts = client.count(&scope).await?;
    let open = OPEN.iter().map(|state| (counts.of(*state), state.to_string()));
    let is_dead = |session: &&Session| session.lost || !living.contains(session.info.name.as_str());
    let sessions = client.sessions().await?;
    Ok(Left {
        open: open.collect(),
        dead: sessions.iter().filter(is_dead).count() as u64,
    })
}

/// Lets all tasks end and ends the crew.
pub(crate) async fn drain(crew: &mut Crew) -> Result<()> {
    crew.heal().await?;
    crew.quiet()?;
    let begin = crew.watch.elapsed();
    // Where one process at a time can open the store, that one tells.
    let client = match crew.place.subject.is_alone() {
        true => None,
        false => Some(crew.place.connect().await?),
    };
    let (mut least, mut since) = (u64::MAX, begin);
    let mut told = begin;
    loop {
        crew.live(Duration::from_millis(250)).await?;
        let left = match &client {
            Some(client) => look(client, &crew.living()).await?,
            None => alone::told(&crew.place, &crew.living()).unwrap_or_default(),
        };
        let now = crew.watch.elapsed();
        if left.number() == 0 {
            break;
        }
        if left.number() < least {
            (least, since) = (left.number(), now);
        }
        if now.saturating_sub(told) >= Duration::from_secs(5) {
            told = now;
            crate::report::line(&format!("draining: {left}"));
        }
        if now.saturating_sub(since) > STUCK {
            crew.problems
                .push(format!("for {STUCK:?} no task ended, with {left}"));
            break;
        }
    }
    drop(client);
    crew.end(SHUTDOWN).await
}
