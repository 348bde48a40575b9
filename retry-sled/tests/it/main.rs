//! What is special to sled: directories, damage, one process, export and import, kills.

mod child;
mod crash;
mod errors;
mod export;
mod processes;
mod support;
mod wake;
