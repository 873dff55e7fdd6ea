//! Each server and worker killed in turn while tasks run; the others do its work.

use std::time::{Duration, Instant};

use super::field::{Field, members};
use super::orders::Orders;
use super::trouble::Done;
use super::watch::Watch;
use crate::Outcome;

/// For each of the five: enough that all are at work when it dies.
pub(crate) const TASKS: usize = 5 * 40;
/// For its tasks, leases that run out included.
const PATIENCE: Duration = Duration::from_mins(2);
/// The victim dies when so many wait or run.
const BUSY: u64 = 6;
const LOOK_PAUSE: Duration = Duration::from_millis(20);

pub(crate) async fn kill_each(field: &mut Field, orders: &Orders, watch: &Watch) -> Outcome<Done> {
    let mut done = Done::default();
    for (turn, member) in members().enumerate() {
        let placed = TASKS / 5 * (turn + 1);
        orders.allow(placed);
        wait("tasks at work", || watch.unfinished() >= BUSY).await?;
        field.kill(member)?;
        done.killed(member);
        wait("the end of all tasks without it", || {
            orders.acknowledged() == placed && watch.unfinished() == 0
        })
        .await?;
        field.start(member)?;
    }
    Ok(done)
}

async fn wait(what: &str, condition: impl Fn() -> bool) -> Outcome<()> {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        if Instant::now() > deadline {
            return Err(format!("{what} did not come").into());
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Ok(())
}
