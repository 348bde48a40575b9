//! How a new owner takes a partition over: it makes sure that nobody else holds a message of it, or ever will again.
//!
//! The order of the steps carries the proof (docs/design/sinks.md): the session is opened *before* it is named in the owner
//! task's checkpoint, and named before anything is claimed under it. So the next owner finds every session that may hold
//! messages, and when it closes one, that session has been opened and stays lost: no claim of a former owner that is still
//! under way, or comes later, can succeed.

use retry_core::executor::{Ctx, HandlerError};
use retry_core::id::SessionId;
use retry_core::limits::MAX_PAGE;
use retry_core::machine::Event;
use retry_core::store::{Page, Result, TaskFilter};
use retry_core::task::{Edit, State};
use serde::{Deserialize, Serialize};

use super::part::Part;
use super::session::{Session, close};
use crate::queue::SinkQueue;

/// The checkpoint of an owner task: the sessions under which messages of the partition may be held.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Sessions {
    pub(super) sessions: Vec<SessionId>,
}

/// Opens a session for this owner. Afterwards no message of the partition is held under any other one.
pub(super) async fn take_over(
    part: &Part,
    queue: &SinkQueue,
    partition: u16,
    ctx: &Ctx,
) -> std::result::Result<Session, HandlerError> {
    let former = ctx.checkpoint::<Sessions>()?.unwrap_or_default().sessions;
    let id = SessionId::from_random(part.random.next_u64(), part.random.next_u64());
    let sessions = former.iter().copied().chain([id]).collect();
    let session = Session::open(part, queue, partition, id).await?;
    // Fenced by the owner task's version: it fails when somebody else owns the partition by now.
    ctx.save_checkpoint(&Sessions { sessions }).await?;
    for id in &former {
        part.store.close_session(*id).await?;
        let returned = put_back(part, *id).await?;
        if returned > 0 {
            tracing::info!(
                queue = queue.name(),
                partition,
                returned,
                "messages of a former owner are back in their places"
            );
        }
    }
    if !former.is_empty() {
        ctx.save_checkpoint(&Sessions {
            sessions: vec![session.id],
        })
        .await?;
    }
    if part.clock.monotonic() >= session.lease_end {
        close(part.store.as_ref(), session.id).await;
        return Err("taking the partition over took longer than a lease".into());
    }
    Ok(session)
}

/// Puts everything that a closed session holds back in its place, as any rescuer would; answers how many.
async fn put_back(part: &Part, session: SessionId) -> Result<usize> {
    let filter = TaskFilter {
        session: Some(session),
        states: vec![State::Running],
        ..TaskFilter::default()
    };
    let (mut page, mut returned) = (Page::first(MAX_PAGE), 0);
    loop {
        let listed = part.store.list(&filter, &page).await?;
        let now = part.now().await?;
        let lost = Event::LeaseLost { process_dead: true };
        let edit = |task| part.edit(task, lost.clone()).ok();
        let edits: Vec<Edit> = listed.tasks.iter().filter_map(|row| edit(&row.task)).collect();
        if !edits.is_empty() {
            // Stale: a rescuer was faster, and did the same.
            part.store.exchange(&edits, &[], now).await?;
            returned += edits.len();
        }
        match listed.next {
            Some(next) => page.after = Some(next),
            // Once more from the start, until there is nothing: each round leaves less.
            None if !edits.is_empty() => page = Page::first(MAX_PAGE),
            None => return Ok(returned),
        }
    }
}
