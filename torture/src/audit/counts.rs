//! The store's own figures: its counts are a recount, and no session is left over.

use std::collections::BTreeMap;

use anyhow::Result;
use retry_core::client::Client;
use retry_core::store::CountScope;
use retry_core::task::State;
use retry_core::time::Timestamp;

use super::{Found, Kept};

const STATES: [State; 7] = [
    State::Pending,
    State::Running,
    State::Waiting,
    State::Joining,
    State::Succeeded,
    State::Failed,
    State::Cancelled,
];

pub(super) async fn check(client: &Client, kept: &[Kept], found: &mut Found) -> Result<()> {
    // Who was too slow to renew during the shutdown is lost and holds nothing: with nobody there, nobody has forgotten it yet.
    client.store().purge(Timestamp::MIN, 1).await?;
    for session in client.sessions().await? {
        found.wrong(format!(
            "a session is left over: {} of {}",
            session.info.id, session.info.name
        ));
    }
    let counts = client
        .count(&CountScope {
            queue: None,
            exact: true,
        })
        .await?;
    let mut recount: BTreeMap<State, u64> = BTreeMap::new();
    for kept in kept {
        *recount.entry(kept.detail.task.state).or_default() += 1;
    }
    for state in STATES {
        let wanted = recount.get(&state).copied().unwrap_or(0);
        if counts.of(state) != wanted {
            found.wrong(format!(
                "{} tasks count as {state}, {wanted} are",
                counts.of(state)
            ));
        }
    }
    Ok(())
}
