//! Telling a running attempt to stop, and why.

use std::sync::{Arc, OnceLock};

use tamiz_host::CancelFlag;
use tokio_util::sync::CancellationToken;

/// Why an attempt shall stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StopReason {
    /// Somebody does not want the task any more.
    Cancelled,
    /// The lease ran out: another worker may have it.
    LeaseLost,
    /// This worker goes down.
    Shutdown,
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

    /// Why it was pressed, if it was.
    pub(crate) fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }
}
