//! `tamiz queue pause`, `resume` and `paused`.

use tamiz_core::{ScanType, TenantId};
use tamiz_store::ControlTx;
use tamiz_store::pause::{self, Pause, REASON_CHARACTERS_MAX};

use super::Held;
use crate::cli::operator::{away, in_transaction, tenant_named};
use crate::cli::{CliError, answer};
use crate::config::Config;

/// Who paused, where a tenant has the name of a token.
const OPERATOR: &str = "operator";

impl Held {
    async fn parsed(&self, tx: &mut ControlTx) -> Result<(Option<TenantId>, Option<ScanType>), CliError> {
        let tenant = match &self.tenant {
            Some(name) => Some(tenant_named(tx, name).await?),
            None => None,
        };
        let scan_type = self.scan_type.as_deref().map(ScanType::parse).transpose();
        let scan_type = scan_type.map_err(|error| CliError::Usage(format!("--scan-type: {error}")))?;
        Ok((tenant, scan_type))
    }

    fn words(&self) -> String {
        let what = self.scan_type.as_deref().unwrap_or("all scan types");
        let whose = self.tenant.as_deref().unwrap_or("all tenants");
        format!("{what} of {whose}")
    }
}

pub(super) async fn pause(config: &Config, held: &Held, reason: &str) -> Result<(), CliError> {
    let characters = reason.chars().count();
    if characters > REASON_CHARACTERS_MAX || reason.chars().any(char::is_control) {
        let rule = format!("--reason: at most {REASON_CHARACTERS_MAX} printable characters");
        return Err(CliError::Usage(rule));
    }
    let fresh = in_transaction(config, async |tx| {
        let (tenant, scan_type) = held.parsed(tx).await?;
        pause::pause_any(tx, tenant, scan_type.as_ref(), reason, OPERATOR)
            .await
            .map_err(away)
    })
    .await?;
    let already = if fresh { "" } else { ", as it was already" };
    answer::print_line(&format!("{} wait{already}; what runs goes on", held.words()))
}

pub(super) async fn resume(config: &Config, held: &Held) -> Result<(), CliError> {
    let (gone, left) = in_transaction(config, async |tx| {
        let (tenant, scan_type) = held.parsed(tx).await?;
        let gone = pause::resume_any(tx, tenant, scan_type.as_ref()).await;
        let left = pause::list(tx).await.map_err(away)?;
        Ok((gone.map_err(away)?, left))
    })
    .await?;
    let left_by_the_tenant = left.iter().any(|pause| {
        !pause.by_operator && pause.tenant_name == held.tenant && pause.scan_type == held.scan_type
    });
    let tenants_own = if left_by_the_tenant {
        "; the tenant itself holds them back, too"
    } else {
        ""
    };
    if !gone {
        let message = format!(
            "the operator has not paused {} by these words{tenants_own}; see `tamiz queue paused`",
            held.words()
        );
        return Err(CliError::Failed(message));
    }
    let left = left.len();
    answer::print_line(&format!(
        "{} go on; {left} pauses are left{tenants_own}",
        held.words()
    ))
}

pub(super) async fn list(config: &Config) -> Result<(), CliError> {
    let pauses = in_transaction(config, async |tx| pause::list(tx).await.map_err(away)).await?;
    let mut table = answer::table(["TENANT", "SCAN TYPE", "SINCE", "BY", "REASON"]);
    for pause in pauses {
        let Pause {
            tenant_name,
            scan_type,
            reason,
            by,
            by_operator,
            since,
            ..
        } = pause;
        // the name of a tenant's token may be any word
        let by = if by_operator { by } else { format!("tenant: {by}") };
        let since = since.to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
        let all = || "(all)".to_owned();
        table.add_row([
            tenant_name.unwrap_or_else(all),
            scan_type.unwrap_or_else(all),
            since,
            by,
            reason,
        ]);
    }
    answer::print_line(&table.to_string())
}
