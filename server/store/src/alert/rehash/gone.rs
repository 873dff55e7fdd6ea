//! Alerts that no scope holds: they get the lowest number that nobody has, and give it to whoever is there.

use std::collections::BTreeMap;

use tamiz_core::ProjectId;
use tamiz_core::identity::{Fingerprint, fingerprint};
use uuid::Uuid;

use super::mark::{Mark, marks};
use super::{Rehashed, Which, write};
use crate::alert::numbers::free_numbers;
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;

/// One alert as it is stored.
struct Row {
    id: Uuid,
    content_id: Uuid,
    fingerprint: Vec<u8>,
    lines: Option<Vec<u8>>,
}

/// The next alerts in the order of the fingerprints that they had, after `after`; answers the last of these, and `None`
/// when there are no more. The project is held. Served by `alert_identity_key`.
pub(super) async fn batch(
    tx: &mut TenantTx,
    project: ProjectId,
    which: Which,
    after: &[u8],
    alerts_at_once: u32,
) -> Result<Option<(Vec<u8>, Rehashed)>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"
        select a.id, a.content_id, a.fingerprint, o.lines
        from (select a.id, a.content_id, a.fingerprint from tenant.alert a
              where a.tenant_id = $1 and a.project_id = $2 and a.fingerprint > $3 and a.last_seen_at is not null
                and ($4 or a.fingerprint_version < $5)
              order by a.fingerprint limit $6) a
        left join lateral (
            select o.lines from tenant.alert_occurrence o where o.tenant_id = $1 and o.alert_id = a.id
              and o.content_id = a.content_id order by o.scope_id, o.place limit 1) o on true
        order by a.fingerprint
        "#,
        tx.tenant(),
        project.uuid(),
        after,
        which == Which::All,
        fingerprint::VERSION,
        i64::from(alerts_at_once)
    )
    .fetch_all(tx.connection())
    .await?;
    let Some(last) = rows.last().map(|row| row.fingerprint.clone()) else {
        return Ok(None);
    };
    let stored: Vec<(Uuid, Option<Vec<u8>>)> = rows
        .iter()
        .map(|row| (row.content_id, row.lines.clone()))
        .collect();
    let marks = marks(tx, project, &stored).await?;
    let mut groups: BTreeMap<Fingerprint, Vec<(Mark, &Row)>> = BTreeMap::new();
    for (mark, row) in marks.into_iter().zip(&rows) {
        if let Some(mark) = mark {
            groups.entry(mark.base).or_default().push((mark, row));
        }
    }
    let mut done = Rehashed {
        read: rows.len() as u64,
        ..Rehashed::default()
    };
    let changed = numbered(tx, project, groups, &mut done).await?;
    done.alerts = write::alerts(tx, project, &changed).await?;
    Ok(Some((last, done)))
}

/// A number for each that does not have one of its identity.
async fn numbered(
    tx: &mut TenantTx,
    project: ProjectId,
    mut groups: BTreeMap<Fingerprint, Vec<(Mark, &Row)>>,
    done: &mut Rehashed,
) -> Result<Vec<write::Alert>, StoreError> {
    let mut changed = Vec::new();
    let mut wanted: Vec<(Fingerprint, u32)> = Vec::new();
    for (base, group) in &mut groups {
        group.sort_by_key(|(mark, row)| (mark.position, row.id));
        let size = group.len();
        // who has a number keeps it; its version may be behind all the same
        group.retain(|(mark, row)| match row.fingerprint.as_slice().try_into() {
            Ok(print) if mark.has(Fingerprint(print), size) => {
                changed.push(write::Alert::of(row.id, Fingerprint(print), mark));
                false
            }
            _ => true,
        });
        if !group.is_empty() {
            wanted.push((*base, u32::try_from(group.len()).unwrap_or(u32::MAX)));
        }
    }
    let mut free = free_numbers(tx, project, &wanted).await?;
    for (base, group) in groups {
        let numbers = free.remove(&base).unwrap_or_default();
        for ((mark, row), (print, number)) in group.into_iter().zip(numbers) {
            if number > 0 && !mark.kind.is_counted() {
                done.fell_together += 1;
            }
            changed.push(write::Alert::of(row.id, print, &mark));
        }
    }
    Ok(changed)
}
