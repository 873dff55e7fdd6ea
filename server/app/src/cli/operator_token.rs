//! `tamiz operator`: tokens of operators, which open the queue and the workers over HTTP.

use clap::Subcommand;
use tamiz_core::TokenId;
use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_core::token::Token;
use tamiz_store::operator_token;

use super::operator::{away, in_transaction};
use super::token::{end_of, last_used, state};
use super::{CliError, ConfigFlags, answer};
use crate::config::Config;
use crate::flow;

/// What can be done for operators.
#[derive(Debug, Subcommand)]
pub enum OperatorCommand {
    /// Manage operators' tokens: they show queue and workers of all, and nothing of a tenant
    #[command(subcommand)]
    Token(OperatorTokenCommand),
}

/// What can be done with operators' tokens.
#[derive(Debug, Subcommand)]
pub enum OperatorTokenCommand {
    /// Create a token and print it; it is not shown again
    #[command(after_help = "\
It opens the GraphQL fields `queue` and `workers` over all tenants, and nothing of any tenant.

Examples:
  tamiz operator token create --name dashboard
  tamiz operator token create --name on-call --expires-in 30d")]
    Create {
        /// What it is for
        #[arg(long)]
        name: String,
        /// When it ends by itself, such as 12h or 90d; never, if not said
        #[arg(long, value_name = "TIME")]
        expires_in: Option<String>,
    },
    /// List tokens, never the secrets
    #[command(after_help = "\
Examples:
  tamiz operator token list")]
    List,
    /// Revoke a token now
    #[command(after_help = "\
Examples:
  tamiz operator token revoke 0199f3c0-7c1e-7000-8000-000000000000")]
    Revoke {
        /// Its id, as `tamiz operator token list` prints it
        id: String,
    },
}

pub(super) async fn run(command: OperatorCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    let OperatorCommand::Token(command) = command;
    match command {
        OperatorTokenCommand::Create { name, expires_in } => {
            create(&config, &name, expires_in.as_deref()).await
        }
        OperatorTokenCommand::List => list(&config).await,
        OperatorTokenCommand::Revoke { id } => revoke(&config, &id).await,
    }
}

async fn create(config: &Config, name: &str, expires_in: Option<&str>) -> Result<(), CliError> {
    let name =
        flow::label("name", name, NAME_CHARACTERS_MAX).map_err(|refusal| CliError::Usage(refusal.message))?;
    let expires_at = expires_in.map(end_of).transpose()?;
    let token = Token::of_operator(rand::random());
    let id = in_transaction(config, async |tx| {
        let made = operator_token::create(tx, name, expires_at, &token)
            .await
            .map_err(away)?;
        made.ok_or_else(|| {
            CliError::Failed("there are too many operators' tokens: revoke some first".to_owned())
        })
    })
    .await?;
    eprintln!("created operator's token {id}; it is shown only now:");
    answer::print_line(token.reveal())
}

async fn list(config: &Config) -> Result<(), CliError> {
    let tokens = in_transaction(config, async |tx| operator_token::list(tx).await.map_err(away)).await?;
    let mut table = answer::table(["ID", "NAME", "SECRET", "STATE", "LAST USED"]);
    for token in tokens {
        table.add_row([
            token.id.to_string(),
            token.name,
            format!("{}…", token.hint),
            state(token.revoked_at, token.expires_at),
            last_used(token.last_used_at),
        ]);
    }
    answer::print_line(&table.to_string())
}

async fn revoke(config: &Config, id: &str) -> Result<(), CliError> {
    let id: TokenId = id.parse().map_err(|_| {
        CliError::Usage(format!(
            "{id} is no token id; `tamiz operator token list` shows them"
        ))
    })?;
    let revoked = in_transaction(config, async |tx| {
        operator_token::revoke(tx, id).await.map_err(away)
    })
    .await?;
    if !revoked {
        return Err(CliError::Failed(format!(
            "there is no live operator's token with the id {id}"
        )));
    }
    answer::print_line(&format!("revoked operator's token {id}"))
}
