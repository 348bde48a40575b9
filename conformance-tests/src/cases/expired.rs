//! What a rescuer is told: lost leases and due alarms.

use std::time::Duration;

use retry_core::machine::Event;
use retry_core::store::{Applied, Cause, Expired, ExpiredCursor, ExpiredRequest, Renewed};
use retry_core::task::State;

use crate::fixture::{Fixture, LEASE};
use crate::verdict::{Verdict, equal};

pub(super) const MARK: ExpiredRequest = ExpiredRequest {
    mark: true,
    after: None,
    limit: 1_000,
};
pub(super) const LOOK: ExpiredRequest = ExpiredRequest { mark: false, ..MARK };

pub(super) fn reported(expired: &Expired) -> Vec<(retry_core::id::TaskId, Cause)> {
    expired
        .items
        .iter()
        .map(|(task, cause)| (task.id, *cause))
        .collect()
}

/// L9: a lease is over only after its last millisecond, and only when asked to mark.
pub async fn a_lease_lasts_to_its_end(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    f.advance(LEASE);
    equal(
        "L9",
        "what is expired in the lease's last millisecond",
        reported(&f.expired(&MARK).await?),
        vec![],
    )?;
    f.advance(Duration::from_millis(1));
    equal(
        "L9",
        "what is expired without marking",
        reported(&f.expired(&LOOK).await?),
        vec![],
    )?;
    let wanted = vec![(task.id, Cause::SessionLost)];
    equal(
        "L9",
        "what is expired after the lease",
        reported(&f.expired(&MARK).await?),
        wanted,
    )
}

/// L9: the tasks of a lost session are reported in every round until they are settled, whoever asks.
pub async fn lost_tasks_are_reported_until_settled(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    f.advance(LEASE + Duration::from_millis(1));
    let wanted = vec![(task.clone(), Cause::SessionLost)];
    for request in [MARK, LOOK, MARK] {
        let expired = f.expired(&request).await?;
        equal("L9", "a round before the rescue", &expired.items, &wanted)?;
        equal(
            "L9",
            "the end of a round",
            expired
                .next
                .is_some_and(|next| next > ExpiredCursor::Alarm(f.now(), retry_core::id::TaskId::MIN)),
            false,
        )?;
    }
    f.settled(&task, Event::LeaseLost { process_dead: false }).await?;
    equal(
        "L9",
        "a round after the rescue",
        reported(&f.expired(&MARK).await?),
        vec![],
    )
}

/// L9: tasks of a closed session are reported at once, as those of a dead process.
pub async fn tasks_of_a_closed_session_are_reported_at_once(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    for session in f.sessions().await? {
        f.close(session.info.id).await?;
    }
    let wanted = vec![(task.id, Cause::SessionDead)];
    equal(
        "L9",
        "a round after a close",
        reported(&f.expired(&LOOK).await?),
        wanted,
    )
}

/// L9, L6: of two rescuers that saw the same task one moves it; the late worker is stale.
pub async fn a_task_is_rescued_once(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    f.advance(LEASE + Duration::from_millis(1));
    f.expired(&MARK).await?;
    let lost = Event::LeaseLost { process_dead: false };
    let rescues = [f.decide(&task, lost.clone()), f.decide(&task, lost)];
    let late = f.decide(&task, Fixture::success());
    equal(
        "L9",
        "the first rescue",
        f.apply(&rescues[0]).await?,
        Applied::DONE,
    )?;
    equal(
        "L9",
        "the second rescue",
        f.apply(&rescues[1]).await?,
        Applied::Stale,
    )?;
    equal(
        "L6",
        "the worker's settle after the rescue",
        f.apply(&late).await?,
        Applied::Stale,
    )?;
    equal("L9", "the crashes", f.task_now(task.id).await?.crashes, 1)
}

/// L6: a settle that comes before the rescue wins.
pub async fn a_settle_before_the_rescue_wins(f: &mut Fixture) -> Verdict {
    let task = f.running_task().await?;
    f.advance(LEASE + Duration::from_millis(1));
    f.expired(&MARK).await?;
    let rescue = f.decide(&task, Event::LeaseLost { process_dead: false });
    f.settled(&task, Fixture::success()).await?;
    equal(
        "L6",
        "a rescue after the settle",
        f.apply(&rescue).await?,
        Applied::Stale,
    )?;
    equal(
        "L6",
        "the task",
        f.task_now(task.id).await?.state,
        State::Succeeded,
    )
}

/// L9: renewed in time, a session keeps its tasks.
pub async fn a_renewed_session_keeps_its_tasks(f: &mut Fixture) -> Verdict {
    f.running_task().await?;
    for _ in 0..4 {
        f.advance(Duration::from_secs(10));
        for session in f.sessions().await? {
            let renewed = f.renew(session.info.id).await?;
            equal(
                "L9",
                "a renewal",
                renewed,
                Renewed::Live {
                    cancel: vec![],
                    held: 1,
                },
            )?;
        }
        equal(
            "L9",
            "what is expired",
            reported(&f.expired(&MARK).await?),
            vec![],
        )?;
    }
    Ok(())
}

/// L9: a task that kills its workers fails when its crash budget is used up.
pub async fn the_crash_budget_ends_a_task(f: &mut Fixture) -> Verdict {
    let new = f.task();
    f.insert_new(&new).await?;
    for crashes in 1..=3 {
        let session = f.open().await?;
        let claimed = f.claim_task(session, &new).await?;
        f.advance(LEASE + Duration::from_millis(1));
        let expired = f.expired(&MARK).await?;
        equal(
            "L9",
            "the lost task",
            reported(&expired),
            vec![(claimed.id, Cause::SessionLost)],
        )?;
        for (task, _) in expired.items {
            f.settled(&task, Event::LeaseLost { process_dead: false }).await?;
        }
        let task = f.task_now(new.id).await?;
        let state = if crashes < 3 {
            State::Pending
        } else {
            State::Failed
        };
        equal(
            "L9",
            "the task after a crash",
            (task.crashes, task.state),
            (crashes, state),
        )?;
        f.advance(Duration::from_secs(10));
    }
    Ok(())
}
