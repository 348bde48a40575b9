//! A function that cannot fail.

use task_retry::task;

#[task]
async fn welcome(email: String) {}

fn main() {}
