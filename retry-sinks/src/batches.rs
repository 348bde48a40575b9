//! How the messages of a call go to the partitions of a broker that takes batches: each topic is looked up once, a batch is of
//! bounded size, one that is too large is sent in single messages, and nothing of a key goes behind one that was not taken.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::sink::{Answer, Reason};

/// Why a batch was not taken.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is too large.
    TooLarge(Reason),
    /// The broker does not take it now.
    NotTaken(Reason),
    /// The broker was not reached, and what is left is not tried.
    Unreachable(Reason),
}

/// A message by its place in the call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) at: usize,
    pub(crate) key: Option<&'a str>,
    pub(crate) bytes: usize,
}

/// Looks each topic up once, so that all its messages meet the same answer: with one of its own for each, a later message of a
/// key could find the topic that an earlier one had missed.
pub(crate) async fn resolve<'a, T, F>(
    topics: impl Iterator<Item = &'a str>,
    mut look_up: impl FnMut(&'a str) -> F,
) -> BTreeMap<&'a str, T>
where
    F: Future<Output = T>,
{
    let mut found = BTreeMap::new();
    for topic in topics {
        if !found.contains_key(topic) {
            found.insert(topic, look_up(topic).await);
        }
    }
    found
}

/// Consecutive messages of `most` bytes together, or a single larger one.
fn cut<'a>(pieces: &[Piece<'a>], most: usize) -> VecDeque<Vec<Piece<'a>>> {
    let (mut batches, mut batch, mut bytes) = (VecDeque::new(), Vec::new(), 0_usize);
    for piece in pieces {
        bytes = bytes.saturating_add(piece.bytes);
        if bytes > most && !batch.is_empty() {
            batches.push_back(std::mem::take(&mut batch));
            bytes = piece.bytes;
        }
        batch.push(*piece);
    }
    batches.push_back(batch);
    batches
}

/// Sends the messages of one partition in their order, batch by batch; answers each.
pub(crate) async fn send<'a, F>(
    pieces: &[Piece<'a>],
    most: usize,
    mut produce: impl FnMut(Vec<usize>) -> F,
) -> Vec<(usize, Answer)>
where
    F: Future<Output = Result<(), Trouble>>,
{
    let (mut batches, mut answers) = (cut(pieces, most), Vec::new());
    let mut stopped: BTreeSet<&'a str> = BTreeSet::new();
    while let Some(mut batch) = batches.pop_front() {
        batch.retain(|piece| {
            let behind = piece.key.is_some_and(|key| stopped.contains(key));
            if behind {
                answers.push((piece.at, Answer::retry("one before it of its key was not taken")));
            }
            !behind
        });
        if batch.is_empty() {
            continue;
        }
        let places = batch.iter().map(|piece| piece.at);
        match produce(places.clone().collect()).await {
            Ok(()) => answers.extend(places.map(|at| (at, Answer::Acked))),
            Err(Trouble::TooLarge(reason)) => match batch[..] {
                [alone] => answers.push((alone.at, Answer::Refused(reason))),
                // Which of them is too large only the broker can tell.
                _ => batch
                    .into_iter()
                    .rev()
                    .for_each(|piece| batches.push_front(vec![piece])),
            },
            Err(Trouble::NotTaken(reason)) => {
                answers.extend(places.map(|at| (at, Answer::Retry(reason.clone()))));
                stopped.extend(batch.iter().filter_map(|piece| piece.key));
            }
            Err(Trouble::Unreachable(reason)) => {
                let left = batch.into_iter().chain(batches.drain(..).flatten());
                answers.extend(left.map(|piece| (piece.at, Answer::Retry(reason.clone()))));
            }
        }
    }
    answers
}

#[cfg(test)]
mod tests {
    use std::future::ready;

    use futures_util::FutureExt as _;

    use super::*;

    /// Messages of ten bytes each, with these keys.
    fn pieces<'a>(keys: &[&'a str]) -> Vec<Piece<'a>> {
        let piece = |(at, key): (usize, &&'a str)| Piece {
            at,
            key: (!key.is_empty()).then_some(*key),
            bytes: 10,
        };
        keys.iter().enumerate().map(piece).collect()
    }

    /// What a broker that answers by `says` is sent, and the answers in the order of the call: acked, retry or failed.
    fn live(
        keys: &[&str],
        most: usize,
        says: impl Fn(&[usize]) -> Result<(), Trouble>,
    ) -> (Vec<Vec<usize>>, String) {
        let (pieces, mut sent) = (pieces(keys), Vec::new());
        let produce = |batch: Vec<usize>| {
            let said = says(&batch);
            sent.push(batch);
            ready(said)
        };
        let mut answers = send(&pieces, most, produce).now_or_never().unwrap();
        answers.sort_unstable_by_key(|(at, _)| *at);
        assert!(answers.iter().map(|(at, _)| *at).eq(0..keys.len()), "{answers:?}");
        let letter = |(_, answer): &(usize, Answer)| match answer {
            Answer::Acked => 'a',
            Answer::Retry(_) => 'r',
            Answer::Refused(_) => 'f',
        };
        let letters = answers.iter().map(letter).collect();
        (sent, letters)
    }

    fn why() -> Reason {
        Reason::new("why")
    }

    #[test]
    fn batches_are_bounded_and_keep_the_order() {
        let (sent, answers) = live(&["k"; 5], 25, |_| Ok(()));
        assert_eq!(sent, [vec![0, 1], vec![2, 3], vec![4]]);
        assert_eq!(answers, "aaaaa");
        let (sent, _) = live(&["k"; 2], 5, |_| Ok(()));
        assert_eq!(sent, [[0], [1]], "one that is larger goes alone");
    }

    #[test]
    fn a_batch_that_is_too_large_goes_one_by_one_and_only_what_is_too_large_alone_fails() {
        let says = |batch: &[usize]| match batch {
            [1] | [_, _, ..] => Err(Trouble::TooLarge(why())),
            _ => Ok(()),
        };
        let (sent, answers) = live(&["k", "k", "k"], 100, says);
        assert_eq!(sent, [vec![0, 1, 2], vec![0], vec![1], vec![2]]);
        assert_eq!(answers, "afa");
    }

    #[test]
    fn a_key_stops_at_what_is_not_taken_and_others_go_on() {
        let says = |batch: &[usize]| match batch {
            [0] => Err(Trouble::NotTaken(why())),
            [_, _, ..] => Err(Trouble::TooLarge(why())),
            _ => Ok(()),
        };
        let (sent, answers) = live(&["k", "l", "k", "", ""], 100, says);
        assert_eq!(sent[1..], [[0], [1], [3], [4]], "nothing of `k` behind its first");
        assert_eq!(answers, "raraa");
    }

    #[test]
    fn without_a_broker_the_rest_is_not_tried() {
        let says = |_: &[usize]| Err(Trouble::Unreachable(why()));
        let (sent, answers) = live(&["k", "l", "m"], 10, says);
        assert_eq!((sent.len(), answers.as_str()), (1, "rrr"));
    }

    #[test]
    fn a_topic_that_appears_during_a_call_is_missed_by_all_its_messages() {
        let mut asked = 0;
        let look_up = |_| {
            asked += 1;
            ready(if asked > 1 {
                Ok(asked)
            } else {
                Err("there is no such topic")
            })
        };
        let found = resolve(["t", "u", "t"].into_iter(), look_up);
        let found = found.now_or_never().unwrap();
        assert_eq!(found["t"], Err("there is no such topic"));
        assert_eq!(found["u"], Ok(2));
    }
}
