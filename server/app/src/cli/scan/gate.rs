//! `--fail-on`: the verdict on what was found. What is new only the server knows.

use serde::Deserialize;
use tamiz_core::gate::{FailOn, SeverityCounts, Verdict};

use super::super::CliError;
use super::client::Client;
use super::report::Report;

/// What the server tells of a task's verdict.
#[derive(Deserialize)]
struct Told {
    gate: Option<Gate>,
}

#[derive(Deserialize)]
struct Gate {
    passed: bool,
    reason: String,
}

/// Whether the scan passes.
pub(super) async fn verdict(client: &Client, fail_on: FailOn, report: &Report) -> Result<Verdict, CliError> {
    if !fail_on.looks_at_new() {
        let counted = report.findings.iter().map(|finding| (finding.severity, 1));
        return Ok(fail_on.judge(&counted.collect::<SeverityCounts>()));
    }
    let path = format!("/tasks/{}", report.task);
    let told: Told = client.get(&path, &[("failOn", fail_on.to_string())]).await?;
    let missing = || CliError::Failed("the server gives no verdict on the task".to_owned());
    let gate = told.gate.ok_or_else(missing)?;
    Ok(Verdict {
        passed: gate.passed,
        reason: gate.reason,
    })
}
