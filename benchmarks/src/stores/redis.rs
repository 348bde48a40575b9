//! Redis or Valkey: a namespace of its own on one server.

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use redis::Commands as _;
use redis::aio::MultiplexedConnection;
use retry_redis::RedisStore;
use test_servers::Kind;

use super::Subject;
use super::redis_toy::Toy;
use crate::aims::Aim;
use crate::args::Run;
use crate::bare;
use crate::job::After;
use crate::place::{Ground, Place};
use crate::server::{Address, fresh_name};

/// The aims were set with `everysec`. Rewriting the log of earlier repetitions would fall on whichever layer runs then.
const SETTINGS: &[(&str, &str)] = &[("appendfsync", "everysec"), ("auto-aof-rewrite-percentage", "0")];
/// Two of the bare writes of E1, in ms.
const TWO_WRITES: f64 = 2.0 / 13.0;

#[derive(Debug)]
pub(super) struct Redis(Address);

impl Redis {
    pub(super) fn new(given: &str) -> Self {
        Self(Address::new(Kind::Redis, given, SETTINGS))
    }
}

#[async_trait]
impl Subject for Redis {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn url(&self) -> Result<String> {
        Ok(self.0.url()?.to_owned())
    }

    async fn fresh(&self, run: &Run) -> Result<Place> {
        let namespace = Namespace::new(self.0.url()?);
        let builder = RedisStore::builder(&namespace.url).namespace(&namespace.name);
        let store = builder
            .connect()
            .await
            .context("the Redis store cannot be opened")?;
        Place::open(store, namespace, run).await
    }

    async fn toy(&self, _: &Run, after: After) -> Result<Option<Box<dyn bare::Toy>>> {
        let namespace = Namespace::new(self.0.url()?);
        Ok(Some(Box::new(Toy::fresh(namespace, after).await?)))
    }

    fn is_on_disk(&self) -> bool {
        false
    }

    fn settings(&self, _: &Run) -> Option<String> {
        Some(self.0.text())
    }

    fn aims(&self) -> Vec<Aim> {
        vec![
            Aim::of_bare("E1", 9.0 / 13.0, 12.0 / 13.0),
            Aim::of_bare("E32", 75.0 / 291.0, 150.0 / 291.0),
            Aim::of_bare("EB", 150.0 / 1245.0, 200.0 / 1245.0),
            Aim::of_bare("D.keep", 110.0 / 523.0, 180.0 / 523.0),
            Aim::of_bare("M", 45.0 / 151.0, 90.0 / 151.0),
            Aim::of_bare("MB", 80.0 / 487.0, 130.0 / 487.0),
            Aim::of_bare("L.p50", 0.7 / TWO_WRITES, 0.5 / TWO_WRITES),
            Aim::of_bare("L.p99", 1.5 / TWO_WRITES, 1.0 / TWO_WRITES),
        ]
    }
}

/// The keys `{name}:…`, removed in the end.
#[derive(Debug)]
pub(super) struct Namespace {
    url: String,
    name: String,
}

impl Namespace {
    fn new(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            name: fresh_name(),
        }
    }

    pub(super) fn key(&self, name: &str) -> String {
        format!("{{{}}}:{name}", self.name)
    }

    pub(super) async fn connect(&self) -> Result<MultiplexedConnection> {
        let client = redis::Client::open(self.url.as_str())?;
        Ok(client.get_multiplexed_async_connection().await?)
    }

    fn remove(&self) -> Result<()> {
        let mut connection = redis::Client::open(self.url.as_str())?.get_connection()?;
        let keys: Vec<String> = connection.scan_match(self.key("*"))?.collect::<Result<_, _>>()?;
        if !keys.is_empty() {
            // At once, so that the server has nothing left to free while the next is measured.
            connection.del::<_, ()>(keys)?;
        }
        Ok(())
    }
}

#[async_trait]
impl Ground for Namespace {
    /// What is on the disk is a log of the server's whole past.
    async fn bytes(&self) -> Result<Option<u64>> {
        Ok(None)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            eprintln!("{} was not removed: {error:#}", self.name);
        }
    }
}
