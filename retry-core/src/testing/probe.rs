//! Wraps a handler: counts where it waits, and lets faults strike there.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::future::BoxFuture;

use super::desk::{Desk, Fate, RunNumber};
use crate::executor::{Ctx, Executor, HandlerError, Outcome, Requirement};
use crate::payload::Payload;

type Answer = Result<Outcome, HandlerError>;

/// An executor whose runs are watched.
pub(super) struct Probe {
    inner: Arc<dyn Executor>,
    desk: Arc<Desk>,
}

impl Probe {
    pub(super) fn around(inner: Arc<dyn Executor>, desk: Arc<Desk>) -> Arc<dyn Executor> {
        Arc::new(Self { inner, desk })
    }
}

impl Executor for Probe {
    fn execute(&self, payload: Payload, ctx: Ctx) -> BoxFuture<'static, Answer> {
        let run = self.desk.begin(&ctx);
        let left = Left {
            desk: Arc::clone(&self.desk),
            run,
        };
        let handler = self.inner.execute(payload, ctx);
        Box::pin(Watched {
            handler,
            left,
            kept: None,
        })
    }

    fn requires(&self) -> Vec<Requirement> {
        self.inner.requires()
    }
}

struct Watched {
    handler: BoxFuture<'static, Answer>,
    left: Left,
    /// What it returned when its process was about to stand still, or to die.
    kept: Option<Answer>,
}

/// Tells of a run's end, whatever ended it.
struct Left {
    desk: Arc<Desk>,
    run: RunNumber,
}

impl Drop for Left {
    fn drop(&mut self) {
        self.desk.gone(self.run);
    }
}

impl Future for Watched {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        if let Some(answer) = self.kept.take() {
            return Poll::Ready(answer);
        }
        let (desk, run) = (Arc::clone(&self.left.desk), self.left.run);
        let before = desk.clock.waits();
        match self.handler.as_mut().poll(context) {
            Poll::Pending => {
                desk.awaits(run, desk.clock.waits() != before);
                Poll::Pending
            }
            Poll::Ready(answer) => match desk.returned(run) {
                Fate::Undisturbed => Poll::Ready(answer),
                Fate::Dies | Fate::Stands => {
                    self.kept = Some(answer);
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
            },
        }
    }
}
