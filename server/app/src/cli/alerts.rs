//! `tamiz alerts`: whether the counters of alerts agree with the alerts.

use clap::Subcommand;
use tamiz_core::text::printable;
use tamiz_core::{AlertState, Severity, TenantId};
use tamiz_store::alert::recount::{Counted, Drift, recount};
use tamiz_store::{Store, tenant};

use super::operator::{away, tenant_named, with_store};
use super::{CliError, ConfigFlags, answer};

/// What can be done with alerts.
#[derive(Debug, Subcommand)]
pub enum AlertsCommand {
    /// Compare the counters of alerts with the alerts; fails when they differ and are not repaired
    #[command(after_help = "\
Counters move in the transaction that changes an alert, so they differ only after somebody changed rows by hand.
Reads every alert.

Examples:
  tamiz alerts check
  tamiz alerts check --tenant acme --repair")]
    Check {
        /// Of this tenant; of all, if not said
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// Count again what differs
        #[arg(long)]
        repair: bool,
    },
}

pub(super) async fn run(command: AlertsCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    with_store(&config, async |store| match &command {
        AlertsCommand::Check { tenant, repair } => check(store, tenant.as_deref(), *repair).await,
    })
    .await
}

async fn check(store: &Store, name: Option<&str>, repair: bool) -> Result<(), CliError> {
    let mut drifts = Vec::new();
    for (id, name) in tenants(store, name).await? {
        let of_tenant = recount(store, id, repair).await.map_err(away)?;
        drifts.extend(of_tenant.into_iter().map(|drift| (name.clone(), drift)));
    }
    if drifts.is_empty() {
        return answer::print_line("the counters of alerts are right");
    }
    answer::print(&table(&drifts))?;
    let count = drifts.len();
    if repair {
        return answer::print_line(&format!("{count} counters were wrong and are right now"));
    }
    Err(CliError::Failed(format!(
        "{count} counters are wrong; `tamiz alerts check --repair` counts again"
    )))
}

fn table(drifts: &[(String, Drift)]) -> String {
    let mut table = answer::table(["TENANT", "PROJECT", "STATE", "OF", "SAYS", "ALERTS"]);
    for (tenant, drift) in drifts {
        let (state, of) = match &drift.of {
            Counted::Standing { state, severity } => (
                AlertState::from_rank(*state).map_or("?", AlertState::as_str),
                Severity::from_rank(*severity)
                    .map_or("?", Severity::as_str)
                    .to_owned(),
            ),
            Counted::Rule { tool, rule } => (
                "open or reopened",
                printable(&format!("{tool}: {rule}")).into_owned(),
            ),
        };
        table.add_row([
            printable(tenant).into_owned(),
            printable(&drift.project_name).into_owned(),
            state.to_owned(),
            of,
            drift.counted.to_string(),
            drift.actual.to_string(),
        ]);
    }
    format!("{table}\n")
}

/// The tenant of this name, or all.
pub(super) async fn tenants(store: &Store, name: Option<&str>) -> Result<Vec<(TenantId, String)>, CliError> {
    let mut tx = store.begin_control().await.map_err(away)?;
    if let Some(name) = name {
        return Ok(vec![(tenant_named(&mut tx, name).await?, name.to_owned())]);
    }
    let all = tenant::list(&mut tx).await.map_err(away)?;
    Ok(all.into_iter().map(|tenant| (tenant.id, tenant.name)).collect())
}
