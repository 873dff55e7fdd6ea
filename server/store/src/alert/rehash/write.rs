//! Who has which fingerprint, and writing new ones: each row is found by its key and written where it lies.

use tamiz_core::identity::{Fingerprint, Kind, fingerprint};
use tamiz_core::related::Traits;
use tamiz_core::{AlertId, ProjectId};
use uuid::Uuid;

use super::mark::Mark;
use crate::alert::{ROWS_AT_ONCE, related};
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// What an alert is known by from now on.
#[derive(Debug, Clone)]
pub(super) struct Alert {
    id: Uuid,
    print: Fingerprint,
    kind: Kind,
    traits: Traits,
}

impl Alert {
    pub(super) fn of(id: Uuid, print: Fingerprint, mark: &Mark) -> Self {
        Self {
            id,
            print,
            kind: mark.kind,
            traits: mark.traits.clone(),
        }
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

/// Writes alerts in this version; answers of how many the fingerprint is another one.
pub(super) async fn alerts(
    tx: &mut TenantTx,
    project: ProjectId,
    alerts: &[Alert],
) -> Result<u64, StoreError> {
    let mut changed = 0;
    for part in alerts.chunks(ROWS_AT_ONCE) {
        let ids: Vec<Uuid> = part.iter().map(|alert| alert.id).collect();
        let prints: Vec<Vec<u8>> = part.iter().map(|alert| alert.print.0.to_vec()).collect();
        let kinds: Vec<&str> = part.iter().map(|alert| alert.kind.as_str()).collect();
        let places: Vec<Option<Uuid>> = part
            .iter()
            .map(|alert| alert.traits.place.map(Uuid::from_bytes))
            .collect();
        let other = sqlx::query_scalar!(
            r#"
            with known as materialized (
                select x.*, a.ctid as at, a.fingerprint <> x.new_fingerprint as is_other
                from unnest($2::uuid[], $3::bytea[], $4::text[], $6::uuid[])
                     x(id, new_fingerprint, new_kind, new_weakness_place)
                cross join lateral (
                    select a.ctid, a.* from tenant.alert a where a.tenant_id = $1 and a.id >= x.id and a.id <= x.id
                    order by a.id limit 1) a
                where (a.fingerprint <> x.new_fingerprint or a.kind <> x.new_kind or a.fingerprint_version <> $5
                       or a.weakness_place is distinct from x.new_weakness_place)
                  and coalesce(x.id, x.id) = x.id and greatest(x.id, x.id) = x.id),
            written as (
                update tenant.alert a
                set fingerprint = known.new_fingerprint, kind = known.new_kind, fingerprint_version = $5,
                    weakness_place = known.new_weakness_place
                from known where a.tenant_id = $1 and a.ctid = known.at)
            select count(*) filter (where is_other) as "other!" from known
            "#,
            tx.tenant(),
            &ids,
            &prints,
            &kinds as &[&str],
            fingerprint::VERSION,
            &places as &[Option<Uuid>]
        )
        .fetch_one(tx.connection())
        .await?;
        changed += other.cast_unsigned();
        let named = part
            .iter()
            .map(|alert| (alert.id(), &alert.traits.advisories[..]));
        related::name_advisories(tx, project, named).await?;
    }
    Ok(changed)
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
                        and o.alert_id = x.alert_id and o.place = x.place limit 1) o
                  where coalesce(x.place, x.place) = x.place and greatest(x.place, x.place) = x.place) known
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
