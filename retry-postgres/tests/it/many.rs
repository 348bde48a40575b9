//! Five hundred clients at once, on one store and on a store each, while the server is killed: they wait or are told why not,
//! nothing that was answered is lost, and the store goes on when they are gone.

use std::sync::Arc;

use conformance_tests::crowd::{Account, Crowd, opening};
use libtest_mimic::Trial;
use retry_core::client::Client;
use retry_core::store::{Certainty, StoreError, StoreErrorKind, TaskStore};
use retry_postgres::{PostgresBuilder, PostgresStore};
use sqlx::{Connection as _, PgConnection};
use test_servers::{Kind, Server, own, own_with, trial};

use crate::Alone;
use crate::killed::plan;
use crate::support::{FAR, NOW, block_on, task};

pub(crate) const ALONE: &[(&str, Alone)] = &[
    (
        "many::five_hundred_callers_share_a_store",
        five_hundred_callers_share_a_store,
    ),
    (
        "many::five_hundred_enqueue_through_a_client",
        five_hundred_enqueue_through_a_client,
    ),
    (
        "many::five_hundred_stores_share_a_server",
        five_hundred_stores_share_a_server,
    ),
    (
        "many::a_server_without_connections_left_says_so",
        a_server_without_connections_left_says_so,
    ),
];

/// So many clients.
const MANY: usize = 500;

/// What a server has that nobody has configured.
const DEFAULTS: &[(&str, &str)] = &[("max_connections", "100")];

/// Five hundred handles behind a pooler that takes five hundred connections.
pub(crate) fn pooled() -> Trial {
    trial("many::five_hundred_stores_share_a_pooler", || {
        let server = own(Kind::PgBouncer);
        let builder = PostgresStore::builder(&server.url()).pooler(true);
        block_on(async {
            a_store_each(&server, builder.clone()).await;
            none_left(&server, builder).await;
        });
    })
}

/// Kills the server in the middle of what a crowd does, and starts it again.
async fn interrupted(server: &Server, crowd: Crowd) -> Account {
    crowd.answered(MANY as u64).await;
    server.kill();
    server.restart().unwrap();
    crowd.ended().await.unwrap_or_else(|failure| panic!("{failure}"))
}

async fn audited(account: &Account, store: &dyn TaskStore) {
    let audited = account.audit(store, FAR).await;
    audited.unwrap_or_else(|failure| panic!("{failure}\n{account}"));
}

fn five_hundred_callers_share_a_store() {
    let server = own_with(Kind::Postgres, DEFAULTS);
    block_on(async {
        let store = PostgresStore::connect(&server.url()).await.unwrap();
        let store: Arc<dyn TaskStore> = Arc::new(store);
        let account = interrupted(&server, Crowd::on(&plan(MANY, Some(2)), &store)).await;
        assert!(account.failures(&[StoreErrorKind::Unavailable]) > 0, "{account}");
        audited(&account, &*store).await;
    });
}

fn five_hundred_enqueue_through_a_client() {
    let server = own_with(Kind::Postgres, DEFAULTS);
    block_on(async {
        let store = PostgresStore::connect(&server.url()).await.unwrap();
        let client = Client::new(store.clone()).erase();
        let account = interrupted(&server, Crowd::through(&plan(MANY, Some(3)), &client)).await;
        assert_eq!(account.tasks.len(), 3 * MANY, "{account}");
        audited(&account, &store).await;
    });
}

fn five_hundred_stores_share_a_server() {
    let server = own_with(Kind::Postgres, DEFAULTS);
    block_on(a_store_each(&server, PostgresStore::builder(&server.url())));
}

fn a_server_without_connections_left_says_so() {
    let server = own_with(Kind::Postgres, DEFAULTS);
    block_on(none_left(&server, PostgresStore::builder(&server.url())));
}

/// Others have taken every connection: a store that is open goes on, the next one is told why not, and opens when they are gone.
async fn none_left(server: &Server, builder: PostgresBuilder) {
    // It tells of no hints, for which it would have another connection.
    let open = builder.clone().notify(false).connect().await.unwrap();
    let mut others = Vec::new();
    while let Ok(other) = PgConnection::connect(&server.url()).await {
        others.push(other);
    }
    let error = StoreError::from(
        builder
            .clone()
            .connect()
            .await
            .expect_err("there is no connection left"),
    );
    let sort = (error.certainty(), error.kind());
    assert_eq!(sort, (Certainty::Rejected, StoreErrorKind::Busy), "{error}");
    assert!(error.to_string().contains("max_connections"), "{error}");
    open.insert(&[task(1)], NOW)
        .await
        .expect("its connection is its own");
    drop(others);
    // The server hears of it in its own time.
    while let Err(error) = builder.clone().connect().await {
        assert_eq!(StoreError::from(error).kind(), StoreErrorKind::Busy);
    }
}

/// Each caller opens a store, uses it, and goes. A server that has no connections for all of them says so, and they come again.
async fn a_store_each(server: &Server, builder: PostgresBuilder) {
    builder.clone().connect().await.expect("the tables are made");
    let of_a_caller = builder.clone();
    let open = opening(move || {
        let builder = of_a_caller.clone();
        async move {
            let store = builder.connect().await.map_err(StoreError::from)?;
            Ok(Arc::new(store) as Arc<dyn TaskStore>)
        }
    });
    let account = interrupted(server, Crowd::start(&plan(MANY, Some(1)), &open)).await;
    let store = builder.connect().await.expect("the crowd is gone");
    audited(&account, &store).await;
}
