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

fn bytes(task: &Task) -> Vec<u8> {
    let mut bytes = Vec::new();
    new(task, 7, &mut bytes);
    bytes
}

fn back(task: &Task, bytes: &[u8]) -> Read<Record> {
    read(task.id, bytes, &mut Names::default())
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
    let task = full();
    let bytes = bytes(&task);
    assert_eq!(&bytes[158..163], b"Q:/x\0");
    assert_eq!(&bytes[1 + HOT_BYTES..][..8], MAX_VERSION.to_be_bytes());
    assert_eq!(bytes[121], 2 | 3 << 4);
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
    for end in 0..good.len() {
        assert!(back(&task, &good[..end]).is_err(), "cut at {end}");
    }
    for at in 0..good.len() {
        for value in [0, 0xff, good[at] ^ 0x80] {
            let mut damaged = good.clone();
            damaged[at] = value;
            // Whatever comes out was checked; nothing panics.
            let _ = back(&task, &damaged);
        }
    }
    let (mut format, mut state) = (good.clone(), good);
    format[0] = 9;
    state[1] = 7;
    for damaged in [format, state] {
        let damage = back(&task, &damaged).unwrap_err();
        assert_eq!(bad(task.id, &damaged, damage).version, MAX_VERSION);
    }
}
