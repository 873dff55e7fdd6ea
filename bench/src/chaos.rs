//! Kills, restarts, broken lines and wrong clocks while tasks run: all end exactly once in effect.
//!
//! Two servers and three workers on one Postgres of the run's own. The seed is printed and can be given
//! again: it draws the tasks, the deeds and their order; what they meet depends on the machine's speed.
//! `--each` instead kills one process after the other, and the rest must do its work.
//!
//! Exits 1 and names every task and limit that was wrong.

mod clock;
mod each;
mod field;
mod orders;
mod postgres;
mod proxy;
mod tool;
mod trouble;
mod verdict;
mod watch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use field::Field;
use orders::{Orders, TENANTS, Tenant};
use proxy::Proxy;
use trouble::Done;
use verdict::Verdict;
use watch::{Seen, Watch};

use crate::Outcome;
use crate::client::Client;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The run's seed; a fresh one if not given
    #[arg(long)]
    seed: Option<u64>,
    /// Tasks to run
    #[arg(long, default_value_t = 5_000)]
    tasks: usize,
    /// SIGKILLs of workers and servers while they run
    #[arg(long, default_value_t = 1_000)]
    kills: usize,
    /// Immediate restarts of Postgres
    #[arg(long, default_value_t = 20)]
    restarts: usize,
    /// A short run: 200 tasks, 30 kills, 2 restarts
    #[arg(long)]
    quick: bool,
    /// Kill each server and worker in turn, and nothing else
    #[arg(long, conflicts_with_all = ["quick", "kills", "restarts"])]
    each: bool,
    /// Keep the folder with database and logs when something was wrong
    #[arg(long)]
    keep: bool,
}

/// After the trouble, for what still waits or runs.
const DRAIN_PATIENCE: Duration = Duration::from_mins(10);
/// For the boxes of dead workers to end.
const ORPHAN_PATIENCE: Duration = Duration::from_secs(20);
const LOOK_PAUSE: Duration = Duration::from_millis(50);
/// Of violations that are printed.
const PRINTED_MAX: usize = 40;

pub(crate) async fn run(args: &Args) -> Outcome<()> {
    let seed = args.seed.unwrap_or_else(rand::random);
    let scale = match (args.quick, args.each) {
        (true, _) => Scale::of(200, 30, 2),
        (_, true) => Scale::of(each::TASKS, 0, 0),
        _ => Scale::of(args.tasks, args.kills, args.restarts),
    };
    println!("chaos: seed {seed}, {scale:?}");
    let mut field = Field::lay_out(seed).await?;
    if field.faketime.is_none() {
        println!("  NO CLOCK IS MOVED: libfaketime is missing, run scripts/setup-faketime");
    }
    let ended = make(&mut field, args.each, scale, seed).await;
    if ended.is_err() && args.keep {
        println!("  kept: {}", field.folder.path().display());
        field.folder.disable_cleanup(true);
    }
    ended
}

/// How much of everything.
#[derive(Debug, Clone, Copy)]
struct Scale {
    tasks: usize,
    kills: usize,
    restarts: usize,
}

impl Scale {
    const fn of(tasks: usize, kills: usize, restarts: usize) -> Self {
        Self {
            tasks,
            kills,
            restarts,
        }
    }
}

/// The run itself, from the first process to the verdict.
async fn make(field: &mut Field, each: bool, scale: Scale, seed: u64) -> Outcome<()> {
    let began = Instant::now();
    field.start_all().await?;
    let tenants = make_tenants(field).await?;
    let archive = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../demo/vulnshop.zip"))?;
    let orders = Orders::new(orders::plan(scale.tasks, seed), tenants, archive);
    let watch = Watch::start(&field.postgres.url);
    let placing = tokio::spawn(orders.clone().place_all());
    let done = if each {
        each::kill_each(field, &orders, &watch).await?
    } else {
        trouble::make(field, &orders, &watch, scale, seed).await?
    };
    let drained = drain(field, placing, &watch).await;
    let looked = watch.seen();
    drop(watch);
    field.end_all()?;
    let mut verdict = verdict::reach(&field.postgres, &orders)?;
    let mut wrong: Vec<String> = drained.err().map(|error| error.to_string()).into_iter().collect();
    wrong.append(&mut verdict.violations);
    wrong.extend(looked.violations.iter().cloned());
    if looked.at_limit.is_empty() {
        wrong.push(format!("no limit was reached in {} looks", looked.looks));
    }
    for check in [["usage", "recount"], ["queue", "check"]] {
        wrong.extend(field.command(&check).err().map(|error| error.to_string()));
    }
    wrong.extend(orphans(field).await);
    print(field, &orders, &done, &looked, &verdict, began);
    if wrong.is_empty() {
        println!("  every task ended exactly once in effect, nothing is left (bar met)");
        return Ok(());
    }
    for violation in wrong.iter().take(PRINTED_MAX) {
        println!("  WRONG {violation}");
    }
    Err(format!("{} violations; repeat with --seed {seed}", wrong.len()).into())
}

/// Makes the tenants with their limits, a token and a project each.
async fn make_tenants(field: &Field) -> Outcome<Vec<Tenant>> {
    let mut tenants = Vec::new();
    for (name, limits) in TENANTS {
        field.command(&["tenant", "create", name])?;
        // each is one client that asks as fast as it can
        let own = ["tenant", "limit", name, "requests-per-minute=1000000"];
        field.command(&[&own, limits].concat())?;
        let token = field.command(&["token", "create", "--tenant", name, "--name", "chaos"])?;
        let clients: Vec<Client> = field
            .ports
            .iter()
            .map(|port| Client::new(*port, token.clone()))
            .collect::<Outcome<_>>()?;
        let first = clients.first().ok_or("no server")?;
        let project = first.create_project("chaos").await?;
        tenants.push(Tenant { clients, project });
    }
    Ok(tenants)
}

/// Heals everything and waits until nothing waits or runs.
async fn drain(
    field: &mut Field,
    placing: tokio::task::JoinHandle<Outcome<()>>,
    watch: &Watch,
) -> Outcome<()> {
    field.proxy.set_faults(false);
    field.door.set_faults(false);
    field.wake(true);
    field.revive()?;
    let deadline = Instant::now() + DRAIN_PATIENCE;
    tokio::time::timeout(DRAIN_PATIENCE, placing).await???;
    let looks = watch.seen().looks;
    // the last order may be younger than the last look
    while watch.unfinished() > 0 || watch.seen().looks < looks + 2 {
        if Instant::now() > deadline {
            return Err(format!("{} tickets did not end", watch.unfinished()).into());
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Ok(())
}

/// Boxes die with their worker, but not in the same instant.
async fn orphans(field: &Field) -> Vec<String> {
    let deadline = Instant::now() + ORPHAN_PATIENCE;
    while !field.orphans().is_empty() && Instant::now() < deadline {
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    let named = |process: String| format!("a process is left: {process}");
    field.orphans().into_iter().map(named).collect()
}

fn print(field: &Field, orders: &Orders, done: &Done, seen: &Seen, verdict: &Verdict, began: Instant) {
    println!(
        "  {} kills ({} of workers, {} of servers), {} restarts of Postgres, {} pauses, {} times all lines cut, \
         {} clocks moved while they ran, {} processes ended by themselves",
        done.workers_killed + done.servers_killed,
        done.workers_killed,
        done.servers_killed,
        done.restarts,
        done.stops,
        done.cuts,
        done.clocks_moved,
        done.revived
    );
    print_line("the database", &field.proxy);
    print_line("the servers", &field.door);
    let mut statuses: Vec<_> = verdict.by_status.iter().collect();
    statuses.sort();
    println!(
        "  {} tasks of {} {statuses:?}, {} attempts, {} lost, {} retries, {} asks repeated, {} of them refused \
         for a limit",
        verdict.tasks,
        orders.all.len(),
        verdict.attempts,
        verdict.lost,
        verdict.retries,
        orders.repeats.load(Ordering::Relaxed),
        orders.refusals.load(Ordering::Relaxed)
    );
    println!(
        "  {} late ends refused, {} reservations ran out, {} looks at the limits, reached: {:?}, {:.0} s",
        field.logged("too late: "),
        verdict.reservations,
        seen.looks,
        seen.at_limit,
        began.elapsed().as_secs_f64()
    );
}

fn print_line(to: &str, proxy: &Proxy) {
    let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let counts = &proxy.counts;
    println!(
        "  to {to}: {} connections, {} cut, {} half closed, {} silent for a while",
        of(&counts.connections),
        of(&counts.cuts),
        of(&counts.half_closes),
        of(&counts.silences)
    );
}
