//! `tamiz enrich`: the files of EPSS and KEV that the platform knows.

use std::path::{Path, PathBuf};

use chrono::{NaiveDate, Utc};
use clap::Subcommand;
use tamiz_store::Store;
use tamiz_store::enrichment::{self, Series};

use super::operator::{away, in_transaction, with_store};
use super::{CliError, ConfigFlags, answer, unpacked};
use crate::causes::chain;
use crate::flow::import_enrichment::{
    EnrichmentAnswer, EnrichmentOrder, ImportEnrichmentError, import_enrichment,
};

/// Files of one command.
const FILES_AT_ONCE_MAX: usize = 1_000;
/// Wrong rows that are told; the others are counted.
const FAULTS_TOLD: usize = 5;
/// Progress is told every so many rows.
const ROWS_PER_LINE: u64 = 100_000;
/// Characters of a hash in a table.
const HASH_CHARACTERS: usize = 12;

/// What can be done with files of public facts.
#[derive(Debug, Subcommand)]
pub enum EnrichCommand {
    /// Import EPSS scores (CSV) or the KEV catalogue (CSV or JSON)
    ///
    /// Each file is taken whole or not at all; the same file again changes nothing. Which one it is, and whether it is
    /// packed by gzip, is seen by its content. Wrong rows are told and left out.
    #[command(after_help = "\
Examples:
  tamiz enrich import epss_scores-2025-03-14.csv.gz known_exploited_vulnerabilities.json
  tamiz enrich import --date 2025-03-14 known_exploited_vulnerabilities.csv
  zcat epss_scores-2025-03-14.csv.gz | tamiz enrich import -")]
    Import {
        /// Files; - is standard input
        #[arg(value_name = "FILE", required = true, num_args = 1..=FILES_AT_ONCE_MAX)]
        files: Vec<PathBuf>,
        /// The day that the files speak of, where they do not tell: the KEV catalogue as CSV does not
        #[arg(long, value_name = "YYYY-MM-DD")]
        date: Option<NaiveDate>,
    },
    /// List the imported files, the newest days first
    #[command(after_help = "\
Examples:
  tamiz enrich list")]
    List,
}

pub(super) async fn run(command: EnrichCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    match command {
        EnrichCommand::Import { files, date } => {
            with_store(&config, async |store| {
                for path in &files {
                    import(store, path, date).await?;
                }
                Ok(())
            })
            .await
        }
        EnrichCommand::List => {
            let files = in_transaction(&config, async |tx| enrichment::files(tx).await.map_err(away)).await?;
            let mut table = answer::table(["DATE", "KIND", "MODEL", "ROWS", "IMPORTED", "SHA-256"]);
            for file in files {
                let mut hash = hex::encode(&file.sha256);
                hash.truncate(HASH_CHARACTERS);
                table.add_row([
                    file.date.to_string(),
                    file.series,
                    file.model.unwrap_or_else(|| "-".to_owned()),
                    file.rows.to_string(),
                    file.imported_at.format("%Y-%m-%d %H:%M").to_string(),
                    hash,
                ]);
            }
            answer::print_line(&table.to_string())
        }
    }
}

async fn import(store: &Store, path: &Path, date: Option<NaiveDate>) -> Result<(), CliError> {
    let name = path.display();
    let file =
        unpacked::open(path).map_err(|error| CliError::Failed(format!("{name} cannot be read: {error}")))?;
    let order = EnrichmentOrder {
        file,
        date,
        today: Utc::now().date_naive(),
    };
    let mut told = 0;
    let mut progress = |rows: u64| {
        if rows / ROWS_PER_LINE > told {
            told = rows / ROWS_PER_LINE;
            eprintln!("tamiz: {name}: {rows} rows");
        }
    };
    let imported = import_enrichment(store, order, &mut progress).await;
    let imported = imported.map_err(|error| failure(path, &error))?;
    for fault in imported.faults.iter().take(FAULTS_TOLD) {
        let fault = fault.to_string();
        eprintln!("tamiz: warning: {name}: {}", tamiz_core::text::printable(&fault));
    }
    answer::print_line(&format!("{name}: {}", summary(&imported)))
}

fn failure(path: &Path, error: &ImportEnrichmentError) -> CliError {
    let text = format!("{}: {}", path.display(), chain(error));
    match error {
        ImportEnrichmentError::NoDate => CliError::Usage(text),
        ImportEnrichmentError::Store(_) => CliError::Unavailable(text),
        _ => CliError::Failed(text),
    }
}

/// One line about what became of a file.
fn summary(imported: &EnrichmentAnswer) -> String {
    let model = imported.model.as_ref();
    let model = model.map_or_else(String::new, |model| format!(" ({model})"));
    let (what, changed) = match imported.series {
        Series::Epss => ("EPSS scores", "changed"),
        Series::Kev => ("KEV entries", "withdrawn"),
    };
    let date = imported.date;
    if imported.was_there {
        return format!("{what} of {date}{model} were there already");
    }
    let left_out = match imported.faults.len() {
        0 => String::new(),
        count => format!(", {count} rows left out"),
    };
    let (rows, of_them) = (imported.rows, imported.changed);
    format!("{rows} {what} of {date}{model}, {of_them} {changed}{left_out}")
}

#[cfg(test)]
mod tests {
    use tamiz_core::enrichment::{RowFault, RowPlace};

    use super::*;

    #[test]
    fn a_summary_tells_what_became_of_the_file() {
        let mut imported = EnrichmentAnswer {
            series: Series::Epss,
            date: "2025-03-14".parse().unwrap(),
            model: Some("v2025.03.14".to_owned()),
            was_there: false,
            rows: 3,
            changed: 2,
            faults: Vec::new(),
        };
        assert_eq!(
            summary(&imported),
            "3 EPSS scores of 2025-03-14 (v2025.03.14), 2 changed"
        );
        imported.series = Series::Kev;
        imported.model = None;
        imported.faults.push(RowFault {
            at: RowPlace::Line(2),
            what: "`x` is no CVE".to_owned(),
        });
        assert_eq!(
            summary(&imported),
            "3 KEV entries of 2025-03-14, 2 withdrawn, 1 rows left out"
        );
        imported.was_there = true;
        assert_eq!(summary(&imported), "KEV entries of 2025-03-14 were there already");
    }

    #[test]
    fn a_missing_day_is_a_mistake_of_the_command_line() {
        let failed = failure(Path::new("kev.csv"), &ImportEnrichmentError::NoDate);
        assert!(matches!(failed, CliError::Usage(_)), "{failed:?}");
        let failed = failure(Path::new("x"), &ImportEnrichmentError::UnknownKind);
        assert!(matches!(failed, CliError::Failed(text) if text.starts_with("x: the file is neither")));
    }
}
