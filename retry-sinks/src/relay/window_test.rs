//! The window's own tests: what may be sent, and what an answer makes of it.

use std::time::Duration;

use bytes::Bytes;
use retry_core::clock::Monotonic;
use retry_core::headers::Headers;
use retry_core::id::{Shard, TaskIds};
use retry_core::task::Task;
use retry_core::time::Timestamp;

use super::{Held, Sent, Window};
use crate::limits::{MAX_HELD, MAX_HELD_BYTES, MAX_WAVE_BYTES};
use crate::message::{Message, Outgoing};
use crate::queue::SinkQueue;
use crate::sink::Answer;

const NOW: Monotonic = Monotonic::from_start(Duration::from_secs(5));

/// A window with one message for each `(key, topic, body)`.
fn window(messages: &[(&str, &str, usize)]) -> Window {
    let (mut ids, mut window) = (TaskIds::new(), Window::default());
    let now = Timestamp::from_millis(1_000);
    let queue = SinkQueue::new("q").unwrap();
    for (key, topic, size) in messages {
        let id = ids.next(now, Shard::default(), 0);
        let draft = queue.draft(Message::text("").key(*key)).unwrap();
        let task = Task::pending(&draft.build(id, now, 0, None).unwrap(), now);
        let message = Outgoing {
            id,
            topic: (*topic).to_owned(),
            key: Some((*key).to_owned()),
            headers: Headers::new(),
            body: Bytes::from(vec![0; *size]),
            fence: 1,
        };
        window.push(Held { task, message });
    }
    window
}

fn keys(wave: &[Outgoing]) -> Vec<&str> {
    wave.iter().filter_map(|message| message.key.as_deref()).collect()
}

#[test]
fn a_wave_has_the_first_of_each_key_and_the_next_only_when_that_has_ended() {
    let mut window = window(&[("a", "t", 1), ("a", "t", 1), ("b", "t", 1), ("c", "t", 1)]);
    let wave = window.wave(NOW, 2, false);
    assert_eq!(keys(&wave), ["a", "b"]);
    let rest = window.wave(NOW, 9, false);
    assert_eq!(keys(&rest), ["c"], "what is at the sink is not sent again");
    let ended = window.answered(&wave, vec![Answer::Acked, Answer::refused("no")]);
    assert!(matches!(ended[..], [Sent::Acked(_), Sent::Refused(..)]));
    assert_eq!(keys(&window.wave(NOW, 9, false)), ["a"]);
    assert_eq!(window.len(), 2);
}

#[test]
fn a_failed_message_stays_first_and_waits_for_its_record_and_its_time() {
    let mut window = window(&[("a", "t", 1), ("a", "t", 1)]);
    let first = window.wave(NOW, 9, false);
    let ended = window.answered(&first, vec![Answer::retry("busy")]);
    let [Sent::Failed(failure)] = &ended[..] else {
        panic!("{ended:?}")
    };
    assert_eq!((failure.failures, window.len()), (1, 2));
    let later = NOW + Duration::from_secs(1);
    window.put_off("a", later);
    assert!(window.wave(later, 9, false).is_empty(), "not recorded yet");
    assert_eq!(window.next_ready(), Monotonic::NEVER);
    window.recorded("a", failure.task.clone());
    assert!(window.wave(NOW, 9, false).is_empty(), "its time has not come");
    assert_eq!(window.next_ready(), later);
    assert_eq!(window.wave(later, 9, false), first);
    let again = window.answered(&first, Vec::new());
    assert!(
        matches!(&again[..], [Sent::Failed(failure)] if failure.failures == 2),
        "no answer is no ack"
    );
}

#[test]
fn a_run_ends_at_another_topic_at_the_bounds_and_is_believed_up_to_its_first_failure() {
    let mut window = window(&[("a", "t", 1), ("a", "t", 1), ("a", "u", 1), ("b", "t", 1)]);
    let wave = window.wave(NOW, 9, true);
    assert_eq!(keys(&wave), ["a", "a", "b"]);
    let answers = vec![Answer::retry("busy"), Answer::Acked, Answer::Acked];
    let ended = window.answered(&wave, answers);
    assert!(
        matches!(ended[..], [Sent::Failed(_), Sent::Acked(_)]),
        "{ended:?}"
    );
    assert_eq!(window.len(), 3, "what is behind a failure has not ended");
}

#[test]
fn a_wave_is_bounded_in_bytes_but_never_empty() {
    let mut window = window(&[
        ("a", "t", MAX_WAVE_BYTES + 1),
        ("b", "t", MAX_WAVE_BYTES),
        ("c", "t", 1),
    ]);
    assert_eq!(keys(&window.wave(NOW, 9, false)), ["a"], "too large alone");
    assert_eq!(keys(&window.wave(NOW, 9, false)), ["b"]);
    assert_eq!(keys(&window.wave(NOW, 9, false)), ["c"]);
}

#[test]
fn keys_take_turns() {
    let mut window = window(&[("a", "t", 1), ("a", "t", 1), ("b", "t", 1), ("c", "t", 1)]);
    for expected in ["a", "b", "c", "a"] {
        let wave = window.wave(NOW, 1, false);
        assert_eq!(keys(&wave), [expected]);
        drop(window.answered(&wave, vec![Answer::Acked]));
    }
    assert_eq!(window.len(), 0);
}

#[test]
fn what_is_at_the_sink_is_not_released() {
    let mut window = window(&[("a", "t", 1), ("a", "t", 1)]);
    let wave = window.wave(NOW, 9, false);
    assert!(window.release(wave[0].id).is_none());
    let ended = window.answered(&wave, vec![Answer::retry("busy")]);
    assert!(window.release(wave[0].id).is_none(), "its record is on its way");
    let [Sent::Failed(failure)] = &ended[..] else {
        panic!("{ended:?}")
    };
    window.recorded("a", failure.task.clone());
    assert!(window.release(wave[0].id).is_some());
    let next = window.wave(NOW, 9, false);
    assert_eq!(
        (next.len(), window.len()),
        (1, 1),
        "the next one does not wait for the other's time"
    );
    assert_eq!(window.take_all().len(), 1);
}

#[test]
fn what_is_held_is_bounded_by_number_and_by_bytes() {
    assert!(!window(&vec![("a", "t", 0); MAX_HELD - 1]).is_full());
    assert!(window(&vec![("a", "t", 0); MAX_HELD]).is_full());
    let half = MAX_HELD_BYTES / 2;
    assert!(!window(&[("a", "t", half), ("b", "t", half - 1)]).is_full());
    let full = || window(&[("a", "t", half), ("b", "t", half)]);
    assert!(full().is_full());
    // Each way out gives the bytes back.
    let mut acked = full();
    let wave = acked.wave(NOW, 1, false);
    acked.answered(&wave, vec![Answer::retry("not yet")]);
    assert!(acked.is_full(), "it stays held");
    let mut acked = full();
    let wave = acked.wave(NOW, 1, false);
    acked.answered(&wave, vec![Answer::Acked]);
    assert!(!acked.is_full());
    let mut removed = full();
    let id = removed.wave(NOW, 1, false)[0].id;
    removed.remove(id);
    assert!(!removed.is_full());
    let mut emptied = full();
    emptied.take_all();
    assert!(!emptied.is_full());
}
