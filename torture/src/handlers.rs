//! What the tasks do. Each run is in the log from before its first step to behind its last.

use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use retry_core::draft::Draft;
use retry_core::engine::WorkerBuilder;
use retry_core::executor::{Ctx, HandlerError, Outcome, State};

use crate::clock::Watch;
use crate::event::{Event, How};
use crate::kinds::{
    FOLLOWERS, Flaky, Follower, Kid, Leader, Order, Parent, Quick, Saver, Single, Slow, Waiter, ballast,
};
use crate::log::Log;
use crate::tokens;

/// How long a wait may last: longer than any run.
const WAIT_LIMIT: Duration = Duration::from_hours(10);

type Answer = Result<Outcome, HandlerError>;

/// What all handlers share.
#[derive(Debug, Clone)]
pub(crate) struct Tools {
    pub(crate) log: Log,
    pub(crate) tokens: PathBuf,
    pub(crate) watch: Watch,
}

/// Gives a worker all handlers.
pub(crate) fn all(worker: WorkerBuilder, tools: Tools) -> WorkerBuilder {
    worker
        .state(tools)
        .handler(async |_: Quick, ctx: Ctx, tools: State<Tools>| run(&ctx, &tools.0, done()).await)
        .handler(async |_: Kid, ctx: Ctx, tools: State<Tools>| run(&ctx, &tools.0, done()).await)
        .handler(async |_: Follower, ctx: Ctx, tools: State<Tools>| run(&ctx, &tools.0, done()).await)
        .handler(async |_: Order, ctx: Ctx, tools: State<Tools>| run(&ctx, &tools.0, done()).await)
        .handler(slow)
        .handler(single)
        .handler(flaky)
        .handler(parent)
        .handler(saver)
        .handler(waiter)
        .handler(leader)
}

async fn done() -> anyhow::Result<Outcome> {
    Ok(Outcome::Done)
}

async fn slow(slow: Slow, ctx: Ctx, State(tools): State<Tools>) -> Answer {
    let work = async {
        tools.watch.pause(Duration::from_millis(slow.millis)).await;
        anyhow::ensure!(slow.ballast == ballast(slow.n), "its payload is another's");
        Ok(Outcome::output(&slow.n)?)
    };
    run(&ctx, &tools, work).await
}

async fn single(_: Single, ctx: Ctx, State(tools): State<Tools>) -> Answer {
    let work = async {
        tools.watch.pause(Duration::from_millis(40)).await;
        Ok(Outcome::Done)
    };
    run(&ctx, &tools, work).await
}

async fn flaky(flaky: Flaky, ctx: Ctx, State(tools): State<Tools>) -> Answer {
    let work = async {
        ensure!(ctx.attempt() > flaky.fails, "not yet");
        Ok(Outcome::Done)
    };
    run(&ctx, &tools, work).await
}

async fn parent(parent: Parent, ctx: Ctx, State(tools): State<Tools>) -> Answer {
    let work = async {
        if ctx.step() == 0 {
            let kid = |index| Draft::of(&Kid { n: parent.n, index });
            return Ok(Outcome::split((0..parent.children).map(kid)));
        }
        let children = ctx.children();
        let right = (children.total, children.open, children.failed) == (parent.children, 0, 0);
        if right {
            Ok(Outcome::Done)
        } else {
            Ok(Outcome::Stop(format!("{children:?} of {}", parent.children)))
        }
    };
    run(&ctx, &tools, work).await
}

async fn saver(saver: Saver, ctx: Ctx, State(tools): State<Tools>) -> Answer {
    let found = ctx.checkpoint::<u32>()?.unwrap_or(0);
    let work = async {
        for progress in found + 1..=saver.steps {
            tools.watch.pause(Duration::from_millis(5)).await;
            if progress == saver.steps / 2 {
                return Ok(Outcome::continue_after(&progress, Duration::from_millis(10))?);
            }
            ctx.save_checkpoint(&progress).await?;
            let (id, version) = (ctx.id().to_string(), ctx.version());
            tools.log.note(vec![Event::Saved {
                id,
                version,
                progress,
            }]);
        }
        Ok(Outcome::Done)
    };
    run_from(&ctx, &tools, Some(found), work).await
}

async fn waiter(waiter: Waiter, ctx: Ctx, State(tools): State<Tools>) -> Answer {
    let work = async {
        if ctx.step() == 0 {
            tokens::put(&tools.tokens, waiter.n, ctx.wait_token())?;
            return Ok(Outcome::Wait(WAIT_LIMIT));
        }
        match ctx.completion::<(u64, u64)>()? {
            Some((n, mark)) if n == waiter.n => Ok(Outcome::output(&mark)?),
            other => Ok(Outcome::Stop(format!(
                "completed with {other:?}, not with {}",
                waiter.n
            ))),
        }
    };
    run(&ctx, &tools, work).await
}

async fn leader(leader: Leader, ctx: Ctx, State(tools): State<Tools>) -> Answer {
    let work = async {
        for index in 0..FOLLOWERS {
            ctx.enqueue_on_success(Draft::of(&Follower { n: leader.n, index }));
        }
        tools.watch.pause(Duration::from_millis(3)).await;
        Ok(Outcome::Done)
    };
    run(&ctx, &tools, work).await
}

async fn run(ctx: &Ctx, tools: &Tools, work: impl Future<Output = anyhow::Result<Outcome>>) -> Answer {
    run_from(ctx, tools, None, work).await
}

async fn run_from(
    ctx: &Ctx,
    tools: &Tools,
    found: Option<u32>,
    work: impl Future<Output = anyhow::Result<Outcome>>,
) -> Answer {
    let start = Event::Run {
        id: ctx.id().to_string(),
        version: ctx.version(),
        attempt: ctx.attempt(),
        step: ctx.step(),
        found,
    };
    // From before the writing on: a future dropped in between has logged both.
    let mut running = Running {
        ctx,
        log: &tools.log,
        version: ctx.version(),
        how: How::Dropped,
    };
    tools.log.write(vec![start]).await;
    let answer = work.await;
    running.how = if answer.is_ok() { How::Good } else { How::Failed };
    let ended = running.ended();
    std::mem::forget(running);
    tools.log.write(vec![ended]).await;
    answer.map_err(|error| anyhow!("{error:#}").into())
}

/// A run that has not ended.
struct Running<'a> {
    ctx: &'a Ctx,
    log: &'a Log,
    version: u64,
    how: How,
}

impl Running<'_> {
    fn ended(&self) -> Event {
        Event::Ended {
            id: self.ctx.id().to_string(),
            version: self.version,
            now: self.ctx.version(),
            how: self.how,
        }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.log.note(vec![self.ended()]);
    }
}
