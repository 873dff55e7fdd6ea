//! `tamiz vex import`: a VEX document decides on a project's alerts.
//!
//! A client of the public API as its neighbours are: the document is uploaded, and the server reads it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Deserialize;
use serde_json::json;

use super::super::CliError;
use super::client::Repeat;
use super::{ServerArgs, documents};

/// Read decisions from VEX documents
#[derive(Debug, Subcommand)]
pub enum VexCommand {
    /// Let an OpenVEX or CycloneDX document decide on a project's alerts about packages
    Import(VexImportArgs),
}

/// Let a document decide.
#[derive(Debug, Args)]
#[command(after_help = "\
Not affected and fixed dismiss, affected opens again; what people decided after a statement was made stays.
Imported again it changes nothing.

Examples:
  export TAMIZ_TOKEN=tmz_…
  tamiz vex import shop.openvex.json --project shop --dry-run
  tamiz vex import shop.cdx.json --project shop --server https://tamiz.example")]
pub struct VexImportArgs {
    /// The document, at most 16 MiB
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The project's name
    #[arg(long, value_name = "NAME")]
    project: String,
    /// Only tell what would happen
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    server: ServerArgs,
}

const IMPORT: &str = "mutation($input: ImportVexInput!) { importVex(input: $input) { statements matched dismissed \
    reopened commented unchanged kept fixed unmatched unmatchedPlaces leftOut errors { code message path } } }";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    import_vex: Outcome,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    statements: u32,
    matched: u32,
    dismissed: u32,
    reopened: u32,
    commented: u32,
    unchanged: u32,
    kept: u32,
    fixed: u32,
    unmatched: u32,
    unmatched_places: Vec<String>,
    left_out: Vec<String>,
    errors: Vec<documents::UserError>,
}

/// Uploads the document and tells what became of it.
///
/// # Errors
/// [`CliError`], each kind with its exit code.
pub async fn run(command: VexCommand) -> Result<(), CliError> {
    let VexCommand::Import(args) = command;
    let client = args.server.client()?;
    let project = documents::named_project(&client, &args.project).await?;
    let package = super::as_it_is(&args.file, "application/json").await?;
    let upload = client
        .upload(&project.id, &package.name, &package.media_type, &package)
        .await?;
    let input = json!({ "projectId": project.id, "uploadId": upload, "dryRun": args.dry_run });
    let answer: Answer = client
        .graphql(IMPORT, json!({ "input": input }), Repeat::Always)
        .await?;
    let outcome = answer.import_vex;
    documents::refused(&format!("{} is refused", args.file.display()), &outcome.errors)?;
    print(&outcome, args.dry_run);
    Ok(())
}

/// What happened to standard output, what fitted nothing beside it.
fn print(outcome: &Outcome, is_dry_run: bool) {
    let would = if is_dry_run { "would be " } else { "" };
    println!(
        "{} statements, {} alerts matched: {would}dismissed {}, {would}reopened {}, {would}commented {}, unchanged {}, \
         kept as people decided later {}",
        outcome.statements,
        outcome.matched,
        outcome.dismissed,
        outcome.reopened,
        outcome.commented,
        outcome.unchanged,
        outcome.kept
    );
    if outcome.fixed > 0 {
        println!(
            "{} statements are about alerts that are fixed already",
            outcome.fixed
        );
    }
    for place in &outcome.unmatched_places {
        eprintln!("tamiz: {place} is about no alert of the project");
    }
    let named = u32::try_from(outcome.unmatched_places.len()).unwrap_or(u32::MAX);
    if outcome.unmatched > named {
        eprintln!(
            "tamiz: {} more statements are about no alert",
            outcome.unmatched - named
        );
    }
    for note in &outcome.left_out {
        eprintln!("tamiz: left out: {note}");
    }
}
