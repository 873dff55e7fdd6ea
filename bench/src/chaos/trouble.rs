//! The deeds of a run, shuffled by its seed, and doing them.

use std::time::{Duration, Instant};

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;

use super::Scale;
use super::field::{Field, LEASE, Member, SERVERS, WORKERS};
use super::orders::Orders;
use super::watch::Watch;
use crate::Outcome;

/// Between two deeds, drawn evenly.
const PAUSE_MS: std::ops::Range<u64> = 100..1000;
/// Stopped processes sleep longer than a lease: they wake up late.
const STOP_MS: std::ops::Range<u64> = 3_500..9_000;
/// So many tasks may wait before the trouble does.
const BACKLOG_MAX: u64 = 300;
/// And so long it waits for them at most.
const BACKLOG_PATIENCE: Duration = Duration::from_mins(2);
/// Orders beyond those that the deeds so far allow: there is always work.
const ORDERS_AHEAD: usize = 60;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Deed {
    Kill(Member),
    Stop(Member),
    RestartPostgres,
    CutAll,
    MoveClock(usize),
}

/// What was done.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Done {
    pub(crate) workers_killed: usize,
    pub(crate) servers_killed: usize,
    pub(crate) restarts: usize,
    pub(crate) stops: usize,
    pub(crate) cuts: usize,
    pub(crate) clocks_moved: usize,
    /// Processes that had ended by themselves.
    pub(crate) revived: usize,
}

impl Done {
    pub(crate) fn killed(&mut self, member: Member) {
        match member {
            Member::Server(_) => self.servers_killed += 1,
            Member::Worker(_) => self.workers_killed += 1,
        }
    }
}

/// The deeds in their order: three quarters of the kills are of workers.
fn plan(kills: usize, restarts: usize, seed: u64) -> Vec<Deed> {
    let victim = |number: usize| match number % 4 {
        0 => Member::Server(number / 4 % SERVERS),
        _ => Member::Worker(number % WORKERS),
    };
    let mut deeds: Vec<Deed> = (0..kills).map(|number| Deed::Kill(victim(number))).collect();
    deeds.extend((0..kills.div_ceil(8)).map(|number| Deed::Stop(victim(number))));
    deeds.extend((0..kills.div_ceil(20)).map(|_| Deed::CutAll));
    deeds.extend((0..kills.div_ceil(8)).map(|number| Deed::MoveClock(number % WORKERS)));
    deeds.shuffle(&mut StdRng::seed_from_u64(seed.wrapping_add(3)));
    // evenly, as a restart troubles everybody
    let spaces = restarts + 1;
    for number in (1..=restarts).rev() {
        deeds.insert(deeds.len() * number / spaces, Deed::RestartPostgres);
    }
    deeds
}

/// Does them all while the orders are placed.
pub(crate) async fn make(
    field: &mut Field,
    orders: &Orders,
    watch: &Watch,
    scale: Scale,
    seed: u64,
) -> Outcome<Done> {
    let deeds = plan(scale.kills, scale.restarts, seed);
    let mut done = Done::default();
    field.proxy.set_faults(true);
    field.door.set_faults(true);
    for (number, deed) in deeds.iter().enumerate() {
        orders.allow(ORDERS_AHEAD + orders.all.len() * number / deeds.len());
        pause(field, watch).await;
        done.revived += field.revive()?;
        perform(field, *deed, &mut done)?;
    }
    orders.allow(orders.all.len());
    Ok(done)
}

/// The drawn time, and longer while too much waits.
async fn pause(field: &mut Field, watch: &Watch) {
    let drawn = field.draw_ms(PAUSE_MS);
    tokio::time::sleep(drawn).await;
    field.wake(false);
    let deadline = Instant::now() + BACKLOG_PATIENCE;
    while watch.unfinished() > BACKLOG_MAX && Instant::now() < deadline {
        tokio::time::sleep(drawn).await;
        field.wake(false);
    }
}

fn perform(field: &mut Field, deed: Deed, done: &mut Done) -> Outcome<()> {
    match deed {
        Deed::Kill(member) => {
            field.kill(member)?;
            field.start(member)?;
            done.killed(member);
        }
        Deed::Stop(member) => {
            debug_assert!(Duration::from_millis(STOP_MS.start) > LEASE);
            let length = field.draw_ms(STOP_MS);
            field.stop(member, length)?;
            done.stops += 1;
        }
        Deed::RestartPostgres => {
            // the line and the orders go on meanwhile
            tokio::task::block_in_place(|| field.postgres.restart_at_once())?;
            done.restarts += 1;
        }
        Deed::CutAll => {
            field.proxy.cut_all();
            field.door.cut_all();
            done.cuts += 1;
        }
        Deed::MoveClock(worker) => done.clocks_moved += usize::from(field.move_clock(worker)?),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_deeds_and_all_of_them() {
        let deeds = plan(1000, 20, 7);
        assert_eq!(deeds, plan(1000, 20, 7));
        assert_ne!(deeds, plan(1000, 20, 8));
        let kills = deeds.iter().filter(|deed| matches!(deed, Deed::Kill(_))).count();
        let restarts = deeds
            .iter()
            .filter(|deed| **deed == Deed::RestartPostgres)
            .count();
        assert_eq!((kills, restarts), (1000, 20));
    }
}
