//! `tamiz schema`: the GraphQL schema, as `schema.graphql` holds it.

use clap::Args;

use super::{CliError, answer};

/// Print the GraphQL schema
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tamiz schema > schema.graphql")]
pub struct SchemaArgs {}

pub(super) fn run(_args: &SchemaArgs) -> Result<(), CliError> {
    answer::print(&crate::api::schema::sdl())
}
