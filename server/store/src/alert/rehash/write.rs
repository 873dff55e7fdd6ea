//! Who has which fingerprint, and writing new ones: each row is found by its key and written where it lies.

use tamiz_core::AlertId;
use tamiz_core::identity::{Fingerprint, Kind, fingerprint};
use uuid::Uuid;

use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// Rows of one statement.
const ROWS_AT_ONCE: usize = 5_000;

/// What an alert is known by from now on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Alert {
    id: Uuid,
    print: Fingerprint,
    kind: Kind,
}

impl Alert {
    pub(super) const fn of(id: Uuid, print: Fingerprint, kind: Kind) -> Self {
        Self { id, print, kind }
    }

    pub(super) fn id(&self) -> AlertId {
        self.id.into()
    }
}

/// What a place of a scope is known by from now on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) alert: AlertId,
    pub(super) old: Uuid,
    pub(super) new: Uuid,
    pub(super) print: Fingerprint,
}

/// Alerts may change fingerprints among each other until [`settle`].
pub(in crate::alert) async fn unsettle(tx: &mut TenantTx) -> Result<(), StoreError> {
    sqlx::query("set constraints tenant.alert_identity_key deferred")
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Each fingerprint has one alert again.
pub(in crate::alert) async fn settle(tx: &mut TenantTx) -> Result<(), StoreError> {
    sqlx::query("set constraints tenant.alert_identity_key immediate")
        .execute(tx.connection())
        .await?;
    Ok(())
}

/// Writes alerts in this version; answers of how many the fingerprint is another one.
pub(super) async fn alerts(tx: &mut TenantTx, alerts: &[Alert]) -> Result<u64, StoreError> {
    let mut changed = 0;
    for part in alerts.chunks(ROWS_AT_ONCE) {
        let ids: Vec<Uuid> = part.iter().map(|alert| alert.id).collect();
        let prints: Vec<Vec<u8>> = part.iter().map(|alert| alert.print.0.to_vec()).collect();
        let kinds: Vec<&str> = part.iter().map(|alert| alert.kind.as_str()).collect();
        let other = sqlx::query_scalar!(
            r#"
            with known as materialized (
                select x.*, a.ctid as at, a.fingerprint <> x.new_fingerprint as is_other
                from unnest($2::uuid[], $3::bytea[], $4::text[]) x(id, new_fingerprint, new_kind)
                cross join lateral (
                    select a.ctid, a.* from tenant.alert a where a.tenant_id = $1 and a.id = x.id limit 1) a
                where a.fingerprint <> x.new_fingerprint or a.kind <> x.new_kind or a.fingerprint_version <> $5),
            written as (
                update tenant.alert a
                set fingerprint = known.new_fingerprint, kind = known.new_kind, fingerprint_version = $5
                from known where a.tenant_id = $1 and a.ctid = known.at)
            select count(*) filter (where is_other) as "other!" from known
            "#,
            tx.tenant(),
            &ids,
            &prints,
            &kinds as &[&str],
            fingerprint::VERSION
        )
        .fetch_one(tx.connection())
        .await?;
        changed += other.cast_unsigned();
    }
    Ok(changed)
}

/// Gives alerts other numbers, and nothing else; answers how many.
pub(in crate::alert) async fn numbers(
    tx: &mut TenantTx,
    moved: &[(AlertId, Fingerprint)],
) -> Result<u64, StoreError> {
    for part in moved.chunks(ROWS_AT_ONCE) {
        let ids: Vec<Uuid> = part.iter().map(|(alert, _)| alert.uuid()).collect();
        let prints: Vec<Vec<u8>> = part.iter().map(|(_, print)| print.0.to_vec()).collect();
        sqlx::query!(
            r#"
            update tenant.alert a set fingerprint = known.new_fingerprint
            from (select x.new_fingerprint, a.ctid as at from unnest($2::uuid[], $3::bytea[]) x(id, new_fingerprint)
                  cross join lateral (
                      select a.ctid from tenant.alert a where a.tenant_id = $1 and a.id = x.id limit 1) a) known
            where a.tenant_id = $1 and a.ctid = known.at
            "#,
            tx.tenant(),
            &ids,
            &prints
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(moved.len() as u64)
}

/// Writes places of a scope. One whose new place another row has stays where it is: the next scan sees the other.
pub(super) async fn places(tx: &mut TenantTx, scope: Uuid, places: &[Place]) -> Result<(), StoreError> {
    for part in places.chunks(ROWS_AT_ONCE) {
        let alerts: Vec<Uuid> = part.iter().map(|one| one.alert.uuid()).collect();
        let old: Vec<Uuid> = part.iter().map(|one| one.old).collect();
        let new: Vec<Uuid> = part.iter().map(|one| one.new).collect();
        let prints: Vec<Vec<u8>> = part.iter().map(|one| one.print.0.to_vec()).collect();
        sqlx::query!(
            r#"
            update tenant.alert_occurrence o
            set fingerprint = known.new_fingerprint,
                place = case when known.is_free then known.new_place else o.place end
            from (select x.new_fingerprint, x.new_place, o.ctid as at,
                         x.new_place <> x.place and not exists (
                             select from tenant.alert_occurrence t where t.tenant_id = $1 and t.scope_id = $2
                               and t.alert_id = x.alert_id and t.place = x.new_place) as is_free
                  from unnest($3::uuid[], $4::uuid[], $5::uuid[], $6::bytea[])
                       x(alert_id, place, new_place, new_fingerprint)
                  cross join lateral (
                      select o.ctid from tenant.alert_occurrence o where o.tenant_id = $1 and o.scope_id = $2
                        and o.alert_id = x.alert_id and o.place = x.place limit 1) o) known
            where o.tenant_id = $1 and o.ctid = known.at
            "#,
            tx.tenant(),
            scope,
            &alerts,
            &old,
            &new,
            &prints
        )
        .execute(tx.connection())
        .await?;
    }
    Ok(())
}
