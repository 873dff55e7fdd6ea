//! `tamiz schema`: the GraphQL schema, as `schema.graphql` holds it.

use std::io::Write;

use clap::Args;

use super::CliError;

/// Print the GraphQL schema
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tamiz schema > schema.graphql")]
pub struct SchemaArgs {}

pub(super) fn run(_args: &SchemaArgs) -> Result<(), CliError> {
    let mut output = std::io::stdout();
    let printed = output
        .write_all(crate::api::schema::sdl().as_bytes())
        .and_then(|()| output.flush());
    printed.map_err(|error| CliError::Failed(format!("cannot print the schema: {error}")))
}
