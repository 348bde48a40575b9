//! What the publisher confirms of a channel say together: which messages the broker has taken.
//!
//! AMQP returns a message that no queue takes *before* it confirms it, and the driver hands each returned message to
//! whichever confirm it handles next, not to its own. So a confirm alone says nothing of its message; what all confirms of a
//! channel carry does, since a message is returned before it is confirmed.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::task::Poll;

use futures_util::FutureExt as _;
use lapin::Confirmation;

use crate::sink::{Answer, Reason};

/// A message that came back: its id, as far as it bears one, and why.
pub(crate) type Returned = (Option<String>, String);

/// What one confirm said.
#[derive(Debug)]
pub(crate) enum Word {
    /// The broker has it, or has returned it; and a message that was returned, this one or another.
    Ack(Option<Returned>),
    /// The broker does not take it; and a message that was returned.
    Nack(Option<Returned>),
    /// The channel failed.
    Failed(Reason),
}

impl Word {
    pub(crate) fn of(said: lapin::Result<Confirmation>) -> Self {
        let returned = |back: lapin::message::BasicReturnMessage| {
            let id = back.delivery.properties.message_id().as_ref();
            let why = format!("{} {}", back.reply_code, back.reply_text.as_str());
            (id.map(|id| id.as_str().to_owned()), why)
        };
        match said {
            Ok(Confirmation::Ack(back)) => Self::Ack(back.map(returned)),
            Ok(Confirmation::Nack(back)) => Self::Nack(back.map(returned)),
            Ok(Confirmation::NotRequested) => Self::Failed(Reason::new("the broker does not confirm")),
            Err(error) => Self::Failed(Reason::new(error)),
        }
    }

    const fn carried(&self) -> Option<&Returned> {
        match self {
            Self::Ack(carried) | Self::Nack(carried) => carried.as_ref(),
            Self::Failed(_) => None,
        }
    }
}

/// Waits for all confirms. Whenever it is dropped, each confirm that had spoken before one in `words` is in `words` too: each
/// poll goes round until a round finds nothing new.
pub(crate) async fn gather<F>(confirms: Vec<F>, words: &mut [Option<Word>])
where
    F: Future<Output = lapin::Result<Confirmation>> + Unpin,
{
    let mut confirms: Vec<Option<F>> = confirms.into_iter().map(Some).collect();
    poll_fn(|context| {
        loop {
            let mut found = false;
            for (waiting, word) in confirms.iter_mut().zip(words.iter_mut()) {
                let Some(confirm) = waiting else { continue };
                if let Poll::Ready(said) = confirm.poll_unpin(context) {
                    (*word, *waiting, found) = (Some(Word::of(said)), None, true);
                }
            }
            if !found {
                break;
            }
        }
        match confirms.iter().all(Option::is_none) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    })
    .await;
}

/// Whether all confirms came, so that the channel owes nothing and can be used on.
pub(crate) fn complete(words: &[Option<Word>]) -> bool {
    let came = |word: &Option<Word>| matches!(word, Some(Word::Ack(_) | Word::Nack(_)));
    words.iter().all(came)
}

/// The answers for the messages with these ids, of all that was confirmed on a channel. A message is acknowledged when its
/// confirm says so and it was not returned, as far as that is known.
pub(crate) fn answers(ids: &[String], words: Vec<Option<Word>>) -> Vec<Answer> {
    let carried = || words.iter().flatten().filter_map(Word::carried);
    let returned: BTreeMap<&str, &str> = carried()
        .filter_map(|(id, why)| Some((id.as_deref()?, why.as_str())))
        .collect();
    // What came back without its id could be anybody's.
    let named = carried().all(|(id, _)| id.is_some());
    // A confirm that carried another message's return may have left its own waiting for one that did not come.
    let all = complete(&words);
    let answer = |(id, word): (&String, &Option<Word>)| {
        if let Some(why) = returned.get(id.as_str()) {
            return Answer::retry(format!("the broker returned it: {why}"));
        }
        match word {
            Some(Word::Ack(carried)) if named && (all || carried.is_none()) => Answer::Acked,
            Some(Word::Ack(_)) => Answer::retry("the broker may have returned it"),
            Some(Word::Nack(_)) => Answer::retry("the broker did not take it"),
            Some(Word::Failed(reason)) => Answer::Retry(reason.clone()),
            None => Answer::retry("the broker did not confirm it in time"),
        }
    };
    ids.iter().zip(&words).map(answer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDS: [&str; 3] = ["x", "y", "z"];

    fn judge(words: [Option<Word>; 3]) -> Vec<bool> {
        let answers = answers(&IDS.map(str::to_owned), words.into());
        answers.iter().map(|answer| *answer == Answer::Acked).collect()
    }

    fn ack(returned: Option<&str>) -> Option<Word> {
        Some(Word::Ack(
            returned.map(|id| (Some(id.to_owned()), "312 NO_ROUTE".to_owned())),
        ))
    }

    #[test]
    fn what_came_back_is_told_by_its_own_id() {
        assert_eq!(judge([ack(None), ack(None), ack(None)]), [true; 3]);
        // The return of `x` came with the confirm of `y`.
        assert_eq!(judge([ack(None), ack(Some("x")), ack(None)]), [false, true, true]);
        let nack = Some(Word::Nack(Some((Some("z".to_owned()), String::new()))));
        assert_eq!(judge([ack(None), nack, ack(None)]), [true, false, false]);
    }

    #[test]
    fn of_an_incomplete_call_nothing_doubtful_is_believed() {
        // What came back with `y` was `x`; the return of `y` may wait for the confirm of `z`.
        assert_eq!(judge([ack(None), ack(Some("x")), None]), [false; 3]);
        assert_eq!(judge([ack(None), ack(None), None]), [true, true, false]);
        let failed = Some(Word::Failed(Reason::new("closed")));
        assert_eq!(judge([ack(None), ack(Some("x")), failed]), [false; 3]);
        let nameless = Some(Word::Ack(Some((None, String::new()))));
        assert_eq!(judge([ack(None), nameless, ack(None)]), [false; 3]);
    }

    #[tokio::test]
    async fn whoever_spoke_first_is_heard_too() {
        let (tell_x, x) = tokio::sync::oneshot::channel::<()>();
        let said = || Ok(Confirmation::Ack(None));
        // While `y` is asked, after `x` was, both speak: `x` first.
        let mut tell_x = Some(tell_x);
        let of_x = async move {
            drop(x.await);
            said()
        }
        .boxed();
        let of_y = async move {
            tell_x.take().map(|tell| tell.send(()));
            said()
        }
        .boxed();
        let of_z = std::future::pending().boxed();
        let mut words = [None, None, None];
        assert!(
            gather(vec![of_x, of_y, of_z], &mut words)
                .now_or_never()
                .is_none()
        );
        assert_eq!(words.each_ref().map(Option::is_some), [true, true, false]);
        assert!(!complete(&words));
    }
}
