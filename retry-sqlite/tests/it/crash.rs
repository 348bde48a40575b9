//! A process killed at any moment loses nothing that was answered.

use std::path::Path;

use retry_core::store::TaskStore as _;

use crate::child::{say, start};
use crate::support::{beside, builder, count, number, place, task_id, tasks};

/// The child: inserts groups of growing and shrinking size and says which were answered.
pub(crate) async fn insert_for_ever(file: &Path) {
    let store = builder(file).build().unwrap();
    let mut next = u64::try_from(count(&beside(&store), "retry_task")).unwrap() * 1_000_000;
    for round in 0_u64.. {
        let end = next + 1 + round % 40;
        store
            .insert(&tasks(next..end), crate::support::NOW)
            .await
            .unwrap();
        say(format!("{next} {end}"));
        next = end;
    }
}

#[tokio::test]
async fn what_was_answered_survives_a_kill() {
    let (_dir, path) = place();
    let mut answered = Vec::new();
    for kills in 1..=5 {
        let mut child = start("insert", &path);
        let said = |line: String| -> (u64, u64) {
            let (from, to) = line.split_once(' ').unwrap();
            (from.parse().unwrap(), to.parse().unwrap())
        };
        for _ in 0..40 * kills {
            answered.push(said(child.says().unwrap()));
        }
        child.kill();
        while let Some(line) = child.says() {
            answered.push(said(line));
        }
        drop(child);

        let store = builder(&path).build().unwrap();
        let conn = beside(&store);
        let sound: String = conn
            .query_row("PRAGMA integrity_check", [], |row| row.get(0))
            .unwrap();
        assert_eq!(sound, "ok");
        assert_eq!(count(&conn, "retry_task"), count(&conn, "retry_body"));
        for n in answered.iter().flat_map(|(from, to)| *from..*to) {
            let detail = store.get(task_id(n)).await.unwrap();
            let detail = detail.unwrap_or_else(|| panic!("task {n} was answered and is gone"));
            assert_eq!(detail.payload.decode::<u64>().unwrap(), number(detail.task.id));
        }
    }
}
