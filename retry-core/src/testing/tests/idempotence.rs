//! Handlers that are not idempotent are caught, each at the right place; those that are pass.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use super::{Job, Note, pause};
use crate::executor::{Ctx, HandlerError, State};
use crate::testing::{
    Fault, NotIdempotent, TestKit, assert_idempotent, assert_idempotent_at, check_idempotent,
};

/// A bank with and without idempotency keys, and one that refuses an older fencing version.
#[derive(Debug, Clone, Default)]
struct Bank(Arc<Mutex<Accounts>>);

#[derive(Debug, Default)]
struct Accounts {
    charged: u32,
    keys: BTreeMap<String, u32>,
    balance: (u64, u32),
}

impl Bank {
    fn lock(&self) -> std::sync::MutexGuard<'_, Accounts> {
        self.0.lock().unwrap()
    }
}

/// Charges again in every run.
async fn careless(task: Job, State(bank): State<Bank>) -> Result<(), Infallible> {
    pause().await;
    bank.lock().charged += task.n;
    pause().await;
    Ok(())
}

/// Looks first and charges then: right alone, wrong beside another.
async fn looks_first(task: Job, ctx: Ctx, State(bank): State<Bank>) -> Result<(), Infallible> {
    let done = bank.lock().keys.contains_key(&ctx.id().to_string());
    pause().await;
    if !done {
        let mut bank = bank.lock();
        bank.keys.insert(ctx.id().to_string(), task.n);
        bank.charged += task.n;
    }
    Ok(())
}

/// Charges by an idempotency key.
async fn by_key(task: Job, ctx: Ctx, State(bank): State<Bank>) -> Result<(), Infallible> {
    pause().await;
    bank.lock().keys.insert(ctx.id().to_string(), task.n);
    pause().await;
    let mut bank = bank.lock();
    bank.charged = bank.keys.values().sum();
    Ok(())
}

/// Overwrites a value, unless a later attempt was here before.
async fn fenced(task: Job, ctx: Ctx, State(bank): State<Bank>) -> Result<(), HandlerError> {
    pause().await;
    let mut bank = bank.lock();
    if ctx.version() < bank.balance.0 {
        return Err("a later attempt was here before".into());
    }
    bank.balance = (ctx.version(), task.n);
    bank.charged = task.n;
    Ok(())
}

async fn charged_once(_: &TestKit, bank: &Bank) {
    assert_eq!(bank.lock().charged, 5, "charged");
}

macro_rules! with {
    ($handler:expr) => {
        async |kit: TestKit| {
            let bank = Bank::default();
            (kit.handler($handler).state(bank.clone()), bank)
        }
    };
}

fn struck(error: NotIdempotent) -> Fault {
    error.fault.expect("a fault struck")
}

#[tokio::test]
async fn a_careless_handler_is_caught_at_the_first_point_behind_its_effect() {
    let error = check_idempotent(with!(careless), Job { n: 5 }, charged_once)
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(text.contains("a crash at await point 2"), "{text}");
    assert!(
        text.contains("assert_idempotent_at(Fault::CrashAtAwait(2)"),
        "{text}"
    );
    assert!(text.contains("cut off after 2 await points"), "{text}");
    assert!(text.contains("charged"), "the check's own message: {text}");
    assert_eq!(struck(error), Fault::CrashAtAwait(2));
}

#[tokio::test]
async fn looking_first_is_caught_only_beside_another_worker() {
    let error = check_idempotent(with!(looks_first), Job { n: 5 }, charged_once)
        .await
        .unwrap_err();
    assert_eq!(struck(error), Fault::OverlapAtAwait(1));
}

#[tokio::test]
async fn an_idempotent_handler_passes_everywhere() {
    let tried = check_idempotent(with!(by_key), Job { n: 5 }, charged_once)
        .await
        .unwrap()
        .tried;
    assert_eq!(
        tried,
        [
            Fault::CrashAtAwait(1),
            Fault::CrashAtAwait(2),
            Fault::CrashBeforeSettle(1),
            Fault::OverlapAtAwait(1),
            Fault::OverlapAtAwait(2),
            Fault::DeliverTwice(1),
            Fault::LoseReply(1),
        ]
    );
    assert_idempotent(with!(fenced), Job { n: 5 }, charged_once).await;
}

#[tokio::test]
async fn follow_ups_are_part_of_the_run() {
    async fn follows(task: Job, ctx: Ctx) -> Result<(), Infallible> {
        pause().await;
        ctx.enqueue_on_success(Note {
            text: task.n.to_string(),
        });
        Ok(())
    }
    async fn notes(note: Note, ctx: Ctx, State(bank): State<Bank>) -> Result<(), HandlerError> {
        pause().await;
        bank.lock().keys.insert(ctx.id().to_string(), note.text.parse()?);
        Ok(())
    }
    let tried = check_idempotent(
        async |kit: TestKit| {
            let bank = Bank::default();
            (kit.handler(follows).handler(notes).state(bank.clone()), bank)
        },
        Job { n: 5 },
        async |kit: &TestKit, bank: &Bank| {
            assert_eq!(
                kit.enqueued::<Note>().len(),
                1,
                "one follow-up, whatever was lost"
            );
            assert_eq!(bank.lock().keys.len(), 1);
        },
    )
    .await
    .unwrap()
    .tried;
    assert!(
        tried.contains(&Fault::CrashAtAwait(2)),
        "in the follow-up: {tried:?}"
    );
    assert!(tried.contains(&Fault::LoseReply(2)), "{tried:?}");
}

#[tokio::test]
async fn too_many_places_are_refused() {
    use crate::testing::idempotence::search;
    let (setup, check) = (with!(by_key), charged_once);
    assert_eq!(
        search(&setup, Job { n: 5 }, &check, 2).await.unwrap().tried.len(),
        7
    );
    let refused = search(&setup, Job { n: 5 }, &check, 1).await.unwrap_err();
    assert_eq!(refused.fault, Some(Fault::CrashAtAwait(2)));
    assert!(refused.message.contains("more than 1 such places"), "{refused}");
}

#[tokio::test]
async fn a_check_that_fails_anyway_is_told_so() {
    let wrong = async |_: &TestKit, _: &Bank| panic!("wrong from the start");
    let error = check_idempotent(with!(by_key), Job { n: 5 }, wrong)
        .await
        .unwrap_err();
    assert_eq!(error.fault, None);
    assert!(
        error
            .to_string()
            .contains("without any fault: wrong from the start"),
        "{error}"
    );
}

#[tokio::test]
#[should_panic(expected = "a crash at await point 2")]
async fn one_place_is_repeated_alone() {
    assert_idempotent_at(
        Fault::CrashAtAwait(1),
        with!(careless),
        Job { n: 5 },
        charged_once,
    )
    .await;
    assert_idempotent_at(
        Fault::CrashAtAwait(2),
        with!(careless),
        Job { n: 5 },
        charged_once,
    )
    .await;
}

#[tokio::test]
#[should_panic(expected = "does not come")]
async fn a_place_that_does_not_exist_is_no_success() {
    assert_idempotent_at(Fault::CrashAtAwait(3), with!(by_key), Job { n: 5 }, charged_once).await;
}
