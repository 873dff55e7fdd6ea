//! Conversion alone: the component in its sandbox, and the same code native.

use std::any::Any;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use tamiz_core::{Diagnostic, Finding};
use tamiz_host::{
    ArtifactHandle, ArtifactMeta, CancelFlag, ConvertRequest, ConvertSink, Host, HostConfig, Input,
    NoSources, Plugin, RunLimits, SecretKey, SinkError, StoredArtifact,
};
use tamiz_sdk::memory::{CountingHost, MemoryInput};

use crate::{Outcome, median, report};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Results of the generated report
    #[arg(long, default_value_t = 40_000)]
    results: usize,
    /// Runs; the median counts
    #[arg(long, default_value_t = 7)]
    runs: usize,
    /// The component
    #[arg(long, default_value = "target/plugins/codeaudit.wasm")]
    plugin: PathBuf,
}

/// Seconds per conversion.
pub(crate) struct Speeds {
    pub(crate) wasm_seconds: f64,
    pub(crate) native_seconds: f64,
}

pub(crate) fn run(args: &Args) -> Outcome<()> {
    let report = report::semgrep(args.results, 1);
    let speeds = measure(&report, args.results, &args.plugin, args.runs)?;
    print(&speeds, report.len(), args.results);
    Ok(())
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

pub(crate) fn measure(report: &[u8], results: usize, plugin: &Path, runs: usize) -> Outcome<Speeds> {
    let cache = tempfile::tempdir()?;
    let compiler = std::env::current_exe()?
        .parent()
        .unwrap_or(Path::new("."))
        .join("tamiz");
    let cache_folder = cache.path().join("cache");
    let host = Host::start(HostConfig {
        concurrency: 2,
        compiler,
        cache_folder,
    })?;
    let plugin = Plugin::load(&host, plugin)?;
    let shared: Arc<[u8]> = report.into();
    let mut wasm = Vec::new();
    let mut native = Vec::new();
    for _ in 0..runs {
        let began = Instant::now();
        let found = in_wasm(&plugin, report)?;
        wasm.push(began.elapsed().as_secs_f64());
        let began = Instant::now();
        let same = natively(&shared)?;
        native.push(began.elapsed().as_secs_f64());
        if found != results || same != results {
            return Err(format!("{found} and {same} findings instead of {results}").into());
        }
    }
    Ok(Speeds {
        wasm_seconds: median(&mut wasm),
        native_seconds: median(&mut native),
    })
}

fn in_wasm(plugin: &Plugin, report: &[u8]) -> Outcome<usize> {
    let input =
        Input::seekable("report.json", Cursor::new(report.to_vec())).with_size_bytes(report.len() as u64);
    let converted = plugin.convert(ConvertRequest {
        inputs: vec![input],
        options: "{}".to_owned(),
        limits: RunLimits::default(),
        sink: Box::new(Counter::default()),
        services: Box::new(NoSources::new(SecretKey::new(b"bench"))),
        cancel: CancelFlag::new(),
    });
    converted.outcome?;
    let sink = (converted.sink as Box<dyn Any>)
        .downcast::<Counter>()
        .map_err(|_| "another sink")?;
    Ok(sink.findings)
}

fn natively(report: &Arc<[u8]>) -> Outcome<usize> {
    let mut host = CountingHost::default();
    let inputs: Vec<Box<dyn tamiz_sdk::Input>> =
        vec![Box::new(MemoryInput::new("report.json", report.clone()))];
    tamiz_codeaudit::convert(inputs, "{}", &mut host).map_err(|error| format!("{error:?}"))?;
    Ok(host.findings)
}

#[derive(Default)]
struct Counter {
    findings: usize,
}

impl ConvertSink for Counter {
    fn findings(&mut self, batch: Vec<Finding>) -> Result<(), SinkError> {
        self.findings += batch.len();
        Ok(())
    }

    fn diagnostic(&mut self, _diagnostic: Diagnostic) -> Result<(), SinkError> {
        Ok(())
    }

    fn artifact_open(&mut self, _handle: ArtifactHandle, _meta: ArtifactMeta) -> Result<(), SinkError> {
        Err(SinkError::new("no artifacts in a bench"))
    }

    fn artifact_write(&mut self, _handle: ArtifactHandle, _chunk: &[u8]) -> Result<(), SinkError> {
        Err(SinkError::new("no artifacts in a bench"))
    }

    fn artifact_finish(&mut self, _handle: ArtifactHandle) -> Result<StoredArtifact, SinkError> {
        Err(SinkError::new("no artifacts in a bench"))
    }

    fn artifact_drop(&mut self, _handle: ArtifactHandle) {}
}
