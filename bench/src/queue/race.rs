//! The measures that Tamiz and its peers run alike: enqueue, drain, latency.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use super::child::Options;
use super::runner::{Process, Runner, Told};
use super::stage::Stage;
use crate::Outcome;

/// Enqueueing what a measure needs.
const ENQUEUE_MAX: Duration = Duration::from_mins(10);
/// Let a worker become idle before the first ticket.
const IDLE: Duration = Duration::from_secs(1);
/// A worker that polls every two seconds has this long for the last ticket.
const LAST_TICKET_MAX: Duration = Duration::from_secs(10);
/// Between two looks at several workers.
const LOOK: Duration = Duration::from_millis(5);

/// What is enqueued, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) first: u64,
    pub(crate) count: u64,
    pub(crate) bulk: u64,
    pub(crate) at_once: u64,
    pub(crate) tenants: u64,
}

/// Tickets a second.
pub(crate) async fn enqueue(runner: &Runner, stage: &Stage, load: Load) -> Outcome<f64> {
    let options = Options {
        first: load.first,
        count: load.count,
        bulk: load.bulk,
        at_once: load.at_once,
        tenants: load.tenants,
        ..Options::default()
    };
    let mut producer = runner.start(stage, "enqueue", options)?;
    producer.ready().await?;
    producer.say("go").await?;
    let told = producer.end(ENQUEUE_MAX).await?;
    Ok(rate(&told))
}

/// What a drain showed.
#[derive(Debug, Default)]
pub(crate) struct Drained {
    pub(crate) per_second: f64,
    pub(crate) done: u64,
    /// Milliseconds of each claim, sorted.
    pub(crate) claims: Vec<f64>,
}

/// Works off `count` tickets with `processes` workers, or what they manage in `patience`.
pub(crate) async fn drain(
    runner: &Runner,
    stage: &Stage,
    processes: usize,
    count: u64,
    patience: Duration,
) -> Outcome<Drained> {
    let mut workers = Vec::new();
    for _ in 0..processes {
        workers.push(runner.start(stage, "work", Options::default())?);
    }
    for worker in &mut workers {
        worker.ready().await?;
    }
    for worker in &mut workers {
        worker.say("go").await?;
    }
    wait_for(&mut workers, count, patience).await?;
    let mut all = Told::default();
    for worker in workers {
        let told = worker.stop().await?;
        all.done += told.done;
        all.last_us = all.last_us.max(told.last_us);
        all.began_us = if all.began_us == 0 {
            told.began_us
        } else {
            all.began_us.min(told.began_us)
        };
        all.claims.extend(told.claims);
    }
    all.claims.sort_by(f64::total_cmp);
    Ok(Drained {
        per_second: rate(&all),
        done: all.done,
        claims: all.claims,
    })
}

async fn wait_for(workers: &mut [Process], count: u64, patience: Duration) -> Outcome<()> {
    let deadline = Instant::now() + patience;
    let mut done = vec![0; workers.len()];
    while done.iter().sum::<u64>() < count && Instant::now() < deadline {
        for (worker, done) in workers.iter_mut().zip(&mut done) {
            if let Some(told) = worker.next(Instant::now() + LOOK).await? {
                *done = told.done;
            }
        }
    }
    Ok(())
}

fn rate(told: &Told) -> f64 {
    let seconds = told.last_us.saturating_sub(told.began_us) as f64 / 1e6;
    if told.done == 0 {
        0.0
    } else {
        told.done as f64 / seconds.max(1e-6)
    }
}

/// Milliseconds from the commit of an enqueue to its start, sorted, at `per_second` for `seconds`; one idle
/// worker, and a process apart that enqueues.
pub(crate) async fn latency(
    runner: &Runner,
    stage: &Stage,
    per_second: u64,
    seconds: u64,
) -> Outcome<Vec<f64>> {
    let work = Options {
        times: true,
        ..Options::default()
    };
    let pace = Options {
        per_second,
        seconds,
        tenants: super::TENANTS_FEW,
        ..Options::default()
    };
    let mut worker = runner.start(stage, "work", work)?;
    let mut producer = runner.start(stage, "pace", pace)?;
    worker.ready().await?;
    producer.ready().await?;
    worker.say("go").await?;
    tokio::time::sleep(IDLE).await;
    producer.say("go").await?;
    // the worker's words are heard all the while: a full pipe would stop it
    let patience = Duration::from_secs(seconds);
    let mut workers = [worker];
    let (committed, ()) = tokio::try_join!(
        producer.end(patience + ENQUEUE_MAX),
        wait_for(&mut workers, per_second * seconds, patience + LAST_TICKET_MAX)
    )?;
    let [worker] = workers;
    let started: HashMap<u64, u64> = worker.stop().await?.times.into_iter().collect();
    let mut waits: Vec<f64> = committed
        .times
        .iter()
        .filter_map(|(seq, at)| Some((started.get(seq)?.saturating_sub(*at)) as f64 / 1000.0))
        .collect();
    let missing = committed.times.len() - waits.len();
    if missing > 0 {
        println!(
            "  {}: {missing} of {} were not started in time",
            runner.name,
            committed.times.len()
        );
    }
    waits.sort_by(f64::total_cmp);
    Ok(waits)
}

/// The value below which this part of the sorted values lies.
pub(crate) fn percentile(sorted: &[f64], part: f64) -> f64 {
    let mut below = sorted.iter().enumerate();
    let last = sorted.len().saturating_sub(1) as f64;
    let found = below.find(|(at, _)| *at as f64 >= last * part);
    found.map_or(f64::NAN, |(_, value)| *value)
}
