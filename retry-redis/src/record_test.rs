//! Records round-trip, and no damaged byte makes a wrong task or a panic.

use super::*;
use crate::codec::Read;
use retry_core::task::OnWaitDeadline;

fn full() -> Task {
    let settings = Settings {
        give_up_at: Some(Timestamp::MAX),
        expires_at: Some(Timestamp::MIN),
        deadline_after: Some(Duration::new(5, 999)),
        on_wait_deadline: OnWaitDeadline::Fail,
        on_failed_children: FailedChildren::Hold,
        crash_budget: None,
        ..Settings::default()
    };
    Task {
        id: TaskId::MAX,
        kind: Kind::new("k".repeat(128)).unwrap(),
        queue: Queue::new("Q:/x").unwrap(),
        priority: Priority::Low,
        created_at: Timestamp::MIN,
        state: State::Running,
        run_at: Timestamp::from_millis(-1),
        attempt: MAX_COUNT,
        crashes: 1,
        step: 2,
        version: MAX_VERSION,
        session: Some(SessionId::from_random(1, 2)),
        cancel_requested: false,
        alarm_at: Some(Timestamp::MAX),
        purge_at: None,
        holds_key: true,
        updated_at: Timestamp::MAX,
        unique: Some((UniqueKey::new("Zoë 🎉 ").unwrap(), KeyScope::UntilPurged)),
        parent: Some(TaskId::from_bytes([7; 16])),
        children: Children {
            total: 3,
            open: 2,
            failed: 1,
        },
        settings,
        wait_secret: u64::MAX,
        reruns: 9,
    }
}

fn bytes(task: &Task) -> [Vec<u8>; 2] {
    let (mut first, mut second) = (Vec::new(), Vec::new());
    head(task, 7, &mut first);
    rest(task, &mut second);
    [first, second]
}

fn back(task: &Task, [head, rest]: &[Vec<u8>; 2]) -> Read<Record> {
    let rest = Some(rest.as_slice());
    read(task.id, Stored { head, rest }, &mut Names::default())
}

#[test]
fn records_round_trip_at_their_bounds() {
    let mut task = full();
    assert_eq!(
        back(&task, &bytes(&task)).map(|record| record.task),
        Ok(task.clone())
    );
    for run_at in [Timestamp::MIN, Timestamp::EPOCH, Timestamp::MAX] {
        (task.run_at, task.state, task.session) = (run_at, State::Pending, None);
        (task.unique, task.holds_key, task.parent) = (None, false, None);
        assert_eq!(
            back(&task, &bytes(&task)).map(|record| record.task),
            Ok(task.clone())
        );
    }
}

#[test]
fn the_layout_is_the_one_the_scripts_read() {
    let mut task = full();
    let [head, rest] = bytes(&task);
    assert_eq!(head[..4], [1, 1 | 2 | 4 | 8 | 64, 2, 1]);
    assert_eq!(head[VERSION_AT..][..8], MAX_VERSION.to_be_bytes());
    assert_eq!(head[86..90], [0, 0, 0, 7]);
    assert!(head[90..].starts_with(b"Q:/x\0k") && head.ends_with(b"k\0\x06"));
    assert_eq!(rest[32], 2 | 3 << 4);
    assert_eq!(rest[67..][..3], *b"Zo\xc3");

    (task.unique, task.holds_key, task.parent) = (None, false, None);
    (task.settings.deadline_after, task.alarm_at, task.crashes) = (None, None, 0);
    assert_eq!(bytes(&task)[0][..4], [1, 0, 0, 1], "a plain one");
}

#[test]
fn due_times_sort_as_bytes() {
    let times = [i64::MIN, -256, -255, -1, 0, 1, 255, 256, i64::MAX].map(Timestamp::from_millis);
    let sorted = times.map(sortable);
    assert!(sorted.is_sorted(), "{sorted:?}");
}

#[test]
fn damage_is_a_report() {
    let task = full();
    let good = bytes(&task);
    for part in 0..2 {
        let damaged = |change: &dyn Fn(&mut Vec<u8>)| {
            let mut damaged = good.clone();
            change(&mut damaged[part]);
            damaged
        };
        for end in 0..good[part].len() {
            let cut = damaged(&|bytes| bytes.truncate(end));
            assert!(back(&task, &cut).is_err(), "{part} cut at {end}");
        }
        for at in 0..good[part].len() {
            for value in [0, 0xff, good[part][at] ^ 0x80] {
                // Whatever comes out was checked; nothing panics.
                let _ = back(&task, &damaged(&|bytes| bytes[at] = value));
            }
        }
    }
    let alone = Stored {
        head: &good[0],
        rest: None,
    };
    assert!(read(task.id, alone, &mut Names::default()).is_err());
    for (at, value) in [(0, 9), (3, 7)] {
        let mut damaged = good.clone();
        damaged[0][at] = value;
        let damage = back(&task, &damaged).unwrap_err();
        assert_eq!(bad(task.id, &damaged[0], damage).version, MAX_VERSION);
    }
}
