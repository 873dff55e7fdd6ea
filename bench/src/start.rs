//! Starting a plugin: what a call costs before the plugin does anything, and loading one whose compiled
//! code is cached.
//!
//! A start is everything from the loaded plugin to its first instruction and back: store, instance, and a
//! `plan` for a kind of target that no plugin knows.

use std::path::PathBuf;
use std::time::Instant;

use tamiz_host::{Host, HostConfig, Plugin, RunLimits, ScanRequest};

use crate::{Outcome, median};

/// Starts measured by default: a median that stands still.
const STARTS: usize = 1_000;
/// Loads measured by default.
const LOADS: usize = 20;

/// Start-up of plugins
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Components; the five first-party ones when none is named
    components: Vec<PathBuf>,
    /// Starts of each
    #[arg(long, default_value_t = STARTS)]
    starts: usize,
    /// Loads of each
    #[arg(long, default_value_t = LOADS)]
    loads: usize,
}

pub(crate) fn run(args: &Args) -> Outcome<()> {
    let folder = tempfile::tempdir()?;
    let host = Host::start(HostConfig {
        concurrency: 2,
        compiler: std::env::current_exe()?,
        cache_folder: folder.path().join("cache"),
    })?;
    let components = match args.components.as_slice() {
        [] => ["codeaudit", "web", "osint", "ssl", "pcap"]
            .map(|name| PathBuf::from(format!("target/plugins/{name}.wasm")))
            .to_vec(),
        given => given.to_vec(),
    };
    println!(
        "{:<22} {:>6} {:>9} {:>12} {:>12} {:>12} {:>12}",
        "plugin", "world", "MB", "compile s", "load ms", "start us", "95 % us"
    );
    for path in &components {
        let compiled = Instant::now();
        let plugin = Plugin::load(&host, path)?;
        let compile_seconds = compiled.elapsed().as_secs_f64();
        let mut loads = Vec::with_capacity(args.loads);
        for _ in 0..args.loads.max(1) {
            let begun = Instant::now();
            Plugin::load(&host, path)?;
            loads.push(begun.elapsed().as_secs_f64() * 1e3);
        }
        let request = ScanRequest {
            target_kind: "nothing".to_owned(),
            target: String::new(),
            options: "{}".to_owned(),
        };
        let mut starts = Vec::with_capacity(args.starts);
        for _ in 0..args.starts.max(1) {
            let begun = Instant::now();
            // what it answers is its own business
            let _ = plugin.plan(&request, &RunLimits::default());
            starts.push(begun.elapsed().as_secs_f64() * 1e6);
        }
        let middle = median(&mut starts);
        println!(
            "{:<22} {:>6} {:>9.1} {:>12.1} {:>12.2} {:>12.0} {:>12.0}",
            plugin.description().name,
            plugin.world().to_string(),
            plugin.size_bytes() as f64 / 1e6,
            compile_seconds,
            median(&mut loads),
            middle,
            starts.get(starts.len() * 95 / 100).copied().unwrap_or(f64::NAN)
        );
    }
    Ok(())
}
