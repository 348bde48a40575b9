//! Faults that need a file system of their own: power cuts and full disks. Without the right to mount one, or without the
//! tools, they are reported as ignored, with the reason. `RETRY_POWER_CUTS` says how often the power is cut.

mod faults {
    pub(crate) mod disk;
    pub(crate) mod full;
    pub(crate) mod power;
    pub(crate) mod work;
}

use std::process::ExitCode;

use libtest_mimic::{Arguments, Completion, Trial};

/// A test that first needs a disk of `mib` MiB.
fn trial(name: &str, mib: u32, run: fn(&faults::disk::Disk)) -> Trial {
    Trial::ignorable_test(name, move || match faults::disk::Disk::new(mib) {
        Ok(disk) => {
            run(&disk);
            Ok(Completion::Completed)
        }
        Err(reason) => Ok(Completion::ignored_with(reason)),
    })
}

fn main() -> ExitCode {
    // A child of a test does its work instead.
    if let Some(dir) = std::env::var_os(faults::work::CHILD) {
        faults::work::work_for_ever(dir.as_ref());
        return ExitCode::SUCCESS;
    }
    if let Some(code) = faults::disk::run_apart() {
        return code;
    }
    let trials = vec![
        trial(
            "power::what_was_answered_survives_power_cuts",
            1_024,
            faults::power::cuts,
        ),
        trial(
            "full::a_full_disk_is_told_and_the_store_goes_on",
            96,
            faults::full::fill_and_free,
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}
