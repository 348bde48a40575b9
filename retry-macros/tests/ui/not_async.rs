//! A function that blocks.

use task_retry::task;

#[task]
fn welcome(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

fn main() {}
