//! Forgetting (laws 1, 13): ended tasks whose time is over, and lost sessions that hold nothing.

use retry_core::store::Result;
use retry_core::time::Timestamp;

use crate::args::Args;
use crate::reply::Reply;
use crate::scripts;
use crate::server::Server;

pub(crate) async fn purge(server: &Server, now: Timestamp, limit: usize) -> Result<u64> {
    let mut args = Args::new();
    args.number(now.as_millis())
        .number(i64::try_from(limit).unwrap_or(i64::MAX));
    let answer = server.run(&scripts::PURGE, &args).await?;
    let removed = Reply::new(answer, server.address()).int()?;
    Ok(removed.unsigned_abs())
}
