//! `tamiz queue check`: whether the queue's counters are the counts of its tickets.

use std::collections::HashMap;

use clap::Args;
use tamiz_core::TenantId;
use tamiz_core::text::printable;
use tamiz_store::queue::Drift;
use tamiz_store::tenant;

use super::super::operator::{away, with_store};
use super::super::{CliError, answer};
use crate::config::Config;

/// Compare the queue's counters with its tickets; fails when they differ and are not repaired
#[derive(Debug, Args)]
#[command(after_help = "\
Counters move in the transaction that moves a ticket, so they differ only after somebody changed rows by hand.
Reads every ticket.

Examples:
  tamiz queue check
  tamiz queue check --repair")]
pub struct CheckArgs {
    /// Count again what differs
    #[arg(long)]
    repair: bool,
}

pub(super) async fn run(args: &CheckArgs, config: &Config) -> Result<(), CliError> {
    let (drift, names) = with_store(config, async |store| {
        let drift = store.queue_check(args.repair).await.map_err(away)?;
        if drift.is_empty() {
            return Ok((drift, HashMap::new()));
        }
        let mut tx = store.begin_control().await.map_err(away)?;
        let tenants = tenant::list(&mut tx).await.map_err(away)?;
        let names = tenants.into_iter().map(|tenant| (tenant.id, tenant.name));
        Ok((drift, names.collect()))
    })
    .await?;
    if drift.is_empty() {
        return answer::print_line("the queue's counters are right");
    }
    answer::print(&table(&drift, &names))?;
    let count = drift.len();
    if args.repair {
        return answer::print_line(&format!("{count} counters were wrong and are right now"));
    }
    Err(CliError::Failed(format!(
        "{count} counters are wrong; `tamiz queue check --repair` counts again"
    )))
}

fn table(drift: &[Drift], names: &HashMap<TenantId, String>) -> String {
    let mut table = answer::table(["TENANT", "SCANS", "COUNTER", "SAYS", "TICKETS"]);
    let number = |number: Option<i64>| number.map_or_else(|| "-".to_owned(), |number| number.to_string());
    for row in drift {
        let name = names.get(&row.tenant).cloned();
        table.add_row([
            printable(&name.unwrap_or_else(|| row.tenant.to_string())).into_owned(),
            row.scan_type.clone(),
            row.what.clone(),
            number(row.counted),
            number(row.actual),
        ]);
    }
    format!("{table}\n")
}
