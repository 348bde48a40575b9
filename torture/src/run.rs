//! A run from its first process to its verdict.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use retry_core::seams::{Random as _, SeededRandom, SystemRandom};
use retry_sqlite::SqliteStore;

use crate::args::{Run, Store};
use crate::audit;
use crate::chaos;
use crate::crew::Crew;
use crate::drain;
use crate::orders;
use crate::place::Place;
use crate::power::{self, Disk};
use crate::report::{self, line};

/// Seeds are short enough to be typed.
const SEEDS: u64 = 1_000_000_000;
/// How many violations are told.
const TOLD: usize = 40;

pub(crate) async fn run(run: &Run) -> Result<ExitCode> {
    let Store::Sqlite = run.store;
    let temp = tempfile::Builder::new().prefix("torture-").tempdir()?;
    let folder = run.folder.clone().unwrap_or_else(|| temp.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let disk = match run.power_cut {
        false => None,
        true => match Disk::new(&folder).await {
            Ok(disk) => Some(disk),
            Err(why) => {
                line(&format!("skipped: power cuts: {why:#}"));
                return Ok(ExitCode::SUCCESS);
            }
        },
    };
    let verdict = on(&folder, disk.as_ref(), run).await;
    drop(disk);
    let good = matches!(verdict, Ok(true));
    if run.keep || !good {
        let _ = temp.keep();
        line(&format!("the files are kept in {}", folder.display()));
    }
    Ok(if verdict? {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Whether all went well.
async fn on(folder: &Path, disk: Option<&Disk>, run: &Run) -> Result<bool> {
    let seed = run.seed.unwrap_or_else(|| SystemRandom::new().next_u64() % SEEDS);
    let random = SeededRandom::new(seed);
    let home = disk.map_or_else(|| folder.to_owned(), Disk::mounted);
    let place = Place::new(folder, home.join("tasks.db"))?;
    line(&format!("torture --seed {seed}, files in {}", folder.display()));
    orders::prepare(&SqliteStore::open(&place.file)?.connection()?)?;

    let mut crew = Crew::new(&place, run.workers, run.enqueuers, seed)?;
    match disk {
        Some(disk) => power::cut(&mut crew, disk, run, &random).await?,
        None => chaos::harm(&mut crew, run, &random).await?,
    }
    drain::drain(&mut crew).await?;
    let took = crew.watch.elapsed();
    let (faults, problems) = (crew.faults, std::mem::take(&mut crew.problems));
    drop(crew);

    let found = audit::audit(&place, problems).await?;
    report::table(&faults, &found, took);
    let told = found.violations.iter().take(TOLD);
    told.for_each(|violation| line(&format!("VIOLATION: {violation}")));
    match found.violations.len() {
        0 => line("no violation"),
        number => line(&format!("{number} violations with seed {seed}")),
    }
    Ok(found.violations.is_empty())
}
