//! What one sync of the disk takes: the price of a commit, without which no figure of a durable store means anything.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};

use anyhow::Result;

use crate::args::Run;
use crate::clock::Stopwatch;
use crate::place::folder;
use crate::stats::{Sample, Unit, percentile};

/// Writes that are timed.
const WRITES: usize = 50;
/// Bytes of one write: a page.
const PAGE: [u8; 4096] = [7; 4096];

/// The median of overwriting one page and syncing it.
pub(crate) fn sync(run: &Run) -> Result<Sample> {
    let folder = folder(run)?;
    let mut file = File::create(folder.path().join("page"))?;
    let mut millis = Vec::with_capacity(WRITES);
    for _ in 0..WRITES {
        let watch = Stopwatch::start();
        file.seek(SeekFrom::Start(0))?;
        file.write_all(&PAGE)?;
        file.sync_data()?;
        millis.push(watch.elapsed().as_secs_f64() * 1e3);
    }
    Ok(Sample::new(
        "(disk sync)",
        WRITES,
        percentile(&millis, 50),
        Unit::Millis,
    ))
}
