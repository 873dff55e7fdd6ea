//! `tamiz worker token`: tokens of workers without the database, made, listed and revoked by the operator.

use chrono::Utc;
use clap::Subcommand;
use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_core::worker_token::WorkerToken;
use tamiz_core::{ScanType, WorkerTokenId};
use tamiz_store::worker_token::{self, NewWorkerToken};
use tamiz_store::{Store, StoreError};

use super::database::Database;
use super::token::end_of;
use super::{CliError, ConfigFlags, answer, open, start_logs};
use crate::config::Config;
use crate::flow;

/// What can be done with them.
#[derive(Debug, Subcommand)]
pub(super) enum WorkerTokenCommand {
    /// Create a token and print it; it is not shown again
    #[command(after_help = "\
Whoever has it can take tasks of all tenants, with their uploads. It opens nothing else.

Examples:
  tamiz worker token create --name rack-7
  tamiz worker token create --name dmz --scan-types web,ssl --expires-in 90d")]
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// Only tasks of these types, such as web,ssl [default: all]
        #[arg(long, value_name = "TYPES", value_delimiter = ',')]
        scan_types: Vec<String>,
        /// When it ends by itself, such as 12h or 90d; never, if not said
        #[arg(long, value_name = "TIME")]
        expires_in: Option<String>,
    },
    /// List tokens, never the secrets
    #[command(after_help = "\
Examples:
  tamiz worker token list")]
    List,
    /// Revoke a token now; what its workers hold goes back to the queue when the leases run out
    #[command(after_help = "\
Examples:
  tamiz worker token revoke 0199f3c0-7c1e-7000-8000-000000000000")]
    Revoke {
        /// Its id, as `tamiz worker token list` prints it
        id: String,
    },
}

pub(super) async fn run(command: WorkerTokenCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    start_logs(&config.log);
    let database = Database::shared(&config).await?;
    let done = with_store(&command, &config, &database.url).await;
    database.close(config.shutdown_grace).await;
    done
}

async fn with_store(command: &WorkerTokenCommand, config: &Config, url: &str) -> Result<(), CliError> {
    let store = open::store(config, url).await?;
    let done = match command {
        WorkerTokenCommand::Create {
            name,
            scan_types,
            expires_in,
        } => create(&store, name, scan_types, expires_in.as_deref()).await,
        WorkerTokenCommand::List => list(&store).await,
        WorkerTokenCommand::Revoke { id } => revoke(&store, id).await,
    };
    store.close().await;
    done
}

fn failed(error: StoreError) -> CliError {
    CliError::unavailable(&error)
}

async fn create(
    store: &Store,
    name: &str,
    scan_types: &[String],
    expires_in: Option<&str>,
) -> Result<(), CliError> {
    let name =
        flow::label("name", name, NAME_CHARACTERS_MAX).map_err(|refusal| CliError::Usage(refusal.message))?;
    for word in scan_types {
        ScanType::parse(word).map_err(|error| CliError::Usage(format!("--scan-types: {error}")))?;
    }
    let token = WorkerToken::from_random(rand::random());
    let new = NewWorkerToken {
        name,
        scan_types: (!scan_types.is_empty()).then_some(scan_types),
        expires_at: expires_in.map(end_of).transpose()?,
    };
    let mut tx = store.begin_control().await.map_err(failed)?;
    let Some(id) = worker_token::create(&mut tx, &new, &token)
        .await
        .map_err(failed)?
    else {
        return Err(CliError::Failed(
            "there are too many workers' tokens: revoke some first".to_owned(),
        ));
    };
    tx.commit().await.map_err(failed)?;
    eprintln!("created worker token {id}; it is shown only now:");
    answer::print_line(token.reveal())
}

async fn list(store: &Store) -> Result<(), CliError> {
    let mut tx = store.begin_control().await.map_err(failed)?;
    let tokens = worker_token::list(&mut tx).await.map_err(failed)?;
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["ID", "NAME", "SCANS", "SECRET", "STATE", "LAST USED"]);
    let (now, minute) = (Utc::now(), "%Y-%m-%d %H:%M");
    for token in tokens {
        let state = match (token.revoked_at, token.expires_at) {
            (Some(_), _) => "revoked".to_owned(),
            (None, Some(end)) if end <= now => "expired".to_owned(),
            (None, Some(end)) => format!("until {}", end.format(minute)),
            (None, None) => "live".to_owned(),
        };
        let used = token.last_used_at.map(|at| at.format(minute).to_string());
        table.add_row([
            token.id.to_string(),
            token.name,
            token
                .scan_types
                .map_or_else(|| "all".to_owned(), |types| types.join(",")),
            format!("{}…", token.hint),
            state,
            used.unwrap_or_else(|| "never".to_owned()),
        ]);
    }
    answer::print_line(&table.to_string())
}

async fn revoke(store: &Store, id: &str) -> Result<(), CliError> {
    let id: WorkerTokenId = id.parse().map_err(|_| {
        CliError::Usage(format!(
            "{id} is no token id; `tamiz worker token list` shows them"
        ))
    })?;
    let mut tx = store.begin_control().await.map_err(failed)?;
    if !worker_token::revoke(&mut tx, id).await.map_err(failed)? {
        return Err(CliError::Failed(format!(
            "there is no live worker token with the id {id}"
        )));
    }
    tx.commit().await.map_err(failed)?;
    answer::print_line(&format!("revoked worker token {id}"))
}
