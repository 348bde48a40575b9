//! Hints may be lost, so a store need not hint at all. One that hints at inserts hints at whatever else makes a task due.

use futures_util::FutureExt as _;
use retry_core::machine::Event;
use retry_core::store::{QueueSetting, Wakeups};

use crate::fixture::{Fixture, queue};
use crate::verdict::{Failure, Verdict};

/// How often a hint that is on its way is looked for.
const LOOKS: usize = 20_000;

/// How often something is done before its hints count as never sent: each may be lost.
const TRIES: usize = 5;

/// L11: a store that hints at inserts hints at retries, woken parents and resumed queues too.
pub async fn what_inserts_wake_settles_wake(f: &mut Fixture) -> Verdict {
    for _ in 0..TRIES {
        let hints = f.store().watch(&[queue("default")]);
        let new = f.task();
        f.insert_new(&new).await?;
        if !comes(&hints).await {
            // It polls; nothing is promised.
            return Ok(());
        }
    }
    for what in ["a snooze", "the end of a last child", "a resumed queue"] {
        let mut came = false;
        for _ in 0..TRIES {
            came = came || hinted(f, what).await?;
        }
        if !came {
            let allowed = "a hint now and then, as inserts are hinted at";
            return Err(Failure::new("L11", format!("hints at {what}"), "never", allowed));
        }
    }
    Ok(())
}

async fn hinted(f: &mut Fixture, what: &str) -> Verdict<bool> {
    let watched = queue("default");
    match what {
        "a snooze" => {
            let task = f.running_task().await?;
            let at = f.now();
            let hints = f.store().watch(&[watched]);
            f.settled(&task, Event::Snooze { at }).await?;
            Ok(comes(&hints).await)
        }
        "the end of a last child" => {
            let parent = f.task();
            let (_, children) = f.joining(&parent, 1).await?;
            let session = f.open().await?;
            let child = f.claim_task(session, &children[0]).await?;
            let hints = f.store().watch(&[watched]);
            f.settled(&child, Fixture::success()).await?;
            Ok(comes(&hints).await)
        }
        _ => {
            f.set_queue(&watched, QueueSetting::Pause).await?;
            let hints = f.store().watch(std::slice::from_ref(&watched));
            f.set_queue(&watched, QueueSetting::Resume).await?;
            Ok(comes(&hints).await)
        }
    }
}

async fn comes(hints: &Wakeups) -> bool {
    for _ in 0..LOOKS {
        if hints.next().now_or_never().is_some() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}
