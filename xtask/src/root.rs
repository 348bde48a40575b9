//! Where the workspace is.

use std::env;
use std::path::PathBuf;

/// The workspace's root folder: the parent of this tool's own.
pub(crate) fn find() -> PathBuf {
    // Cargo says it at run time, so that a moved checkout with an old binary still looks at itself.
    let here =
        env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| env!("CARGO_MANIFEST_DIR").into(), PathBuf::from);
    here.parent().map_or(here.clone(), PathBuf::from)
}
