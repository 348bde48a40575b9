//! An argument that cannot be stored.

use task_retry::task;

#[task]
async fn welcome(email: &str) -> Result<(), std::io::Error> {
    Ok(())
}

fn main() {}
