//! sled has no transaction to join; the compiler says what to do instead.

use retry_core::client::Client;
use retry_core::draft::Draft;
use retry_core::payload::Payload;
use retry_sled::SledStore;

fn main() {
    let store = SledStore::open("tasks").unwrap();
    let client = Client::new(store);
    let mut tx = ();
    let _ = client.enqueue(Draft::raw("mail", Payload::null())).in_tx(&mut tx);
}
