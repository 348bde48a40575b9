//! A full disk: what was answered is there when the server has room again, and what it could not write is never told as done.

use std::path::Path;

use libtest_mimic::{Completion, Trial};
use redis::Value;
use retry_core::id::TaskId;
use retry_core::payload::Payload;
use retry_core::store::{Applied, Certainty, StoreError, StoreErrorKind, TaskStore};
use retry_core::task::{ClaimedTask, NewTask};
use retry_redis::RedisStore;
use test_servers::{Ballast, Kind, OnDisk, Server, again_on_small_disk, installed, small_disk};

use crate::support::{NOW, apply, claim, send, server, session, store, success, task, tasks};

const NAME: &str = "full::a_full_disk_loses_nothing";

/// The server's file, a copy of it while it is written anew, and what the test writes.
const MIB: u32 = 48;

/// What the file may still grow.
const LEFT: u64 = 2 * 1024 * 1024;

pub(crate) fn trial() -> Trial {
    Trial::ignorable_test(NAME, || {
        if small_disk().is_some() {
            let runtime = tokio::runtime::Runtime::new()?;
            runtime.block_on(fill_and_free());
            return Ok(Completion::Completed);
        }
        if let Err(missing) = installed(Kind::Redis) {
            return Ok(Completion::ignored_with(missing.to_string()));
        }
        match again_on_small_disk(MIB, &["--exact", NAME, "--nocapture"])? {
            OnDisk::Passed => Ok(Completion::Completed),
            OnDisk::Impossible(reason) => Ok(Completion::ignored_with(reason)),
            OnDisk::Failed(said) => Err(said.into()),
        }
    })
}

/// What no copy of it can make smaller.
fn large(n: u64) -> NewTask {
    let mut state = n + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'a' + u8::try_from(state >> 60).expect("four bits"))
    };
    let text: String = (0..100_000).map(|_| next()).collect();
    NewTask {
        payload: Payload::encode(&text).expect("a text"),
        ..task()
    }
}

async fn fill_and_free() {
    let disk = small_disk().expect("a small disk");
    let server = server(&[]);
    let store = store(&server).await;
    let session = session(&store).await;
    store.insert(&tasks(20), NOW).await.expect("there is room");
    let running = claim(&store, session, 20).await;
    let mut kept = insert_until_it_ends(&store, &disk).await;
    server.restart().expect("there is room for its file");
    settle_again(&store, &running).await;
    kept.push(insert(&store, 900).await.expect("the store goes on"));
    all_there(&store, &kept).await;
    a_rewrite_that_does_not_fit(&server, &store, &disk, &mut kept).await;
    crate::audit::audit(&server.url(), "it");
}

/// A server that syncs before it answers ends when it cannot: who asked does not know, who asks then is told that nobody is there.
async fn insert_until_it_ends(store: &RedisStore, disk: &Path) -> Vec<TaskId> {
    let ballast = Ballast::fill(disk, LEFT).expect("the disk is filled");
    let mut kept = Vec::new();
    let error = loop {
        match insert(store, kept.len() as u64).await {
            Ok(id) => kept.push(id),
            Err(error) => break error,
        }
    };
    assert!(kept.len() > 10, "{} tasks fit", kept.len());
    assert_eq!(
        (error.certainty(), error.kind()),
        (Certainty::Unknown, StoreErrorKind::Unavailable),
        "{error}"
    );
    // Its connection may be found broken once more.
    let _ = store.time().await;
    let error = insert(store, 800).await.expect_err("it has ended");
    assert_eq!(
        (error.certainty(), error.kind()),
        (Certainty::Rejected, StoreErrorKind::Unavailable),
        "{error}"
    );
    drop(ballast);
    kept
}

/// The server goes on with the file that it has, and answers as before.
async fn a_rewrite_that_does_not_fit(
    server: &Server,
    store: &RedisStore,
    disk: &Path,
    kept: &mut Vec<TaskId>,
) {
    let ballast = Ballast::fill(disk, LEFT / 2).expect("the disk is filled");
    send(server, &["BGREWRITEAOF"]);
    let is = |line: &str| {
        let Value::BulkString(info) = send(server, &["INFO", "persistence"]) else {
            panic!("what it says of its file");
        };
        String::from_utf8_lossy(&info).contains(line)
    };
    while !is("aof_last_bgrewrite_status:err") {}
    while is("aof_rewrite_in_progress:1") {}
    assert!(is("aof_last_write_status:ok"), "its file is whole");
    kept.push(insert(store, 901).await.expect("there is room for one"));
    server.restart().expect("its files are read");
    all_there(store, kept).await;
    drop(ballast);
    kept.push(insert(store, 902).await.expect("the store goes on"));
    send(server, &["BGREWRITEAOF"]);
    while !is("aof_last_bgrewrite_status:ok") || is("aof_rewrite_in_progress:1") {}
    server.restart().expect("the new file is read");
    all_there(store, kept).await;
}

async fn insert(store: &RedisStore, n: u64) -> Result<TaskId, StoreError> {
    let new = large(n);
    store
        .insert(std::slice::from_ref(&new), NOW)
        .await
        .map(|_| new.id)
}

async fn all_there(store: &RedisStore, kept: &[TaskId]) {
    // The connection to the server before may be found broken.
    let _ = store.time().await;
    for id in kept {
        let found = store.get(*id).await.expect("the store goes on");
        assert!(found.is_some(), "{id} was answered and is gone");
    }
}

/// Claims were answered: the tasks are still theirs.
async fn settle_again(store: &RedisStore, running: &[ClaimedTask]) {
    let _ = store.time().await;
    let edits: Vec<_> = running.iter().map(|claimed| success(&claimed.task)).collect();
    assert_eq!(apply(store, &edits).await, vec![Applied::DONE; edits.len()]);
}
