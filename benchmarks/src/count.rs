//! Machine instructions per task, counted by callgrind in children of this program.
//!
//! Each child works on one thread with fixed seeds. Two sizes are counted and subtracted, so what a run costs once does
//! not show.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use crate::args::{Count, CountChild, Run};
use crate::full::{drain, enqueue};
use crate::job::After;
use crate::place::Place;
use crate::row::Printer;
use crate::stats::{Series, Unit, ratio};
use crate::stores::Subject;

/// Counts and prints.
pub(crate) fn run(count: &Count) -> Result<()> {
    if !Command::new("valgrind")
        .arg("--version")
        .output()
        .is_ok_and(|out| out.status.success())
    {
        eprintln!("valgrind is not installed: nothing was counted");
        return Ok(());
    }
    let folder = tempfile::tempdir()?;
    let ran = |n: usize, drain: bool| {
        let kept = count.out.clone().filter(|_| drain && n > count.n);
        let out = kept.unwrap_or_else(|| folder.path().join(format!("{n}.{drain}")));
        instructions(&*count.store, n, drain, out)
    };
    let (few, many) = (count.n, count.n * 2);
    let enqueued = ran(many, false)? - ran(few, false)?;
    let both = ran(many, true)? - ran(few, true)?;
    let mut printer = Printer::new(
        count.store.name(),
        format!("single-thread callgrind n={few}..{many}"),
    );
    for (name, instructions) in [("enqueue", enqueued), ("D.keep", both - enqueued)] {
        let each = ratio(usize::try_from(instructions.max(0))?, few);
        printer.print(&Series::single(name, few, Unit::Instructions, each));
    }
    Ok(())
}

fn instructions(store: &dyn Subject, n: usize, drain: bool, out: PathBuf) -> Result<i64> {
    let mut child = Command::new("valgrind");
    child.args(["--tool=callgrind", "--quiet"]);
    child.arg(format!("--callgrind-out-file={}", out.display()));
    child.arg(std::env::current_exe()?);
    child.args(["count-child", "--store", &store.url()?, "--n", &n.to_string()]);
    if drain {
        child.arg("--drain");
    }
    let output = child.output().context("valgrind does not start")?;
    ensure!(
        output.status.success(),
        "the counted process failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    total(&out)
}

/// The total of a callgrind file.
fn total(out: &Path) -> Result<i64> {
    let text = std::fs::read_to_string(out).with_context(|| format!("no {}", out.display()))?;
    let value = |line: &str| line.strip_prefix("totals: ")?.trim().parse().ok();
    text.lines().find_map(value).context("callgrind wrote no total")
}

/// What a child does.
pub(crate) async fn child(child: &CountChild) -> Result<()> {
    let run = Run::counted(Arc::clone(&child.store));
    let place = Place::fresh(&run).await?;
    enqueue(place.client(), 0, child.n, After::Keep).await?;
    if child.drain {
        drain(&place, &run, child.n, After::Keep).await?;
    }
    Ok(())
}
