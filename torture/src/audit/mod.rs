//! The audit: what the store says at the end against what the logs say happened.

mod attempts;
mod counts;
mod ends;
mod enqueues;
mod load;
mod overlaps;
mod versions;

#[cfg(test)]
mod tests;

use std::collections::HashMap;

use anyhow::Result;
use retry_core::client::Client;
use retry_core::limits::MAX_PAGE;
use retry_core::store::{Page, TaskFilter};
use retry_core::task::TaskDetail;

use crate::history::History;
use crate::kinds::Common;
use crate::place::Place;

/// Clocks of several processes, read at different moments of one call.
const SLACK: i64 = 100;

/// One task at the end.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) id: String,
    pub(crate) common: Common,
    pub(crate) detail: TaskDetail,
}

impl Kept {
    fn kind(&self) -> &str {
        self.detail.task.kind.as_str()
    }
}

/// What the audit found.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) violations: Vec<String>,
    pub(crate) tasks: usize,
    pub(crate) acknowledged: u64,
    pub(crate) unanswered: u64,
    pub(crate) duplicates: u64,
    pub(crate) refused: u64,
    /// The most enqueues that were under way at the same time.
    pub(crate) at_once: usize,
    /// Answers that came when the power had been cut.
    pub(crate) overtaken: u64,
    pub(crate) claims: u64,
    pub(crate) runs: u64,
    /// Executions that overlapped a later one of the same task, their lease ended.
    pub(crate) overlaps: u64,
    /// Writes that were refused because another was first.
    pub(crate) stale: u64,
    pub(crate) sessions_lost: u64,
    /// Entries of the histories: process dead, lease lost, handler failed.
    pub(crate) crashes: u64,
    pub(crate) leases_lost: u64,
    /// Of the lost leases those whose process was never stopped: the machine was too slow.
    pub(crate) starved: u64,
    pub(crate) failures: u64,
    /// From a kill to the next run of a task that ran then, in milliseconds: half of them, and the slowest.
    pub(crate) recovery: (i64, i64),
}

impl Found {
    fn wrong(&mut self, what: String) {
        self.violations.push(what);
    }
}

pub(crate) async fn audit(place: &Place, problems: Vec<String>) -> Result<Found> {
    let history = History::read(place)?;
    let mut found = Found {
        refused: history.refused,
        at_once: load::most(&history),
        overtaken: history.overtaken,
        sessions_lost: history.lost,
        ..Found::default()
    };
    found.violations.extend(problems);
    found.violations.extend(history.problems.iter().cloned());
    found.violations.extend(place.subject.left().await?);
    found.violations.extend(place.subject.damage().await?);
    let client = place.connect().await?;
    let kept = kept(&client, &mut found).await?;
    found.tasks = kept.len();
    counts::check(&client, &kept, &mut found).await?;
    let orders = place.subject.rows().await.unwrap_or_else(|error| {
        found.wrong(format!("LOST: the orders cannot be read: {error:#}"));
        Vec::new()
    });
    judge(&history, &kept, &orders, &mut found);
    Ok(found)
}

/// All that needs no store.
fn judge(history: &History, kept: &[Kept], orders: &[u64], found: &mut Found) {
    enqueues::check(history, kept, orders, found);
    ends::check(history, kept, found);
    let by_id: HashMap<&str, &Kept> = kept.iter().map(|kept| (kept.id.as_str(), kept)).collect();
    for (id, trace) in &history.tasks {
        found.claims += trace.claims.len() as u64;
        found.runs += trace.runs.len() as u64;
        let Some(kept) = by_id.get(id.as_str()) else {
            if !trace.claims.is_empty() || trace.lasting().next().is_some() {
                found.wrong(format!("task {id} was worked on and is not stored"));
            }
            continue;
        };
        versions::check(id, trace, kept.detail.task.version, found);
        overlaps::check(id, trace, history, found);
        attempts::check(trace, kept, history, found);
    }
    overlaps::recovery(history, found);
}

async fn kept(client: &Client, found: &mut Found) -> Result<Vec<Kept>> {
    let mut page = Page::first(MAX_PAGE);
    let mut kept = Vec::new();
    loop {
        let listed = client.list(&TaskFilter::default(), &page).await?;
        for bad in &listed.bad {
            found.wrong(format!("task {} cannot be read: {}", bad.id, bad.reason));
        }
        for summary in listed.tasks {
            let id = summary.task.id;
            let Some(detail) = client.get(id).await? else {
                found.wrong(format!("task {id} is listed and cannot be read"));
                continue;
            };
            kept.push(Kept {
                id: id.to_string(),
                common: detail.payload.decode()?,
                detail,
            });
        }
        match listed.next {
            Some(next) => page.after = Some(next),
            None => return Ok(kept),
        }
    }
}
