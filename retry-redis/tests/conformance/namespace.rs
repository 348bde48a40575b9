//! A namespace of a test's own on a server, cleaned up after it.

use redis::cluster::ClusterClient;
use redis::{Client, Cmd, Value};
use retry_core::id::TaskId;
use test_servers::unique;

/// What follows the namespace in the names of the keys.
const SUFFIXES: [&str; 19] = [
    "v", "h", "f", "b", "i", "q", "a", "p", "r", "rc", "l", "c", "k", "n", "s", "sl", "sx", "x", "bad",
];

/// A namespace on a server or a cluster.
pub(crate) struct Namespace {
    url: String,
    name: String,
}

impl Namespace {
    pub(crate) fn fresh(url: &str) -> Self {
        Self {
            url: url.to_owned(),
            name: unique("t"),
        }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn key(&self, suffix: &str) -> String {
        format!("{{{}}}:{suffix}", self.name)
    }

    /// Sends a command on a connection of its own.
    pub(crate) fn send(&self, cmd: &Cmd) -> Value {
        let answer = if let Some(nodes) = self.url.strip_prefix("redis-cluster://") {
            let nodes = nodes.split(',').map(|node| format!("redis://{node}"));
            let client = ClusterClient::new(nodes).expect("its URL");
            cmd.query(&mut client.get_connection().expect("the cluster is there"))
        } else {
            let client = Client::open(self.url.as_str()).expect("its URL");
            cmd.query(&mut client.get_connection().expect("the server is there"))
        };
        answer.expect("the command is answered")
    }

    /// Cuts the end off a stored record: its rules cannot be read any more.
    pub(crate) fn cut_record(&self, id: TaskId) {
        let (key, id) = (self.key("f"), id.to_bytes());
        let mut get = redis::cmd("HGET");
        let Value::BulkString(mut record) = self.send(get.arg(&key).arg(&id)) else {
            panic!("the task is stored");
        };
        record.truncate(record.len() - 2);
        let mut set = redis::cmd("HSET");
        self.send(set.arg(&key).arg(&id).arg(record));
    }

    /// Removes every key.
    pub(crate) fn clear(&self) {
        let mut unlink = redis::cmd("UNLINK");
        for suffix in SUFFIXES {
            unlink.arg(self.key(suffix));
        }
        self.send(&unlink);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.clear();
        }
    }
}
