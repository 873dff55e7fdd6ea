//! One body at a time of one attempt, and work for one request that goes on when its client hangs up.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use tamiz_core::TaskId;
use tamiz_store::credential::LeaseRight;
use tracing::Instrument as _;

use crate::api::errors::log_fault;
use crate::api::refused::Refused;

/// Runs `work` on a task of its own: a client that hangs up must not leave a transaction half ended.
pub(super) async fn detached<T: Send + 'static>(
    work: impl Future<Output = Result<T, Refused>> + Send + 'static,
) -> Result<T, Refused> {
    let done = tokio::spawn(work.in_current_span()).await;
    done.unwrap_or_else(|panic| Err(Refused::internal(log_fault(&panic))))
}

/// The server has its hands full with others; the client comes again.
pub(super) fn busy(message: &str) -> Refused {
    Refused::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", message)
}

type Attempts = Arc<Mutex<HashSet<(TaskId, i32)>>>;

/// Attempts that are sending a body.
#[derive(Default)]
pub(super) struct OneEach(Attempts);

impl OneEach {
    /// Refused while another request of the attempt is under way.
    pub(super) fn enter(&self, right: &LeaseRight) -> Result<Turn, Refused> {
        let attempt = (right.task, right.attempt);
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !inside.insert(attempt) {
            return Err(busy("the attempt is already sending this: try again"));
        }
        Ok(Turn {
            inside: Arc::clone(&self.0),
            attempt,
        })
    }
}

pub(super) struct Turn {
    inside: Attempts,
    attempt: (TaskId, i32),
}

impl Drop for Turn {
    fn drop(&mut self) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        inside.remove(&self.attempt);
    }
}
