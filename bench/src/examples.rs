//! The example plugin in its three languages: how fast each converts the same report, and how soon it starts.
//!
//! The report is made of the records of real ones (`plugins/examples/cases`). A start is a new instance and a
//! call that does nothing, of a component that is loaded, as each task has it; loading is what a worker does
//! once, from the compiled code in the cache.
//!
//! Built by `scripts/plugins-examples`; the sandbox is the one of [`crate::convert`].

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tamiz_host::{Plugin, RunLimits, ScanRequest};

use crate::convert::{Sandbox, in_wasm};
use crate::{Outcome, bars, median};

/// The same plugin, and what must hold of each.
const EXAMPLES: [Example; 3] = [
    Example {
        name: "clippy-rust",
        speed_bar: None,
        start_bar: Some(Duration::from_micros(100)),
    },
    Example {
        name: "clippy-python",
        speed_bar: Some(40.0),
        start_bar: Some(Duration::from_millis(5)),
    },
    Example {
        name: "clippy-javascript",
        speed_bar: Some(30.0),
        start_bar: None,
    },
];

/// Reports whose records the large one is made of.
const SEEDS: [&str; 2] = ["csv-core-pedantic.jsonl", "lints.jsonl"];
/// How cargo ends its report.
const END: &[u8] = b"{\"reason\":\"build-finished\",\"success\":true}\n";

/// Starts by each; the median counts.
const STARTS: usize = 300;

struct Example {
    name: &'static str,
    /// MB/s.
    speed_bar: Option<f64>,
    start_bar: Option<Duration>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Examples to measure; all when none is named
    examples: Vec<String>,
    /// Megabytes of the report
    #[arg(long, default_value_t = 50)]
    megabytes: u64,
    /// Conversions by each; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Where the components are
    #[arg(long, default_value = "target/test-plugins")]
    plugins: PathBuf,
    /// Where the reports are that the large one is made of
    #[arg(long, default_value = "plugins/examples/cases")]
    cases: PathBuf,
}

pub(crate) fn run(args: &Args) -> Outcome<()> {
    let sandbox = Sandbox::start()?;
    let folder = tempfile::tempdir()?;
    let report = folder.path().join("clippy.jsonl");
    let bytes = grow(&args.cases, &report, args.megabytes * 1_000_000)?;
    println!(
        "the example plugin on {} MB, median of {}",
        bytes / 1_000_000,
        args.runs
    );
    println!(
        "{:<18} {:>6} {:>5} {:>9} {:>9} {:>6} {:>11} {:>9} {:>7} {:>8} bars",
        "plugin", "MB/s", "bar", "(by CPU)", "findings", "MiB", "findings/s", "start us", "bar us", "load ms"
    );
    let wanted = |example: &&Example| {
        args.examples.is_empty() || args.examples.iter().any(|name| name == example.name)
    };
    let mut missed = 0;
    for example in EXAMPLES.iter().filter(wanted) {
        missed += usize::from(!row(example, &sandbox, args, &report, bytes)?);
    }
    println!("{}", bars(missed));
    Ok(())
}

/// Measures one example and prints its row; whether it meets its bars.
fn row(example: &Example, sandbox: &Sandbox, args: &Args, report: &Path, bytes: u64) -> Outcome<bool> {
    let path = args.plugins.join(example.name).with_extension("wasm");
    // Compiles it, so that the next load finds its code.
    drop(Plugin::load(&sandbox.host, &path)?);
    let began = Instant::now();
    let plugin = Plugin::load(&sandbox.host, &path)?;
    let load = began.elapsed();
    let start = start(&plugin);
    let mut all = Vec::new();
    for _ in 0..args.runs {
        all.push(in_wasm(&plugin, Box::new(File::open(report)?), bytes)?);
    }
    let megabytes = bytes as f64 / 1e6;
    let seconds = median(&mut all.iter().map(|took| took.seconds).collect::<Vec<_>>());
    let processor = median(&mut all.iter().map(|took| took.processor_seconds).collect::<Vec<_>>());
    let (findings, memory) = all
        .first()
        .map_or((0, 0), |took| (took.findings, took.memory_bytes));
    let speed = megabytes / seconds;
    let met =
        example.speed_bar.is_none_or(|bar| speed >= bar) && example.start_bar.is_none_or(|bar| start <= bar);
    println!(
        "{:<18} {speed:>6.0} {:>5} {:>9.0} {findings:>9} {:>6} {:>11.0} {:>9} {:>7} {:>8.1} {}",
        example.name,
        shown(example.speed_bar),
        megabytes / processor,
        memory >> 20,
        f64::from(findings) / seconds,
        start.as_micros(),
        shown(example.start_bar.map(|bar| bar.as_micros())),
        load.as_secs_f64() * 1e3,
        if met { "met" } else { "MISSED" },
    );
    Ok(met)
}

fn shown(bar: Option<impl ToString>) -> String {
    bar.map_or_else(|| "-".to_owned(), |bar| bar.to_string())
}

/// The median of many starts: a new instance, asked for a plan that it refuses.
fn start(plugin: &Plugin) -> Duration {
    let request = ScanRequest::of_report("{}");
    let mut all: Vec<f64> = (0..STARTS)
        .map(|_| {
            let began = Instant::now();
            let _ = plugin.plan(&request, &RunLimits::default());
            began.elapsed().as_secs_f64()
        })
        .collect();
    Duration::from_secs_f64(median(&mut all))
}

/// Writes a report of about so many bytes; answers how many.
fn grow(cases: &Path, path: &Path, bytes_wanted: u64) -> Outcome<u64> {
    let mut records = Vec::new();
    for seed in SEEDS {
        let text = fs::read(cases.join(seed))?;
        let lines = text.split_inclusive(|byte| *byte == b'\n');
        let messages = lines.filter(|line| line.starts_with(b"{\"reason\":\"compiler-message\""));
        records.extend(messages.map(<[u8]>::to_vec));
    }
    if records.is_empty() {
        return Err(format!("{} has no records of clippy", cases.display()).into());
    }
    let mut file = BufWriter::new(File::create(path)?);
    let mut bytes = 0;
    for record in records.iter().cycle() {
        if bytes >= bytes_wanted {
            break;
        }
        file.write_all(record)?;
        bytes += record.len() as u64;
    }
    file.write_all(END)?;
    file.flush()?;
    Ok(bytes + END.len() as u64)
}
