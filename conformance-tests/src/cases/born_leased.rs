//! Tasks that are born running under the session of the worker that inserts them.

use std::time::Duration;

use retry_core::id::SessionId;
use retry_core::machine;
use retry_core::store::{Inserted, QueueSetting};
use retry_core::task::{NewTask, Settings, Task};

use crate::fixture::{Fixture, queue};
use crate::verdict::{Verdict, equal};

const LEASED: Inserted = Inserted::New { leased: true };
const PENDING: Inserted = Inserted::New { leased: false };

async fn born(f: &Fixture, new: &NewTask, answer: Inserted, law: &str, what: &str) -> Verdict {
    let answers = f.insert(std::slice::from_ref(new)).await?;
    equal(law, what, answers, vec![answer])?;
    let pending = Task::pending(new, f.now());
    let task = match new.leased_by {
        Some(session) if answer == LEASED => machine::claim(&pending, session, f.now()),
        _ => pending,
    };
    equal(law, "its record", f.task_now(new.id).await?, task)
}

/// L1, L7: born leased, a task is stored as a claim would leave it: attempt 1, version 1, its deadline as the alarm.
pub async fn a_due_task_of_a_live_session_is_running(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    let settings = Settings {
        deadline_after: Some(Duration::from_secs(30)),
        ..Settings::default()
    };
    let new = NewTask {
        leased_by: Some(session),
        settings,
        ..f.task()
    };
    born(f, &new, LEASED, "L7", "a due task of a live session").await
}

/// L3: a born-leased task is given to nobody else, counts as held, and is settled by its version.
pub async fn it_is_exclusive(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    let other = f.open().await?;
    let new = NewTask {
        leased_by: Some(session),
        ..f.task()
    };
    f.insert(std::slice::from_ref(&new)).await?;
    let claimed = f.claim(&f.request(other, 10)).await?;
    equal("L3", "another session's claim", claimed.tasks, vec![])?;
    let held = f.renew(session).await?;
    let one = retry_core::store::Renewed::Live {
        cancel: vec![],
        held: 1,
    };
    equal("L3", "what its session holds", held, one)?;
    let task = f.task_now(new.id).await?;
    f.settled(&task, Fixture::success()).await?;
    Ok(())
}

/// L4: a task that is not due is not born leased.
pub async fn one_that_is_not_due_is_pending(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    let new = NewTask {
        leased_by: Some(session),
        run_at: f.now().saturating_add(Duration::from_millis(1)),
        ..f.task()
    };
    born(f, &new, PENDING, "L4", "a task due in a millisecond").await
}

/// L9: a session that is closed, lost or unknown gets no task by birth.
pub async fn a_session_that_is_not_live_gets_none(f: &mut Fixture) -> Verdict {
    let unknown = SessionId::from_random(7, 7);
    let new = NewTask {
        leased_by: Some(unknown),
        ..f.task()
    };
    born(f, &new, PENDING, "L9", "a task for an unknown session").await?;
    let closed = f.open().await?;
    f.close(closed).await?;
    let new = NewTask {
        leased_by: Some(closed),
        ..f.task()
    };
    born(f, &new, PENDING, "L9", "a task for a closed session").await
}

/// L15: in a paused queue it becomes pending.
pub async fn a_paused_queue_makes_it_pending(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    f.set_queue(&queue("default"), QueueSetting::Pause).await?;
    let new = NewTask {
        leased_by: Some(session),
        ..f.task()
    };
    born(f, &new, PENDING, "L15", "a task for a paused queue").await
}

/// L1, L10: sent again it is repeated and stays as it is.
pub async fn a_repeat_changes_nothing(f: &mut Fixture) -> Verdict {
    let session = f.open().await?;
    let new = NewTask {
        leased_by: Some(session),
        ..f.task()
    };
    f.insert(std::slice::from_ref(&new)).await?;
    let before = f.task_now(new.id).await?;
    let answers = f.insert(std::slice::from_ref(&new)).await?;
    equal("L10", "sending it again", answers, vec![Inserted::Repeated])?;
    equal("L10", "its record", f.task_now(new.id).await?, before)
}
