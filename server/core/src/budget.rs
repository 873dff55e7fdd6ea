//! How many bytes one request may hold in memory.
//!
//! Counting rows says little about memory: one finding has two hundred bytes or two million. What
//! reads rows and what writes them into an answer spend from one budget, so a request ends when it
//! is used up instead of filling the server.
//!
//! Not here: what a row weighs (its owner says so), and how large the budget is.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

/// What any value costs beside its text: a node of a tree in memory.
pub const VALUE_BYTES: u64 = 64;

/// The budget is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {bytes_max} bytes are needed")]
pub struct Spent {
    /// What the budget was.
    pub bytes_max: u64,
}

/// Bytes that may still be spent.
#[derive(Debug)]
pub struct ByteBudget {
    bytes_max: u64,
    left: AtomicU64,
}

impl ByteBudget {
    /// A budget of which nothing is spent.
    pub const fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            left: AtomicU64::new(bytes_max),
        }
    }

    /// Spends `bytes`. What does not fit ends the budget: smaller wishes that come later fail, too.
    ///
    /// # Errors
    /// [`Spent`] when less than `bytes` is left.
    pub fn spend(&self, bytes: u64) -> Result<(), Spent> {
        let take = |left: u64| Some(left.saturating_sub(bytes));
        let before = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, take)
            .unwrap_or(0);
        if before >= bytes && before > 0 {
            Ok(())
        } else {
            Err(Spent {
                bytes_max: self.bytes_max,
            })
        }
    }

    /// Gives everything back: what was held is dropped.
    pub fn refill(&self) {
        self.left.store(self.bytes_max, Ordering::Relaxed);
    }
}

/// What `value` holds in memory, roughly. `serde_json` bounds its depth at 128.
pub fn json_bytes(value: &Value) -> u64 {
    let below = match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.len() as u64,
        Value::Array(items) => items.iter().map(json_bytes).sum(),
        Value::Object(entries) => entries
            .iter()
            .map(|(key, value)| key.len() as u64 + json_bytes(value))
            .sum(),
    };
    VALUE_BYTES + below
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_ends_with_the_first_wish_that_does_not_fit() {
        let budget = ByteBudget::new(10);
        assert_eq!(budget.spend(10), Ok(()));
        assert_eq!(budget.spend(1), Err(Spent { bytes_max: 10 }));
        budget.refill();
        assert_eq!(budget.spend(4), Ok(()));
        assert_eq!(budget.spend(7), Err(Spent { bytes_max: 10 }));
        assert_eq!(budget.spend(1), Err(Spent { bytes_max: 10 }));
    }

    #[test]
    fn a_list_of_small_numbers_weighs_more_than_its_text() {
        let list: Value = serde_json::from_str("[1,1,1,1]").unwrap_or_default();
        assert_eq!(json_bytes(&list), 5 * VALUE_BYTES);
    }
}
