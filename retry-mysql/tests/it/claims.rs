//! What a call with several claims sees.

use std::sync::Arc;

use retry_core::id::TaskId;
use retry_core::store::{QueueSetting, TaskStore as _};
use retry_core::{name::Queue, task::NewTask};
use test_servers::{Reach as _, Shared};

use crate::gate::Gate;
use crate::support::{NOW, fresh, kind, request, session, task, task_id};

/// The first task, as the statement names it that writes what the first claim took.
const FIRST: &[u8] = b"[\"00000000000000000000000000000001\"";

pub(crate) async fn all_claims_of_a_call_see_one_pause(server: Arc<Shared>) {
    let (place, store) = fresh(&server).await;
    let other = NewTask {
        kind: kind("other"),
        ..task(2)
    };
    store.insert(&[task(1), other], NOW).await.unwrap();
    let holder = session(&store, 1).await;
    let mut gate = Gate::before(server.socket(), FIRST);
    let gated = retry_mysql::MySqlStore::builder(&place.url_in_clear_at(gate.port))
        .migrate(false)
        .connect()
        .await
        .unwrap();
    let mut second = request(holder, 1);
    second.kinds = vec![(kind("other"), 1)];
    let claims = [request(holder, 1), second];
    let call = tokio::spawn(async move { gated.exchange(&[], &claims, NOW).await });
    let pass = gate.stopped().await;
    store
        .set_queue(&Queue::default(), QueueSetting::Pause)
        .await
        .unwrap();
    pass.send(()).unwrap();
    tokio::spawn(async move {
        loop {
            let _ = gate.stopped().await.send(());
        }
    });
    let answer = call.await.unwrap().unwrap();
    let given: Vec<Vec<TaskId>> = answer
        .claimed
        .iter()
        .map(|claimed| claimed.tasks.iter().map(|of| of.task.id).collect())
        .collect();
    assert_eq!(given, [[task_id(1)], [task_id(2)]]);
}
