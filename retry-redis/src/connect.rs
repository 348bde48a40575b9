//! What the server says about itself, and whether tasks may be trusted to it.

use std::collections::HashMap;
use std::time::Duration;

use redis::Value;
use retry_core::store::{Durability, Result, StoreError, StoreErrorKind};

use crate::config::{Config, OpenError, Refused};
use crate::reply;
use crate::server::Server;

/// The first version whose scripts behave as the store needs (effects replicated, error codes kept).
const MIN_MAJOR: u32 = 7;

/// How much `everysec` may lose.
const EVERYSEC: Duration = Duration::from_secs(1);

/// The file is synced, but not while it is rewritten (`no-appendfsync-on-rewrite`).
const PAUSES: &str = "except on rewrite";

/// How much is lost then: the operating system writes back within half a minute what is not synced.
const REWRITE: Duration = Duration::from_mins(1);

/// Reads the server's settings and refuses those that would lose tasks.
pub(crate) async fn inspect(server: &Server, config: &Config) -> std::result::Result<Durability, OpenError> {
    let info = info(server).await?;
    if is_loading(&info) {
        let message = format!(
            "redis at {}: the server is still loading its data; wait",
            server.address()
        );
        return Err(StoreError::rejected(StoreErrorKind::Unavailable, message).into());
    }
    judge(&info, fsync(server).await?.as_deref(), config).map_err(OpenError::Refused)
}

/// While a server reads its append-only file, it says that it has none.
fn is_loading(info: &HashMap<String, String>) -> bool {
    let is = |name: &str, value: &str| info.get(name).is_some_and(|found| found == value);
    is("loading", "1") && is("role", "master")
}

async fn info(server: &Server) -> Result<HashMap<String, String>> {
    let text = reply::text(server.ask(redis::cmd("INFO")).await?, server.address())?;
    let line = |line: &str| {
        let (name, value) = line.trim_end().split_once(':')?;
        Some((name.to_owned(), value.to_owned()))
    };
    Ok(text.lines().filter_map(line).collect())
}

/// When the append-only file is synced; none where `CONFIG` is forbidden.
async fn fsync(server: &Server) -> Result<Option<String>> {
    let Some(when) = setting(server, "appendfsync").await? else {
        return Ok(None);
    };
    // A rewrite or a snapshot takes minutes, and until its end nothing is synced.
    let pauses = setting(server, "no-appendfsync-on-rewrite").await?;
    let is_unsure = pauses.as_deref() == Some("yes") && when != "no";
    Ok(Some(if is_unsure { PAUSES.to_owned() } else { when }))
}

/// A setting of the server; none where `CONFIG` is forbidden.
async fn setting(server: &Server, name: &str) -> Result<Option<String>> {
    let mut ask = redis::cmd("CONFIG");
    ask.arg("GET").arg(name);
    match server.ask(ask).await {
        Ok(Value::Array(pair)) if pair.len() == 2 => {
            let value = pair.into_iter().next_back().unwrap_or_default();
            Ok(Some(reply::text(value, server.address())?))
        }
        Ok(_) => Ok(None),
        // The command is renamed or not allowed: the server answered, so it is there.
        Err(error) if error.kind() == StoreErrorKind::Other => Ok(None),
        Err(error) => Err(error),
    }
}

fn judge(
    info: &HashMap<String, String>,
    fsync: Option<&str>,
    config: &Config,
) -> std::result::Result<Durability, Refused> {
    let field = |name: &str| info.get(name).map_or("", String::as_str);
    let version = field("redis_version");
    let major: Option<u32> = version.split('.').next().and_then(|major| major.parse().ok());
    if major.is_none_or(|major| major < MIN_MAJOR) {
        return Err(Refused::Version(version.to_owned()));
    }
    if field("role") != "master" {
        return Err(Refused::Replica);
    }
    let policy = field("maxmemory_policy");
    if policy != "noeviction" {
        return Err(Refused::Eviction(policy.to_owned()));
    }
    if let Some(durability) = config.assume_durability {
        return Ok(durability);
    }
    let durability = match (field("aof_enabled"), fsync) {
        ("1", Some("always")) => Durability::Synced,
        ("1", Some("everysec")) => Durability::Periodic(EVERYSEC),
        ("1", Some(PAUSES)) => Durability::Periodic(REWRITE),
        ("1", None) if !config.allow_no_persistence => return Err(Refused::UnknownPersistence),
        _ => Durability::None,
    };
    if durability == Durability::None && !config.allow_no_persistence {
        return Err(Refused::NoPersistence);
    }
    Ok(durability)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RedisBuilder;

    fn config(builder: RedisBuilder) -> Config {
        builder.check().unwrap()
    }

    fn info(changes: &[(&str, &str)]) -> HashMap<String, String> {
        let usual = [
            ("redis_version", "7.2.4"),
            ("role", "master"),
            ("maxmemory_policy", "noeviction"),
            ("aof_enabled", "1"),
        ];
        let fields = usual.iter().chain(changes);
        fields
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect()
    }

    #[test]
    fn versions_before_the_seventh_are_refused() {
        let config = config(RedisBuilder::new("redis://localhost"));
        for version in ["6.2.14", "", "x"] {
            let judged = judge(&info(&[("redis_version", version)]), Some("always"), &config);
            assert_eq!(judged, Err(Refused::Version(version.to_owned())));
        }
        for version in ["7.0.0", "8.2.1", "10.0"] {
            let judged = judge(&info(&[("redis_version", version)]), Some("always"), &config);
            assert_eq!(judged, Ok(Durability::Synced));
        }
    }

    #[test]
    fn durability_is_the_weakest_of_what_is_told() {
        let plain = config(RedisBuilder::new("redis://localhost"));
        let risky = config(RedisBuilder::new("redis://localhost").allow_no_persistence(true));
        let off = info(&[("aof_enabled", "0")]);
        let on = info(&[]);
        for (info, fsync, refused, allowed) in [
            (&off, Some("always"), Refused::NoPersistence, Durability::None),
            (&on, Some("no"), Refused::NoPersistence, Durability::None),
            (&on, None, Refused::UnknownPersistence, Durability::None),
        ] {
            assert_eq!(judge(info, fsync, &plain), Err(refused));
            assert_eq!(judge(info, fsync, &risky), Ok(allowed));
        }
        let vouched = RedisBuilder::new("redis://localhost").assume_durability(Durability::Synced);
        assert_eq!(judge(&on, None, &config(vouched.clone())), Ok(Durability::Synced));
        let replica = info(&[("role", "slave")]);
        assert_eq!(judge(&replica, None, &config(vouched)), Err(Refused::Replica));
    }
}
