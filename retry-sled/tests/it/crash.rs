//! A process killed at any moment loses nothing that was answered, and leaves no index behind.

use std::collections::BTreeMap;
use std::path::Path;

use retry_core::store::{CountScope, TaskStore as _};
use retry_core::task::State;

use crate::child::{say, start};
use crate::support::{
    FAR, NOW, assert_sound, builder, number, place, request, session, success, task_id, tasks,
};

/// Tasks of one insert.
const AT_ONCE: u64 = 40;

/// The child: inserts, claims and settles as fast as it can, and says what was answered.
pub(crate) async fn work_for_ever(dir: &Path) {
    let store = builder(dir).build().unwrap();
    let pid = u64::from(std::process::id());
    let info = session(pid);
    store.open_session(&info, FAR, NOW).await.unwrap();
    let mut next = pid * 1_000_000;
    let mut edits = Vec::new();
    for round in 0_u64.. {
        let end = next + 1 + round % AT_ONCE;
        let new = tasks(next..end);
        let claims = [request(&info, 1 + (round % 30) as usize)];
        // Two callers at once: their writes share groups.
        let (inserted, exchanged) =
            tokio::join!(store.insert(&new, NOW), store.exchange(&edits, &claims, NOW));
        inserted.unwrap();
        for n in next..end {
            say(format!("inserted {n}"));
        }
        for edit in &edits {
            say(format!("ended {}", number(edit.id)));
        }
        next = end;
        let claimed = &exchanged.unwrap().claimed[0].tasks;
        for task in claimed {
            say(format!("claimed {}", number(task.task.id)));
        }
        edits = claimed.iter().map(success).collect();
    }
}

/// What was answered last about each task.
#[derive(Default)]
struct Told(BTreeMap<u64, &'static str>);

impl Told {
    fn hear(&mut self, line: &str) {
        let (what, n) = line.split_once(' ').unwrap();
        let rank = ["inserted", "claimed", "ended"];
        let what = rank.iter().position(|known| *known == what).unwrap();
        let told = self.0.entry(n.parse().unwrap()).or_insert(rank[0]);
        let before = rank.iter().position(|known| known == told).unwrap();
        *told = rank[before.max(what)];
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let (_dir, path) = place();
    let mut told = Told::default();
    for kills in 1..=6 {
        let mut child = start("work", &path);
        for _ in 0..400 * kills {
            told.hear(&child.says().unwrap());
        }
        child.kill();
        while let Some(line) = child.says() {
            told.hear(&line);
        }
        drop(child);

        let store = builder(&path).build().unwrap();
        assert_sound(&store).await;
        for (n, what) in &told.0 {
            let detail = store.get(task_id(*n)).await.unwrap();
            let detail = detail.unwrap_or_else(|| panic!("task {n} was {what} and is gone"));
            assert_eq!(detail.payload.decode::<u64>().unwrap(), *n);
            let state = detail.task.state;
            let right = match *what {
                "inserted" => true,
                "claimed" => state != State::Pending,
                _ => state == State::Succeeded,
            };
            assert!(right, "task {n} was {what} and is {state}");
        }
    }
    let store = builder(&path).build().unwrap();
    let counts = store.count(&CountScope::default()).await.unwrap();
    let ended = told.0.values().filter(|what| **what == "ended").count() as u64;
    assert!(counts.of(State::Succeeded) >= ended && ended > 0);
}
