//! The scripts: each is put together from shared parts and one file of its own, once.

use std::sync::LazyLock;

/// A script and the hash by which the server knows it.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) code: String,
    pub(crate) hash: String,
}

impl Script {
    fn new(parts: &[&str]) -> Self {
        let code = parts.concat();
        let hash = redis::Script::new(&code).get_hash().to_owned();
        Self { code, hash }
    }
}

const KEYS: &str = include_str!("../lua/part/keys.lua");
const ROW: &str = include_str!("../lua/part/row.lua");
const CACHE: &str = include_str!("../lua/part/cache.lua");
const CHECK: &str = include_str!("../lua/part/check.lua");
const FLUSH: &str = include_str!("../lua/part/flush.lua");
const NEW: &str = include_str!("../lua/part/new.lua");
const PLAIN: &str = include_str!("../lua/part/plain.lua");
const PLAIN_INSERT: &str = include_str!("../lua/part/plain_insert.lua");
const PLAIN_EDIT: &str = include_str!("../lua/part/plain_edit.lua");
const EDIT: &str = include_str!("../lua/part/edit.lua");
const ASIDE_PART: &str = include_str!("../lua/part/aside.lua");
const CLAIM: &str = include_str!("../lua/part/claim.lua");

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = [$($part:expr),*];)*) => {
        $($(#[$doc])* pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| Script::new(&[$($part),*]));)*

        /// Every script.
        #[cfg(test)]
        pub(crate) fn all() -> Vec<&'static Script> {
            vec![$(&$name),*]
        }
    };
}

scripts! {
    INSERT = [KEYS, ROW, CACHE, CHECK, FLUSH, NEW, PLAIN, PLAIN_INSERT, include_str!("../lua/insert.lua")];
    EXCHANGE = [KEYS, ROW, CACHE, CHECK, FLUSH, NEW, EDIT, PLAIN, PLAIN_EDIT, ASIDE_PART, CLAIM, include_str!("../lua/exchange.lua")];
    ASIDE = [KEYS, ROW, CACHE, CHECK, FLUSH, ASIDE_PART, include_str!("../lua/aside.lua")];
    SESSION = [KEYS, CHECK, include_str!("../lua/session.lua")];
    SESSIONS = [KEYS, include_str!("../lua/sessions.lua")];
    EXPIRED = [KEYS, ROW, CACHE, CHECK, FLUSH, include_str!("../lua/expired.lua")];
    GET = [KEYS, ROW, include_str!("../lua/get.lua")];
    LIST = [KEYS, ROW, include_str!("../lua/list.lua")];
    VALUES = [KEYS, include_str!("../lua/values.lua")];
    COUNT = [KEYS, include_str!("../lua/count.lua")];
    PURGE = [KEYS, ROW, CACHE, CHECK, FLUSH, include_str!("../lua/purge.lua")];
    SET_QUEUE = [KEYS, include_str!("../lua/set_queue.lua")];
    QUEUES = [KEYS, include_str!("../lua/queues.lua")];
    TIME = [include_str!("../lua/time.lua")];
    MIGRATE = [include_str!("../lua/migrate.lua")];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_differ_and_have_hashes() {
        let scripts = all();
        for (at, script) in scripts.iter().enumerate() {
            assert_eq!(script.hash.len(), 40);
            assert!(scripts[..at].iter().all(|other| other.hash != script.hash));
        }
    }
}
