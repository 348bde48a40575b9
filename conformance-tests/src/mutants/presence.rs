//! Faults of sessions, rounds, queues and reads that change one answer.

use std::time::Duration;

use async_trait::async_trait;
use retry_core::id::SessionId;
use retry_core::name::WorkerName;
use retry_core::store::{
    Cause, ExpiredRequest, Page, QueueSetting, Renewed, Result, SessionInfo, StoreError, TaskFilter,
    TaskStore as _,
};
use retry_core::task::State;
use retry_core::time::Timestamp;

use super::base::Base;
use super::broken::Fault;
use super::faulty::faulty;

faulty! {
    /// A renewal brings no cancel requests.
    HidesCancels: renew |store, session, until, now| {
        Ok(match store.renew(session, until, now).await? {
            Renewed::Live { held, .. } => Renewed::Live { cancel: Vec::new(), held },
            other => other,
        })
    };

    /// A renewal does not tell how many tasks are held.
    CountsNoHeld: renew |store, session, until, now| {
        Ok(match store.renew(session, until, now).await? {
            Renewed::Live { cancel, .. } => Renewed::Live { held: cancel.len() as u64, cancel },
            other => other,
        })
    };

    /// A renewal opens a session that is not there.
    RenewCreates: renew |store, session, until, now| {
        let known = store.sessions().await?.iter().any(|open| open.info.id == session);
        if !known {
            let name = WorkerName::new("unknown").map_err(|error| StoreError::invalid(error.to_string()))?;
            let (host, queues, kinds) = (String::new(), Vec::new(), Vec::new());
            let info = SessionInfo { id: session, name, host, queues, kinds };
            store.open_session(&info, until, now).await?;
        }
        store.renew(session, until, now).await
    };

    /// A renewal lasts from the store's last sight of the session, not until the time it asks for.
    ShortRenewal: renew |store, session, until, now| {
        store.renew(session, until.min(now.saturating_add(Duration::from_secs(5))), now).await
    };

    /// Opens a lost session again without a word.
    OpensLost: open_session |store, info, until, now| {
        store.open_session(info, until, now).await.or(Ok(()))
    };

    /// Leaves a closed session to its lease.
    NeverCloses: close_session |store, session| {
        store.sessions().await.map(|sessions| drop((sessions, session)))
    };

    /// Shows live sessions only.
    HidesLost: sessions |store| {
        let mut sessions = store.sessions().await?;
        sessions.retain(|session| !session.lost);
        Ok(sessions)
    };

    /// Does not tell a closed session from one whose lease ended.
    OneCause: expired |store, request, now| {
        let mut expired = store.expired(request, now).await?;
        for (_, cause) in &mut expired.items {
            if *cause == Cause::SessionDead {
                *cause = Cause::SessionLost;
            }
        }
        Ok(expired)
    };

    /// Reports no alarms of pending tasks.
    NoExpiry: expired |store, request, now| {
        let mut expired = store.expired(request, now).await?;
        expired.items.retain(|(task, _)| task.state != State::Pending);
        Ok(expired)
    };

    /// Reports all it has, whatever the limit.
    NoLimit: expired |store, request, now| {
        store.expired(&ExpiredRequest { limit: request.limit.max(100), ..*request }, now).await
    };

    /// Takes every page for the last.
    OnePage: expired |store, request, now| {
        let mut expired = store.expired(request, now).await?;
        expired.next = None;
        Ok(expired)
    };

    /// Marks only sessions that hold something.
    MarksHoldersOnly: expired |store, request, now| {
        let idle = store.list(&TaskFilter { states: vec![State::Running], ..TaskFilter::default() }, &Page::first(1)).await?;
        let mark = request.mark && !idle.tasks.is_empty();
        store.expired(&ExpiredRequest { mark, ..*request }, now).await
    };

    /// Pauses only queues that have tasks.
    PausesKnownOnly: set_queue |store, queue, setting| {
        let known = store.queues().await?.iter().any(|info| info.queue == *queue);
        if !known {
            return Ok(());
        }
        store.set_queue(queue, setting).await
    };

    /// Pauses every queue.
    PausesAll: set_queue |store, queue, setting| {
        for info in store.queues().await? {
            store.set_queue(&info.queue, setting).await?;
        }
        store.set_queue(queue, setting).await
    };

    /// Looking at the queues lets them run.
    LookingResumes: queues |store| {
        let infos = store.queues().await?;
        for info in &infos {
            store.set_queue(&info.queue, QueueSetting::Resume).await?;
        }
        Ok(infos)
    };

    /// Does not show a paused queue without tasks.
    HidesPaused: queues |store| {
        let mut infos = store.queues().await?;
        infos.retain(|info| !info.lanes.is_empty());
        Ok(infos)
    };

    /// Shows the heads of lanes as if all were due.
    HeadsAreDue: queues |store| {
        let mut infos = store.queues().await?;
        let now = store.time().await?;
        let heads = infos.iter_mut().flat_map(|info| &mut info.lanes);
        heads.for_each(|(_, at)| *at = (*at).min(now));
        Ok(infos)
    };

    /// Repeats the last row of a page on the next.
    RepeatsAtPages: list |store, filter, page| {
        let mut listed = store.list(filter, page).await?;
        if let (Some(next), true) = (listed.next, listed.tasks.len() > 1) {
            listed.tasks.pop();
            listed.next = listed.tasks.last().map(|row| row.task.id).or(Some(next));
            let Some(last) = listed.tasks.last().cloned() else { return Ok(listed) };
            listed.tasks.insert(0, last);
        }
        Ok(listed)
    };

    /// Lists outputs whether asked for or not.
    AlwaysOutputs: list |store, filter, page| {
        store.list(&TaskFilter { with_output: true, ..filter.clone() }, page).await
    };

    /// Finds keys by how they begin.
    KeysByPrefix: list |store, filter, page| {
        let Some(key) = filter.key.clone() else { return store.list(filter, page).await };
        let mut listed = store.list(&TaskFilter { key: None, ..filter.clone() }, page).await?;
        listed.tasks.retain(|row| {
            row.task.unique.as_ref().is_some_and(|(held, _)| held.as_str().starts_with(&key))
        });
        Ok(listed)
    };

    /// Ignores the queue of a count.
    CountsAll: count |store, scope| {
        store.count(&retry_core::store::CountScope { queue: None, ..scope.clone() }).await
    };

    /// Counts no cancelled tasks.
    CountsNoCancelled: count |store, scope| {
        let mut counts = store.count(scope).await?;
        counts.counts.retain(|(_, state), _| *state != State::Cancelled);
        Ok(counts)
    };

    /// Purges what will be due within the hour.
    PurgesEarly: purge |store, now, limit| {
        store.purge(now.saturating_add(Duration::from_hours(1)), limit).await
    };

    /// Purges one task, however many are due.
    PurgesOne: purge |store, now, limit| store.purge(now, limit.min(1)).await;

    /// Answers a purge with its limit.
    PurgeGuesses: purge |store, now, limit| store.purge(now, limit).await.map(|_| limit as u64);
}
