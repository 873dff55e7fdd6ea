//! Telling a running attempt to stop, and why.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tamiz_host::CancelFlag;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

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
            tokio::time::sleep(limit).await;
            stop.press(StopReason::TimedOut(limit));
        }))
    }

    /// Why it was pressed, if it was.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }
}
