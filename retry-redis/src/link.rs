//! A connection that is set up anew when it breaks and never sends anything twice.

use std::sync::{Arc, Mutex, PoisonError};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind, Value,
};

use crate::config::Config;
use crate::error::During;
use crate::hangup;

/// Connections to one server, or to a cluster. Many calls share one; a caller that goes away leaves the others' answers alone.
pub(crate) enum Link {
    Single(Redial<MultiplexedConnection>),
    Cluster(Redial<ClusterConnection>, Route),
}

/// A failure and when it came.
pub(crate) type Failed = (RedisError, During);

impl Link {
    /// A link that connects when it is first used. `key` tells which node of a cluster is meant.
    pub(crate) fn new(config: &Config, key: &str) -> Result<Self, RedisError> {
        if config.cluster {
            let client = cluster_client(config)?;
            let nodes: Arc<[ConnectionInfo]> = config.nodes.as_slice().into();
            let dial = move || {
                let (client, nodes) = (client.clone(), Arc::clone(&nodes));
                async move { hangup::dial(&nodes, || client.get_async_connection()).await }.boxed()
            };
            let route = Route::with_key(key, SlotAddr::Master);
            return Ok(Self::Cluster(Redial::new(dial), route));
        }
        let client = first_client(config)?;
        let settings = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(config.connect_timeout))
            .set_response_timeout(Some(config.response_timeout));
        let dial = move || {
            let (client, settings) = (client.clone(), settings.clone());
            let node = [client.get_connection_info().clone()];
            let connect = move || {
                let (client, settings) = (client.clone(), settings.clone());
                async move {
                    client
                        .get_multiplexed_async_connection_with_config(&settings)
                        .await
                }
            };
            async move { hangup::dial(&node, connect).await }.boxed()
        };
        Ok(Self::Single(Redial::new(dial)))
    }

    /// Sends a command, once.
    pub(crate) async fn send(&self, cmd: Cmd) -> Result<Value, Failed> {
        match self {
            Self::Single(redial) => {
                let (mut connection, number) = redial.connection().await?;
                let answer = connection.req_packed_command(&cmd).await;
                redial.settle(answer, number, is_broken)
            }
            Self::Cluster(redial, route) => {
                let (mut connection, number) = redial.connection().await?;
                let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(*route));
                let answer = connection.route_command(cmd, routing).await;
                // The cluster's connection finds lost nodes by itself, unless all are lost.
                redial.settle(answer, number, |error| {
                    error.kind() == ErrorKind::ClusterConnectionNotFound
                })
            }
        }
    }
}

/// A connection over which nothing more may come: broken, so late that it may be half open, or leading to a server that
/// is a replica now, while its name may lead to the new primary.
fn is_broken(error: &RedisError) -> bool {
    let demoted = [ServerErrorKind::ReadOnly, ServerErrorKind::MasterDown];
    error.is_unrecoverable_error()
        || error.is_io_error()
        || demoted.map(ErrorKind::Server).contains(&error.kind())
}

fn first_client(config: &Config) -> Result<Client, RedisError> {
    match config.nodes.first() {
        Some(node) => config.tls.open(node),
        None => Err(RedisError::from((ErrorKind::InvalidClientConfig, "no address"))),
    }
}

fn cluster_client(config: &Config) -> Result<ClusterClient, RedisError> {
    let builder = ClusterClient::builder(config.nodes.iter().cloned())
        // A command that may have been run is never sent again by the driver.
        .retries(0)
        .connection_timeout(config.connect_timeout)
        .response_timeout(config.response_timeout);
    config.tls.equip(&config.nodes, builder).build()
}

type Dialing<C> = Shared<BoxFuture<'static, Result<C, RedisError>>>;

/// Sets up a connection when there is none; all who wait share one attempt.
pub(crate) struct Redial<C: Clone> {
    dial: Box<dyn Fn() -> BoxFuture<'static, Result<C, RedisError>> + Send + Sync>,
    state: Mutex<State<C>>,
}

struct State<C: Clone> {
    /// Numbers the attempts, so that a late failure does not throw away a newer connection.
    number: u64,
    dialing: Option<Dialing<C>>,
}

impl<C: Clone + Send + 'static> Redial<C> {
    fn new(dial: impl Fn() -> BoxFuture<'static, Result<C, RedisError>> + Send + Sync + 'static) -> Self {
        let state = State {
            number: 0,
            dialing: None,
        };
        Self {
            dial: Box::new(dial),
            state: Mutex::new(state),
        }
    }

    async fn connection(&self) -> Result<(C, u64), Failed> {
        let (dialing, number) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.dialing.is_none() {
                state.number += 1;
                state.dialing = Some((self.dial)().shared());
            }
            (state.dialing.clone(), state.number)
        };
        let Some(dialing) = dialing else {
            unreachable!("it was just set");
        };
        match dialing.await {
            Ok(connection) => Ok((connection, number)),
            Err(error) => {
                self.forget(number);
                Err((error, During::Connect))
            }
        }
    }

    fn settle(
        &self,
        answer: Result<Value, RedisError>,
        number: u64,
        broken: impl Fn(&RedisError) -> bool,
    ) -> Result<Value, Failed> {
        answer.and_then(Value::extract_error).map_err(|error| {
            if broken(&error) {
                self.forget(number);
            }
            (error, During::Call)
        })
    }

    fn forget(&self, number: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.number == number {
            state.dialing = None;
        }
    }
}
