//! Removes what a test has made on a server that outlives it. What is left behind all the same disturbs no other run.

use sqlx::{AssertSqlSafe, Connection as _, PgConnection};

/// A schema of a PostgreSQL.
pub(crate) fn schema(url: &str, name: &str) {
    let sql = format!("SET lock_timeout = '2s'; DROP SCHEMA IF EXISTS {name} CASCADE");
    let url = url.to_owned();
    aside(async move {
        if let Ok(mut conn) = PgConnection::connect(&url).await {
            let _ = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut conn).await;
        }
    });
}

/// Keys of a Redis or of a cluster, all in one slot.
pub(crate) fn keys(url: &str, keys: &[String]) {
    let mut unlink = redis::cmd("UNLINK");
    unlink.arg(keys);
    let _ = match url.strip_prefix("redis-cluster://") {
        Some(nodes) => {
            let nodes = nodes.split(',').map(|node| format!("redis://{node}"));
            let client = redis::cluster::ClusterClient::new(nodes);
            client.and_then(|client| unlink.exec(&mut client.get_connection()?))
        }
        None => redis::Client::open(url).and_then(|client| unlink.exec(&mut client.get_connection()?)),
    };
}

/// On a thread of its own: a runtime cannot be waited for inside another one.
pub(crate) fn aside(work: impl Future<Output = ()> + Send + 'static) {
    let working = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime").block_on(work);
    });
    let _ = working.join();
}
