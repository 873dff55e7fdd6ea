//! What a good conversion costs beside a hostile one: the bar is twice its usual time.
//!
//! A report is converted alone and beside each deed of the hostile guest, in turns, so that what else
//! happens on the machine happens to both. The hostile run is begun again as soon as it was ended. The first
//! neighbour is an honest conversion: where it costs as much, the machine has no core for it. The last is a
//! compilation that ends by the compiling child's limits.

use std::fs::File;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tamiz_host::{
    CancelFlag, ConvertRequest, ConvertSink, Grants, Host, Input, NoSources, Plugin, RunLimits, ScanRequest,
    SecretKey,
};

use super::formats::FORMATS;
use super::{Counter, Sandbox, in_wasm};
use crate::{Outcome, median};

/// A good conversion may take so many times its usual time.
const RATIO_BAR: f64 = 2.0;
/// The hostile run's time, after which it begins again.
const DEADLINE: Duration = Duration::from_secs(2);
/// The hostile run's memory.
const MEMORY_BYTES: usize = 256 * 1024 * 1024;
/// What the hostile guest can do.
const DEEDS: [&str; 21] = [
    "loop",
    "grow",
    "recurse",
    "trap",
    "flood-findings",
    "million-findings",
    "flood-log",
    "flood-artifact",
    "flood-artifacts",
    "flood-diagnostics",
    "flood-progress",
    "huge-strings",
    "read-after-end",
    "rewind-forever",
    "emit-then-trap",
    "emit-then-fail",
    "bad-finding",
    "lying-outcome",
    "open-sources",
    "keep-sources",
    "name-secrets",
];

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Deeds to sit beside; all, and a compilation, when none is named
    deeds: Vec<String>,
    /// Megabytes of the good report
    #[arg(long, default_value_t = 20)]
    megabytes: u64,
    /// Good conversions alone and beside each neighbour; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Where the honest components are
    #[arg(long, default_value = "target/plugins")]
    plugins: PathBuf,
    /// The hostile component
    #[arg(long, default_value = "target/test-plugins/hostile.wasm")]
    hostile: PathBuf,
}

pub(crate) fn run(args: &Args) -> Outcome<()> {
    let sandbox = Sandbox::start()?;
    let folder = tempfile::tempdir()?;
    let Some(format) = FORMATS.first() else {
        return Err("no format to convert".into());
    };
    let plugin = args.plugins.join(format.plugin).with_extension("wasm");
    let path = folder.path().join(format.name);
    let (bytes, _) = format.seed()?.write(&path, args.megabytes * 1_000_000)?;
    let good = Good {
        plugin: Plugin::load(&sandbox.host, &plugin)?,
        path,
        bytes,
    };
    let hostile = Plugin::load(&sandbox.host, &args.hostile)?;
    println!(
        "a conversion of {} MB of {} alone and beside a hostile run, median of {} each",
        args.megabytes, format.name, args.runs
    );
    println!(
        "{:<18} {:>9} {:>10} {:>6} {:>9} {:>8} {:>9}  how it was ended",
        "neighbour", "alone ms", "beside ms", "ratio", "(by CPU)", "its runs", "RSS MiB"
    );
    let honest = || {
        good.convert()
            .map_or_else(|error| error.to_string(), |_| "it is honest".to_owned())
    };
    good.row("an honest one", args.runs, honest)?;
    let (mut missed, mut verdicts) = (0, 0);
    for deed in DEEDS {
        if args.deeds.is_empty() || args.deeds.iter().any(|wanted| wanted == deed) {
            missed += usize::from(!good.row(deed, args.runs, || convert(&hostile, deed))?);
            verdicts += 1;
        }
    }
    if args.deeds.is_empty() {
        let bomb = bomb();
        missed += usize::from(!good.row("a compile bomb", args.runs, || compile(&sandbox.host, &bomb))?);
        verdicts += 1;
    }
    println!("{} of {verdicts} bars were met", verdicts - missed);
    Ok(())
}

/// The conversion that is measured.
struct Good {
    plugin: Plugin,
    path: PathBuf,
    bytes: u64,
}

impl Good {
    /// Seconds on the wall and of the processor.
    fn convert(&self) -> Outcome<(f64, f64)> {
        let took = in_wasm(&self.plugin, Box::new(File::open(&self.path)?), self.bytes)?;
        Ok((took.seconds, took.processor_seconds))
    }

    /// Measures beside one neighbour and prints its row; whether it meets the bar.
    fn row(&self, name: &str, runs: usize, neighbour: impl Fn() -> String + Sync) -> Outcome<bool> {
        let (mut alone, mut beside) = (Vec::new(), Vec::new());
        let (mut neighbours, mut verdict) = (0, String::new());
        for _ in 0..runs {
            alone.push(self.convert()?);
            let ended = AtomicBool::new(false);
            let begun = AtomicBool::new(false);
            let (took, its_runs, its_verdict) = std::thread::scope(|scope| {
                let other = scope.spawn(|| {
                    let (mut its_runs, mut its_verdict) = (0_u64, String::new());
                    while !ended.load(Ordering::Relaxed) {
                        begun.store(true, Ordering::Relaxed);
                        its_verdict = neighbour();
                        its_runs += 1;
                    }
                    (its_runs, its_verdict)
                });
                wait_for(&begun);
                let took = self.convert();
                ended.store(true, Ordering::Relaxed);
                other
                    .join()
                    .map(|(its_runs, its_verdict)| (took, its_runs, its_verdict))
                    .map_err(|_| "the neighbour's thread panicked")
            })?;
            beside.push(took?);
            neighbours += its_runs;
            verdict = its_verdict;
        }
        let middle = |all: &[(f64, f64)], of: fn(&(f64, f64)) -> f64| {
            median(&mut all.iter().map(of).collect::<Vec<_>>())
        };
        let (wall, wall_beside) = (middle(&alone, |it| it.0), middle(&beside, |it| it.0));
        let (processor, processor_beside) = (middle(&alone, |it| it.1), middle(&beside, |it| it.1));
        let ratio = wall_beside / wall;
        println!(
            "{name:<18} {:>9.1} {:>10.1} {ratio:>6.2} {:>9.2} {neighbours:>8} {:>9.0}  {verdict}{}",
            wall * 1e3,
            wall_beside * 1e3,
            processor_beside / processor,
            resident_mebibytes(),
            if ratio <= RATIO_BAR { "" } else { "  MISSED" }
        );
        Ok(ratio <= RATIO_BAR)
    }
}

/// Until the neighbour runs, at most a second: threads begin in far less.
fn wait_for(begun: &AtomicBool) {
    let asked = Instant::now();
    while !begun.load(Ordering::Relaxed) && asked.elapsed() < Duration::from_secs(1) {
        std::thread::yield_now();
    }
}

/// One run of the hostile guest; how it ended.
fn convert(hostile: &Plugin, deed: &str) -> String {
    let lines = "one\ntwo\n".repeat(1_000);
    let size = lines.len() as u64;
    let converted = hostile.convert(ConvertRequest {
        inputs: vec![Input::seekable("lines", std::io::Cursor::new(lines)).with_size_bytes(size)],
        request: ScanRequest::of_report(format!(r#"{{"do":"{deed}"}}"#)),
        grants: Grants::none(),
        limits: RunLimits {
            deadline: DEADLINE,
            memory_bytes: MEMORY_BYTES,
            ..RunLimits::default()
        },
        sink: Box::new(Counter::default()) as Box<dyn ConvertSink>,
        services: Box::new(NoSources::new(SecretKey::new(b"bench"))),
        cancel: CancelFlag::new(),
    });
    match converted.outcome {
        Ok(outcome) => format!("{} findings", outcome.findings),
        Err(failure) => failure.to_string(),
    }
}

fn compile(host: &Host, bomb: &[u8]) -> String {
    match Plugin::from_bytes(host, bomb) {
        Ok(_) => "it is a plugin".to_owned(),
        Err(error) => match std::error::Error::source(&error) {
            Some(source) => source.to_string(),
            None => error.to_string(),
        },
    }
}

/// A component of one function with a thousand values that two ways reach, one of them 20,000 times: 30 KB
/// that take the compiler's memory away.
fn bomb() -> Vec<u8> {
    /// LEB128, as wasm has its numbers.
    fn number(mut value: u32, to: &mut Vec<u8>) {
        loop {
            let byte = (value & 0x7f) as u8;
            value >>= 7;
            to.push(if value == 0 { byte } else { byte | 0x80 });
            if value == 0 {
                return;
            }
        }
    }
    fn sized(id: Option<u8>, content: &[u8]) -> Vec<u8> {
        let mut section: Vec<u8> = id.into_iter().collect();
        number(content.len() as u32, &mut section);
        section.extend_from_slice(content);
        section
    }
    // 1,000 locals of type i32; block; local.get 0; br_if 0
    let mut body = vec![1, 0xe8, 0x07, 0x7f, 0x02, 0x40, 0x20, 0, 0x0d, 0];
    for local in 1..=1_000 {
        // local.get 0; i32.const; i32.add; local.set
        body.extend([0x20, 0, 0x41, (local % 60) as u8, 0x6a, 0x21]);
        number(local, &mut body);
    }
    // local.get 0; br_table of 20,000 ways; end; local.get 0
    body.extend([0x20, 0, 0x0e]);
    number(20_000, &mut body);
    body.extend(std::iter::repeat_n(0, 20_001));
    body.extend([0x0b, 0x20, 0]);
    for local in 1..=1_000 {
        body.push(0x20);
        number(local, &mut body);
        body.push(0x6a);
    }
    body.push(0x0b);
    let mut code = vec![1];
    code.extend(sized(None, &body));
    let mut module = b"\0asm\x01\0\0\0".to_vec();
    module.extend(sized(Some(1), &[1, 0x60, 1, 0x7f, 1, 0x7f]));
    module.extend(sized(Some(3), &[1, 0]));
    module.extend(sized(Some(10), &code));
    let mut component = b"\0asm\x0d\0\x01\0".to_vec();
    component.extend(sized(Some(1), &module));
    component
}

fn resident_mebibytes() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kilobytes.unwrap_or(f64::NAN) / 1024.0
}
