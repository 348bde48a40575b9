//! What an order is, and the rules by which it is delivered.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use task_retry::task::Retention;
use task_retry::{Backoff, RetryPolicy, TaskOptions, TaskPayload};

/// The queue of all deliveries.
pub(crate) const QUEUE: &str = "deliveries";

/// How long a delivery is tried before it fails visibly.
const GIVE_UP_AFTER: Duration = Duration::from_hours(48);

/// One line of the file, and the payload of the task that delivers it. Unknown fields are refused: what is not
/// understood would not be delivered either.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Order {
    pub(crate) id: String,
    placed_at: String,
    customer: Customer,
    ship_to: Address,
    items: Vec<Item>,
    currency: String,
    /// In the smallest unit of the currency.
    total: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Customer {
    name: String,
    email: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Address {
    street: String,
    postcode: String,
    city: String,
    country: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Item {
    sku: String,
    name: String,
    quantity: u32,
    unit_price: u64,
}

impl TaskPayload for Order {
    const KIND: &'static str = "deliver-order";

    /// No limit of attempts and no crash budget: both would count kills of this program, which say nothing about the
    /// order. It gives up by time alone. Ended tasks stay, since the summary is made of them.
    fn options() -> TaskOptions {
        let retention = Retention {
            succeeded: None,
            failed: None,
            cancelled: None,
        };
        TaskOptions::new()
            .queue(QUEUE)
            .retry(policy())
            .crash_budget(None)
            .retention(retention)
    }
}

/// 50 ms, doubling, at most 1 s, spread: short for the sake of the show. A real carrier would get minutes.
fn policy() -> RetryPolicy {
    let backoff = Backoff::plain_exponential(Duration::from_millis(50), 2).expect("the factor is not zero");
    RetryPolicy::builder()
        .backoff(backoff.cap(Duration::from_secs(1)))
        .endless()
        .give_up_after(GIVE_UP_AFTER)
        .build()
        .expect("the figures agree with each other")
}

impl Order {
    /// The order on a line of the file.
    ///
    /// # Errors
    /// What is wrong with the line.
    pub(crate) fn parse(line: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(line).map_err(|_| "it is not UTF-8".to_owned())?;
        let text = text.trim_start_matches('\u{feff}').trim(); // some editors start a file with that mark
        let order: Self = serde_json::from_str(text).map_err(|error| {
            // A line is parsed alone, so the position's line number is always 1.
            error.to_string().replace(" at line 1 column ", " at column ")
        })?;
        order.check()?;
        Ok(order)
    }

    /// The order as the application keeps it, and as it is sent.
    pub(crate) fn body(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    fn check(&self) -> Result<(), String> {
        if self.id.is_empty() || self.id.len() > 64 || self.id.contains(char::is_control) {
            return Err("an `id` has 1 to 64 bytes and no control characters".to_owned());
        }
        if self.items.is_empty() {
            return Err("it has no items".to_owned());
        }
        if self.items.iter().any(|item| item.quantity == 0) {
            return Err("an item's quantity is 0".to_owned());
        }
        if self.currency.len() != 3 || !self.currency.bytes().all(|b| b.is_ascii_uppercase()) {
            return Err(format!("`{}` is not a currency code", self.currency));
        }
        match self.sum() {
            Some(sum) if sum == self.total => Ok(()),
            Some(sum) => Err(format!("its total is {}, but its items cost {sum}", self.total)),
            None => Err("its items cost too much to count".to_owned()),
        }
    }

    fn sum(&self) -> Option<u64> {
        self.items.iter().try_fold(0_u64, |sum, item| {
            sum.checked_add(item.unit_price.checked_mul(item.quantity.into())?)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"id":"A-1","placed_at":"2026-03-02T06:07:03Z","customer":{"name":"Åsa","email":"a@example.com"},"ship_to":{"street":"Storgatan 1","postcode":"411 03","city":"Göteborg","country":"SE"},"items":[{"sku":"T-1","name":"Tea","quantity":2,"unit_price":450}],"currency":"SEK","total":900}"#;

    #[test]
    fn a_good_line_comes_back_byte_for_byte() {
        let order = Order::parse(GOOD.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&order).unwrap(), GOOD);
    }

    #[test]
    fn a_malformed_line_says_why() {
        for (bad, why) in [
            (GOOD.replace("\"total\":900", "\"total\":901"), "its total is 901"),
            (GOOD.replace("\"quantity\":2", "\"quantity\":0"), "quantity is 0"),
            (GOOD.replace("\"total\"", "\"sum\""), "unknown field `sum`"),
            (GOOD.replace("\"A-1\"", "\"\""), "an `id` has"),
            (GOOD.replace("SEK", "kr."), "not a currency code"),
            (GOOD[..80].to_owned(), "at column 80"),
        ] {
            let error = Order::parse(bad.as_bytes()).unwrap_err();
            assert!(error.contains(why), "{error}");
        }
    }
}
