//! `tamiz queue top`: the queue on a terminal, live.
//!
//! Reads what `queue_view` offers, once a second: counters and heads, so it may run for as long as one likes.
//! The terminal is a second screen that goes away with the command; plain control codes do, for there is
//! nothing to type.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use clap::{Args, ValueEnum};
use tamiz_store::{Store, StoreError, queue_view};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::super::answer::Reader;
use super::super::operator::with_store;
use super::super::{CliError, answer, asked_to_end};
use super::frame::{Frame, Size};
use crate::config::Config;

/// A frame that was not read after this time is shown as missing.
const PATIENCE: Duration = Duration::from_secs(5);
const SCREEN: &str = "\x1b[?1049h\x1b[?25l";
const BACK: &str = "\x1b[?25h\x1b[?1049l";
const HOME: &str = "\x1b[H";
const REST_OF_SCREEN: &str = "\x1b[J";
/// When the terminal does not say how large it is.
const USUAL_SIZE: (u16, u16) = (80, 24);

/// Watch the queue: what waits and runs per tenant and scan type, since when, how fast it goes
#[derive(Debug, Args)]
#[command(after_help = "\
The first lines are all tenants together, then come the busiest. OLDEST is how long the first in line has been
ready, P50 and P99 how long claims of the last minutes had waited. Ctrl-C ends it.

Examples:
  tamiz queue top
  tamiz queue top --sort oldest --tenants 50
  tamiz queue top --once --json")]
pub struct TopArgs {
    /// Print one frame and end; so does it when the output is no terminal
    #[arg(long)]
    once: bool,
    /// Print frames as JSON, one to a line
    #[arg(long)]
    json: bool,
    /// Order the tenants by this
    #[arg(long, value_enum, default_value_t = Sort::Waiting)]
    sort: Sort,
    /// Show so many tenants
    #[arg(long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1_000))]
    tenants: u16,
    /// Seconds between two frames
    #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=3_600))]
    every: u16,
}

/// What tenants are ordered by, the largest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Sort {
    /// What waits
    Waiting,
    /// What runs
    Running,
    /// How long the first in line waits
    Oldest,
    /// Tasks ended per minute
    Ended,
    /// Their names
    Name,
}

pub(super) async fn run(args: &TopArgs, config: &Config) -> Result<(), CliError> {
    with_store(config, async |store| {
        let is_terminal = std::io::stdout().is_terminal();
        if args.once || !(is_terminal || args.json) {
            let frame = look(store, args).await?;
            let size = is_terminal.then(|| size_of_terminal().0);
            return answer::print(&printed(&frame, args, size));
        }
        let watching = watch(store, args);
        tokio::select! {
            ended = watching => ended,
            signal = asked_to_end() => signal.map(drop),
        }
    })
    .await
}

async fn watch(store: &Store, args: &TopArgs) -> Result<(), CliError> {
    let is_plain = args.json || has_no_codes();
    let _screen = if is_plain { None } else { Some(Screen::open()?) };
    let mut tick = interval(Duration::from_secs(args.every.into()));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let looked = look(store, args).await;
        if is_plain {
            let columns = (!args.json).then(|| size_of_terminal().0);
            match answer::print_on(&printed(&looked?, args, columns))? {
                Reader::There => continue,
                Reader::Gone => return Ok(()),
            }
        }
        let (columns, rows) = size_of_terminal();
        let text = match looked {
            Ok(frame) => frame.text(Size {
                columns: Some(columns),
                rows: Some(rows),
            }),
            // the database may come back
            Err(error) => format!("{error}\n"),
        };
        draw(&text)?;
    }
}

async fn look(store: &Store, args: &TopArgs) -> Result<Frame, CliError> {
    let read = timeout(PATIENCE, read(store, args)).await;
    read.map_err(|_| CliError::Unavailable("the database does not answer".to_owned()))?
        .map_err(|error| CliError::unavailable(&error))
}

async fn read(store: &Store, args: &TopArgs) -> Result<Frame, StoreError> {
    let mut tx = store.begin_control().await?;
    let totals = queue_view::totals(&mut tx).await?;
    let tenants = queue_view::busiest(&mut tx, args.tenants.into()).await?;
    let pauses = queue_view::all_pauses(&mut tx).await?;
    drop(tx);
    let workers = store.workers().await?;
    Ok(Frame::of(totals, tenants, pauses, &workers, args.sort))
}

/// A frame below the one before it.
fn printed(frame: &Frame, args: &TopArgs, columns: Option<u16>) -> String {
    if args.json {
        return format!("{}\n", frame.json());
    }
    frame.text(Size { columns, rows: None })
}

/// A terminal that prints control codes as text gets one frame below the other.
fn has_no_codes() -> bool {
    std::env::var_os("TERM").is_some_and(|term| term == "dumb")
}

fn draw(text: &str) -> Result<(), CliError> {
    // each line clears what an earlier frame left behind it
    let lines = text.replace('\n', "\x1b[K\r\n");
    write(&format!("{HOME}{lines}{REST_OF_SCREEN}"))
}

fn write(text: &str) -> Result<(), CliError> {
    let mut output = std::io::stdout().lock();
    let written = output.write_all(text.as_bytes()).and_then(|()| output.flush());
    written.map_err(|error| CliError::failed(&error))
}

fn size_of_terminal() -> (u16, u16) {
    let size = crossterm::terminal::size().unwrap_or(USUAL_SIZE);
    // some terminals say nothing by saying 0
    if size.0 == 0 || size.1 == 0 {
        USUAL_SIZE
    } else {
        size
    }
}

/// The second screen, until it is dropped.
struct Screen;

impl Screen {
    fn open() -> Result<Self, CliError> {
        write(SCREEN)?;
        Ok(Self)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // a terminal that is gone needs no restoring
        let _ = write(BACK);
    }
}
