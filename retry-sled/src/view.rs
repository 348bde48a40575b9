//! Reading an ordered map: what is stored, alone or with the changes that a group of writes has drafted so far.

use crate::error::Outcome;
use crate::keys::{self, Key};

/// The largest value of one key. sled writes what does not fit into its log into files beside it, which it never syncs:
/// a power cut would lose them. Its pages have up to about 20 of these, which stays below that size (128 KiB).
pub(crate) const CHUNK: usize = 4 * 1024;

/// Takes a key and its value; false: no more are wanted.
pub(crate) type Visit<'v> = &'v mut dyn FnMut(&[u8], &[u8]) -> bool;

/// An ordered map.
pub(crate) trait View {
    fn get(&self, key: &[u8]) -> Outcome<Option<sled::IVec>>;

    /// Visits the keys from `from` on, before `to`, in order.
    fn scan(&self, from: &[u8], to: &[u8], visit: Visit<'_>) -> Outcome<()>;

    /// Whether there is such a key.
    fn has(&self, key: &[u8]) -> Outcome<bool> {
        Ok(self.get(key)?.is_some())
    }

    /// The first key from `from` on, before `to`.
    fn first(&self, from: &[u8], to: &[u8]) -> Outcome<Option<Key>> {
        let mut first = None;
        self.scan(from, to, &mut |key, _| {
            first = Some(key.to_vec());
            false
        })?;
        Ok(first)
    }

    /// Visits all that start with `prefix`.
    fn all(&self, prefix: &[u8], visit: Visit<'_>) -> Outcome<()> {
        self.scan(prefix, &keys::behind(prefix), visit)
    }

    /// A long value, put together. One whose end is missing is given as far as it goes.
    fn get_long(&self, prefix: &[u8]) -> Outcome<Option<Vec<u8>>> {
        let Some(first) = self.get(&keys::chunk(prefix, 0))? else {
            return Ok(None);
        };
        let (mut value, mut last) = (first.to_vec(), first.len());
        let mut number = 0;
        while last == CHUNK && number < u16::MAX {
            number += 1;
            let Some(chunk) = self.get(&keys::chunk(prefix, number))? else {
                break;
            };
            last = chunk.len();
            value.extend_from_slice(&chunk);
        }
        Ok(Some(value))
    }
}
