//! A toy queue on Redis: two hashes, for the state and for the payload, and one sorted set; a turn is one script.

use anyhow::{Result, ensure};
use async_trait::async_trait;
use redis::Script;
use redis::aio::MultiplexedConnection;

use super::redis::Namespace;
use crate::bare::{self, Claimed};
use crate::job::After;

const TURN: &str = r"
local ready, state, blob = KEYS[1], KEYS[2], KEYS[3]
local now, after, limit, held = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local PENDING, RUNNING, SUCCEEDED = 'job 0 1 0', 'job 1 1 1', 'job 2 1 2'
local function with(ids, value)
  local pairs = {}
  for i, id in ipairs(ids) do
    pairs[2 * i - 1], pairs[2 * i] = id, value
  end
  return pairs
end
if held > 0 then
  local ids = {}
  for i = 1, held do ids[i] = ARGV[4 + i] end
  for _, found in ipairs(redis.call('HMGET', state, unpack(ids))) do
    if found ~= RUNNING then return redis.error_reply('ERR a job was not settled') end
  end
  if after == 'delete' then
    redis.call('HDEL', state, unpack(ids))
    redis.call('HDEL', blob, unpack(ids))
  else
    redis.call('HSET', state, unpack(with(ids, SUCCEEDED)))
  end
end
local added = #ARGV - 4 - held
if added > 0 then
  local last = redis.call('INCRBY', KEYS[4], added)
  local ids, scores, payloads = {}, {}, {}
  for i = 1, added do
    local id = string.format('%d', last - added + i)
    ids[i] = id
    scores[2 * i - 1], scores[2 * i] = now, id
    payloads[2 * i - 1], payloads[2 * i] = id, ARGV[4 + held + i]
  end
  redis.call('ZADD', ready, unpack(scores))
  redis.call('HSET', state, unpack(with(ids, PENDING)))
  redis.call('HSET', blob, unpack(payloads))
end
if limit == 0 then return {{}, {}} end
local ids = redis.call('ZRANGE', ready, '-inf', now, 'BYSCORE', 'LIMIT', 0, limit)
if #ids == 0 then return {{}, {}} end
redis.call('ZREMRANGEBYRANK', ready, 0, #ids - 1)
redis.call('HSET', state, unpack(with(ids, RUNNING)))
return {ids, redis.call('HMGET', blob, unpack(ids))}";

/// One connection and fresh keys. It is the driver's asynchronous one, as the stores': a blocking socket has two hand-overs between
/// threads less in each call.
pub(super) struct Toy {
    connection: MultiplexedConnection,
    script: Script,
    after: After,
    keys: [String; 4],
    _namespace: Namespace,
}

impl Toy {
    pub(super) async fn fresh(namespace: Namespace, after: After) -> Result<Self> {
        Ok(Self {
            connection: namespace.connect().await?,
            script: Script::new(TURN),
            after,
            keys: ["ready", "state", "blob", "serial"].map(|name| namespace.key(name)),
            _namespace: namespace,
        })
    }
}

#[async_trait]
impl bare::Toy for Toy {
    async fn turn(&mut self, payloads: &[&str], held: &[Claimed], limit: usize) -> Result<Vec<Claimed>> {
        let mut call = self.script.prepare_invoke();
        for key in &self.keys {
            call.key(key);
        }
        call.arg(1).arg(self.after.text()).arg(limit).arg(held.len());
        for claimed in held {
            call.arg(claimed.id);
        }
        for payload in payloads {
            call.arg(payload);
        }
        let (ids, payloads): (Vec<i64>, Vec<String>) = call.invoke_async(&mut self.connection).await?;
        ensure!(ids.len() == payloads.len(), "a job has no payload");
        let claimed = ids.into_iter().zip(payloads).map(|(id, payload)| Claimed {
            id,
            version: 1,
            payload,
        });
        Ok(claimed.collect())
    }
}
