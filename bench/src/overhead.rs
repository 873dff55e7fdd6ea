//! What a scan costs beside its tool: claim to done, by phase.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::stand::Stand;
use crate::{Outcome, median};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Scans of the bundled application, one after the other
    #[arg(long, default_value_t = 9)]
    scans: usize,
    /// The archive to scan
    #[arg(long, default_value = "demo/vulnshop.zip")]
    archive: std::path::PathBuf,
}

const PATIENCE: Duration = Duration::from_mins(3);

pub(crate) async fn run(args: &Args) -> Outcome<()> {
    let stand = Stand::start(&[], &[]).await?;
    let archive = std::fs::read(&args.archive)?;
    let project = stand.client.create_project("overhead").await?;
    let mut phases: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    let mut overheads = Vec::new();
    let mut tools = Vec::new();
    // the first scan warms caches and is not counted
    for round in 0..=args.scans {
        let upload = stand
            .client
            .upload(&project, "vulnshop.zip", archive.clone())
            .await?;
        let before = stand.client.phase_seconds().await?;
        let task = stand.client.start("startScan", &project, &upload).await?;
        let done = stand.client.wait(&task, PATIENCE).await?;
        if done.status != "COMPLETED" {
            return Err(format!("the scan is {}: {:?}", done.status, done.error).into());
        }
        let after = settled(&stand, &before).await?;
        if round == 0 {
            continue;
        }
        let tool = stand.client.tool_seconds(&task).await?;
        let spent = |phase: &str| after.get(phase).unwrap_or(&0.0) - before.get(phase).unwrap_or(&0.0);
        overheads.push((spent("whole") - tool) * 1000.0);
        tools.push(tool * 1000.0);
        for phase in after.keys() {
            let own = if phase == "scanning" {
                spent(phase) - tool
            } else {
                spent(phase)
            };
            phases.entry(phase.clone()).or_default().push(own * 1000.0);
        }
    }
    println!(
        "scan overhead, {} scans of {}, medians in ms",
        args.scans,
        args.archive.display()
    );
    for (phase, mut values) in phases {
        let what = match phase.as_str() {
            "scanning" => "scanning (box and keeping outputs, without the tool)",
            "whole" => "whole (claim to done, with the tool)",
            phase => phase,
        };
        println!("  {:>9.1}  {what}", median(&mut values));
    }
    println!("  {:>9.1}  the tool itself", median(&mut tools));
    println!("  {:>9.1}  OVERHEAD (bar: under 50)", median(&mut overheads));
    Ok(())
}

/// The histogram of the whole is written just after the task's end is visible.
async fn settled(stand: &Stand, before: &BTreeMap<String, f64>) -> Outcome<BTreeMap<String, f64>> {
    for _ in 0..500 {
        let after = stand.client.phase_seconds().await?;
        if after.get("whole").unwrap_or(&0.0) > before.get("whole").unwrap_or(&0.0) {
            return Ok(after);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Err("the metrics did not show the attempt".into())
}
