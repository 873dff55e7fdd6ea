//! What the database knows of a scan's findings.

use std::collections::{HashMap, HashSet};
use std::future::ready;

use futures_util::TryStreamExt as _;
use tamiz_core::identity::Fingerprint;
use tamiz_core::{AlertId, ProjectId};
use uuid::Uuid;

use super::{Before, Belongs, Gone, ROWS_AT_ONCE, Sighting};
use crate::alert::fingerprint_of;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// A place that the scope holds.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) before: Before,
    pub(super) lines: Option<Vec<u8>>,
    pub(super) tool_id: Option<Uuid>,
}

/// What the scope holds with the same fingerprint and place. Served by `alert_occurrence_scope_idx`.
pub(super) async fn held(
    tx: &mut TenantTx,
    scope: Uuid,
    sightings: &[Sighting],
) -> Result<Vec<Option<Belongs>>, StoreError> {
    let mut held = vec![None; sightings.len()];
    for (chunk, part) in sightings.chunks(ROWS_AT_ONCE).enumerate() {
        let prints: Vec<Vec<u8>> = part.iter().map(|one| one.fingerprint.0.to_vec()).collect();
        let places: Vec<Uuid> = part.iter().map(|one| Uuid::from_bytes(one.place)).collect();
        let rows = sqlx::query!(
            r#"
            select x.n as "n!", o.alert_id, o.content_id, o.line
            from unnest($3::bytea[], $4::uuid[]) with ordinality x(fingerprint, place, n)
            cross join lateral (
                select o.alert_id, o.content_id, o.line from tenant.alert_occurrence o
                where o.tenant_id = $1 and o.scope_id = $2 and o.place = x.place and o.last_seen_at is null
                  and o.fingerprint >= x.fingerprint and o.fingerprint <= x.fingerprint
                order by o.fingerprint limit 1) o
            "#,
            tx.tenant(),
            scope,
            &prints,
            &places
        )
        .fetch_all(tx.connection())
        .await?;
        for row in rows {
            let at = chunk * ROWS_AT_ONCE + usize::try_from(row.n - 1).unwrap_or(0);
            let before = Before {
                content: row.content_id,
                line: row.line,
                fingerprint: sightings[at].fingerprint,
            };
            held[at] = Some(Belongs::Held(row.alert_id.into(), before));
        }
    }
    Ok(held)
}

/// The places that the scope holds and that are not among these. Where it holds as many as were seen, none is read.
/// Served by `alert_occurrence_scope_idx` and the primary key.
pub(super) async fn not_seen(
    tx: &mut TenantTx,
    scope: Uuid,
    sightings: &[Sighting],
    belongs: &[Option<Belongs>],
) -> Result<Gone, StoreError> {
    let seen = sightings.iter().zip(belongs).filter_map(|(sighting, belongs)| {
        Some(((*belongs)?.alert().uuid(), Uuid::from_bytes(sighting.place)))
    });
    let seen: HashSet<(Uuid, Uuid)> = seen.collect();
    let held = sqlx::query_scalar!(
        r#"select count(*) as "held!" from tenant.alert_occurrence
           where tenant_id = $1 and scope_id = $2 and last_seen_at is null"#,
        tx.tenant(),
        scope
    )
    .fetch_one(tx.connection())
    .await?;
    if usize::try_from(held) == Ok(seen.len()) {
        return Ok(Gone::new());
    }
    let rows = sqlx::query!(
        "select alert_id, place from tenant.alert_occurrence
         where tenant_id = $1 and scope_id = $2 and last_seen_at is null",
        tx.tenant(),
        scope
    )
    .fetch(tx.connection());
    let unseen = rows.try_filter_map(|row| {
        let place = (row.alert_id, row.place);
        ready(Ok((!seen.contains(&place)).then_some(place)))
    });
    let unseen: Vec<(Uuid, Uuid)> = unseen.try_collect().await?;
    let mut gone = Gone::new();
    for part in unseen.chunks(ROWS_AT_ONCE) {
        gone.extend(places(tx, scope, part).await?);
    }
    Ok(gone)
}

/// These places of the scope. Served by the primary key.
async fn places(tx: &mut TenantTx, scope: Uuid, which: &[(Uuid, Uuid)]) -> Result<Gone, StoreError> {
    let (alerts, places): (Vec<Uuid>, Vec<Uuid>) = which.iter().copied().unzip();
    let rows = sqlx::query!(
        r#"
        select o.alert_id, o.place, o.fingerprint, o.content_id, o.line, o.lines, o.tool_id
        from unnest($3::uuid[], $4::uuid[]) x(alert_id, place)
        cross join lateral (
            select * from tenant.alert_occurrence o
            where o.tenant_id = $1 and o.scope_id = $2 and o.alert_id = x.alert_id and o.place = x.place limit 1) o
        "#,
        tx.tenant(),
        scope,
        &alerts,
        &places
    )
    .fetch_all(tx.connection())
    .await?;
    let places = rows.into_iter().map(|row| {
        let place = Place {
            before: Before {
                content: row.content_id,
                line: row.line,
                fingerprint: fingerprint_of(&row.fingerprint)?,
            },
            lines: row.lines,
            tool_id: row.tool_id,
        };
        Ok(((row.alert_id.into(), row.place), place))
    });
    places.collect()
}

/// The alerts that these sightings are by their fingerprints, wherever and whenever they were seen.
pub(super) async fn by_fingerprint(
    tx: &mut TenantTx,
    project: ProjectId,
    sightings: &[Sighting],
    which: &[usize],
) -> Result<HashMap<Fingerprint, AlertId>, StoreError> {
    let prints: Vec<Fingerprint> = which.iter().map(|at| sightings[*at].fingerprint).collect();
    alerts_with(tx, project, &prints).await
}

/// The project's alerts with these fingerprints. Served by `alert_identity_key`.
pub(in crate::alert) async fn alerts_with(
    tx: &mut TenantTx,
    project: ProjectId,
    prints: &[Fingerprint],
) -> Result<HashMap<Fingerprint, AlertId>, StoreError> {
    let mut known = HashMap::new();
    for part in prints.chunks(ROWS_AT_ONCE) {
        let prints: Vec<Vec<u8>> = part.iter().map(|print| print.0.to_vec()).collect();
        let rows = sqlx::query!(
            r#"
            select a.id, a.fingerprint
            from (select distinct * from unnest($3::bytea[]) x(fingerprint)) x
            cross join lateral (
                select a.id, a.fingerprint from tenant.alert a
                where a.tenant_id = $1 and a.project_id = $2
                  and a.fingerprint >= x.fingerprint and a.fingerprint <= x.fingerprint
                order by a.fingerprint limit 1) a
            "#,
            tx.tenant(),
            project.uuid(),
            &prints
        )
        .fetch_all(tx.connection())
        .await?;
        for row in rows {
            known.insert(fingerprint_of(&row.fingerprint)?, row.id.into());
        }
    }
    Ok(known)
}
