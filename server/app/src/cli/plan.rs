//! `tamiz plan`: what the tenants on a plan, and their plugins, may use up.

use clap::Subcommand;
use tamiz_core::plugin::LimitSet;
use tamiz_core::quota::QuotaSet;
use tamiz_store::plan::{self, Plan};
use tamiz_store::quota::limits::{hold_plan, of_plan, say_for_plan};
use tamiz_store::tenant;

use super::operator::{away, in_transaction, with_store};
use super::{CliError, ConfigFlags, answer, limits, quotas};
use crate::config::Config;

/// A plan's name, in characters; lower-case letters, digits and inner hyphens.
const NAME_CHARACTERS_MAX: usize = 40;

/// What can be done with plans.
#[derive(Debug, Subcommand)]
pub enum PlanCommand {
    /// List the plans with their limits and tenants
    #[command(after_help = "\
Examples:
  tamiz plan list")]
    List,
    /// Make a plan, or change its limits; those that are not said stay
    #[command(after_help = format!("{}\n\n{}\n\n\
Examples:
  tamiz plan set small tasks-running=2 tasks-per-day=100 stored-bytes=5GiB
  tamiz plan set small memory-bytes=128MiB deadline-seconds=1m instances-max=1
  tamiz plan set standard findings-max=100000
  tamiz plan set small instances-max=default", quotas::HELP, limits::HELP))]
    Set {
        /// Its name; lower-case letters, digits and hyphens
        name: String,
        /// LIMIT=VALUE
        #[arg(value_name = "LIMIT=VALUE")]
        limits: Vec<String>,
    },
}

pub(super) async fn run(command: PlanCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    match command {
        PlanCommand::List => list(&config).await,
        PlanCommand::Set { name, limits } => set(&config, name, &limits).await,
    }
}

async fn list(config: &Config) -> Result<(), CliError> {
    let (plans, tenants) = in_transaction(config, async |tx| {
        let mut plans = Vec::new();
        for plan in plan::list(tx).await.map_err(away)? {
            let quota = of_plan(tx, &plan.name).await.map_err(away)?;
            plans.push((plan, quota));
        }
        Ok((plans, tenant::list(tx).await.map_err(away)?))
    })
    .await?;
    let mut table = answer::table(["NAME", "TENANTS", "LIMITS"]);
    for (plan, quota) in plans {
        let count = tenants.iter().filter(|tenant| tenant.plan == plan.name).count();
        let limits = show(&quota, &plan.limits);
        table.add_row([plan.name, count.to_string(), limits]);
    }
    answer::print_line(&table.to_string())
}

/// Both kinds of limits as they are written.
fn show(quota: &QuotaSet, plugins: &LimitSet) -> String {
    let quota = quotas::show(quota);
    if quota.is_empty() {
        limits::show(plugins)
    } else if plugins.said().next().is_none() {
        quota
    } else {
        format!("{quota} {}", limits::show(plugins))
    }
}

async fn set(config: &Config, name: String, pairs: &[String]) -> Result<(), CliError> {
    let fits = (1..=NAME_CHARACTERS_MAX).contains(&name.len())
        && !name.starts_with('-')
        && name
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !fits {
        return Err(CliError::Usage(format!(
            "{name}: must be lower-case letters, digits and hyphens, at most {NAME_CHARACTERS_MAX}"
        )));
    }
    let (of_tenants, of_plugins): (Vec<String>, Vec<String>) =
        pairs.iter().cloned().partition(|pair| quotas::is_quota(pair));
    let shown = with_store(config, async |store| {
        let mut tx = store.begin_control().await.map_err(away)?;
        let plans = plan::list(&mut tx).await.map_err(away)?;
        let there = plans.into_iter().find(|plan| plan.name == name);
        let so_far = there.map_or(LimitSet::NONE, |plan| plan.limits);
        let plan = Plan {
            limits: limits::apply(so_far, &of_plugins)?,
            name,
        };
        plan::put(&mut tx, &plan).await.map_err(away)?;
        let mut quota = of_plan(&mut tx, &plan.name).await.map_err(away)?;
        quotas::apply(&mut quota, &of_tenants)?;
        say_for_plan(&mut tx, &plan.name, &quota).await.map_err(away)?;
        tx.commit().await.map_err(away)?;
        hold_plan(store, &plan.name).await.map_err(away)?;
        Ok(format!(
            "plan {} has limits: {}",
            plan.name,
            show(&quota, &plan.limits)
        ))
    })
    .await?;
    answer::print_line(&shown)
}
