//! What an operation was paid by, as `extensions.cost` of its answer, and the answer to a tenant that cannot pay.

use std::time::Duration;

use async_graphql::Name;
use async_graphql::Value;
use async_graphql::indexmap::IndexMap;
use axum::http::StatusCode;
use serde_json::json;

use crate::api::refused::Refused;
use crate::limiter::Balance;

/// The key in the extensions of an answer.
const IN_EXTENSIONS: &str = "cost";

/// What one operation costs, and of what it was paid; who has no budget (an operator) has none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cost {
    /// Its points.
    pub requested: u32,
    /// Where the tenant stands now.
    pub balance: Option<Balance>,
}

impl Cost {
    /// Tells it in the extensions of `response`.
    pub fn tell(&self, response: &mut async_graphql::Response) {
        let key = IN_EXTENSIONS.to_owned();
        response.extensions.insert(key, self.to_value());
    }

    /// Tells it in the extensions of an answer that is JSON already and has no others.
    pub fn append(&self, answer: &mut String) {
        let cost = serde_json::to_string(&self.to_value());
        if let (Some('}'), Ok(cost)) = (answer.pop(), cost) {
            answer.push_str(",\"extensions\":{\"");
            answer.push_str(IN_EXTENSIONS);
            answer.push_str("\":");
            answer.push_str(&cost);
            answer.push_str("}}");
        }
    }

    fn to_value(self) -> Value {
        let mut values = IndexMap::new();
        let mut set = |name, value: u64| values.insert(Name::new(name), Value::from(value));
        set("requested", self.requested.into());
        if let Some(balance) = &self.balance {
            set("budget", balance.budget.into());
            set("remaining", balance.remaining.into());
            set("resetSeconds", whole_seconds(balance.full_in));
        }
        Value::Object(values)
    }
}

impl Refused {
    /// 429 with `Retry-After`: the tenant has fewer points than the operation costs, for as long as `wait`.
    pub fn budget_exhausted(requested: u32, balance: Balance, wait: Duration) -> Self {
        let wait_seconds = whole_seconds(wait).max(1);
        let message = format!(
            "the query costs {requested} points and your tenant has {} of its {} a minute left: try again in \
             {wait_seconds} s, or ask for fewer rows or fields",
            balance.remaining, balance.budget
        );
        Self::new(StatusCode::TOO_MANY_REQUESTS, "COST_BUDGET_EXHAUSTED", message)
            .retry_after(wait_seconds)
            .detail("retryAfterSeconds", wait_seconds)
            .detail(
                IN_EXTENSIONS,
                json!({
                    "requested": requested,
                    "budget": balance.budget,
                    "remaining": balance.remaining,
                    "resetSeconds": whole_seconds(balance.full_in),
                }),
            )
    }
}

/// Rounded up.
fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}
