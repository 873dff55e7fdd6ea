//! `tamiz token`: API tokens made, listed and revoked by the operator.

use clap::Subcommand;

use chrono::{DateTime, Utc};
use tamiz_core::limits::NAME_CHARACTERS_MAX;
use tamiz_core::token::Token;
use tamiz_core::{TenantId, TokenId};
use tamiz_store::token::{self, NewToken, Role};
use tamiz_store::{ControlTx, Store, StoreError, tenant};

use super::database::Database;
use super::{CliError, ConfigFlags, answer, open, start_logs};
use crate::config::{Config, parse_duration};
use crate::flow;

/// How exactly lists tell a time.
const MINUTE: &str = "%Y-%m-%d %H:%M";

/// What can be done with tokens.
#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Create a token and print it; it is not shown again
    #[command(after_help = "\
Roles: viewer reads; analyst also makes projects, uploads, scans, cancels and retries; admin and owner
may do the same for now.

Examples:
  tamiz token create --tenant acme --name laptop
  tamiz token create --tenant acme --name ci --role analyst --expires-in 90d")]
    Create {
        /// Whose token
        #[arg(long)]
        tenant: String,
        /// What it is for
        #[arg(long)]
        name: String,
        /// What its bearer may do
        #[arg(long, default_value = "analyst", value_parser = ["viewer", "analyst", "admin", "owner"])]
        role: String,
        /// When it ends by itself, such as 12h or 90d; never, if not said
        #[arg(long, value_name = "TIME")]
        expires_in: Option<String>,
    },
    /// List tokens, never the secrets
    #[command(after_help = "\
Examples:
  tamiz token list
  tamiz token list --tenant acme")]
    List {
        /// Only this tenant's
        #[arg(long)]
        tenant: Option<String>,
    },
    /// Revoke a token now
    #[command(after_help = "\
Examples:
  tamiz token revoke 0199f3c0-7c1e-7000-8000-000000000000")]
    Revoke {
        /// Its id, as `tamiz token list` prints it
        id: String,
    },
}

pub(super) async fn run(command: TokenCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    start_logs(&config.log);
    let database = Database::shared(&config).await?;
    let done = with_store(&command, &config, &database.url).await;
    database.close(config.shutdown_grace).await;
    done
}

async fn with_store(command: &TokenCommand, config: &Config, url: &str) -> Result<(), CliError> {
    let store = open::store(config, url).await?;
    let done = match command {
        TokenCommand::Create {
            tenant,
            name,
            role,
            expires_in,
        } => create(&store, tenant, name, role, expires_in.as_deref()).await,
        TokenCommand::List { tenant } => list(&store, tenant.as_deref()).await,
        TokenCommand::Revoke { id } => revoke(&store, id).await,
    };
    store.close().await;
    done
}

fn failed(error: StoreError) -> CliError {
    CliError::unavailable(&error)
}

async fn tenant_named(tx: &mut ControlTx, name: &str) -> Result<TenantId, CliError> {
    let found = tenant::by_name(tx, name).await.map_err(failed)?;
    found.ok_or_else(|| {
        CliError::Failed(format!(
            "there is no tenant named {name}; `tamiz tenant list` shows all"
        ))
    })
}

async fn create(
    store: &Store,
    tenant: &str,
    name: &str,
    role: &str,
    expires_in: Option<&str>,
) -> Result<(), CliError> {
    let name =
        flow::label("name", name, NAME_CHARACTERS_MAX).map_err(|refusal| CliError::Usage(refusal.message))?;
    let role = Role::parse(role).ok_or_else(|| CliError::Usage(format!("there is no role {role}")))?;
    let expires_at = expires_in.map(end_of).transpose()?;
    let mut tx = store.begin_control().await.map_err(failed)?;
    let tenant = tenant_named(&mut tx, tenant).await?;
    let token = Token::from_random(tenant, rand::random());
    let new = NewToken {
        tenant,
        name,
        role,
        expires_at,
    };
    let Some(id) = token::create(&mut tx, &new, &token).await.map_err(failed)? else {
        return Err(CliError::Failed(
            "the tenant has too many tokens: revoke some first".to_owned(),
        ));
    };
    tx.commit().await.map_err(failed)?;
    eprintln!("created token {id}; it is shown only now:");
    answer::print_line(token.reveal())
}

pub(super) fn end_of(expires_in: &str) -> Result<DateTime<Utc>, CliError> {
    let span = parse_duration(expires_in)
        .map_err(|rule| CliError::Usage(format!("--expires-in {expires_in}: {rule}")))?;
    chrono::TimeDelta::from_std(span)
        .ok()
        .and_then(|span| Utc::now().checked_add_signed(span))
        .ok_or_else(|| CliError::Usage(format!("--expires-in {expires_in}: too far away")))
}

/// Whether a token lives, as lists say it.
pub(super) fn state(revoked_at: Option<DateTime<Utc>>, expires_at: Option<DateTime<Utc>>) -> String {
    match (revoked_at, expires_at) {
        (Some(_), _) => "revoked".to_owned(),
        (None, Some(end)) if end <= Utc::now() => "expired".to_owned(),
        (None, Some(end)) => format!("until {}", end.format(MINUTE)),
        (None, None) => "live".to_owned(),
    }
}

/// When a token was last used, as lists say it.
pub(super) fn last_used(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| "never".to_owned(), |at| at.format(MINUTE).to_string())
}

async fn list(store: &Store, tenant: Option<&str>) -> Result<(), CliError> {
    let mut tx = store.begin_control().await.map_err(failed)?;
    let tenant = match tenant {
        Some(name) => Some(tenant_named(&mut tx, name).await?),
        None => None,
    };
    let tokens = token::list(&mut tx, tenant).await.map_err(failed)?;
    let mut table = answer::table(["ID", "TENANT", "NAME", "ROLE", "SECRET", "STATE", "LAST USED"]);
    for token in tokens {
        table.add_row([
            token.id.to_string(),
            token.tenant_name,
            token.name,
            token.role.as_str().to_owned(),
            format!("{}…", token.hint),
            state(token.revoked_at, token.expires_at),
            last_used(token.last_used_at),
        ]);
    }
    answer::print_line(&table.to_string())
}

async fn revoke(store: &Store, id: &str) -> Result<(), CliError> {
    let id: TokenId = id
        .parse()
        .map_err(|_| CliError::Usage(format!("{id} is no token id; `tamiz token list` shows them")))?;
    let mut tx = store.begin_control().await.map_err(failed)?;
    if !token::revoke(&mut tx, id).await.map_err(failed)? {
        return Err(CliError::Failed(format!(
            "there is no live token with the id {id}"
        )));
    }
    tx.commit().await.map_err(failed)?;
    answer::print_line(&format!("revoked token {id}"))
}
