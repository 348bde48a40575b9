//! After the faults: everybody lives, nobody enqueues, and all must end.

use std::time::Duration;

use anyhow::Result;
use retry_core::store::{CountScope, Session};
use retry_core::task::State;

use crate::crew::Crew;

/// How long nothing may end before it counts as stuck: many leases.
const STUCK: Duration = Duration::from_secs(30);
/// How long a process may take to shut down.
const SHUTDOWN: Duration = Duration::from_secs(40);

const OPEN: [State; 4] = [State::Pending, State::Running, State::Waiting, State::Joining];

/// Lets all tasks end and ends the crew.
pub(crate) async fn drain(crew: &mut Crew) -> Result<()> {
    crew.heal().await?;
    crew.quiet()?;
    let begin = crew.watch.elapsed();
    let client = crew.place.connect().await?;
    let (mut least, mut since) = (u64::MAX, begin);
    let mut told = begin;
    loop {
        crew.live(Duration::from_millis(250)).await?;
        let counts = client
            .count(&CountScope {
                queue: None,
                exact: true,
            })
            .await?;
        let open: u64 = OPEN.iter().map(|state| counts.of(*state)).sum();
        // The survivors forget the dead when their tasks are settled, at the next purge.
        let living = crew.living();
        let sessions = client.sessions().await?;
        let is_dead = |session: &&Session| session.lost || !living.contains(session.info.name.as_str());
        let dead = sessions.iter().filter(is_dead).count() as u64;
        let now = crew.watch.elapsed();
        if open + dead == 0 {
            break;
        }
        if open + dead < least {
            (least, since) = (open + dead, now);
        }
        if now.saturating_sub(told) >= Duration::from_secs(5) {
            told = now;
            crate::report::line(&format!("draining: {open} tasks are not final"));
        }
        if now.saturating_sub(since) > STUCK {
            let states = OPEN.iter().map(|state| format!("{} {state}", counts.of(*state)));
            let states: Vec<String> = states.collect();
            crew.problems.push(format!(
                "for {STUCK:?} no task ended, with {}, and {dead} sessions of the dead",
                states.join(", ")
            ));
            break;
        }
    }
    drop(client);
    crew.end(SHUTDOWN).await
}
