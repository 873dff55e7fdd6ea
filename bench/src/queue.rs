//! The queue beside Graphile Worker, pg-boss and `BullMQ`, in one run on one Postgres, and a Redis for the last.
//!
//! All are processes of their own that speak the same words (`child`, `bench/peers/peer.mjs`) and are measured
//! by the same clock. What is not alike is printed with the numbers: Tamiz runs with fairness, limits and
//! fencing on, as it always does; `BullMQ` keeps its queue in memory; batching modes hold more than ten jobs.

pub(crate) mod child;
mod race;
mod runner;
mod scale;
mod stage;
mod whole;

use std::time::Duration;

use crate::Outcome;
use race::{Load, drain, enqueue, latency, percentile};
use runner::Runner;
use stage::Stage;

/// Tickets that a worker process holds at most.
const SLOTS: u32 = 10;
/// Tenants of the measures that peers take part in; they have none.
const TENANTS_FEW: u64 = 100;
/// Of the measures of scale.
const TENANTS_MANY: u64 = 10_000;
/// Newcomers beside a million, on top of the others.
const NEWCOMERS: u64 = 200;
/// Arrivals while latency is measured.
const ARRIVALS_PER_SECOND: u64 = 50;
/// A runner that needs longer for its share is measured by what it managed.
const DRAIN_MAX: Duration = Duration::from_secs(20);

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A small run that shows that everything works; its numbers say little
    #[arg(long)]
    quick: bool,
    /// Without the peers
    #[arg(long)]
    alone: bool,
    /// Tasks of one measure of enqueueing and draining
    #[arg(long)]
    tasks: Option<u64>,
    /// How long latency is measured, per runner
    #[arg(long)]
    seconds: Option<u64>,
}

/// How much is measured.
#[derive(Debug, Clone, Copy)]
struct Size {
    tasks: u64,
    latency_seconds: u64,
    backlogs: [u64; 3],
    /// Claims of one measure of scale.
    claims: u64,
    newcomers: u64,
    /// Claims after which tables are looked at.
    churn: u64,
}

impl Size {
    fn of(args: &Args) -> Self {
        let size = if args.quick {
            Self {
                tasks: 2_000,
                latency_seconds: 3,
                backlogs: [1_000, 5_000, 20_000],
                claims: 1_000,
                newcomers: 10,
                churn: 5_000,
            }
        } else {
            Self {
                tasks: 50_000,
                latency_seconds: 60,
                backlogs: [10_000, 100_000, 1_000_000],
                claims: 30_000,
                newcomers: NEWCOMERS,
                churn: 200_000,
            }
        };
        Self {
            tasks: args.tasks.unwrap_or(size.tasks),
            latency_seconds: args.seconds.unwrap_or(size.latency_seconds),
            ..size
        }
    }
}

pub(crate) async fn run(args: &Args) -> Outcome<()> {
    let size = Size::of(args);
    let stage = Stage::set()?;
    println!("queue: {}", stage.describe()?);
    stage.make_tenants(TENANTS_MANY + NEWCOMERS)?;
    let runners = runners(args, &stage);
    for runner in &runners {
        runner.set_up(&stage).await?;
    }
    head(size);
    for runner in &runners {
        show(&measure(runner, &stage, size).await?);
        stage.empty_queue()?;
    }
    explain();
    scale::run(&runners, &stage, size).await
}

fn runners(args: &Args, stage: &Stage) -> Vec<Runner> {
    let mut runners = vec![
        Runner::tamiz("Tamiz", SLOTS, 2),
        Runner::tamiz("Tamiz, claims of 50", 100, 2),
        Runner::tamiz("", SLOTS, 2).with_tasks("Tamiz, whole tasks"),
    ];
    if args.alone {
        return runners;
    }
    if !runner::peers_are_there() {
        println!(
            "  no peers: npm is not there, or their packages could not be installed (scripts/bench says why)"
        );
        return runners;
    }
    runners.extend([
        Runner::peer("Graphile Worker", "graphile", "graphile", false),
        Runner::peer(
            "Graphile Worker, local queue of 500",
            "graphile",
            "graphile_batching",
            true,
        ),
        Runner::peer("pg-boss", "pgboss", "pgboss", false),
        Runner::peer("pg-boss, batches of 50", "pgboss", "pgboss_batching", true),
    ]);
    if stage.has_redis() {
        runners.push(Runner::peer("BullMQ", "bullmq", "bullmq", false));
    } else {
        println!("  no BullMQ: there is no redis-server (scripts/setup-redis)");
    }
    runners
}

/// One row of the table.
struct Measured {
    name: &'static str,
    enqueued_singly: f64,
    enqueued_in_bulk: f64,
    drained_by_one: f64,
    drained_by_two: f64,
    /// Milliseconds, sorted.
    latency: Vec<f64>,
}

async fn measure(runner: &Runner, stage: &Stage, size: Size) -> Outcome<Measured> {
    eprintln!("queue: measuring {}", runner.name);
    let latency = latency(runner, stage, ARRIVALS_PER_SECOND, size.latency_seconds).await?;
    let load = Load {
        first: 1_000_000,
        count: size.tasks,
        bulk: 1,
        at_once: 10,
        tenants: TENANTS_FEW,
    };
    let enqueued_singly = enqueue(runner, stage, load).await?;
    let by_one = drain(runner, stage, 1, size.tasks, DRAIN_MAX).await?;
    let bulk = Load {
        first: 2_000_000,
        bulk: 100,
        ..load
    };
    let enqueued_in_bulk = enqueue(runner, stage, bulk).await?;
    let by_two = drain(runner, stage, 2, size.tasks, DRAIN_MAX).await?;
    Ok(Measured {
        name: runner.name,
        enqueued_singly,
        enqueued_in_bulk,
        drained_by_one: by_one.per_second,
        drained_by_two: by_two.per_second,
        latency,
    })
}

fn head(size: Size) {
    println!(
        "\nno-op tasks, {} of them, {SLOTS} slots a process; latency at {ARRIVALS_PER_SECOND} a second for {} s",
        size.tasks, size.latency_seconds
    );
    println!(
        "  {:<38}{:>11}{:>11}{:>11}{:>11}{:>9}{:>9}",
        "per second", "enqueued", "in 100s", "drained 1", "drained 2", "p50 ms", "p99 ms"
    );
}

fn show(row: &Measured) {
    println!(
        "  {:<38}{:>11.0}{:>11.0}{:>11.0}{:>11.0}{:>9.1}{:>9.1}",
        row.name,
        row.enqueued_singly,
        row.enqueued_in_bulk,
        row.drained_by_one,
        row.drained_by_two,
        percentile(&row.latency, 0.5),
        percentile(&row.latency, 0.99)
    );
}

fn explain() {
    println!(
        "  bars for Tamiz: 10,000 drained a second, above pg-boss and BullMQ, 4 times Graphile Worker's default; \
         p50 under 5 ms, p99 under 20\n\
         \x20 not alike: Tamiz checks limits and fences each finish, over {TENANTS_FEW} tenants of different weight, and \
         commits each finish to the disk; `enqueued` is ten callers, one task a call\n\
         \x20 not alike: a local queue and batches hold more than {SLOTS} jobs a process and know no fairness; `Tamiz, claims \
         of 50` is the like of them\n\
         \x20 not alike: `whole tasks` have a task, events and an attempt each, which no peer has, and end one by one\n\
         \x20 not alike: BullMQ's Redis has its defaults, so a crash loses what came since its last snapshot"
    );
}
