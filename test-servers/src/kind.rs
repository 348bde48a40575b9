//! Which servers there are.

use std::fmt;
use std::str::FromStr;

/// A kind of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// PostgreSQL.
    Postgres,
    /// PgBouncer in transaction mode, before a PostgreSQL of its own.
    PgBouncer,
    /// MariaDB, or MySQL where that is what is installed.
    MySql,
    /// Redis, or Valkey where that is what is installed.
    Redis,
    /// Three nodes of Redis or Valkey that form a cluster.
    RedisCluster,
    /// NATS with JetStream.
    Nats,
    /// RabbitMQ.
    RabbitMq,
}

impl Kind {
    /// The databases, which tests find by their variables; brokers are started by the tests that kill them.
    pub const DATABASES: [Self; 5] = [
        Self::Postgres,
        Self::PgBouncer,
        Self::MySql,
        Self::Redis,
        Self::RedisCluster,
    ];

    /// Every kind.
    pub const ALL: [Self; 7] = [
        Self::Postgres,
        Self::PgBouncer,
        Self::MySql,
        Self::Redis,
        Self::RedisCluster,
        Self::Nats,
        Self::RabbitMq,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::PgBouncer => "pgbouncer",
            Self::MySql => "mysql",
            Self::Redis => "redis",
            Self::RedisCluster => "redis-cluster",
            Self::Nats => "nats",
            Self::RabbitMq => "rabbitmq",
        }
    }

    /// The variable in which tests look for its URL.
    #[must_use]
    pub const fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "RETRY_TEST_POSTGRES_URL",
            Self::PgBouncer => "RETRY_TEST_PGBOUNCER_URL",
            Self::MySql => "RETRY_TEST_MYSQL_URL",
            Self::Redis => "RETRY_TEST_REDIS_URL",
            Self::RedisCluster => "RETRY_TEST_REDIS_CLUSTER_URL",
            Self::Nats => "RETRY_TEST_NATS_URL",
            Self::RabbitMq => "RETRY_TEST_RABBITMQ_URL",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|kind| kind.name()).collect();
            format!(
                "there is no server `{text}`; the servers are {}",
                known.join(", ")
            )
        })
    }
}
