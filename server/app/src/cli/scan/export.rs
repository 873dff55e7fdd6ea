//! `tamiz export`: a project's alerts as files, in formats that others read.
//!
//! A client of the public API as its neighbours are. A format with limits on one file comes as several: the first has
//! the name that was said, the others have it with a number. A file has its name once it is whole.

use std::fs::{File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use reqwest::Response;
use tamiz_core::AlertState;
use tamiz_core::export::Format;

use super::super::{CliError, parse_word};
use super::{ServerArgs, documents};
use crate::api::alert_export::NEXT;

/// Files of one export: more is a server that goes in circles.
const FILES_MAX: usize = 10_000;
/// What a new file may be, before the umask.
const FILE_MODE: u32 = 0o666;
/// Of a path: standard output.
const STDOUT: &str = "-";

/// Export a project's alerts: SARIF, OCSF, OpenVEX, CycloneDX or CSV
#[derive(Debug, Args)]
#[command(after_help = "\
SARIF keeps the limits of GitHub, so it may take several files: findings.sarif, findings-2.sarif, …
OpenVEX and CycloneDX have alerts about packages alone.

Examples:
  export TAMIZ_TOKEN=tmz_…
  tamiz export --project shop --format sarif --out findings.sarif
  tamiz export --project shop --format csv --state open,reopened > open.csv
  tamiz export --project shop --format openvex --out shop.openvex.json --server https://tamiz.example")]
pub struct ExportArgs {
    /// The project's name
    #[arg(long, value_name = "NAME")]
    project: String,
    /// What is written: sarif, ocsf, openvex, cyclonedx or csv
    #[arg(long, value_name = "FORMAT", value_parser = parse_word::<Format>)]
    format: Format,
    /// The file; - is standard output
    #[arg(long, value_name = "PATH", default_value = STDOUT)]
    out: PathBuf,
    /// Alerts in these states alone: open, reopened, dismissed, fixed; all if not said, of SARIF those that are open
    #[arg(long, value_name = "STATES", value_delimiter = ',', value_parser = parse_word::<AlertState>)]
    state: Vec<AlertState>,
    #[command(flatten)]
    server: ServerArgs,
}

/// Exports into files, or to standard output.
///
/// # Errors
/// [`CliError`], each kind with its exit code.
pub async fn run(args: ExportArgs) -> Result<(), CliError> {
    tokio::select! {
        done = export(&args) => done,
        _ = tokio::signal::ctrl_c() => Err(CliError::Interrupted),
    }
}

async fn export(args: &ExportArgs) -> Result<(), CliError> {
    let client = args.server.client()?;
    let project = documents::named_project(&client, &args.project).await?;
    let path = format!("/v1/projects/{}/alerts.{}", project.id, args.format);
    let states: Vec<&str> = args.state.iter().map(|state| state.as_str()).collect();
    let mut next: Option<String> = None;
    for number in 1..=FILES_MAX {
        let mut query = Vec::new();
        if !states.is_empty() {
            query.push(("state", states.join(",")));
        }
        query.extend(next.take().map(|next| ("next", next)));
        let response = client.download(&path, &query).await?;
        next = response
            .headers()
            .get(NEXT)
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        if args.out.as_os_str() == STDOUT {
            if next.is_some() {
                let text = "the alerts need more than one file: say where they go with --out";
                return Err(CliError::Failed(text.to_owned()));
            }
            return to_stdout(response).await;
        }
        let file = numbered(&args.out, number);
        to_file(response, &file).await?;
        eprintln!("tamiz: wrote {}", file.display());
        if next.is_none() {
            return Ok(());
        }
    }
    Err(CliError::Failed(format!(
        "the export has more than {FILES_MAX} files"
    )))
}

/// `findings.sarif`, `findings-2.sarif`, …: before all that a name ends with.
fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 1 {
        return path.to_owned();
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    // a dot in front is part of the name
    let dot = name.get(1..).and_then(|rest| rest.find('.')).map(|at| at + 1);
    let (stem, extension) = name.split_at(dot.unwrap_or(name.len()));
    path.with_file_name(format!("{stem}-{number}{extension}"))
}

async fn to_stdout(mut response: Response) -> Result<(), CliError> {
    let mut output = io::stdout().lock();
    while let Some(piece) = piece_of(&mut response).await? {
        match output.write_all(&piece) {
            Ok(()) => {}
            // a reader that has seen enough
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            Err(error) => return Err(CliError::Failed(format!("cannot write the export: {error}"))),
        }
    }
    output
        .flush()
        .map_err(|error| CliError::Failed(format!("cannot write the export: {error}")))
}

/// A file has its name once it is whole; what is no file (a pipe, a device) is written as it comes.
async fn to_file(mut response: Response, path: &Path) -> Result<(), CliError> {
    let failed = |error: io::Error| CliError::Failed(format!("cannot write {}: {error}", path.display()));
    if std::fs::metadata(path).is_ok_and(|there| !there.is_file()) {
        let mut there = File::options().write(true).open(path).map_err(failed)?;
        while let Some(piece) = piece_of(&mut response).await? {
            there.write_all(&piece).map_err(failed)?;
        }
        return Ok(());
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(FILE_MODE))
        .tempfile_in(folder.unwrap_or(Path::new(".")));
    let mut file = file.map_err(failed)?;
    while let Some(piece) = piece_of(&mut response).await? {
        file.write_all(&piece).map_err(failed)?;
    }
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

async fn piece_of(response: &mut Response) -> Result<Option<bytes::Bytes>, CliError> {
    let piece = response.chunk().await;
    piece.map_err(|error| CliError::unavailable(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn further_files_have_numbers_before_all_that_a_name_ends_with() {
        for (path, number, expected) in [
            ("findings.sarif", 1, "findings.sarif"),
            ("findings.sarif", 2, "findings-2.sarif"),
            ("out/shop.cdx.json", 12, "out/shop-12.cdx.json"),
            ("out.d/shop", 3, "out.d/shop-3"),
            (".hidden", 2, ".hidden-2"),
        ] {
            assert_eq!(numbered(Path::new(path), number), Path::new(expected));
        }
    }

    #[test]
    fn words_that_nobody_knows_are_told_with_those_that_are() {
        assert!(parse_word::<Format>("pdf").unwrap_err().contains("sarif"));
        assert!(
            parse_word::<AlertState>("closed")
                .unwrap_err()
                .contains("reopened")
        );
    }
}
