//! Conversion alone: the components in their sandbox, and the same code native.
//!
//! Each format's report is grown to two sizes in a scratch folder. The smaller one is converted several
//! times by both and the median counts; the larger one once, to see that the guest's memory does not
//! grow with the report. The sandbox is the one of a worker, with its limits, except that findings are
//! not limited in number: 500 MB of short records have more than one task may keep.

mod capture;
mod formats;
mod grow;
pub(crate) mod neighbour;

use std::any::Any;
use std::fs::File;
use std::io::{Cursor, Read, Seek};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use rustix::time::{ClockId, clock_gettime};
use sha2::{Digest, Sha256};
use tamiz_core::{Diagnostic, Finding};
use tamiz_host::{
    ArtifactHandle, ArtifactMeta, CancelFlag, ConvertRequest, ConvertSink, Converted, Grants, Host,
    HostConfig, Input, NoSources, Plugin, RunLimits, ScanRequest, SecretKey, SinkError, StoredArtifact,
};
use tamiz_sdk::memory::{CountingHost, MemoryInput};
use tamiz_sdk::model::IoError;

use crate::{Outcome, bars, median};
use formats::{FORMATS, Format};

/// Of a guest: what it has to do with, whatever the size of the report.
const GUEST_MEMORY_BYTES: usize = 128 * 1024 * 1024;

/// The sandbox may cost at most half of the speed.
const RATIO_BAR: f64 = 0.5;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Formats to measure; all when none is named
    formats: Vec<String>,
    /// Megabytes of the report that is timed
    #[arg(long, default_value_t = 50)]
    megabytes: u64,
    /// Megabytes of the report that shows the memory; 0 leaves it out
    #[arg(long, default_value_t = 500)]
    large_megabytes: u64,
    /// Conversions by each; the median counts
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Where the components are
    #[arg(long, default_value = "target/plugins")]
    plugins: PathBuf,
    /// Where the reports are written, for a while
    #[arg(long)]
    folder: Option<PathBuf>,
    /// Only this side, for a profiler
    #[arg(long)]
    only: Option<Side>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Side {
    Wasm,
    Native,
}

/// As `tamiz compile-component` has them: this program is its own compiler of plugins.
#[derive(Debug, clap::Args)]
pub(crate) struct CompileArgs {
    #[arg(long)]
    input: PathBuf,
    #[arg(long)]
    output: PathBuf,
}

pub(crate) fn compile(args: &CompileArgs) -> Outcome<()> {
    Ok(tamiz_host::compile_child_main(&args.input, &args.output)?)
}

/// Seconds per conversion.
pub(crate) struct Speeds {
    pub(crate) wasm_seconds: f64,
    pub(crate) native_seconds: f64,
}

/// What one conversion took.
#[derive(Clone, Copy)]
pub(crate) struct Took {
    pub(crate) seconds: f64,
    /// Of the processor: other programs on the machine do not count.
    pub(crate) processor_seconds: f64,
    pub(crate) findings: u32,
    pub(crate) memory_bytes: u64,
}

pub(crate) struct Sandbox {
    pub(crate) host: Host,
    _cache: tempfile::TempDir,
}

impl Sandbox {
    pub(crate) fn start() -> Outcome<Self> {
        let cache = tempfile::tempdir()?;
        let host = Host::start(HostConfig {
            concurrency: 2,
            compiler: std::env::current_exe()?,
            cache_folder: cache.path().join("cache"),
        })?;
        Ok(Self { host, _cache: cache })
    }
}

pub(crate) fn run(args: &Args) -> Outcome<()> {
    let sandbox = Sandbox::start()?;
    let folder = match &args.folder {
        Some(folder) => tempfile::tempdir_in(folder)?,
        None => tempfile::tempdir()?,
    };
    println!(
        "conversion in wasm and native: {} MB, median of {}; guest memory at {} and {} MB of {} MiB",
        args.megabytes,
        args.runs,
        args.megabytes,
        args.large_megabytes,
        GUEST_MEMORY_BYTES >> 20
    );
    println!(
        "{:<18} {:>8} {:>9} {:>10} {:>11} {:>6} {:>10} {:>11} {:>11} {:>8}",
        "format",
        "MB",
        "findings",
        "wasm MB/s",
        "native MB/s",
        "ratio",
        "(by CPU)",
        "memory MiB",
        "at large",
        "bar"
    );
    let wanted =
        |format: &&Format| args.formats.is_empty() || args.formats.iter().any(|name| name == format.name);
    let mut missed = 0;
    for format in FORMATS.iter().filter(wanted) {
        let plugin = args.plugins.join(format.plugin).with_extension("wasm");
        let plugin = Plugin::load(&sandbox.host, &plugin)?;
        missed += usize::from(!row(format, &plugin, args, folder.path())?);
    }
    println!("{}", bars(missed));
    Ok(())
}

/// Measures one format and prints its row; whether it meets its bars.
fn row(format: &Format, plugin: &Plugin, args: &Args, folder: &Path) -> Outcome<bool> {
    let seed = format.seed()?;
    let path = folder.join(format.name);
    let (bytes, _) = seed.write(&path, args.megabytes * 1_000_000)?;
    let (mut wasm, mut native) = (Vec::new(), Vec::new());
    for _ in 0..args.runs {
        if args.only != Some(Side::Native) {
            wasm.push(in_wasm(plugin, Box::new(File::open(&path)?), bytes)?);
        }
        if args.only != Some(Side::Wasm) {
            native.push(natively(format, &path, bytes)?);
        }
    }
    let large = if args.large_megabytes > 0 && args.only.is_none() {
        let (bytes, _) = seed.write(&path, args.large_megabytes * 1_000_000)?;
        Some(in_wasm(plugin, Box::new(File::open(&path)?), bytes)?)
    } else {
        None
    };
    std::fs::remove_file(&path)?;

    let megabytes = bytes as f64 / 1e6;
    let median_speed = |all: &[Took], seconds: fn(&Took) -> f64| {
        megabytes / median(&mut all.iter().map(seconds).collect::<Vec<_>>())
    };
    let speeds = |seconds: fn(&Took) -> f64| (median_speed(&wasm, seconds), median_speed(&native, seconds));
    let (wasm_speed, native_speed) = speeds(|took| took.seconds);
    let (wasm_processor, native_processor) = speeds(|took| took.processor_seconds);
    let ratio = wasm_speed / native_speed;
    let findings = wasm.first().or(native.first()).map_or(0, |took| took.findings);
    if wasm.iter().chain(&native).any(|took| took.findings != findings) {
        return Err(format!("{}: wasm and native do not find the same", format.name).into());
    }
    let mebibytes =
        |took: Option<&Took>| took.map_or(f64::NAN, |took| took.memory_bytes as f64 / f64::from(1 << 20));
    let (memory, memory_large) = (mebibytes(wasm.first()), mebibytes(large.as_ref()));
    let met = wasm_speed >= format.bar && ratio >= RATIO_BAR;
    println!(
        "{:<18} {megabytes:>8.1} {findings:>9} {wasm_speed:>10.0} {native_speed:>11.0} {ratio:>6.2} {:>10} {memory:>11.1} {memory_large:>11.1} {:>8.0} {}",
        format.name,
        format!("{wasm_processor:.0}/{native_processor:.0}"),
        format.bar,
        if met { "met" } else { "MISSED" },
    );
    Ok(met)
}

pub(crate) fn print(speeds: &Speeds, bytes: usize, results: usize) {
    let line = |seconds: f64, what: &str| {
        let (speed, findings) = (bytes as f64 / 1e6 / seconds, results as f64 / seconds);
        println!("  {speed:>9.1} MB/s {findings:>11.0} findings/s  {what}");
    };
    line(
        speeds.native_seconds,
        "conversion native (the same code, no sandbox)",
    );
    line(speeds.wasm_seconds, "conversion in wasm");
    println!(
        "  {:>9.2}                              wasm / native",
        speeds.native_seconds / speeds.wasm_seconds
    );
}

/// A semgrep report in memory, for the bench of the whole road.
pub(crate) fn measure(report: &[u8], results: usize, plugin: &Path, runs: usize) -> Outcome<Speeds> {
    let sandbox = Sandbox::start()?;
    let plugin = Plugin::load(&sandbox.host, plugin)?;
    let shared: Arc<[u8]> = report.into();
    let request = tamiz_sdk::model::ScanRequest::report("{}");
    let mut wasm = Vec::new();
    let mut native = Vec::new();
    for _ in 0..runs {
        let bytes = report.len() as u64;
        let took = in_wasm(&plugin, Box::new(Cursor::new(report.to_vec())), bytes)?;
        wasm.push(took.seconds);
        let began = Instant::now();
        let input = Box::new(MemoryInput::new("report.json", shared.clone()));
        let mut host = CountingHost::default();
        tamiz_codeaudit::convert(vec![input], &request, &mut host).map_err(|error| format!("{error:?}"))?;
        native.push(began.elapsed().as_secs_f64());
        if took.findings as usize != results || host.findings != results {
            let (found, same) = (took.findings, host.findings);
            return Err(format!("{found} and {same} findings instead of {results}").into());
        }
    }
    Ok(Speeds {
        wasm_seconds: median(&mut wasm),
        native_seconds: median(&mut native),
    })
}

/// A report that can be read again.
pub(crate) trait Report: Read + Seek + Send {}

impl<T: Read + Seek + Send> Report for T {}

pub(crate) fn in_wasm(plugin: &Plugin, report: Box<dyn Report>, bytes: u64) -> Outcome<Took> {
    let clock = Clock::start();
    let converted = plugin.convert(ConvertRequest {
        inputs: vec![Input::seekable("report", report).with_size_bytes(bytes)],
        request: ScanRequest::of_report("{}"),
        grants: Grants::none(),
        limits: RunLimits {
            memory_bytes: GUEST_MEMORY_BYTES,
            findings_max: u32::MAX,
            finding_bytes_max: u64::MAX,
            ..RunLimits::default()
        },
        sink: Box::new(Counter::default()),
        services: Box::new(NoSources::new(SecretKey::new(b"bench"))),
        cancel: CancelFlag::new(),
    });
    let (seconds, processor_seconds) = clock.stop();
    let Converted {
        outcome,
        counts,
        sink,
    } = converted;
    let outcome = outcome?;
    let counter = (sink as Box<dyn Any>)
        .downcast::<Counter>()
        .map_err(|_| "another sink")?;
    if counter.findings != outcome.findings {
        return Err("the sink has other findings than the plugin says".into());
    }
    Ok(Took {
        seconds,
        processor_seconds,
        findings: outcome.findings,
        memory_bytes: counts.memory_bytes,
    })
}

fn natively(format: &Format, path: &Path, bytes: u64) -> Outcome<Took> {
    let mut host = CountingHost::default();
    let clock = Clock::start();
    let file = File::open(path)?;
    let findings = (format.native)(Box::new(FileInput { file, bytes }), &mut host)?;
    let (seconds, processor_seconds) = clock.stop();
    if host.findings != findings as usize {
        return Err("the host has other findings than the plugin says".into());
    }
    Ok(Took {
        seconds,
        processor_seconds,
        findings,
        memory_bytes: 0,
    })
}

/// Time on the wall, and of the processor for this thread: a conversion has no other.
struct Clock {
    wall: Instant,
    processor_seconds: f64,
}

impl Clock {
    fn start() -> Self {
        Self {
            wall: Instant::now(),
            processor_seconds: processor_seconds(),
        }
    }

    fn stop(self) -> (f64, f64) {
        let processor_seconds = processor_seconds() - self.processor_seconds;
        (self.wall.elapsed().as_secs_f64(), processor_seconds)
    }
}

fn processor_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// The same file for the native side, read as the host reads it.
struct FileInput {
    file: File,
    bytes: u64,
}

impl tamiz_sdk::Input for FileInput {
    fn name(&self) -> String {
        "report".to_owned()
    }

    fn media_type(&self) -> Option<String> {
        None
    }

    fn size(&self) -> Option<u32> {
        u32::try_from(self.bytes).ok()
    }

    fn read(&mut self, max: u32) -> Result<Vec<u8>, IoError> {
        let mut chunk = Vec::with_capacity(max as usize);
        let read = (&self.file).take(u64::from(max)).read_to_end(&mut chunk);
        read.map(|_| chunk).map_err(|_| IoError::Unavailable)
    }

    fn rewind(&mut self) -> Result<(), IoError> {
        self.file.rewind().map_err(|_| IoError::Unavailable)
    }
}

/// Counts findings, and hashes artifacts because the host compares.
#[derive(Default)]
struct Counter {
    findings: u32,
    artifact: Sha256,
    artifact_bytes: u64,
}

impl ConvertSink for Counter {
    fn findings(&mut self, batch: Vec<Finding>) -> Result<(), SinkError> {
        self.findings += batch.len() as u32;
        Ok(())
    }

    fn diagnostic(&mut self, _diagnostic: Diagnostic) -> Result<(), SinkError> {
        Ok(())
    }

    fn artifact_open(&mut self, _handle: ArtifactHandle, _meta: ArtifactMeta) -> Result<(), SinkError> {
        (self.artifact, self.artifact_bytes) = (Sha256::new(), 0);
        Ok(())
    }

    fn artifact_write(&mut self, _handle: ArtifactHandle, chunk: &[u8]) -> Result<(), SinkError> {
        self.artifact.update(chunk);
        self.artifact_bytes += chunk.len() as u64;
        Ok(())
    }

    fn artifact_finish(&mut self, _handle: ArtifactHandle) -> Result<StoredArtifact, SinkError> {
        let hash = std::mem::take(&mut self.artifact).finalize();
        Ok(StoredArtifact {
            sha256: hex::encode(hash),
            size_bytes: self.artifact_bytes,
        })
    }

    fn artifact_drop(&mut self, _handle: ArtifactHandle) {}
}
