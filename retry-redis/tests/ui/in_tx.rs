//! Redis has no transaction to join; the compiler says what to do instead.

use retry_core::client::Client;
use retry_core::draft::Draft;
use retry_core::payload::Payload;
use retry_redis::RedisStore;

fn mail(client: &Client<RedisStore>) {
    let mut tx = ();
    let _ = client.enqueue(Draft::raw("mail", Payload::null())).in_tx(&mut tx);
}

fn main() {}
