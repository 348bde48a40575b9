//! A run from its first process to its verdict.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, anyhow, ensure};
use retry_core::seams::{Random as _, SeededRandom, SystemRandom};

use crate::args::{Kept, Run, Workload};
use crate::audit::{self, Found};
use crate::batch;
use crate::chaos;
use crate::crew::Crew;
use crate::drain;
use crate::outbox;
use crate::place::Place;
use crate::power::{self, Disk};
use crate::report::{self, line};
use crate::stores::{self, Home};

/// Seeds are short enough to be typed.
const SEEDS: u64 = 1_000_000_000;
/// How many violations are told.
const TOLD: usize = 40;

pub(crate) async fn run(run: &Run) -> Result<ExitCode> {
    ensure!(
        run.workload == Workload::Mixed || !(run.power_cut || run.clients.is_some()),
        "power cuts, and several clients in a process, are for the workload `mixed`"
    );
    if run.power_cut {
        if !stores::is_own(&run.store) {
            return Ok(skipped(&anyhow!(
                "the files of a server that is given by URL are not on a disk of the run's own"
            )));
        }
        match power::apart() {
            Ok(None) => {}
            Ok(Some(ended)) => return Ok(ended),
            Err(why) => return Ok(skipped(&why)),
        }
    }
    let mut temp = tempfile::Builder::new();
    temp.prefix("torture-");
    if run.power_cut {
        // The account that a server runs under passes through it to the disk.
        temp.permissions(Permissions::from_mode(0o711));
    }
    let temp = temp.tempdir()?;
    let folder = run.folder.clone().unwrap_or_else(|| temp.path().to_owned());
    std::fs::create_dir_all(&folder)?;
    let disk = match run.power_cut {
        false => None,
        true => match Disk::new(&folder).await {
            Ok(disk) => Some(disk),
            Err(why) => return Ok(skipped(&why)),
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

/// Power cuts cannot be made here.
fn skipped(why: &anyhow::Error) -> ExitCode {
    line(&format!("skipped: power cuts: {why:#}"));
    ExitCode::SUCCESS
}

/// Whether all went well.
async fn on(folder: &Path, disk: Option<&Disk>, run: &Run) -> Result<bool> {
    let seed = run.seed.unwrap_or_else(|| SystemRandom::new().next_u64() % SEEDS);
    let random = SeededRandom::new(seed);
    let home = match disk {
        Some(disk) => disk.home(),
        None => Home::of(folder),
    };
    let place = Place::new(folder, stores::by_url(&run.store, home)?)?;
    line(&format!("torture --seed {seed}, files in {}", folder.display()));
    place.subject.prepare().await?;

    if run.workload == Workload::Batch {
        return batch::torture(&place, run, seed).await;
    }
    if run.workload == Workload::Outbox {
        return outbox::torture(&place, folder, run, seed).await;
    }
    let crew = Crew::new(&place, run.workers, run.enqueuers, seed)?;
    let mut crew = crew.with_clients(run.clients_each());
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
    let good = tell(&found);
    if let Some(server) = place.subject.server().filter(|_| run.keep || !good) {
        server.keep(folder)?;
    }
    if !good {
        line(&format!("the seed was {seed}"));
    }
    Ok(good)
}

/// Audits what an earlier run left.
pub(crate) async fn audit(kept: &Kept) -> Result<ExitCode> {
    let folder = &kept.folder;
    ensure!(
        folder.join("logs/torture.log").is_file(),
        "{}: no run left its files here",
        folder.display()
    );
    ensure!(
        stores::is_embedded(&kept.store) || kept.store.contains(':'),
        "the server of that run is gone: start one on the kept data, and name its URL"
    );
    let place = Place::new(&kept.folder, stores::by_url(&kept.store, Home::of(&kept.folder))?)?;
    let found = audit::audit(&place, Vec::new()).await?;
    let good = tell(&found);
    Ok(if good {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Tells the verdict; whether it is good.
fn tell(found: &Found) -> bool {
    let told = found.violations.iter().take(TOLD);
    told.for_each(|violation| line(&format!("VIOLATION: {violation}")));
    match found.violations.len() {
        0 => line("no violation"),
        number => line(&format!("{number} violations")),
    }
    found.violations.is_empty()
}
