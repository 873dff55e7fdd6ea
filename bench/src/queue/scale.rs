//! What the length of the queue costs: claims and drains under a backlog, one ticket beside a million, and how
//! large the tables grow.

use std::time::Duration;

use super::child::Options;
use super::race::{Load, drain, enqueue, percentile};
use super::runner::Runner;
use super::stage::Stage;
use super::{Size, TENANTS_MANY};
use crate::Outcome;

/// A peer that needs longer for a backlog is measured by what it managed…
const PEER_MAX: Duration = Duration::from_secs(40);
/// …and is given no second one if it managed less than this part.
const PEER_PART_MIN: f64 = 0.9;
/// Claims of a measure, on a busy machine.
const BACKLOG_MAX: Duration = Duration::from_mins(2);
const JOIN_MAX: Duration = Duration::from_mins(10);
/// Tickets that wait while tables are churned.
const CHURN_BACKLOG: u64 = 10_000;

pub(crate) async fn run(runners: &[Runner], stage: &Stage, size: Size) -> Outcome<()> {
    println!("\nunder a backlog of {TENANTS_MANY} tenants (peers have none), one process");
    println!(
        "  {:<38}{:>11}{:>11}{:>13}{:>13}{:>8}",
        "", "waiting", "drained/s", "claim p50 ms", "claim p99 ms", "ratio"
    );
    for runner in runners.iter().filter(|runner| !runner.has_tasks()) {
        let mut first = None;
        let backlogs = if runner.is_peer() {
            &size.backlogs[..2]
        } else {
            &size.backlogs[..]
        };
        for &backlog in backlogs {
            let (per_second, claims, left) = under(runner, stage, size, backlog).await?;
            let ratio = per_second / *first.get_or_insert(per_second);
            print!("  {:<38}{backlog:>11}{per_second:>11.0}", runner.name);
            if claims.is_empty() {
                println!("{:>13}{:>13}{ratio:>8.2}", "", "");
            } else {
                let (middle, high) = (percentile(&claims, 0.5), percentile(&claims, 0.99));
                println!("{middle:>13.2}{high:>13.2}{ratio:>8.2}");
            }
            stage.empty_queue()?;
            if left {
                break;
            }
        }
    }
    println!("  bar for Tamiz: at a million at least 0.9 of the rate at ten thousand");
    if let Some(tamiz) = runners.first() {
        newcomer(tamiz, stage, size).await?;
        stage.empty_queue()?;
        tables(tamiz, stage, size).await?;
    }
    Ok(())
}

/// Drained a second while about `backlog` wait, the times of the claims, and whether a peer left much over.
async fn under(runner: &Runner, stage: &Stage, size: Size, backlog: u64) -> Outcome<(f64, Vec<f64>, bool)> {
    // one for each tenant first, then more for each
    let load = Load {
        first: 0,
        count: backlog,
        bulk: if runner.is_peer() {
            100
        } else {
            (backlog / TENANTS_MANY).max(1)
        },
        at_once: 8,
        tenants: TENANTS_MANY,
    };
    if runner.is_peer() {
        enqueue(runner, stage, load).await?;
        let drained = drain(runner, stage, 1, backlog, PEER_MAX).await?;
        let left = (drained.done as f64) < backlog as f64 * PEER_PART_MIN;
        return Ok((drained.per_second, Vec::new(), left));
    }
    // a short queue is worked off and filled again, until there are as many claims as of a long one
    let (mut done, mut seconds, mut claims, mut first) = (0, 0.0, Vec::new(), 0);
    while done < size.claims {
        if done == 0 || size.claims > backlog {
            enqueue(runner, stage, Load { first, ..load }).await?;
            first += backlog;
        }
        let drained = drain(runner, stage, 1, size.claims.min(backlog), BACKLOG_MAX).await?;
        if drained.done == 0 {
            return Err("nothing was claimed".into());
        }
        done += drained.done;
        seconds += drained.done as f64 / drained.per_second;
        claims.extend(drained.claims);
    }
    claims.sort_by(f64::total_cmp);
    Ok((done as f64 / seconds, claims, false))
}

/// A tenant that adds one ticket beside one that holds a million.
async fn newcomer(tamiz: &Runner, stage: &Stage, size: Size) -> Outcome<()> {
    let waiting = size.backlogs[2];
    let load = Load {
        first: 0,
        count: waiting,
        bulk: 1_000,
        at_once: 2,
        tenants: 1,
    };
    enqueue(tamiz, stage, load).await?;
    let options = Options {
        count: size.newcomers,
        first: waiting,
        tenants: TENANTS_MANY,
        ..Options::default()
    };
    let mut joiner = tamiz.start(stage, "join", options)?;
    joiner.ready().await?;
    joiner.say("go").await?;
    let newcomers = joiner.end(JOIN_MAX).await?.times;
    let rounds: Vec<u64> = newcomers.iter().map(|(rounds, _)| *rounds).collect();
    let mut waits: Vec<f64> = newcomers
        .iter()
        .map(|(_, microseconds)| *microseconds as f64 / 1000.0)
        .collect();
    waits.sort_by(f64::total_cmp);
    println!(
        "\none ticket of a new tenant beside {waiting} of another, {} times: claimed in round {} at the latest (bar: 2), \
         after {:.1} ms at the median, {:.1} ms at most",
        newcomers.len(),
        rounds.iter().max().copied().unwrap_or_default(),
        percentile(&waits, 0.5),
        percentile(&waits, 1.0)
    );
    Ok(())
}

/// The tables after many claims, with about as many tickets waiting all the time.
async fn tables(tamiz: &Runner, stage: &Stage, size: Size) -> Outcome<()> {
    let (mut claimed, mut first) = (0, 0);
    while claimed < size.churn {
        let count = CHURN_BACKLOG.min(size.churn);
        let load = Load {
            first,
            count,
            bulk: 10,
            at_once: 8,
            tenants: TENANTS_MANY,
        };
        enqueue(tamiz, stage, load).await?;
        claimed += drain(tamiz, stage, 1, count, BACKLOG_MAX).await?.done;
        first += count;
    }
    println!(
        "\nafter {claimed} claims in rounds of {CHURN_BACKLOG} over {TENANTS_MANY} tenants, in KB: table, indexes"
    );
    for table in ["ticket", "lane", "share", "start_count"] {
        let sizes = stage.sql(
            "tamiz",
            &format!(
                "select pg_table_size('control.{table}') / 1024, pg_indexes_size('control.{table}') / 1024"
            ),
        )?;
        println!("  control.{table:<14}{sizes}");
    }
    Ok(())
}
