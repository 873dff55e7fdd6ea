//! Telling a running attempt to stop, and why.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tamiz_host::CancelFlag;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use super::failure::Failure;

/// What a tool wrote may still be kept for this long after the stop, each file: a worker that goes down has a few
/// seconds for all of it.
const KEEP_AFTER_STOP: Duration = Duration::from_secs(2);

/// Why an attempt shall stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Somebody does not want the task any more.
    Cancelled,
    /// The lease ran out: another worker may have it.
    LeaseLost,
    /// This worker goes down.
    Shutdown,
    /// The attempt took so long, which is all that its task may.
    TimedOut(Duration),
}

/// One attempt's stop button. Pressing it ends the tool's process tree and the plugin's run.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stop {
    reason: Arc<OnceLock<StopReason>>,
    /// For tools and waits.
    pub(crate) token: CancellationToken,
    /// For plugins.
    pub(crate) flag: CancelFlag,
}

impl Stop {
    /// The first reason counts.
    pub(crate) fn press(&self, reason: StopReason) {
        // a later reason changes nothing: the attempt is stopping already
        let _ = self.reason.set(reason);
        self.token.cancel();
        self.flag.cancel();
    }

    /// Presses it for lack of time unless what is answered is dropped before.
    pub(crate) fn press_after(&self, limit: Duration) -> AbortOnDropHandle<()> {
        let stop = self.clone();
        AbortOnDropHandle::new(tokio::spawn(async move {
            sleep(limit).await;
            stop.press(StopReason::TimedOut(limit));
        }))
    }

    /// Why it was pressed, if it was.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    /// Does `work`, and leaves it where it is when the button is pressed: for whatever waits for the server.
    pub(crate) async fn unless_stopped<T, E: Into<Failure>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        tokio::select! {
            biased;
            () = self.token.cancelled() => Err(Failure::Stopped),
            done = work => done.map_err(Into::into),
        }
    }

    /// The same a moment later: what a stopped tool said is worth keeping, but not waiting for.
    pub(crate) async fn unless_long_stopped<T, E: Into<Failure>>(
        &self,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Failure> {
        let too_late = async {
            self.token.cancelled().await;
            sleep(KEEP_AFTER_STOP).await;
        };
        tokio::select! {
            done = work => done.map_err(Into::into),
            () = too_late => Err(Failure::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_transfer_that_hangs_ends_with_the_stop() {
        let stop = Stop::default();
        let limit = Duration::from_millis(50);
        let _running_out = stop.press_after(limit);
        let hanging = std::future::pending::<Result<(), Failure>>;
        let began_at = tokio::time::Instant::now();
        for _ in 0..2 {
            let ended = stop.unless_stopped(hanging()).await;
            assert!(matches!(ended, Err(Failure::Stopped)), "{ended:?}");
        }
        assert!(began_at.elapsed() >= limit);
        assert_eq!(stop.reason(), Some(StopReason::TimedOut(limit)));
        let kept = stop.unless_long_stopped(async { Ok::<_, Failure>(7) }).await;
        assert_eq!(kept.unwrap(), 7);
        let ended = stop.unless_long_stopped(hanging()).await;
        assert!(matches!(ended, Err(Failure::Stopped)), "{ended:?}");
        assert!(began_at.elapsed() >= limit + KEEP_AFTER_STOP);
    }
}
