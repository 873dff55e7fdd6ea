//! `tamiz tenant`: tenants made and listed by the operator.

use clap::Subcommand;

use tamiz_core::TenantId;
use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_store::quota::limits;
use tamiz_store::{ControlTx, Store, plan, tenant};

use super::operator::{away, tenant_named, with_store};
use super::{CliError, ConfigFlags, answer, quotas};
use crate::flow;

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Create a tenant
    #[command(after_help = "\
Examples:
  tamiz tenant create acme
  tamiz tenant create acme --plan small")]
    Create {
        /// Its name
        name: String,
        /// Its own limit upload-bytes; its plan's or the platform's, if not said
        #[arg(long, value_name = "BYTES")]
        upload_bytes_max: Option<u64>,
        /// Its plan, which says what it and its plugins may use up
        #[arg(long, value_name = "NAME", default_value = plan::STANDARD)]
        plan: String,
        /// A tenant that is there already is no error
        #[arg(long)]
        if_absent: bool,
    },
    /// Put a tenant on another plan
    #[command(after_help = "\
Examples:
  tamiz tenant plan acme small")]
    Plan {
        /// Its name
        name: String,
        /// The plan's name; see `tamiz plan list`
        plan: String,
    },
    /// Show what a tenant may use and where each limit comes from, or give it limits of its own
    #[command(after_help = format!("{}\n\n\
Examples:
  tamiz tenant limit acme
  tamiz tenant limit acme tasks-running=8 tasks-running.web=2 stored-bytes=10GiB
  tamiz tenant limit acme stored-bytes=default", quotas::HELP))]
    Limit {
        /// Its name
        name: String,
        /// LIMIT=VALUE; those that are not said stay
        #[arg(value_name = "LIMIT=VALUE")]
        limits: Vec<String>,
    },
    /// List all tenants
    #[command(after_help = "\
Examples:
  tamiz tenant list")]
    List,
}

pub(super) async fn run(command: TenantCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    with_store(&config, async |store| match &command {
        TenantCommand::Create {
            name,
            upload_bytes_max,
            plan,
            if_absent,
        } => create(store, name, *upload_bytes_max, plan, *if_absent).await,
        TenantCommand::Plan { name, plan } => put_on_plan(store, name, plan).await,
        TenantCommand::Limit { name, limits } => limit(store, name, limits).await,
        TenantCommand::List => list(store).await,
    })
    .await
}

async fn create(
    store: &Store,
    name: &str,
    upload_bytes_max: Option<u64>,
    plan: &str,
    if_absent: bool,
) -> Result<(), CliError> {
    let name =
        flow::label("name", name, NAME_CHARACTERS_MAX).map_err(|refusal| CliError::Usage(refusal.message))?;
    let mut tx = store.begin_control().await.map_err(away)?;
    match tenant::create(&mut tx, name, upload_bytes_max)
        .await
        .map_err(away)?
    {
        Some(id) => {
            if plan != plan::STANDARD {
                assign(&mut tx, id, plan).await?;
            }
            tx.commit().await.map_err(away)?;
            answer::print_line(&format!("created tenant {name} ({id})"))
        }
        None if if_absent => answer::print_line(&format!("tenant {name} is there already")),
        None => Err(CliError::Failed(format!("a tenant named {name} exists already"))),
    }
}

async fn put_on_plan(store: &Store, name: &str, plan: &str) -> Result<(), CliError> {
    let mut tx = store.begin_control().await.map_err(away)?;
    let id = tenant_named(&mut tx, name).await?;
    assign(&mut tx, id, plan).await?;
    tx.commit().await.map_err(away)?;
    answer::print_line(&format!("tenant {name} is on the plan {plan}"))
}

async fn limit(store: &Store, name: &str, pairs: &[String]) -> Result<(), CliError> {
    let mut tx = store.begin_control().await.map_err(away)?;
    let id = tenant_named(&mut tx, name).await?;
    if !pairs.is_empty() {
        let (_, mut own) = limits::of_tenant(&mut tx, id).await.map_err(away)?;
        quotas::apply(&mut own, pairs)?;
        limits::say_for_tenant(&mut tx, id, &own).await.map_err(away)?;
    }
    let (holds, _) = limits::of_tenant(&mut tx, id).await.map_err(away)?;
    tx.commit().await.map_err(away)?;
    answer::print_line(&quotas::table(&holds))
}

async fn assign(tx: &mut ControlTx, tenant: TenantId, plan: &str) -> Result<(), CliError> {
    if plan::assign(tx, tenant, plan).await.map_err(away)? {
        Ok(())
    } else {
        Err(CliError::Failed(format!(
            "there is no plan named {plan}; see `tamiz plan list`"
        )))
    }
}

async fn list(store: &Store) -> Result<(), CliError> {
    let mut tx = store.begin_control().await.map_err(away)?;
    let tenants = tenant::list(&mut tx).await.map_err(away)?;
    let mut table = answer::table(["ID", "NAME", "PLAN", "CREATED"]);
    for tenant in tenants {
        let created = tenant.created_at.format("%Y-%m-%d %H:%M").to_string();
        table.add_row([tenant.id.to_string(), tenant.name, tenant.plan, created]);
    }
    answer::print_line(&table.to_string())
}
