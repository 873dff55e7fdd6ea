//! The task's target as the worker gets it: with the addresses that were pinned, judged again.
//!
//! Nothing is resolved here. What the configuration no longer allows is refused, whatever it allowed
//! when the task was asked for; this is asked before the first contact, and again before each tool.

use tamiz_core::{PinnedTarget, RefusalCode};

use super::attempt::Bench;
use super::failure::Failure;
use crate::target::recheck;
use crate::tool::NetworkTarget;

/// Where the tools of this task may go, and nowhere else.
pub(crate) async fn pinned(bench: &Bench) -> Result<PinnedTarget, Failure> {
    let Some((pinned, tenant)) = bench.stop.unless_stopped(bench.desk.target()).await? else {
        let message = "the task's target is not there any more";
        return Err(Failure::refused(RefusalCode::NotFound, message));
    };
    recheck(&pinned, &tenant, &bench.config.target).map_err(Failure::Refused)
}

/// Whether a tool may start: the target is still allowed, and its addresses are those that were pinned.
pub(crate) async fn judge_again(bench: &Bench, called: &NetworkTarget) -> Result<(), Failure> {
    let pinned = pinned(bench).await?;
    if called
        .addresses
        .iter()
        .all(|address| pinned.addresses.contains(address))
    {
        return Ok(());
    }
    let message = format!(
        "{} may not be called where it was not pinned",
        pinned.target.text()
    );
    Err(Failure::refused(RefusalCode::TargetForbidden, message))
}
