//! `tamiz worker --server`: a worker that has neither the database nor the blob store.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::worker::{Equipment, until_asked_to_end};
use super::{CliError, open};
use crate::config::Config;
use crate::worker::{Access, Arrival, Client};

/// Where the token stands if no flag says it; other users of a machine see flags.
const TOKEN_VARIABLE: &str = "TAMIZ_WORKER_TOKEN";

/// Which server, and by which token.
#[derive(Debug, Args)]
pub(super) struct ServerFlags {
    /// Ask this server for everything, over HTTPS: no database and no blob store are needed here
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The worker's token, from `tamiz worker token create`; better in a file or in `TAMIZ_WORKER_TOKEN`
    #[arg(
        long,
        value_name = "TOKEN",
        requires = "server",
        conflicts_with = "token_file"
    )]
    token: Option<String>,
    /// Read the worker's token from this file
    #[arg(long, value_name = "FILE", requires = "server")]
    token_file: Option<PathBuf>,
    /// Send the token in the clear, even to another machine
    #[arg(long, requires = "server")]
    insecure_http: bool,
}

impl ServerFlags {
    /// Which of them were said.
    pub(super) fn said(&self) -> [(&'static str, bool); 4] {
        [
            ("--server", self.server.is_some()),
            ("--token", self.token.is_some()),
            ("--token-file", self.token_file.is_some()),
            ("--insecure-http", self.insecure_http),
        ]
    }

    /// The server, if one was named.
    pub(super) fn client(&self) -> Result<Option<Client>, CliError> {
        let Some(server) = &self.server else {
            return Ok(None);
        };
        let wrong = |error: &dyn std::error::Error| CliError::Usage(super::error::chain(error));
        let from_file = self.token_file.as_deref().map(Access::token_in).transpose();
        let token = match from_file.map_err(|error| wrong(&error))? {
            Some(token) => token,
            None => self.token.clone().or_else(of_environment).ok_or_else(missing)?,
        };
        let access = Access::new(server, &token, self.insecure_http).map_err(|error| wrong(&error))?;
        let client = Client::new(access).map_err(|error| CliError::failed(&error))?;
        Ok(Some(client))
    }
}

fn of_environment() -> Option<String> {
    std::env::var(TOKEN_VARIABLE)
        .ok()
        .filter(|token| !token.is_empty())
}

fn missing() -> CliError {
    CliError::Usage(format!(
        "--server needs a worker's token: set {TOKEN_VARIABLE}, or say --token-file; `tamiz worker token create` \
         makes one on the server"
    ))
}

/// Works until it is asked to end.
pub(super) async fn work(config: &Arc<Config>, client: Client) -> Result<(), CliError> {
    let equipment = Equipment::of(config)?;
    let arrival = Arrival::of_server(client, config)
        .await
        .map_err(|error| CliError::unavailable(&error))?;
    let plugins = open::plugins_alone(config).await?;
    let worker = equipment.arrive(arrival, plugins).await?;
    until_asked_to_end(worker).await
}
