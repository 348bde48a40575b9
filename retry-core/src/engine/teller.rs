//! The teller, a one-shot reply channel: tells a caller who waits for an attempt what the store has recorded of it.

use tokio::sync::oneshot;

use crate::payload::Payload;
use crate::store::Applied;
use crate::task::{Action, Edit};

/// What was recorded, by the store's own answer.
#[derive(Debug)]
pub(crate) struct Recorded {
    /// The edit's action: an outcome that the store refuses is replaced by a failure.
    pub(crate) action: Action,
    /// The store's answer.
    pub(crate) applied: Applied,
    /// What the handler returned, also when the record is not kept.
    pub(crate) output: Option<Payload>,
}

/// The teller's end. Dropped without a word, the outcome was not recorded by this worker.
#[derive(Debug)]
pub(super) struct Teller {
    output: Option<Payload>,
    reply: oneshot::Sender<Recorded>,
}

impl Teller {
    pub(super) fn new() -> (Self, oneshot::Receiver<Recorded>) {
        let (reply, answer) = oneshot::channel();
        let output = None;
        (Self { output, reply }, answer)
    }

    /// Notes what the handler returned.
    pub(super) fn with_output(self, output: Option<Payload>) -> Self {
        Self { output, ..self }
    }

    pub(super) fn tell(self, edit: &Edit, applied: &Applied) {
        // A caller that went away needs no answer.
        let _ = self.reply.send(Recorded {
            action: edit.action.clone(),
            applied: applied.clone(),
            output: self.output,
        });
    }
}
