//! The handlers of the simulated fleet: each does what its task's script says and tells when it starts and ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::{BoxFuture, Either, select};
use retry_core::batch::Shards;
use retry_core::clock::Clock as _;
use retry_core::draft::Draft;
use retry_core::executor::{Ctx, Executor, Final, HandlerError, Outcome};
use retry_core::payload::Payload;

use super::actors::Party;
use super::exec::yield_once;
use super::fact::{Fact, How, Run, Who};
use super::script::{Act, AnswerHow, End, Failing, KindOf, Script, Step};
use super::shared::Shared;

/// Chunks after which a split goes on in another attempt.
const CHUNKS: u32 = 2;

#[derive(Debug, Clone)]
pub(super) struct Scripted {
    pub(super) shared: Arc<Shared>,
    pub(super) scripts: Arc<Vec<Script>>,
    pub(super) party: Party,
    pub(super) who: Who,
    pub(super) fallback: bool,
}

/// Tells the end of a run, also when its future is dropped.
struct Running {
    shared: Arc<Shared>,
    run: Run,
    how: How,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.run.cancelled = self.run.ctx.is_cancelled();
        self.shared.tell(Fact::Ended {
            run: &self.run,
            how: self.how,
        });
    }
}

type Ended = Result<Outcome, HandlerError>;

impl Executor for Scripted {
    fn execute(&self, payload: Payload, ctx: Ctx) -> BoxFuture<'static, Ended> {
        let handler = self.clone();
        Box::pin(async move { handler.run(&payload, ctx).await })
    }
}

impl Scripted {
    async fn run(&self, payload: &Payload, ctx: Ctx) -> Ended {
        let number: usize = payload.decode().unwrap_or(usize::MAX);
        let mut running = self.begin(&ctx);
        let Some(step) = self
            .scripts
            .get(number)
            .and_then(|script| script.step(ctx.step()))
        else {
            running.how = How::Succeeded;
            return Ok(Outcome::Done);
        };
        if self.fallback {
            running.how = if step.fallback_fails {
                How::Failed
            } else {
                How::Succeeded
            };
            return if step.fallback_fails {
                Err("the fallback fails".into())
            } else {
                Ok(Outcome::Done)
            };
        }
        if let End::Wait {
            answer: Some(answer), ..
        } = &step.end
        {
            let mut answer = *answer;
            if answer.how == AnswerHow::Retry && self.starts(&ctx) > 3 {
                // The outside does not say it for ever.
                answer.how = AnswerHow::Resume;
            }
            self.party.answer(ctx.wait_token(), ctx.reruns(), answer);
        }
        if let Err(error) = self.act(step, &ctx, running.run.tried).await {
            running.how = How::Failed;
            return Err(error);
        }
        if ctx.attempt() <= step.fails {
            return fail(step.failing, &mut running);
        }
        if ctx.attempt() == step.fails + 1 && running.run.again < step.flickers {
            return fail(Failing::Error, &mut running);
        }
        let (how, outcome) = self.end(step, &ctx).await;
        running.how = how;
        outcome
    }

    fn begin(&self, ctx: &Ctx) -> Running {
        let before = self.shared.facts(|facts| {
            let same = |run: &&Run| run.id == ctx.id() && run.who == self.who;
            facts.runs.iter().rev().find(same).cloned()
        });
        let (index, part, session, tried) = self.shared.facts(|facts| {
            let part = facts.place(ctx.id());
            let tried = !facts.rows.contains_key(&ctx.id()) && !facts.gone.contains(&ctx.id());
            let session = facts.hosts[self.who.host].parts[part].session;
            (facts.runs.len(), part, session, tried)
        });
        // The attempt goes on only after a failure; what was cancelled is handed back, and claimed under the same number.
        let goes_on = |run: &&Run| {
            let same = (run.attempt, run.ctx.step(), run.ctx.reruns());
            same == (ctx.attempt(), ctx.step(), ctx.reruns())
                && !run.fallback
                && run.tried == tried
                && !run.cancelled
                && matches!(run.ended, Some(How::Failed | How::FailedForGood))
        };
        let before = before.filter(|run| self.fallback || goes_on(&run));
        let own_version = if tried { 0 } else { ctx.version() };
        let run = Run {
            index,
            session,
            who: self.who,
            id: ctx.id(),
            part,
            // Later runs belong to the claim of the first, whose checkpoints have raised the version since.
            version: before.as_ref().map_or(own_version, |run| run.version),
            kind: KindOf::of(ctx.kind().as_str()).unwrap_or(KindOf::Plain),
            queue: ctx.queue().as_str().to_owned(),
            attempt: ctx.attempt(),
            fallback: self.fallback,
            again: before.filter(|_| !self.fallback).map_or(0, |run| run.again + 1),
            tried,
            started_at: self.shared.now(),
            ctx: ctx.clone(),
            cancelled_at: None,
            ended: None,
            cancelled: false,
        };
        let shared = Arc::clone(&self.shared);
        shared.tell(Fact::Started { run: &run });
        Running {
            shared,
            run,
            how: How::Dropped,
        }
    }

    /// How often the task was started, by anyone.
    fn starts(&self, ctx: &Ctx) -> u32 {
        self.shared
            .facts(|facts| facts.starts.get(&ctx.id()).copied().unwrap_or(0))
    }

    /// Progress of a task that is not stored is kept where it is tried, and is no fact of the store's.
    async fn act(&self, step: &Step, ctx: &Ctx, tried: bool) -> Result<(), HandlerError> {
        for act in &step.acts {
            match act {
                Act::Work(millis) => {
                    let cancelled = Box::pin(ctx.cancelled());
                    if let Either::Right(_) = select(self.wait(*millis), cancelled).await {
                        return Err("cancelled".into());
                    }
                }
                Act::WorkOn(millis) => self.wait(*millis).await,
                Act::Yield => yield_once().await,
                Act::Checkpoint => {
                    let progress: u64 = ctx.checkpoint()?.unwrap_or(0);
                    let saved = ctx.save_checkpoint(&progress).await;
                    let (id, version, stored) = (ctx.id(), ctx.version(), saved.is_ok());
                    let who = self.who;
                    if !tried {
                        self.shared.tell(Fact::Checkpointed {
                            who,
                            id,
                            version,
                            stored,
                        });
                    }
                    saved?;
                }
            }
        }
        Ok(())
    }

    fn wait(&self, millis: u64) -> BoxFuture<'static, ()> {
        let clock = &self.shared.clock;
        clock.sleep_until(clock.monotonic() + Duration::from_millis(millis))
    }

    async fn end(&self, step: &Step, ctx: &Ctx) -> (How, Ended) {
        let after = |millis: &u64| Duration::from_millis(*millis);
        match &step.end {
            End::Done => (How::Succeeded, Ok(Outcome::Done)),
            End::Output => (
                How::Succeeded,
                Outcome::output(&"done").map_err(HandlerError::from),
            ),
            End::Stop => (
                How::FailedForGood,
                Ok(Outcome::Stop("the script says so".to_owned())),
            ),
            End::Snooze { millis, starts } => {
                if self.starts(ctx) > *starts {
                    return (How::Succeeded, Ok(Outcome::Done));
                }
                (How::Snoozed, Ok(Outcome::Snooze(after(millis))))
            }
            End::Continue { millis, rounds } => {
                let progress: u64 = ctx.checkpoint().ok().flatten().unwrap_or(0);
                if progress >= *rounds {
                    return (How::Succeeded, Ok(Outcome::Done));
                }
                let outcome = Outcome::continue_after(&(progress + 1), after(millis));
                (How::Continued, outcome.map_err(HandlerError::from))
            }
            End::FollowUp(number) => {
                ctx.enqueue_on_success(self.scripts[*number].draft());
                (How::Succeeded, Ok(Outcome::Done))
            }
            End::Wait { millis, .. } => (How::Waits, Ok(Outcome::Wait(after(millis)))),
            End::Split { children, chunk } => {
                let scripts = children.iter().map(|number| self.scripts[*number].draft());
                match chunk {
                    None => (How::Splits, Ok(Outcome::split(scripts))),
                    Some(chunk) => self.split_in_chunks(scripts.collect(), *chunk, ctx).await,
                }
            }
            End::Stuck => {
                ctx.cancelled().await;
                (How::Failed, Err("stuck until cancelled".into()))
            }
        }
    }
}

impl Scripted {
    /// As batches do it: through the engine, which writes the chunks.
    async fn split_in_chunks(&self, drafts: Vec<Draft>, chunk: usize, ctx: &Ctx) -> (How, Ended) {
        let shards = Shards::drafts(drafts).chunk(chunk);
        let outcome = ctx.split(shards.chunks_per_attempt(CHUNKS)).await;
        let how = match &outcome {
            Ok(Outcome::Split(_)) => How::Splits,
            Ok(_) => How::Snoozed,
            Err(_) => How::Failed,
        };
        (how, outcome)
    }
}

fn fail(failing: Failing, running: &mut Running) -> Ended {
    running.how = How::Failed;
    match failing {
        Failing::Error => Err("the script fails".into()),
        Failing::Final => {
            running.how = How::FailedForGood;
            Err(Final::new("the script fails for good").into())
        }
        // Without the hook that would print it.
        Failing::Panic => std::panic::resume_unwind(Box::new("the script panics")),
    }
}
