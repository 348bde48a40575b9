//! A worker asks for no more than it may run and prefetch, and one that knows what it holds holds no more.

use retry_core::store::ClaimRequest;
use retry_core::task::State;

use crate::sim::fact::{By, Fact};
use crate::sim::facts::Facts;

pub(super) fn check(fact: &Fact<'_>, facts: &Facts) -> Result<(), String> {
    if let Fact::Sent { claims, .. } = fact {
        return asked(claims, facts);
    }
    let Fact::Changed {
        by: By::Claim,
        after: Some(after),
        ..
    } = fact
    else {
        return Ok(());
    };
    let Some(claim) = after.claim else { return Ok(()) };
    let Some(who) = claim.who.filter(|who| knows(*who, facts)) else {
        return Ok(());
    };
    let busy = |row: &&crate::sim::fact::Row| {
        let held = row.is(State::Running) && row.claim.is_some_and(|held| held.session == claim.session);
        let version = row.claim.map_or(0, |held| held.version);
        let ended = || {
            facts
                .runs_under(row.task.id, version)
                .any(|run| run.ended.is_some())
        };
        // What the store had forgotten that the worker settled, its worker does not know it holds.
        held && row.task.id != after.task.id && !ended() && facts.is_fenced(row.task.id)
            // What was born under its session, its worker finds by its beats.
            && facts.claims_of(row.task.id, version) > 0
    };
    // Suspects are claimed for free permits, and one ahead.
    let suspects = facts
        .rows
        .values()
        .filter(busy)
        .filter(|row| row.task.is_suspect());
    let suspects = suspects.count() + usize::from(after.task.is_suspect());
    if after.task.is_suspect() && suspects > facts.config.fleet.concurrency + 1 {
        return Err(format!("host {} holds {suspects} suspects", who.host));
    }
    let held = 1 + facts.rows.values().filter(busy).count();
    let most = facts.config.fleet.concurrency + facts.config.fleet.prefetch;
    if held > most {
        return Err(format!("host {} holds {held} tasks of at most {most}", who.host));
    }
    Ok(())
}

fn asked(claims: &[ClaimRequest], facts: &Facts) -> Result<(), String> {
    let (fleet, total) = (&facts.config.fleet, |of: fn(&ClaimRequest) -> usize| -> usize {
        claims.iter().map(of).sum()
    });
    let (limit, suspects) = (total(|claim| claim.limit), total(|claim| claim.max_suspects));
    if limit > fleet.concurrency + fleet.prefetch || suspects > fleet.concurrency + 1 {
        return Err(format!(
            "a call asks for {limit} tasks, {suspects} of them suspects"
        ));
    }
    Ok(())
}

/// Whether no call of this life failed or was given up.
fn knows(who: crate::sim::fact::Who, facts: &Facts) -> bool {
    let host = &facts.hosts[who.host];
    facts.lives(who) && host.failures == 0
}
