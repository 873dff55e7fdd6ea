//! `tamiz tenant`: tenants made and listed by the operator.

use clap::Subcommand;

use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_store::{Store, tenant};

use super::database::Database;
use super::{CliError, ConfigFlags, answer, open, start_logs};
use crate::config::Config;
use crate::flow;

/// What can be done with tenants.
#[derive(Debug, Subcommand)]
pub enum TenantCommand {
    /// Create a tenant
    #[command(after_help = "\
Examples:
  tamiz tenant create acme")]
    Create {
        /// Its name
        name: String,
        /// Its own limit for one upload, in bytes; the platform's, if not said
        #[arg(long, value_name = "BYTES")]
        upload_bytes_max: Option<u64>,
        /// A tenant that is there already is no error
        #[arg(long)]
        if_absent: bool,
    },
    /// List all tenants
    #[command(after_help = "\
Examples:
  tamiz tenant list")]
    List,
}

pub(super) async fn run(command: TenantCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    start_logs(&config.log);
    let database = Database::shared(&config).await?;
    let done = with_store(&command, &config, &database.url).await;
    database.close(config.shutdown_grace).await;
    done
}

async fn with_store(command: &TenantCommand, config: &Config, url: &str) -> Result<(), CliError> {
    let store = open::store(config, url).await?;
    let done = match command {
        TenantCommand::Create {
            name,
            upload_bytes_max,
            if_absent,
        } => create(&store, name, *upload_bytes_max, *if_absent).await,
        TenantCommand::List => list(&store).await,
    };
    store.close().await;
    done
}

async fn create(
    store: &Store,
    name: &str,
    upload_bytes_max: Option<u64>,
    if_absent: bool,
) -> Result<(), CliError> {
    let name =
        flow::label("name", name, NAME_CHARACTERS_MAX).map_err(|refusal| CliError::Usage(refusal.message))?;
    let failed = |error| CliError::unavailable(&error);
    let mut tx = store.begin_control().await.map_err(failed)?;
    match tenant::create(&mut tx, name, upload_bytes_max)
        .await
        .map_err(failed)?
    {
        Some(id) => {
            tx.commit().await.map_err(failed)?;
            answer::print_line(&format!("created tenant {name} ({id})"))
        }
        None if if_absent => answer::print_line(&format!("tenant {name} is there already")),
        None => Err(CliError::Failed(format!("a tenant named {name} exists already"))),
    }
}

async fn list(store: &Store) -> Result<(), CliError> {
    let failed = |error| CliError::unavailable(&error);
    let mut tx = store.begin_control().await.map_err(failed)?;
    let tenants = tenant::list(&mut tx).await.map_err(failed)?;
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["ID", "NAME", "CREATED"]);
    for tenant in tenants {
        let created = tenant.created_at.format("%Y-%m-%d %H:%M").to_string();
        table.add_row([tenant.id.to_string(), tenant.name, created]);
    }
    answer::print_line(&table.to_string())
}
