//! Records come back as they went in, in bytes that stay readable for ever, and damage is never a panic.

use super::*;

fn row() -> Row {
    let mut headers = Headers::new();
    headers.insert("trace", " a\tb ").unwrap();
    Row {
        task: Task {
            id: TaskId::from_bytes([9; 16]),
            kind: Kind::new("mail").unwrap(),
            queue: Queue::default(),
            priority: Priority::High,
            created_at: Timestamp::from_millis(1_700_000_000_000),
            state: State::Running,
            run_at: Timestamp::from_millis(-1),
            attempt: 2,
            crashes: 1,
            step: 3,
            version: 7,
            session: Some(SessionId::from_bytes([5; 16])),
            cancel_requested: true,
            alarm_at: Some(Timestamp::MAX),
            purge_at: None,
            holds_key: true,
            updated_at: Timestamp::from_millis(1),
            unique: Some((UniqueKey::new("ключ ").unwrap(), KeyScope::UntilPurged)),
            parent: Some(TaskId::MIN),
            children: Children {
                total: 3,
                open: 2,
                failed: 1,
            },
            settings: settings::usual(),
            wait_secret: u64::MAX,
            reruns: 4,
        },
        nonce: 11,
        noted: true,
        body: Some(Body {
            payload: Payload::from_json(" {\"a\" : 1.0} ").unwrap(),
            headers,
        }),
    }
}

#[test]
fn a_row_comes_back() {
    let row = row();
    assert_eq!(Row::decode(row.task.id, &row.encode()), Ok(row.clone()));
    let body = row.body.unwrap();
    assert_eq!(Body::decode(&body.encode()), Ok(body));
}

#[test]
fn a_note_a_failure_and_a_session_come_back() {
    let note = Note {
        checkpoint: Some(Payload::null()),
        early: Some(Completion {
            step: 1,
            outcome: retry_core::task::CompletionOutcome::Succeed(None),
        }),
        last_error: Some(ErrorText::new("no")),
        via_fallback: true,
        failures: 21,
        ..Note::default()
    };
    assert_eq!(Note::decode(&note.encode()), Ok(note));
    let failure = FailedAttempt {
        attempt: 1,
        worker: Some(WorkerName::new("w").unwrap()),
        started_at: Timestamp::EPOCH,
        ended_at: Timestamp::MAX,
        error: ErrorText::new("x"),
    };
    assert_eq!(decode_failure(&encode_failure(&failure)), Ok(failure));
    let id = SessionId::from_bytes([1; 16]);
    let info = SessionInfo {
        id,
        name: WorkerName::new("w").unwrap(),
        host: "ho st".to_owned(),
        queues: vec![Queue::default()],
        kinds: vec![Kind::new("k").unwrap()],
    };
    let session = SessionRow {
        session: Session::new(info, Timestamp::EPOCH, true),
        dead: true,
    };
    assert_eq!(SessionRow::decode(id, &session.encode()), Ok(session));
}

/// Every cut and every changed byte reads as a record or as damage.
#[test]
fn damage_is_never_a_panic() {
    let row = row();
    let bytes = row.encode();
    for end in 0..bytes.len() {
        assert!(Row::decode(row.task.id, &bytes[..end]).is_err(), "cut at {end}");
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 0x7f, 0x80, 0xfb, 0xfc, 0xfd, 0xfe, 0xff] {
            let mut damaged = bytes.clone();
            damaged[at] = value;
            let _ = Row::decode(row.task.id, &damaged);
        }
    }
    let mut longer = bytes;
    longer.push(0);
    assert_eq!(
        Row::decode(row.task.id, &longer),
        Err(Damage("bytes follow the record"))
    );
    assert_eq!(
        Row::decode(row.task.id, &[2, 0]),
        Err(Damage("the record has an unknown format"))
    );
}

#[test]
fn a_length_beyond_the_limit_takes_no_memory() {
    // A text of 2⁶³ bytes: the marker of eight bytes, then the length.
    let mut bytes = vec![FORMAT, 253];
    bytes.extend_from_slice(&(1_u64 << 62).to_le_bytes());
    assert_eq!(Body::decode(&bytes), Err(Damage("the record cannot be decoded")));
}

#[test]
fn what_contradicts_itself_is_damage() {
    let mut lost = row();
    lost.task.session = None;
    assert!(Row::decode(lost.task.id, &lost.encode()).is_err());
    let mut keyless = row();
    keyless.task.unique = None;
    assert!(Row::decode(keyless.task.id, &keyless.encode()).is_err());
}

#[test]
fn counts_that_could_overflow_are_damage() {
    for (attempt, version, right) in [
        (MAX_COUNT, MAX_VERSION, true),
        (MAX_COUNT + 1, 1, false),
        (u32::MAX, 1, false),
        (1, MAX_VERSION + 1, false),
    ] {
        let mut row = row();
        (row.task.attempt, row.task.version) = (attempt, version);
        assert_eq!(
            Row::decode(row.task.id, &row.encode()).is_ok(),
            right,
            "{attempt} {version}"
        );
    }
}

#[test]
fn small_bodies_end_where_they_are_said_to() {
    let body = |bytes: usize| Body {
        payload: Payload::from_stored("x".repeat(bytes)),
        headers: Headers::new(),
    };
    assert!(body(Body::SMALL).is_small());
    assert!(!body(Body::SMALL + 1).is_small());
}

/// Rows on users' disks have these bytes: a change needs a new format.
#[test]
fn the_bytes_are_pinned() {
    let mut plain = row();
    plain.task.unique = None;
    plain.task.holds_key = false;
    plain.task.parent = None;
    plain.task.children = Children::default();
    plain.task.alarm_at = None;
    plain.body = Some(Body {
        payload: Payload::null(),
        headers: Headers::new(),
    });
    let hex: String = plain.encode().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, PINNED);
}

const PINNED: &str = "01046d61696c0764656661756c740101fd00d0ca9f1703000001020103070b01050505050505050505050505\
                      05050505010000000200000000fdffffffffffffffff040101046e756c6c00";
