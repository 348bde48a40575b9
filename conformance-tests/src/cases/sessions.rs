//! Sessions: opened, renewed, closed, lost.

use std::time::Duration;

use retry_core::id::SessionId;
use retry_core::machine::Event;
use retry_core::store::{Certainty, ExpiredRequest, Renewed, StoreErrorKind};
use retry_core::task::State;

use super::claim::ids;
use crate::fixture::{Fixture, LEASE};
use crate::verdict::{Verdict, equal, holds};

const MARK: ExpiredRequest = ExpiredRequest {
    mark: true,
    after: None,
    limit: 1_000,
};

fn live(held: u64) -> Renewed {
    Renewed::Live { cancel: vec![], held }
}

/// L9: an open session is listed as it was described.
pub async fn an_open_session_is_listed(f: &mut Fixture) -> Verdict {
    let info = f.session_info();
    let until = f.after(15);
    f.open_as(&info, until).await?;
    let sessions = f.sessions().await?;
    let given: Vec<_> = sessions
        .iter()
        .map(|session| (&session.info, session.lease_until, session.lost))
        .collect();
    equal("L9", "the sessions", given, vec![(&info, until, false)])
}

/// L9, L10: opening again is Ok and shortens nothing.
pub async fn opening_again_is_ok(f: &mut Fixture) -> Verdict {
    let info = f.session_info();
    let until = f.after(15);
    f.open_as(&info, until).await?;
    f.advance(Duration::from_secs(10));
    f.renew(info.id).await?;
    f.open_as(&info, until).await?;
    let sessions = f.sessions().await?;
    let given: Vec<_> = sessions.iter().map(|session| session.lease_until).collect();
    equal(
        "L9",
        "its lease after open, renew, open",
        given,
        vec![f.after(15)],
    )
}

/// L9: a renewal extends the lease, never shortens it, and tells how many tasks are held.
pub async fn a_renewal_extends(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    equal("L9", "a renewal", f.renew(session).await?, live(0))?;
    let tasks = f.tasks(3);
    f.insert(&tasks).await?;
    f.claim(&f.request(session, 2)).await?;
    equal("L9", "a renewal with two tasks", f.renew(session).await?, live(2))?;
    let until = f.after(LEASE.as_secs());
    let sooner = f.store().renew(session, f.now(), f.now()).await;
    equal(
        "L9",
        "a renewal to an earlier time",
        f.answered("renew to now".to_owned(), sooner)?,
        live(2),
    )?;
    let sessions = f.sessions().await?;
    equal("L9", "the lease after it", sessions[0].lease_until, until)?;
    f.advance(Duration::from_secs(7));
    f.renew(session).await?;
    let (sessions, until) = (f.sessions().await?, f.after(LEASE.as_secs()));
    equal(
        "L9",
        "the lease seven seconds later",
        sessions[0].lease_until,
        until,
    )
}

/// L9: a session that holds nothing is marked lost as well.
pub async fn an_idle_session_is_marked_too(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    f.advance(LEASE + Duration::from_millis(1));
    f.expired(&MARK).await?;
    equal(
        "L9",
        "a renewal after the mark",
        f.renew(session).await?,
        Renewed::Lost,
    )?;
    let claimed = f.claim(&f.request(session, 1)).await?;
    equal("L9", "whether a claim is told so", claimed.session_lost, true)
}

/// L9: a renewal names the held tasks whose cancel was requested.
pub async fn a_renewal_brings_cancel_requests(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    let tasks = f.tasks(3);
    f.insert(&tasks).await?;
    f.claim(&f.request(session, 3)).await?;
    let task = f.task_now(tasks[1].id).await?;
    f.settle(&task, Event::Cancel).await?;
    let wanted = Renewed::Live {
        cancel: vec![task.id],
        held: 3,
    };
    equal(
        "L9",
        "a renewal after a cancel request",
        f.renew(session).await?,
        wanted,
    )?;
    f.settle(&task, Fixture::success()).await?;
    equal(
        "L9",
        "a renewal after the task ended",
        f.renew(session).await?,
        live(2),
    )
}

/// L9: a renewal creates nothing.
pub async fn a_renewal_never_creates(f: &mut Fixture) -> Verdict {
    let unknown = SessionId::from_random(3, 3);
    equal(
        "L9",
        "a renewal of an unknown session",
        f.renew(unknown).await?,
        Renewed::Lost,
    )?;
    equal("L9", "the sessions after it", f.sessions().await?.len(), 0)
}

/// L9: a renewal succeeds, however late, until the session is marked; then never again.
pub async fn a_late_renewal_succeeds_until_marked(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    let new = f.task();
    f.insert_new(&new).await?;
    f.claim_task(session, &new).await?;
    f.advance(Duration::from_hours(1));
    equal("L9", "a renewal an hour late", f.renew(session).await?, live(1))?;
    let expired = f.expired(&MARK).await?;
    equal("L9", "what is expired after it", expired.items.len(), 0)?;
    f.advance(LEASE + Duration::from_millis(1));
    let expired = f.expired(&MARK).await?;
    equal("L9", "what is expired a lease later", expired.items.len(), 1)?;
    for _ in 0..2 {
        equal(
            "L9",
            "a renewal after it was marked",
            f.renew(session).await?,
            Renewed::Lost,
        )?;
    }
    let claimed = f.claim(&f.request(session, 5)).await?;
    equal(
        "L9",
        "its claim",
        (ids(&claimed), claimed.session_lost),
        (vec![], true),
    )
}

/// L9: a lost session cannot be opened again.
pub async fn a_lost_session_is_not_opened_again(f: &mut Fixture) -> Verdict {
    let info = f.session_info();
    f.open_as(&info, f.after(15)).await?;
    let new = f.task();
    f.insert_new(&new).await?;
    f.claim_task(info.id, &new).await?;
    f.advance(Duration::from_secs(16));
    f.expired(&MARK).await?;
    let opened = f.store().open_session(&info, f.after(15), f.now()).await;
    let given = opened
        .as_ref()
        .err()
        .map(|error| (error.certainty(), error.kind()));
    let wanted = Some((Certainty::Rejected, StoreErrorKind::Invalid));
    equal("L9", "opening a lost session", given, wanted)?;
    equal("L9", "a renewal after it", f.renew(info.id).await?, Renewed::Lost)
}

/// L9: a closed session is gone at once, with its lease still running.
pub async fn a_closed_session_is_gone_at_once(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    f.close(session).await?;
    equal("L9", "the sessions after a close", f.sessions().await?.len(), 0)?;
    equal(
        "L9",
        "a renewal after a close",
        f.renew(session).await?,
        Renewed::Lost,
    )?;
    f.close(session).await?;
    f.close(SessionId::from_random(9, 9)).await
}

/// L9: a session closed with a task stays lost, and its task can still be settled by its version.
pub async fn a_session_closed_with_a_task_is_lost(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    let new = f.task();
    f.insert_new(&new).await?;
    let task = f.claim_task(session, &new).await?;
    f.close(session).await?;
    equal(
        "L9",
        "a renewal after a close",
        f.renew(session).await?,
        Renewed::Lost,
    )?;
    let sessions = f.sessions().await?;
    let lost = sessions.len() == 1 && sessions[0].lost;
    holds(
        "L9",
        "the sessions after a close",
        lost,
        lost,
        "none that is live",
    )?;
    let settled = f.settled(&task, Fixture::success()).await?;
    equal("L9", "its task, settled late", settled.state, State::Succeeded)?;
    f.purge(1_000).await?;
    equal("L9", "the sessions after a purge", f.sessions().await?.len(), 0)
}
