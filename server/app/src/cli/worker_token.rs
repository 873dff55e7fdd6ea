//! `tamiz worker token`: tokens of workers without the database, made, listed and revoked by the operator.

use clap::Subcommand;
use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_core::worker_token::WorkerToken;
use tamiz_core::{ScanType, WorkerTokenId};
use tamiz_store::worker_token::{self, NewWorkerToken};

use super::operator::{away, in_transaction};
use super::token::{end_of, last_used, state};
use super::{CliError, ConfigFlags, answer};
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
    match command {
        WorkerTokenCommand::Create {
            name,
            scan_types,
            expires_in,
        } => create(&config, &name, &scan_types, expires_in.as_deref()).await,
        WorkerTokenCommand::List => list(&config).await,
        WorkerTokenCommand::Revoke { id } => revoke(&config, &id).await,
    }
}

async fn create(
    config: &Config,
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
    let id = in_transaction(config, async |tx| {
        let made = worker_token::create(tx, &new, &token).await.map_err(away)?;
        made.ok_or_else(|| {
            CliError::Failed("there are too many workers' tokens: revoke some first".to_owned())
        })
    })
    .await?;
    eprintln!("created worker token {id}; it is shown only now:");
    answer::print_line(token.reveal())
}

async fn list(config: &Config) -> Result<(), CliError> {
    let tokens = in_transaction(config, async |tx| worker_token::list(tx).await.map_err(away)).await?;
    let mut table = answer::table(["ID", "NAME", "SCANS", "SECRET", "STATE", "LAST USED"]);
    for token in tokens {
        table.add_row([
            token.id.to_string(),
            token.name,
            token
                .scan_types
                .map_or_else(|| "all".to_owned(), |types| types.join(",")),
            format!("{}…", token.hint),
            state(token.revoked_at, token.expires_at),
            last_used(token.last_used_at),
        ]);
    }
    answer::print_line(&table.to_string())
}

async fn revoke(config: &Config, id: &str) -> Result<(), CliError> {
    let id: WorkerTokenId = id.parse().map_err(|_| {
        CliError::Usage(format!(
            "{id} is no token id; `tamiz worker token list` shows them"
        ))
    })?;
    let revoked = in_transaction(config, async |tx| {
        worker_token::revoke(tx, id).await.map_err(away)
    })
    .await?;
    if !revoked {
        return Err(CliError::Failed(format!(
            "there is no live worker token with the id {id}"
        )));
    }
    answer::print_line(&format!("revoked worker token {id}"))
}
