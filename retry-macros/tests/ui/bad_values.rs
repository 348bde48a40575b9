//! Values that cannot be right.

use task_retry::task;

#[task(timeout = "30")]
async fn no_unit(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(timeout = 30)]
async fn a_number(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(kind = "two words")]
async fn bad_kind(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(max_attempts = 0)]
async fn never(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(priority = highest)]
async fn level(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(retry = exponential("1s"))]
async fn half(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(queue = "a", queue = "b")]
async fn twice(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(alert = 5)]
async fn a_number_for_a_rule(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(quick_retries = 3)]
async fn a_number_of_retries(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(quick_retries(3, "50ms"))]
async fn no_time(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(quick_retries(0, "50ms", "2s"))]
async fn none(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(quick_retries(3, "50", "2s"))]
async fn no_unit_of_the_pause(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

#[task(quick_retries("3", "50ms", "2s"))]
async fn a_text(email: String) -> Result<(), std::io::Error> {
    Ok(())
}

fn main() {}
