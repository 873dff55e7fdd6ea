//! Which plugin serves a scan type: the one rule of who may be chosen by whom.
//!
//! A tenant chooses by [`super::choose`], the operator for anybody by [`super::operate::choose_for`].

use sqlx::postgres::PgConnection;
use tamiz_core::{PluginId, ScanType};
use uuid::Uuid;

use crate::error::StoreError;

/// Writes the choice of `tenant`, or the platform's, or takes it back. `false` when no active plugin of
/// that id and scan type is everybody's or that tenant's own.
pub(super) async fn put(
    connection: &mut PgConnection,
    tenant: Option<Uuid>,
    scan_type: &ScanType,
    plugin: Option<PluginId>,
) -> Result<bool, StoreError> {
    let Some(plugin) = plugin else {
        sqlx::query!(
            "delete from control.plugin_choice where tenant_id is not distinct from $1 and scan_type = $2",
            tenant,
            scan_type.as_str()
        )
        .execute(connection)
        .await?;
        return Ok(true);
    };
    let chosen = sqlx::query!(
        r#"
        insert into control.plugin_choice (tenant_id, scan_type, plugin_id)
        select $1, scan_type, id from control.plugin
        where id = $2 and scan_type = $3 and state = 'active' and (tenant_id is null or tenant_id = $1)
        on conflict on constraint plugin_choice_key do update
            set plugin_id = excluded.plugin_id, chosen_at = now()
        "#,
        tenant,
        plugin.uuid(),
        scan_type.as_str()
    )
    .execute(connection)
    .await?;
    Ok(chosen.rows_affected() == 1)
}
