//! Waiting for a condition, with a deadline.

use std::time::{Duration, Instant};

/// For what takes milliseconds when the machine is idle, and it never is.
pub(crate) const SOON: Duration = Duration::from_mins(1);
/// For a task: a debug build on a busy machine, behind the semgrep of another test.
pub(crate) const PATIENCE: Duration = Duration::from_mins(3);
/// Between two looks.
pub(crate) const LOOK_PAUSE: Duration = Duration::from_millis(25);

/// Looks until there is an answer; `what` names it in the failure.
pub(crate) async fn until<T>(what: &str, patience: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = look().await {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "{what} did not come within {} s",
            patience.as_secs()
        );
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// The same for code that is not async.
pub(crate) fn until_blocking<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = look() {
            return answer;
        }
        assert!(
            Instant::now() < deadline,
            "{what} did not come within {} s",
            patience.as_secs()
        );
        std::thread::sleep(LOOK_PAUSE);
    }
}
