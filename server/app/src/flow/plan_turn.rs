//! Whose turn it is to ask a plugin for a plan.
//!
//! A plan takes milliseconds, but a hostile plugin may take the call's whole time, again and again. So few
//! calls run at a time, and of one component fewer still: its orders wait for each other, and not everybody
//! for them.
//!
//! Not here: how long a call may take (the host ends it).

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::config::PLANS_AT_ONCE;

/// Calls of one component at a time.
const PLANS_OF_ONE_AT_ONCE: usize = 2;

/// The others wait their turn within their request's time.
static PLANS: Semaphore = Semaphore::const_new(PLANS_AT_ONCE as usize);

/// By the component's digest, while somebody has or waits for a turn.
static PLANS_OF_ONE: LazyLock<Mutex<HashMap<String, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);

/// Held during the call.
pub(super) struct PlanTurn {
    _of_one: OwnedSemaphorePermit,
    _of_all: SemaphorePermit<'static>,
}

/// Waits for a turn to ask the component of this digest.
///
/// # Errors
/// None that happens: the semaphores are never closed.
pub(super) async fn plan_turn(sha256: &str) -> Result<PlanTurn, AcquireError> {
    let of_one = {
        let mut all = PLANS_OF_ONE.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, known| Arc::strong_count(known) > 1);
        let fresh = || Arc::new(Semaphore::new(PLANS_OF_ONE_AT_ONCE));
        all.entry(sha256.to_owned()).or_insert_with(fresh).clone()
    };
    // first its own turn, so that whoever waits for a component takes nobody else's
    Ok(PlanTurn {
        _of_one: of_one.acquire_owned().await?,
        _of_all: PLANS.acquire().await?,
    })
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use super::*;

    fn at_once(sha256: &str) -> Option<PlanTurn> {
        match pin!(plan_turn(sha256)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn.unwrap()),
            Poll::Pending => None,
        }
    }

    #[test]
    fn a_component_that_takes_its_turns_leaves_others_theirs() {
        let slow: Vec<_> = (0..PLANS_OF_ONE_AT_ONCE)
            .map(|_| at_once("slow").unwrap())
            .collect();
        assert!(at_once("slow").is_none());
        assert!(at_once("quick").is_some());
        drop(slow);
        assert!(at_once("slow").is_some());
    }
}
