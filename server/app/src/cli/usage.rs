//! `tamiz usage`: what tenants have used, and whether the counters agree with the rows.

use chrono::{TimeDelta, Utc};
use clap::Subcommand;
use tamiz_core::TenantId;
use tamiz_store::usage::{self, Bucket, Used};
use tamiz_store::{Store, tenant};

use super::operator::{away, tenant_named, with_store};
use super::{CliError, ConfigFlags, answer};
use crate::config::show_size;

/// What can be asked about usage.
#[derive(Debug, Subcommand)]
pub enum UsageCommand {
    /// Show what a tenant has used, hour by hour or day by day
    #[command(after_help = "\
Examples:
  tamiz usage show acme
  tamiz usage show acme --days 30")]
    Show {
        /// The tenant's name
        tenant: String,
        /// The last so many days, a row for each; the last 24 hours by hour, if not said
        #[arg(long, value_name = "DAYS", value_parser = clap::value_parser!(u16).range(1..=400))]
        days: Option<u16>,
    },
    /// Count tasks and stored bytes again and compare; ends with 1 when something differs
    #[command(after_help = "\
Examples:
  tamiz usage recount
  tamiz usage recount --tenant acme --repair")]
    Recount {
        /// Of this tenant; of all, if not said
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// Set the counters to what the rows say; it still ends with 1 when something differed
        #[arg(long)]
        repair: bool,
    },
}

pub(super) async fn run(command: UsageCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    with_store(&config, async |store| match &command {
        UsageCommand::Show { tenant, days } => show(store, tenant, *days).await,
        UsageCommand::Recount { tenant, repair } => recount(store, tenant.as_deref(), *repair).await,
    })
    .await
}

async fn show(store: &Store, name: &str, days: Option<u16>) -> Result<(), CliError> {
    let now = Utc::now();
    let (bucket, from) = match days {
        Some(days) => (Bucket::Day, now - TimeDelta::days(i64::from(days) - 1)),
        None => (Bucket::Hour, now - TimeDelta::hours(23)),
    };
    let mut tx = store.begin_control().await.map_err(away)?;
    let id = tenant_named(&mut tx, name).await?;
    let used = usage::of_tenant(&mut tx, id, from, now, bucket)
        .await
        .map_err(away)?;
    let mut table = answer::table(["FROM", "REQUESTS", "TASKS", "TOKENS", "NEW BYTES", "COMPUTE"]);
    let mut total = Used::default();
    for (start, used) in used {
        total = total.plus(used);
        let mut row = vec![start.format("%Y-%m-%d %H:%M").to_string()];
        row.extend(cells(used));
        table.add_row(row);
    }
    let mut row = vec!["total".to_owned()];
    row.extend(cells(total));
    table.add_row(row);
    answer::print_line(&table.to_string())
}

fn cells(used: Used) -> [String; 5] {
    [
        used.requests.to_string(),
        used.tasks.to_string(),
        used.tokens.to_string(),
        show_size(used.storage_bytes.cast_unsigned()),
        format!("{:.1}s", used.compute_seconds),
    ]
}

async fn recount(store: &Store, name: Option<&str>, repair: bool) -> Result<(), CliError> {
    let tenants = tenants(store, name).await?;
    let mut drifts = Vec::new();
    for (id, name) in &tenants {
        let of_tenant = usage::recount(store, *id, repair).await.map_err(away)?;
        drifts.extend(of_tenant.into_iter().map(|drift| (name, drift)));
    }
    for (tenant, drift) in &drifts {
        let when = drift.window_start.map_or_else(String::new, |start| {
            format!(" of the window {}", start.format("%Y-%m-%dT%H:%MZ"))
        });
        let (what, counted, actual) = (drift.what, drift.counted, drift.actual);
        answer::print_line(&format!(
            "{tenant}: {what}{when}: counted {counted}, are {actual}"
        ))?;
    }
    let count = tenants.len();
    if drifts.is_empty() {
        return answer::print_line(&format!("the counters of {count} tenants agree with their rows"));
    }
    let set = if repair { " and were set right" } else { "" };
    Err(CliError::Failed(format!(
        "{} counters differed{set}",
        drifts.len()
    )))
}

async fn tenants(store: &Store, name: Option<&str>) -> Result<Vec<(TenantId, String)>, CliError> {
    let mut tx = store.begin_control().await.map_err(away)?;
    if let Some(name) = name {
        return Ok(vec![(tenant_named(&mut tx, name).await?, name.to_owned())]);
    }
    let all = tenant::list(&mut tx).await.map_err(away)?;
    Ok(all.into_iter().map(|tenant| (tenant.id, tenant.name)).collect())
}
