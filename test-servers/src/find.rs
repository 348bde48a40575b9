//! Where a server's programs are.

use std::env;
use std::path::{Path, PathBuf};

use crate::error::Error;
use crate::kind::Kind;

/// Folders that distributions use and that are often not on the path.
const FOLDERS: &[&str] = &[
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
];

/// Where Debian keeps a folder for each version of PostgreSQL.
const POSTGRES: &str = "/usr/lib/postgresql";

/// The first of `names` that is installed.
pub(crate) fn program(kind: Kind, names: &[&'static str]) -> Result<PathBuf, Error> {
    let found = names.iter().find_map(|name| {
        folders()
            .into_iter()
            .map(|folder| folder.join(name))
            .find(|path| path.is_file())
    });
    found.ok_or(Error::Missing {
        kind,
        program: names[0],
    })
}

fn folders() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let mut folders = postgres_versions(Path::new(POSTGRES));
    folders.extend(env::split_paths(&path));
    folders.extend(FOLDERS.iter().map(PathBuf::from));
    folders
}

/// The newest version first, so that a server and its tools are of one version.
fn postgres_versions(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = folder.read_dir() else {
        return Vec::new();
    };
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let path = entry.ok()?.path();
            let version = path.file_name()?.to_str()?.parse().ok()?;
            Some((version, path.join("bin")))
        })
        .collect();
    versions.sort_by(|a, b| b.cmp(a));
    versions.into_iter().map(|(_, path)| path).collect()
}
