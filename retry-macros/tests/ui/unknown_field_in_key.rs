//! A unique key of a field that is not there.

use task_retry::task;

#[task(unique = "{name}")]
async fn welcome(email: String) -> Result<(), std::io::Error> {
    let _ = email;
    Ok(())
}

fn main() {}
