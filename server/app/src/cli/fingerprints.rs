//! `tamiz fingerprints`: brings alerts up to the way in which this version knows them again.

use clap::Subcommand;
use tamiz_core::identity::fingerprint;
use tamiz_core::text::printable;
use tamiz_store::Store;
use tamiz_store::alert::rehash::{ALERTS_AT_ONCE, ALERTS_AT_ONCE_MAX, Keep, Rehashed, Terms, Which, rehash};

use super::alerts::tenants;
use super::operator::{away, with_store};
use super::{CliError, ConfigFlags, answer};

/// What can be done with fingerprints.
#[derive(Debug, Subcommand)]
pub enum FingerprintsCommand {
    /// Make the fingerprints of alerts anew from what is stored of them
    #[command(after_help = "\
After an upgrade that knows flaws again in a better way. Triage stays; no alert is opened, closed or merged. May be killed
and run again. An import into a project that was not rehashed does it first, and takes so much longer.

Alerts that are one under the new version are told and kept apart: scans find the open one, then the older.

Examples:
  tamiz fingerprints rehash
  tamiz fingerprints rehash --tenant acme --project shop --dry-run
  tamiz fingerprints rehash --all --dry-run     check that nothing would change")]
    Rehash {
        /// Of this tenant; of all, if not said
        #[arg(long, value_name = "NAME")]
        tenant: Option<String>,
        /// Of the project of this name
        #[arg(long, value_name = "NAME", requires = "tenant")]
        project: Option<String>,
        /// Alerts of this version as well, as a check
        #[arg(long)]
        all: bool,
        /// Only count
        #[arg(long)]
        dry_run: bool,
        /// Alerts that nobody sees any more, in one transaction; those that a scope holds go in one
        #[arg(long, value_name = "ALERTS", default_value_t = ALERTS_AT_ONCE,
              value_parser = clap::value_parser!(u32).range(1..=i64::from(ALERTS_AT_ONCE_MAX)))]
        batch: u32,
    },
}

pub(super) async fn run(command: FingerprintsCommand, flags: ConfigFlags) -> Result<(), CliError> {
    let config = flags.load(Vec::new())?.config;
    let FingerprintsCommand::Rehash {
        tenant,
        project,
        all,
        dry_run,
        batch,
    } = command;
    let terms = Terms {
        which: if all { Which::All } else { Which::Older },
        keep: if dry_run { Keep::Numbers } else { Keep::Work },
        alerts_at_once: batch,
    };
    with_store(&config, async |store| {
        rehash_all(store, tenant.as_deref(), project.as_deref(), terms).await
    })
    .await
}

async fn rehash_all(
    store: &Store,
    tenant: Option<&str>,
    project: Option<&str>,
    terms: Terms,
) -> Result<(), CliError> {
    let mut all = Rehashed::default();
    for (id, name) in tenants(store, tenant).await? {
        let told = |project: &str, done: Rehashed| {
            let (tenant, project) = (printable(&name), printable(project));
            eprintln!(
                "{tenant}, {project}: {} read, {} alerts changed",
                done.read, done.alerts
            );
        };
        let done = rehash(store, id, project, terms, told).await.map_err(away)?;
        let Some(done) = done else {
            let project = project.unwrap_or_default();
            return Err(CliError::Failed(format!("there is no project named {project}")));
        };
        all.read += done.read;
        all.alerts += done.alerts;
        all.places += done.places;
        all.fell_together += done.fell_together;
    }
    let would = if terms.keep == Keep::Numbers {
        "would be"
    } else {
        "are"
    };
    answer::print_line(&format!(
        "{} alerts and {} places {would} known otherwise by version {}; {} fell together with another and stay apart",
        all.alerts,
        all.places,
        fingerprint::VERSION,
        all.fell_together
    ))
}
