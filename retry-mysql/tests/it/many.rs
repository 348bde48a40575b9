//! Five hundred clients at once, on one store and on a store each, while the server is killed: they wait or are told why not,
//! nothing that was answered is lost, and the store goes on when they are gone.

use std::sync::Arc;

use conformance_tests::crowd::{Account, Crowd, opening};
use retry_core::client::Client;
use retry_core::store::{Certainty, StoreError, StoreErrorKind, TaskStore};
use retry_mysql::MySqlStore;
use sqlx::Connection as _;
use sqlx::mysql::MySqlConnection;
use test_servers::Server;

use crate::killed::{passes, plan};
use crate::support::{FAR, NOW, fresh, task};

/// So many clients.
const MANY: usize = 500;

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

pub(crate) async fn five_hundred_callers_share_a_store(server: Arc<Server>) {
    let (_place, store) = fresh(&server).await;
    let store: Arc<dyn TaskStore> = Arc::new(store);
    let account = interrupted(&server, Crowd::on(&plan(MANY, Some(2)), &store)).await;
    assert!(account.failures(&[StoreErrorKind::Unavailable]) > 0, "{account}");
    audited(&account, &*store).await;
}

pub(crate) async fn five_hundred_enqueue_through_a_client(server: Arc<Server>) {
    let (_place, store) = fresh(&server).await;
    let client = Client::new(store.clone()).erase();
    let account = interrupted(&server, Crowd::through(&plan(MANY, Some(3)), &client)).await;
    assert_eq!(account.tasks.len(), 3 * MANY, "{account}");
    audited(&account, &store).await;
}

/// Each caller opens a store, uses it, and goes. A server that has no connections for all of them says so, and they come again.
pub(crate) async fn five_hundred_stores_share_a_server(server: Arc<Server>) {
    let (place, first) = fresh(&server).await;
    drop(first);
    let open = opening({
        let url = place.url();
        move || {
            let builder = MySqlStore::builder(&url);
            async move {
                let store = builder.connect().await.map_err(StoreError::from)?;
                Ok(Arc::new(store) as Arc<dyn TaskStore>)
            }
        }
    });
    let account = interrupted(&server, Crowd::start(&plan(MANY, Some(1)), &open)).await;
    let store = place.builder().connect().await.expect("the crowd is gone");
    audited(&account, &store).await;
}

/// Others have taken every connection: a store that is open goes on, the next one is told why not, and opens when they are gone.
pub(crate) async fn a_server_without_connections_left_says_so(server: Arc<Server>) {
    let (place, open) = fresh(&server).await;
    let mut others = Vec::new();
    while let Ok(other) = MySqlConnection::connect(&place.url()).await {
        others.push(other);
    }
    let refused = place.builder().connect().await;
    let error = StoreError::from(refused.expect_err("there is no connection left"));
    assert_eq!(error.certainty(), Certainty::Rejected, "{error}");
    assert!(passes(&error), "{error}");
    assert!(error.to_string().contains("max_connections"), "{error}");
    open.insert(&[task(1)], NOW)
        .await
        .expect("its connection is its own");
    drop(others);
    // The server hears of it in its own time.
    while let Err(error) = place.builder().connect().await {
        assert!(passes(&StoreError::from(error)));
    }
}
