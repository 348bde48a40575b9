//! Deals the items of a write to the parts, and joins the parts' answers in input order.

use futures_util::future::join_all;

use crate::store::{Certainty, Result, StoreError, StoreErrorKind};

/// Sends each item to its home, all parts at once, and answers for each in input order.
///
/// A part that certainly wrote nothing gives `not_tried` for its items, unless no part wrote anything: then its error is the
/// answer. If it is unknown what one part wrote, so it is of the whole.
pub(super) async fn dealt<T, A, F>(
    items: &[T],
    homes: &[usize],
    parts: usize,
    not_tried: fn() -> A,
    send: impl Fn(usize, Vec<T>) -> F,
) -> Result<Vec<A>>
where
    T: Clone,
    F: Future<Output = Result<Vec<A>>>,
{
    let mut hands: Vec<Vec<T>> = (0..parts).map(|_| Vec::new()).collect();
    for (item, home) in items.iter().zip(homes) {
        hands[*home].push(item.clone());
    }
    let dealt = hands.into_iter().enumerate().filter(|(_, hand)| !hand.is_empty());
    let sending = dealt.map(|(part, hand)| {
        let (count, answer) = (hand.len(), send(part, hand));
        async move { (part, count, answer.await) }
    });
    let answers = join_all(sending).await;
    let mut lists: Vec<Option<std::vec::IntoIter<A>>> = (0..parts).map(|_| None).collect();
    let (mut refusal, mut any) = (None, false);
    for (part, count, answer) in answers {
        match answer.and_then(|list| complete(list, count)) {
            Ok(list) => {
                any = true;
                lists[part] = Some(list.into_iter());
            }
            Err(error) if error.certainty() == Certainty::Unknown => return Err(error),
            Err(error) => drop(refusal.get_or_insert(error)),
        }
    }
    if let Some(error) = refusal.filter(|_| !any) {
        return Err(error);
    }
    let answer = |home: &usize| {
        let list = lists[*home].as_mut();
        list.and_then(Iterator::next).unwrap_or_else(not_tried)
    };
    Ok(homes.iter().map(answer).collect())
}

fn complete<A>(list: Vec<A>, count: usize) -> Result<Vec<A>> {
    if list.len() == count {
        return Ok(list);
    }
    let message = format!("a part gave {} answers to {count} requests", list.len());
    Err(StoreError::unknown(StoreErrorKind::Other, message))
}

/// The answer to a write that every part has to make: done only if all have. Repeating it converges.
pub(super) fn all(answers: impl IntoIterator<Item = Result<()>>) -> Result<()> {
    let (mut failure, mut any) = (None, false);
    for answer in answers {
        match answer {
            Ok(()) => any = true,
            Err(error) => {
                any |= error.certainty() == Certainty::Unknown;
                failure.get_or_insert(error);
            }
        }
    }
    match failure {
        None => Ok(()),
        Some(error) if any => Err(error.into_unknown()),
        Some(error) => Err(error),
    }
}
