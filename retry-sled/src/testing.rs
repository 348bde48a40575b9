//! What the store's own tests need: to reach behind it.

use retry_core::store::Result;

use crate::store::SledStore;

impl SledStore {
    /// Writes one key behind the store's back, or removes it. Only to test what the store does with damage.
    ///
    /// # Errors
    /// The commit failed.
    #[doc(hidden)]
    pub async fn overwrite(&self, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<()> {
        self.write(0, move |desk| {
            match value {
                Some(value) => desk.draft.put(key, value),
                None => desk.draft.remove(key),
            }
            Ok(())
        })
        .await
    }
}
