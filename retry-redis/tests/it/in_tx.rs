//! `.in_tx(…)` on this store does not compile, and the compiler says what to do instead.

use std::path::{Path, PathBuf};
use std::process::Command;

use libtest_mimic::{Failed, Trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![Trial::test("in_tx::the_compiler_says_what_to_do_instead", says)]
}

const PROGRAM: &str = "
pub fn enqueue<P: retry_core::draft::TaskPayload>(client: retry_core::client::Client<retry_redis::RedisStore>, task: P) {
    let mut connection = ();
    client.enqueue(task).in_tx(&mut connection);
}";

/// Compiled libraries of a crate, as cargo left them beside this program; older builds may lie among them.
fn libraries(folder: &Path, name: &str) -> Vec<PathBuf> {
    let prefix = format!("lib{name}-");
    let entries = std::fs::read_dir(folder).expect("the folder of this program");
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let ours = |path: &PathBuf| {
        let file = path
            .file_name()
            .and_then(|file| file.to_str())
            .unwrap_or_default();
        file.starts_with(&prefix) && file.ends_with(".rlib")
    };
    paths.filter(ours).collect()
}

fn says() -> Result<(), Failed> {
    let program = std::env::current_exe()?;
    let folder = program.parent().ok_or("a folder")?;
    let scratch = tempfile::tempdir()?;
    let source = scratch.path().join("in_tx.rs");
    std::fs::write(&source, PROGRAM)?;
    let mut said = String::new();
    for store in libraries(folder, "retry_redis") {
        for core in libraries(folder, "retry_core") {
            let output = Command::new("rustc")
                .args([
                    "--edition",
                    "2024",
                    "--crate-type",
                    "lib",
                    "--emit",
                    "metadata",
                    "--out-dir",
                ])
                .arg(scratch.path())
                .arg("-L")
                .arg(format!("dependency={}", folder.display()))
                .arg("--extern")
                .arg(format!("retry_redis={}", store.display()))
                .arg("--extern")
                .arg(format!("retry_core={}", core.display()))
                .arg(&source)
                .output()?;
            said = String::from_utf8_lossy(&output.stderr).into_owned();
            let readable = [
                "the store `RedisStore` cannot insert inside a transaction",
                "Redis and sled have no transaction to join: enqueue after the commit",
            ];
            if !output.status.success() && readable.iter().all(|text| said.contains(text)) {
                return Ok(());
            }
        }
    }
    Err(format!("no build said it; the last one: {said}").into())
}
