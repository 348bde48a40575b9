//! Two fresh stores share nothing, though they may be on one server. It needs two stores, so it is no ordinary case.

use retry_core::clock::ManualClock;
use retry_core::store::{ClaimRequest, Inserted, QueueSetting};
use retry_core::task::{NewTask, State};

use crate::fixture::{Fixture, kind, queue, unique};
use crate::harness::Harness;
use crate::runner::Unpassed;
use crate::verdict::{Verdict, equal};

/// L1, L2, L3, L15: the same ids, keys, sessions and queues in two fresh stores never meet.
pub(crate) async fn fresh_stores_share_nothing(harness: &dyn Harness) -> Result<(), Unpassed> {
    let clock = ManualClock::new();
    let mut stores = Vec::new();
    for _ in 0..2 {
        let instance = harness.fresh(clock.clone()).await.map_err(Unpassed::Skipped)?;
        stores.push(Fixture::new(instance, clock.clone()));
    }
    let [first, second] = &mut stores[..] else {
        unreachable!("there are two stores")
    };
    let verdict = share_nothing(first, second).await;
    verdict.map_err(|failure| {
        let mut trail = first.trail();
        trail.push("in the other store:".to_owned());
        trail.extend(second.trail());
        Unpassed::from(crate::verdict::Failure { trail, ..failure })
    })
}

async fn share_nothing(first: &mut Fixture, second: &mut Fixture) -> Verdict {
    let new = NewTask {
        unique: Some(unique("k")),
        ..first.task()
    };
    let wanted = vec![Inserted::New { leased: false }];
    for store in [&*first, &*second] {
        let given = store.insert(std::slice::from_ref(&new)).await?;
        equal("L2", "one task in each of two stores", given, wanted.clone())?;
    }
    first.set_queue(&queue("default"), QueueSetting::Pause).await?;
    let session = first.open().await?;
    let request = ClaimRequest::new(session, queue("default"), [kind("work")], 9);
    let claimed = second.claim(&request).await?;
    equal(
        "L9",
        "whether a session of one store is lost in the other",
        claimed.session_lost,
        true,
    )?;
    let session = second.open().await?;
    // Both fixtures make the same ids, as two programs might.
    second.claim_task(session, &new).await?;
    equal(
        "L3",
        "the task of the first store",
        first.task_now(new.id).await?.state,
        State::Pending,
    )?;
    equal(
        "L15",
        "the queues that are paused in the second",
        second.queues().await?.len(),
        0,
    )?;
    equal(
        "L1",
        "the tasks in the second",
        second
            .list(&retry_core::store::TaskFilter::default(), 9)
            .await?
            .len(),
        1,
    )
}
