//! An option that does not exist.

use task_retry::task;

#[task(queues = "mail")]
async fn welcome(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

fn main() {}
