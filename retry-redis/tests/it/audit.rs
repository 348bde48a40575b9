//! Every index entry, key slot, count and cold text is a function of the records: rebuilt here from their bytes, and compared.

use std::collections::{BTreeMap, BTreeSet};

use redis::cluster::ClusterClient;
use redis::{Client, Cmd, FromRedisValue};

type Bytes = Vec<u8>;

const NONE: i64 = 1 << 54;

/// A connection to a server or a cluster, for one namespace.
struct Eye {
    url: String,
    name: String,
}

impl Eye {
    fn ask<T: FromRedisValue>(&self, command: &str, suffix: &str, more: &[&str]) -> T {
        let mut cmd: Cmd = redis::cmd(command);
        cmd.arg(format!("{{{}}}:{suffix}", self.name));
        for word in more {
            cmd.arg(word);
        }
        let answer = if let Some(nodes) = self.url.strip_prefix("redis-cluster://") {
            let nodes = nodes.split(',').map(|node| format!("redis://{node}"));
            let client = ClusterClient::new(nodes).expect("its URL");
            cmd.query(&mut client.get_connection().expect("the cluster"))
        } else {
            let client = Client::open(self.url.as_str()).expect("its URL");
            cmd.query(&mut client.get_connection().expect("the server"))
        };
        answer.expect("the command is answered")
    }

    fn hash(&self, suffix: &str) -> BTreeMap<Bytes, Bytes> {
        self.ask("HGETALL", suffix, &[])
    }

    fn set(&self, suffix: &str) -> BTreeSet<Bytes> {
        self.ask("ZRANGE", suffix, &["0", "-1"])
    }

    fn scores(&self, suffix: &str) -> BTreeMap<Bytes, i64> {
        let pairs: Vec<(Bytes, f64)> = self.ask("ZRANGE", suffix, &["0", "-1", "WITHSCORES"]);
        #[expect(clippy::cast_possible_truncation, reason = "scores are whole milliseconds")]
        pairs.into_iter().map(|(id, score)| (id, score as i64)).collect()
    }
}

/// The fields of a record that indexes are made of.
struct Row<'a> {
    bytes: &'a [u8],
}

impl<'a> Row<'a> {
    fn number(&self, at: usize, length: usize) -> i64 {
        let bytes = &self.bytes[at..at + length];
        bytes
            .iter()
            .fold(0, |number, byte| (number << 8) | i64::from(*byte))
    }

    fn state(&self) -> u8 {
        self.bytes[1]
    }

    fn flags(&self) -> u8 {
        self.bytes[2]
    }

    fn lane(&self) -> &'a [u8] {
        let length = usize::try_from(self.number(154, 2)).expect("a length");
        &self.bytes[158..158 + length]
    }

    fn key(&self) -> &'a [u8] {
        let length = usize::try_from(self.number(156, 2)).expect("a length");
        &self.bytes[158 + self.lane().len()..][..length]
    }

    fn level(&self) -> u8 {
        (self.bytes[121] >> 4) * 2 + u8::from(self.number(7, 4) > 0)
    }
}

/// What all keys ought to hold.
#[derive(Debug, Default, PartialEq)]
struct Picture {
    ids: BTreeSet<Bytes>,
    ready: BTreeSet<Bytes>,
    held: BTreeSet<Bytes>,
    cancels: BTreeSet<Bytes>,
    listed: BTreeSet<Bytes>,
    children: BTreeSet<Bytes>,
    alarms: BTreeMap<Bytes, i64>,
    purges: BTreeMap<Bytes, i64>,
    unique: BTreeMap<Bytes, Bytes>,
    counts: BTreeMap<Bytes, Bytes>,
    blob: BTreeSet<Bytes>,
}

impl Picture {
    fn stored(eye: &Eye) -> Self {
        Self {
            ids: eye.set("i"),
            ready: eye.set("q"),
            held: eye.set("r"),
            cancels: eye.set("rc"),
            listed: eye.set("l"),
            children: eye.set("c"),
            alarms: eye.scores("a"),
            purges: eye.scores("p"),
            unique: eye.hash("k"),
            counts: eye.hash("n"),
            blob: eye.hash("b").into_keys().collect(),
        }
    }

    fn add(&mut self, id: &[u8], row: &Row<'_>) {
        let state = row.state();
        let with = |parts: &[&[u8]]| [&parts.concat(), id].concat();
        self.ids.insert(id.to_vec());
        if state == 0 {
            self.ready
                .insert(with(&[row.lane(), &[row.level()], &row.bytes[15..23]]));
        }
        if state == 1 {
            let owner = with(&[&row.bytes[47..63]]);
            if row.flags() & 1 == 1 {
                self.cancels.insert(owner.clone());
            }
            self.held.insert(owner);
        }
        if [2, 3, 5, 6].contains(&state) {
            self.listed.insert(with(&[&[state]]));
        }
        if row.bytes[138..154] != [0; 16] {
            self.children.insert(with(&[&row.bytes[138..154]]));
        }
        if row.number(23, 8) != NONE {
            self.alarms.insert(id.to_vec(), row.number(23, 8));
        }
        if row.number(31, 8) != NONE {
            let earliest = row.number(122, 8) + 600_000;
            self.purges.insert(id.to_vec(), row.number(31, 8).max(earliest));
        }
        let queue_end = row.lane().iter().position(|byte| *byte == 0).expect("a lane");
        if row.flags() & 2 == 2 {
            let slot = [&row.lane()[queue_end + 1..], row.key()].concat();
            let other = self.unique.insert(slot, id.to_vec());
            assert_eq!(other, None, "two tasks hold one key");
        }
        let field = [&row.lane()[..queue_end], &[0, b'0' + state]].concat();
        let count = self.counts.entry(field).or_insert_with(|| b"0".to_vec());
        let n: u64 = std::str::from_utf8(count)
            .expect("text")
            .parse()
            .expect("a number");
        *count = (n + 1).to_string().into_bytes();
        self.blob.insert(id.to_vec());
        let cold = row.number(79, 2);
        let tags = (1..8u8).filter(|tag| (cold >> tag) & 1 == 1);
        let history = 0..u8::try_from(row.number(81, 4).min(20)).expect("at most 20");
        for tag in tags.chain(history.map(|slot| 16 + slot)) {
            self.blob.insert([id, &[tag]].concat());
        }
    }
}

/// Compares everything stored in a namespace with what its records say; each parent's open children too.
pub(crate) fn audit(url: &str, name: &str) {
    let eye = Eye {
        url: url.to_owned(),
        name: name.to_owned(),
    };
    let records = eye.hash("h");
    let mut wanted = Picture::default();
    let mut open: BTreeMap<Bytes, i64> = BTreeMap::new();
    for (id, bytes) in &records {
        let row = Row { bytes };
        wanted.add(id, &row);
        if row.bytes[138..154] != [0; 16] && row.state() < 4 {
            *open.entry(row.bytes[138..154].to_vec()).or_default() += 1;
        }
    }
    assert_eq!(
        Picture::stored(&eye),
        wanted,
        "what is stored, and what the records say"
    );
    for (id, bytes) in &records {
        let given = Row { bytes }.number(93, 4);
        assert_eq!(
            given,
            open.get(id).copied().unwrap_or(0),
            "open children of {id:?}"
        );
    }
}
