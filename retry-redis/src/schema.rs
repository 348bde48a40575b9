//! The version of a namespace's layout. It stands in one key, which every script reads first: a program that does not know it
//! writes nothing.

use retry_core::store::Result;

use crate::server::Server;

/// Marks an empty namespace as this store's; twice is a no-op. A script runs alone, so it is its own lock.
pub(crate) async fn migrate(server: &Server) -> Result<()> {
    server.migrate(true).await
}

/// Checks that the namespace is migrated.
pub(crate) async fn verify(server: &Server) -> Result<()> {
    server.migrate(false).await
}
