//! Five hundred clients at once, on one store and on a store each, while the server is killed: they wait or are told why not,
//! nothing that was answered is lost, and the store goes on when they are gone.

use std::sync::Arc;

use conformance_tests::crowd::{Account, Crowd, opening};
use libtest_mimic::Trial;
use retry_core::client::Client as Enqueuer;
use retry_core::store::{Certainty, StoreError, StoreErrorKind, TaskStore};
use retry_core::time::Timestamp;
use test_servers::Server;

use crate::killed::plan;
use crate::support::{NOW, builder, crowd, on_redis, server, store, task};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        on_redis("many::five_hundred_callers_share_a_store", callers),
        on_redis("many::five_hundred_enqueue_through_a_client", enqueuers),
        on_redis("many::five_hundred_stores_share_a_server", stores),
        on_redis("many::a_server_without_connections_left_says_so", none_left),
    ]
}

/// So many clients.
const MANY: usize = 500;

/// When all that a client has enqueued is due.
const FAR: Timestamp = Timestamp::from_millis(1_900_000_000_000);

/// Kills the server in the middle of what a crowd does, and starts it again.
async fn interrupted(server: &Server, crowd: Crowd) -> Account {
    crowd.answered(MANY as u64).await;
    server.kill();
    server.restart().expect("it comes back");
    crowd.ended().await.unwrap_or_else(|failure| panic!("{failure}"))
}

async fn audited(account: &Account, server: &Server) {
    // Not one of the crowd's: it is there for everybody again.
    let store = store(server).await;
    let audited = account.audit(&store, FAR).await;
    audited.unwrap_or_else(|failure| panic!("{failure}\n{account}"));
    crate::audit::audit(&server.url(), "it");
}

async fn callers() {
    let server = server(&[]);
    let store: Arc<dyn TaskStore> = Arc::new(store(&server).await);
    let account = interrupted(&server, Crowd::on(&plan(MANY, Some(3)), &store)).await;
    assert!(account.failures(&[StoreErrorKind::Unavailable]) > 0, "{account}");
    audited(&account, &server).await;
}

async fn enqueuers() {
    let server = server(&[]);
    let client = Enqueuer::new(store(&server).await).erase();
    let account = interrupted(&server, Crowd::through(&plan(MANY, Some(4)), &client)).await;
    assert_eq!(account.tasks.len(), 4 * MANY, "{account}");
    audited(&account, &server).await;
}

async fn stores() {
    let server = server(&[]);
    let builder = builder(&server);
    let open = opening(move || {
        let builder = builder.clone();
        async move {
            let store = builder.connect().await.map_err(StoreError::from)?;
            Ok(Arc::new(store) as Arc<dyn TaskStore>)
        }
    });
    let account = interrupted(&server, Crowd::start(&plan(MANY, Some(2)), &open)).await;
    audited(&account, &server).await;
}

/// Others have taken every connection: a store that is open goes on, the next one is told why not, and opens when they are gone.
async fn none_left() {
    let server = server(&[("maxclients", "40")]);
    let open = store(&server).await;
    let others = crowd(&server.url());
    let error = StoreError::from(
        builder(&server)
            .connect()
            .await
            .expect_err("there is no connection left"),
    );
    let sort = (error.certainty(), error.kind());
    assert_eq!(sort, (Certainty::Rejected, StoreErrorKind::Busy), "{error}");
    assert!(error.to_string().contains("maxclients"), "{error}");
    open.insert(&[task()], NOW)
        .await
        .expect("its connection is its own");
    drop(others);
    // The server hears of it in its own time.
    while let Err(error) = builder(&server).connect().await {
        assert_eq!(StoreError::from(error).kind(), StoreErrorKind::Busy);
    }
}
