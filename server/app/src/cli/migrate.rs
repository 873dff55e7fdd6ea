//! `tamiz migrate`: the database brought to the newest schema.

use clap::Args;

use super::database::Database;
use super::{CliError, ConfigFlags, answer, start_logs};

/// Bring the database to the newest schema; safe to repeat
#[derive(Debug, Args)]
#[command(after_help = "\
`tamiz serve` does this by itself unless migrate_on_start is false.

Examples:
  DATABASE_URL=postgres://admin@db/tamiz tamiz migrate
  tamiz migrate --data-dir /var/lib/tamiz")]
pub struct MigrateArgs {}

pub(super) async fn run(_args: MigrateArgs, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    start_logs(&config.log);
    let database = Database::shared(&config).await?;
    let migrated = tamiz_store::migrate::run(&database.url).await;
    database.close(config.shutdown_grace).await;
    migrated.map_err(|error| CliError::unavailable(&error))?;
    answer::print_line("the database is at the newest schema")
}
