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

    /// When each task is to be forgotten.
    fn ended(&self) -> BTreeSet<(Bytes, i64)> {
        let of_member = |(ids, time): (Bytes, i64)| {
            let ids: Vec<Bytes> = ids.chunks(16).map(<[u8]>::to_vec).collect();
            ids.into_iter().map(move |id| (id, time))
        };
        self.scores("p").into_iter().flat_map(of_member).collect()
    }
}

/// The fields of a record that indexes are made of.
struct Row<'a> {
    head: &'a [u8],
    rest: &'a [u8],
}

fn number(bytes: &[u8]) -> i64 {
    bytes
        .iter()
        .fold(0, |number, byte| (number << 8) | i64::from(*byte))
}

impl<'a> Row<'a> {
    fn flags(&self) -> u8 {
        self.head[2]
    }

    fn state(&self) -> u8 {
        self.head[3]
    }

    fn lane(&self) -> &'a [u8] {
        &self.head[90..self.head.len() - 1]
    }

    fn level(&self) -> u8 {
        (self.rest[32] >> 4) * 2 + u8::from(number(&self.head[48..52]) > 0)
    }

    fn alarm(&self) -> Option<i64> {
        Some(number(&self.head[64..72])).filter(|alarm| *alarm != NONE)
    }

    fn purge(&self) -> Option<i64> {
        Some(number(&self.head[72..80])).filter(|purge| *purge != NONE)
    }

    fn session(&self) -> &'a [u8] {
        &self.head[24..40]
    }

    fn parent(&self) -> Option<&'a [u8]> {
        Some(&self.rest[49..65]).filter(|parent| **parent != [0; 16])
    }

    fn key(&self) -> &'a [u8] {
        let length = usize::try_from(number(&self.rest[65..67])).expect("a length");
        &self.rest[67..67 + length]
    }

    fn cold(&self) -> i64 {
        number(&self.head[80..82])
    }

    fn fails(&self) -> i64 {
        number(&self.head[82..86])
    }

    /// The byte by which the scripts know a plain row.
    fn rare(&self) -> u8 {
        let bits = [
            !self.key().is_empty(),
            self.parent().is_some(),
            number(&self.rest[41..49]) != -1,
            self.alarm().is_some(),
            self.purge().is_some(),
            self.cold() > 0 || self.fails() > 0,
            number(&self.head[48..52]) > 0,
        ];
        (0..)
            .zip(bits)
            .fold(0, |byte, (at, is)| byte | u8::from(is) << at)
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
    purges: BTreeSet<(Bytes, i64)>,
    unique: BTreeMap<Bytes, Bytes>,
    counts: BTreeMap<Bytes, Bytes>,
    rest: BTreeSet<Bytes>,
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
            // A member is the ids of one time in a row. One that a rerun left behind may be of a later time than the right one.
            purges: eye.ended(),
            unique: eye.hash("k"),
            counts: eye.hash("n"),
            rest: eye.hash("f").into_keys().collect(),
            blob: eye.hash("b").into_keys().collect(),
        }
    }

    fn add(&mut self, id: &[u8], row: &Row<'_>) {
        let state = row.state();
        let with = |parts: &[&[u8]]| [&parts.concat(), id].concat();
        self.ids.insert(id.to_vec());
        self.rest.insert(id.to_vec());
        if state == 0 {
            self.ready
                .insert(with(&[row.lane(), &[row.level()], &row.head[56..64]]));
        }
        if state == 1 {
            let owner = with(&[row.session()]);
            if row.flags() & 1 == 1 {
                self.cancels.insert(owner.clone());
            }
            self.held.insert(owner);
        }
        if [2, 3, 5, 6].contains(&state) {
            self.listed.insert(with(&[&[state]]));
        }
        if let Some(parent) = row.parent() {
            self.children.insert(with(&[parent]));
        }
        if let Some(alarm) = row.alarm() {
            self.alarms.insert(id.to_vec(), alarm);
        }
        if let Some(purge) = row.purge() {
            self.purges.insert((id.to_vec(), purge));
        }
        assert_eq!(row.head[1], row.rare(), "what is rare about {id:?}");
        assert_eq!(row.head[row.head.len() - 1], (row.rest[32] >> 4) * 2);
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
        let cold = row.cold();
        let tags = (1..8u8).filter(|tag| (cold >> tag) & 1 == 1);
        let history = 0..u8::try_from(row.fails().min(20)).expect("at most 20");
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
    let (heads, rests) = (eye.hash("h"), eye.hash("f"));
    let row = |id: &Bytes| Row {
        head: &heads[id],
        rest: &rests[id],
    };
    let mut wanted = Picture::default();
    let mut open: BTreeMap<Bytes, i64> = BTreeMap::new();
    for id in heads.keys() {
        let row = row(id);
        wanted.add(id, &row);
        if let Some(parent) = row.parent().filter(|_| row.state() < 4) {
            *open.entry(parent.to_vec()).or_default() += 1;
        }
    }
    let mut stored = Picture::stored(&eye);
    // What a rerun left behind in the row of ids of one time is passed over by a purge.
    stored.purges.retain(|ends| wanted.purges.contains(ends));
    assert_eq!(stored, wanted, "what is stored, and what the records say");
    for id in heads.keys() {
        assert_eq!(
            number(&row(id).rest[4..8]),
            open.get(id).copied().unwrap_or(0),
            "open children of {id:?}"
        );
    }
}
