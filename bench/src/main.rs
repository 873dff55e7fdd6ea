//! `tamiz-bench`: the numbers that the issues ask for, from runs that anyone can repeat.
//!
//! Each subcommand starts its own embedded Postgres and server below a temporary folder, drives them
//! through the front door and prints what it measured beside a limit or a peer measured in the same
//! run. `scripts/bench` builds everything in release and runs them all.
//!
//! Speed is never asserted in a test; `kills` and `chaos` fail when a task was lost or done twice.

mod chaos;
mod client;
mod convert;
mod examples;
mod graphql;
mod idle;
mod ingest;
mod kills;
mod overhead;
mod queue;
mod report;
mod stand;
mod start;
mod subscribers;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The allocator of `tamiz`, whose host is measured here.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A failed run, in words.
pub(crate) type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Benches of Tamiz; build with --release.
#[derive(Debug, Parser)]
#[command(name = "tamiz-bench", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// What a scan costs beside its tool, by phase
    Overhead(overhead::Args),
    /// Reports of a hundred thousand results into a project with a million alerts
    Ingest(ingest::Args),
    /// Conversion alone, format by format: in wasm and the same code native
    Convert(convert::Args),
    /// The example plugin in its three languages: MB/s, findings/s and start
    Examples(examples::Args),
    /// Starting a plugin whose compiled code is there, and loading it
    Start(start::Args),
    /// A conversion alone and beside every hostile one, which may cost it half of its speed
    Neighbour(convert::neighbour::Args),
    /// Resident memory of a server that has nothing to do
    Idle(idle::Args),
    /// The throw-away child in which the host compiles a plugin
    #[command(hide = true)]
    CompileComponent(convert::CompileArgs),
    /// The queue beside three of its peers, by npm: Graphile Worker, pg-boss and `BullMQ`
    Queue(queue::Args),
    /// One process of Tamiz's queue in that race
    #[command(hide = true)]
    QueueChild(queue::child::Args),
    /// GraphQL beside `PostGraphile`, a Node server and the one SQL statement, over a million findings
    Graphql(graphql::Args),
    /// Ten thousand subscribers of one task on one server: memory, the time of an event, and that none is lost
    Subscribers(subscribers::Args),
    /// Random SIGKILLs of workers and server while tasks run; every task must end once
    Kills(kills::Args),
    /// Kills, restarts, broken lines and wrong clocks under two servers and three workers
    Chaos(chaos::Args),
}

#[tokio::main]
async fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Overhead(args) => overhead::run(&args).await,
        Command::Ingest(args) => ingest::run(&args).await,
        Command::Convert(args) => convert::run(&args),
        Command::Examples(args) => examples::run(&args),
        Command::CompileComponent(args) => convert::compile(&args),
        Command::Start(args) => start::run(&args),
        Command::Neighbour(args) => convert::neighbour::run(&args),
        Command::Idle(args) => idle::run(&args).await,
        Command::Queue(args) => queue::run(&args).await,
        Command::QueueChild(args) => queue::child::run(&args).await,
        Command::Graphql(args) => graphql::run(&args).await,
        Command::Subscribers(args) => subscribers::run(&args).await,
        Command::Kills(args) => kills::run(&args).await,
        Command::Chaos(args) => chaos::run(&args).await,
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = std::iter::successors(error.source(), |error| error.source());
            let words: Vec<String> = causes.map(ToString::to_string).collect();
            eprintln!("tamiz-bench: {error}; {}", words.join(": "));
            ExitCode::FAILURE
        }
    }
}

/// The last line under a table of measures with bars.
pub(crate) fn bars(missed: usize) -> String {
    match missed {
        0 => "every bar was met".to_owned(),
        missed => format!("{missed} bars were missed"),
    }
}

/// The middle value, in the unit of the input.
pub(crate) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}
