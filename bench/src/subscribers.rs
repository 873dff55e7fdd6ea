//! Ten thousand subscribers of one task on one server: what each costs in memory, how long an event takes to reach them
//! all, and that none misses or sees twice what happens while some of them reconnect.
//!
//! Each is a websocket of its own that speaks `graphql-transport-ws`. Events are written as a worker writes them, by a
//! process that is not the server, and are told by Postgres. The subscribers are tasks of this process on the same
//! machine: what they cost is part of the times.

mod crowd;
mod socket;
mod writer;

use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

use crate::stand::{Process, Stand};
use crate::{Outcome, bars};
use crowd::Crowd;
use writer::Writer;

/// Descriptors beside those of the subscribers.
const DESCRIPTORS_KEPT: u64 = 512;
/// Connections beside theirs: those that are closed while others take their place.
const CONNECTIONS_KEPT: usize = 500;
/// Memory is looked at when buffers that only opening needed have had time to go.
const SETTLE: Duration = Duration::from_secs(5);
/// All have the last event by then, or something is lost.
const PATIENCE: Duration = Duration::from_mins(2);
/// A subscriber, its websocket and its operation.
const BYTES_MAX: f64 = 14.0 * 1024.0;
/// From the commit of an event to its receipt, of 99 in 100.
const REACH_MS_MAX: f64 = 250.0;
/// One of so many reconnects with each event.
const RECONNECTING: usize = 100;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A small run that shows that everything works; its numbers say little
    #[arg(long)]
    quick: bool,
    /// How many
    #[arg(long)]
    subscribers: Option<usize>,
    /// Events of each of the two runs
    #[arg(long)]
    events: Option<usize>,
    /// Milliseconds from one event to the next
    #[arg(long, default_value_t = 500)]
    pause_ms: u64,
}

pub(crate) async fn run(args: &Args) -> Outcome<()> {
    let subscribers = args.subscribers.unwrap_or(if args.quick { 500 } else { 10_000 });
    let events = args.events.unwrap_or(if args.quick { 20 } else { 100 });
    let pause = Duration::from_millis(args.pause_ms);
    allow_descriptors(subscribers as u64)?;
    println!("subscribers: {subscribers} of one task, {events} events each run, {pause:?} apart");
    let room = subscribers + CONNECTIONS_KEPT;
    let settings =
        ["connections_max", "streams_max", "streams_per_tenant_max"].map(|key| format!("{key}={room}"));
    let settings: Vec<&str> = settings
        .iter()
        .map(String::as_str)
        .chain(["log_filter=warn"])
        .collect();
    let stand = Stand::start(&settings, &["--no-worker"]).await?;
    let writer = Writer::begin(&stand).await?;
    // what the first subscriber needs is no cost of each
    let first = Crowd::open(&stand, &writer, 1).await?;
    writer.tell(1).await?;
    first.heard(1, PATIENCE).await?;
    drop(first);
    tokio::time::sleep(SETTLE).await;
    let before = Memory::of(stand.server()?)?;
    let began = Instant::now();
    let crowd = Crowd::open(&stand, &writer, subscribers).await?;
    println!(
        "  all open and caught up after {:.1} s, {:.0} a second",
        began.elapsed().as_secs_f64(),
        subscribers as f64 / began.elapsed().as_secs_f64()
    );
    tokio::time::sleep(SETTLE).await;
    let mut missed = show_memory("open", before, Memory::of(stand.server()?)?, subscribers);
    missed += reach(&stand, &crowd, &writer, events, pause).await?;
    show_memory(
        "after the events",
        before,
        Memory::of(stand.server()?)?,
        subscribers,
    );
    let reconnected = reconnect(&crowd, &writer, events, pause).await?;
    crowd.check(writer.told())?;
    println!(
        "  {reconnected} reconnects over {events} events: every subscriber saw each of {} events once",
        writer.told()
    );
    println!("  {}", bars(missed));
    Ok(())
}

/// A descriptor for each on this side, and as many in the server, which inherits the limit.
fn allow_descriptors(subscribers: u64) -> Outcome<()> {
    let wanted = subscribers + DESCRIPTORS_KEPT;
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_some_and(|current| current < wanted) {
        limit.current = Some(limit.maximum.map_or(wanted, |maximum| maximum.min(wanted)));
        setrlimit(Resource::Nofile, limit)?;
    }
    if limit.current.is_some_and(|current| current < wanted) {
        return Err(format!(
            "{wanted} open files are needed and {:?} allowed: raise the limit (ulimit -Hn)",
            limit.current
        )
        .into());
    }
    Ok(())
}

/// What a process holds, in bytes.
#[derive(Debug, Clone, Copy)]
struct Memory {
    resident: u64,
    proportional: u64,
}

impl Memory {
    fn of(process: &Process) -> Outcome<Self> {
        let text = std::fs::read_to_string(format!("/proc/{}/smaps_rollup", process.pid()))?;
        let line = text
            .lines()
            .find(|line| line.starts_with("Pss:"))
            .ok_or("no Pss")?;
        let kilobytes = line.split_whitespace().nth(1).ok_or("no number")?;
        Ok(Self {
            resident: process.memory_bytes("VmRSS")?,
            proportional: kilobytes.parse::<u64>()? * 1024,
        })
    }
}

/// Prints what each subscriber costs; answers how many bars it missed.
fn show_memory(when: &str, before: Memory, now: Memory, subscribers: usize) -> usize {
    let each = |now: u64, before: u64| now.saturating_sub(before) as f64 / subscribers as f64;
    let proportional = each(now.proportional, before.proportional);
    println!(
        "  {when}: {:.1} KiB a subscriber by PSS, {:.1} by RSS (bar {:.0}); the server holds {:.0} MB, before them {:.0}",
        proportional / 1024.0,
        each(now.resident, before.resident) / 1024.0,
        BYTES_MAX / 1024.0,
        now.resident as f64 / 1e6,
        before.resident as f64 / 1e6
    );
    usize::from(proportional > BYTES_MAX)
}

/// Events while nobody reconnects; answers how many bars were missed.
async fn reach(
    stand: &Stand,
    crowd: &Crowd,
    writer: &Writer,
    events: usize,
    pause: Duration,
) -> Outcome<usize> {
    let server = stand.server()?.pid();
    let before = cpu_seconds(server)?;
    tell(writer, events, pause, |_| {}).await?;
    crowd.heard(writer.told(), PATIENCE).await?;
    let cpu = cpu_seconds(server)? - before;
    let mut times = crowd.take_times(writer);
    let mut last_of_each = Vec::new();
    let mut all = Vec::new();
    for times in times.values_mut() {
        times.sort_by(f64::total_cmp);
        last_of_each.extend(times.last().copied());
        all.append(times);
    }
    all.sort_by(f64::total_cmp);
    last_of_each.sort_by(f64::total_cmp);
    let at = |sorted: &[f64], permille: usize| {
        let index = sorted.len() * permille / 1_000;
        sorted
            .get(index.min(sorted.len().saturating_sub(1)))
            .copied()
            .unwrap_or(f64::NAN)
    };
    let reached = at(&all, 990);
    println!(
        "  an event reaches a subscriber after {:.0} ms at p50, {reached:.0} at p99 (bar {REACH_MS_MAX:.0}), {:.0} at most; \
         all of them after {:.0} ms at p50, {:.0} at p99",
        at(&all, 500),
        at(&all, 1_000),
        at(&last_of_each, 500),
        at(&last_of_each, 990)
    );
    println!(
        "  CPU of the server: {:.0} ms an event, {:.1} us a subscriber",
        cpu * 1e3 / events as f64,
        cpu * 1e6 / all.len() as f64
    );
    Ok(usize::from(reached > REACH_MS_MAX))
}

/// Events while some reconnect at random, going on after the last that they saw; answers how many did.
async fn reconnect(crowd: &Crowd, writer: &Writer, events: usize, pause: Duration) -> Outcome<usize> {
    let mut reconnected = 0;
    tell(writer, events, pause, |_| {
        reconnected += crowd.disturb(RECONNECTING);
    })
    .await?;
    crowd.heard(writer.told(), PATIENCE).await?;
    Ok(reconnected)
}

async fn tell(writer: &Writer, events: usize, pause: Duration, mut beside: impl FnMut(usize)) -> Outcome<()> {
    let mut next = Instant::now();
    for number in 0..events {
        tokio::time::sleep_until(next.into()).await;
        next += pause;
        beside(number);
        writer.tell(1).await?;
    }
    Ok(())
}

/// Seconds of a process, by `/proc`: `USER_HZ` is 100 wherever Linux runs.
fn cpu_seconds(pid: u32) -> Outcome<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = text.rsplit_once(')').ok_or("no name in stat")?.1;
    let ticks = rest.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
