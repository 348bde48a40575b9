//! Calls of scripts: by hash, with their text when the server does not know them.

use std::fmt;
use std::sync::Arc;

use redis::{Cmd, Value};
use retry_core::store::{Result, StoreError, StoreErrorKind};

use crate::args::Args;
use crate::config::Config;
use crate::error::{During, classify, is_no_script};
use crate::keys::Keys;
use crate::link::{Failed, Link};
use crate::scripts::{self, Script};

/// The version of the layout of keys and records that this program writes.
pub(crate) const LAYOUT: i64 = 1;

/// The server as the store's calls see it.
pub(crate) struct Server {
    link: Link,
    keys: Arc<Keys>,
    address: Arc<str>,
    migrate: bool,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Server {
    pub(crate) fn new(config: &Config, keys: &Arc<Keys>) -> Result<Self> {
        let address: Arc<str> = config.address().into();
        let link =
            Link::new(config, keys.channel()).map_err(|error| classify(error, During::Connect, &address))?;
        Ok(Self {
            link,
            keys: Arc::clone(keys),
            address,
            migrate: config.migrate,
        })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Runs a script. An empty namespace (the server lost its data) is marked anew where that is allowed: nothing was written
    /// then.
    pub(crate) async fn run(&self, script: &'static Script, args: &Args) -> Result<Value> {
        match self.attempt(script, args).await {
            Err(error) if self.migrate && is_flushed(&error) => {
                tracing::warn!(address = %self.address, "the namespace is empty: it was flushed, or the server lost its data");
                self.migrate(true).await?;
                self.attempt(script, args).await
            }
            answer => answer,
        }
    }

    async fn attempt(&self, script: &'static Script, args: &Args) -> Result<Value> {
        let by_hash = self.command("EVALSHA", &script.hash, args);
        let answer = match self.link.send(by_hash).await {
            Err((error, _)) if is_no_script(&error) => {
                self.link.send(self.command("EVAL", &script.code, args)).await
            }
            answer => answer,
        };
        answer.map_err(|failed| self.sorted(failed))
    }

    fn command(&self, name: &str, script: &str, args: &Args) -> Cmd {
        let mut cmd = redis::cmd(name);
        cmd.arg(script).arg(self.keys.all().len());
        for key in self.keys.all() {
            cmd.arg(key);
        }
        for arg in args.iter() {
            cmd.arg(arg);
        }
        cmd
    }

    /// Sends a plain command, which writes nothing, to the namespace's node.
    pub(crate) async fn ask(&self, cmd: Cmd) -> Result<Value> {
        let answer = self.link.send(cmd).await;
        answer.map_err(|(error, _)| self.sorted((error, During::Connect)))
    }

    /// Marks the namespace as this store's, or only looks whether it is.
    pub(crate) async fn migrate(&self, create: bool) -> Result<()> {
        let mut args = Args::new();
        args.number(LAYOUT).number(i64::from(create));
        let found = self.attempt(&scripts::MIGRATE, &args).await?;
        if matches!(found, Value::Int(1)) {
            return Ok(());
        }
        Err(StoreError::rejected(
            StoreErrorKind::Schema,
            format!(
                "redis at {}: this namespace is not migrated; migrate it first",
                self.address
            ),
        ))
    }

    fn sorted(&self, (error, during): Failed) -> StoreError {
        classify(error, during, &self.address)
    }
}

/// The version key is gone.
fn is_flushed(error: &StoreError) -> bool {
    let cause =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<redis::RedisError>());
    cause.is_some_and(|cause| cause.code() == Some("SCHEMA") && cause.detail() == Some("none"))
}
