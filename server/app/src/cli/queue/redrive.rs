//! `tamiz queue redrive`: batch by batch, with a word after each.

use clap::Args;
use tamiz_core::text::printable;
use tamiz_core::{ScanType, TaskStatus};
use tamiz_store::task::{Task, TaskFilter};
use tamiz_store::{Store, TenantScope};

use crate::cli::operator::{away, scope_named, with_store};
use crate::cli::{CliError, answer};
use crate::config::Config;
use crate::flow::FlowError;
use crate::flow::redrive::{preview_of, redrive_batch};

/// Batches of one command: a million tasks. Whoever has more says it again.
const BATCHES_MAX: u32 = 10_000;

/// Which tasks go back.
#[derive(Debug, Args)]
pub struct RedriveArgs {
    /// Whose
    #[arg(long, value_name = "NAME")]
    tenant: String,
    /// In this state: `dead_letter`, `failed`, `timeout` or `cancelled`
    #[arg(long, value_name = "STATUS")]
    status: String,
    /// Of this scan type; of all if not said
    #[arg(long, value_name = "TYPE")]
    scan_type: Option<String>,
    /// At most so many, the latest first; all if not said
    #[arg(long, value_name = "COUNT")]
    first: Option<u32>,
    /// Only count them and show some
    #[arg(long)]
    dry_run: bool,
}

pub(super) async fn run(config: &Config, args: &RedriveArgs) -> Result<(), CliError> {
    let status: TaskStatus = args
        .status
        .parse()
        .map_err(|error| CliError::Usage(format!("--status: {error}")))?;
    let scan_type = args.scan_type.as_deref().map(ScanType::parse).transpose();
    let filter = TaskFilter {
        status: Some(status),
        scan_type: scan_type.map_err(|error| CliError::Usage(format!("--scan-type: {error}")))?,
        ..TaskFilter::default()
    };
    with_store(config, async |store| {
        let mut tx = store.begin_control().await.map_err(away)?;
        let scope = scope_named(&mut tx, &args.tenant).await?;
        tx.commit().await.map_err(away)?;
        if args.dry_run {
            let preview = preview_of(store, &scope, &filter).await.map_err(ended)?;
            return show(preview.count, &preview.sample);
        }
        redrive(store, &scope, &filter, args.first.unwrap_or(u32::MAX)).await
    })
    .await
}

fn show(count: i64, sample: &[Task]) -> Result<(), CliError> {
    answer::print_line(&format!("{count} tasks would go back"))?;
    for task in sample {
        let ended = task.finished_at.map_or_else(String::new, |at| {
            at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)
        });
        // it may quote a tool or a target, and a terminal obeys escape sequences
        let why = printable(task.error_message.as_deref().unwrap_or_default()).replace('\n', " ");
        answer::print_line(&format!("  {}  {}  {ended}  {why}", task.id, task.scan_type))?;
    }
    Ok(())
}

async fn redrive(
    store: &Store,
    scope: &TenantScope,
    filter: &TaskFilter,
    first: u32,
) -> Result<(), CliError> {
    let mut back = 0;
    for _ in 0..BATCHES_MAX {
        if back >= first {
            break;
        }
        let batch = redrive_batch(store, scope, filter, first - back).await;
        match batch {
            Ok(ids) if ids.is_empty() => break,
            Ok(ids) => {
                back = back.saturating_add(u32::try_from(ids.len()).unwrap_or(u32::MAX));
                // progress is not the answer
                eprintln!("{back} tasks went back");
            }
            Err(error) => {
                eprintln!("{back} tasks went back before this:");
                return Err(ended(error));
            }
        }
    }
    answer::print_line(&format!("{back} tasks went back to the queue"))
}

fn ended(error: FlowError) -> CliError {
    match error {
        FlowError::Refused(refusal) => CliError::Failed(refusal.message),
        FlowError::Store(error) => away(error),
        fault @ FlowError::Fault { .. } => CliError::failed(&fault),
    }
}
