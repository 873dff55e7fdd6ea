//! Writes what changed: known alerts first, because new ones may take fingerprints that these leave.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tamiz_core::identity::fingerprint;
use tamiz_core::scope::Comparison;
use tamiz_core::webhook::EventType;
use tamiz_core::{AlertId, AlertState, Severity};
use uuid::Uuid;

use super::{Belongs, ROWS_AT_ONCE, Scan, Sighting, line};
use crate::alert::count::Changes;
use crate::alert::{numbers, related, standing_of};
use crate::error::StoreError;
use crate::tenant_tx::TenantTx;
use crate::webhook::outbox::By;

/// A scan whose sightings have found their alerts.
pub(super) struct Written<'a> {
    scan: Scan<'a>,
    scope: Uuid,
    sightings: &'a [Sighting],
    belongs: &'a [Belongs],
    /// The sighting that an alert shows: of its places the first, of these the worst.
    shown: HashMap<AlertId, &'a Sighting>,
}

/// One array per column of alerts and what they show.
struct Columns {
    alerts: Vec<Uuid>,
    contents: Vec<Uuid>,
    prints: Vec<Vec<u8>>,
    severities: Vec<i16>,
    weakness_places: Vec<Option<Uuid>>,
}

/// So many alerts went from one standing to another, or show another content.
struct Moved {
    state: i16,
    severity: i16,
    new_state: i32,
    new_severity: i16,
    alerts: i32,
    some: Vec<Uuid>,
    old_content_id: Uuid,
    content_id: Uuid,
}

impl Columns {
    fn of(alerts: &[(AlertId, &Sighting)]) -> Self {
        let shown = || alerts.iter().map(|(_, shown)| *shown);
        Self {
            alerts: alerts.iter().map(|(alert, _)| alert.uuid()).collect(),
            contents: shown().map(|one| Uuid::from_bytes(one.content)).collect(),
            prints: shown().map(|one| one.fingerprint.0.to_vec()).collect(),
            severities: shown().map(|one| one.severity.rank()).collect(),
            weakness_places: shown()
                .map(|one| one.traits.place.map(Uuid::from_bytes))
                .collect(),
        }
    }
}

impl<'a> Written<'a> {
    pub(super) fn new(
        scan: Scan<'a>,
        scope: Uuid,
        sightings: &'a [Sighting],
        belongs: &'a [Belongs],
    ) -> Self {
        let mut shown: HashMap<AlertId, &Sighting> = HashMap::new();
        let rank = |one: &Sighting| (one.place, std::cmp::Reverse(one.severity), one.content);
        for (sighting, belongs) in sightings.iter().zip(belongs) {
            let alert = shown.entry(belongs.alert()).or_insert(sighting);
            if rank(sighting) < rank(alert) {
                *alert = sighting;
            }
        }
        Self {
            scan,
            scope,
            sightings,
            belongs,
            shown,
        }
    }

    fn each(&self) -> impl Iterator<Item = (&Sighting, Belongs)> {
        self.sightings.iter().zip(self.belongs.iter().copied())
    }

    /// These alerts with what they show.
    fn showing(&self, alerts: &BTreeSet<AlertId>) -> Vec<(AlertId, &Sighting)> {
        alerts.iter().map(|alert| (*alert, self.shown[alert])).collect()
    }

    /// Alerts of which the scope held a place that is another now, and those that it did not hold.
    pub(super) async fn known(
        &self,
        tx: &mut TenantTx,
        changes: &mut Changes,
        comparison: &mut Comparison,
    ) -> Result<(), StoreError> {
        let (mut touched, mut elsewhere) = (BTreeSet::new(), BTreeSet::new());
        for (sighting, belongs) in self.each() {
            match belongs {
                Belongs::Held(alert, before) => {
                    if before.is_elsewhere(sighting) {
                        elsewhere.insert(alert);
                    }
                    if !before.is(sighting) {
                        touched.insert(alert);
                    }
                }
                Belongs::Known(alert) => _ = touched.insert(alert),
                Belongs::New(_) => {}
            }
        }
        comparison.moved = u32::try_from(elsewhere.len()).unwrap_or(u32::MAX);
        let shown = self.showing(&touched);
        let taken = shown.iter().map(|(_, shown)| (shown.fingerprint, shown.base));
        numbers::give_way(tx, self.scan.project, &taken.collect(), &touched).await?;
        // equals may change numbers with those of another part
        let has_parts = shown.len() > ROWS_AT_ONCE;
        if has_parts {
            numbers::unsettle(tx).await?;
        }
        for part in shown.chunks(ROWS_AT_ONCE) {
            self.update(tx, part, changes, comparison).await?;
        }
        if has_parts {
            numbers::settle(tx).await?;
        }
        Ok(())
    }

    async fn update(
        &self,
        tx: &mut TenantTx,
        alerts: &[(AlertId, &Sighting)],
        changes: &mut Changes,
        comparison: &mut Comparison,
    ) -> Result<(), StoreError> {
        let columns = Columns::of(alerts);
        let rows = sqlx::query_as!(
            Moved,
            r#"
            with old as materialized (
                select a.at, a.id, a.state, a.severity, a.content_id as old_content_id, x.content_id, x.fingerprint, x.severity as tool_severity,
                       x.weakness_place, coalesce(a.severity_override, x.severity) as new_severity,
                       -- what was gone, and what was accepted until a time that is past
                       case when a.state = 3 or a.state = 2 and a.dismissed_until <= now() then 1 else a.state end
                           as new_state
                from unnest($2::uuid[], $3::uuid[], $4::bytea[], $5::smallint[], $9::uuid[])
                     x(id, content_id, fingerprint, severity, weakness_place),
                lateral (select a.ctid as at, * from tenant.alert a
                         where a.tenant_id = $1 and a.id >= x.id and a.id <= x.id order by a.id limit 1) a
                where coalesce(x.id, x.id) = x.id and greatest(x.id, x.id) = x.id),
            changed as (
                update tenant.alert a
                set content_id = old.content_id, fingerprint = old.fingerprint, fingerprint_version = $8,
                    tool_severity = old.tool_severity, severity = old.new_severity, state = old.new_state, scope_id = $6,
                    weakness_place = old.weakness_place, last_seen_at = null,
                    dismissed_reason = case when old.new_state = 2 then a.dismissed_reason end,
                    dismissed_comment = case when old.new_state = 2 then a.dismissed_comment end,
                    dismissed_by = case when old.new_state = 2 then a.dismissed_by end,
                    dismissed_at = case when old.new_state = 2 then a.dismissed_at end,
                    dismissed_until = case when old.new_state = 2 then a.dismissed_until end
                from old where a.tenant_id = $1 and a.ctid = old.at),
            told as (
                insert into tenant.alert_event (tenant_id, alert_id, id, kind, task_id, before, after)
                select $1, old.id, gen_random_uuid(), 'reopened', $7::uuid,
                       jsonb_build_object('state', case old.state when 3 then 'fixed' else 'dismissed' end),
                       '{"state": "reopened"}'
                from old where old.new_state <> old.state
                union all
                select $1, old.id, gen_random_uuid(), 'severity', $7::uuid, jsonb_build_object('severity', old.severity),
                       jsonb_build_object('severity', old.new_severity)
                from old where old.new_severity <> old.severity)
            select state, severity, new_state as "new_state!", new_severity as "new_severity!", count(*)::int as "alerts!",
                   (array_agg(id))[:100] as "some!", old_content_id, content_id as "content_id!"
            from old
            where state <> new_state or severity <> new_severity or new_state < 2 and old_content_id <> content_id
            group by state, severity, new_state, new_severity, old_content_id, content_id
            "#,
            tx.tenant(),
            &columns.alerts,
            &columns.contents,
            &columns.prints,
            &columns.severities,
            self.scope,
            self.scan.task.uuid(),
            fingerprint::VERSION,
            &columns.weakness_places as &[Option<Uuid>]
        )
        .fetch_all(tx.connection())
        .await?;
        self.note_moved(tx, rows, changes, comparison)?;
        self.name_advisories(tx, alerts).await
    }

    /// Counts alerts that are seen again, and says who came back.
    fn note_moved(
        &self,
        tx: &mut TenantTx,
        rows: Vec<Moved>,
        changes: &mut Changes,
        comparison: &mut Comparison,
    ) -> Result<(), StoreError> {
        for row in rows {
            let before = standing_of(row.state, row.severity)?;
            let after = standing_of(i16::try_from(row.new_state).unwrap_or(-1), row.new_severity)?;
            let (from, to) = (row.old_content_id, row.content_id);
            let (from, to) = ((from, before.0.is_open()), (to, after.0.is_open()));
            tx.rule_counts.moved(self.scan.project, from, to, row.alerts);
            if before != after {
                changes.add(Some(before), after, row.alerts);
            }
            if before.0 != after.0 {
                comparison.reopened += u32::try_from(row.alerts).unwrap_or(0);
                let some = row.some.into_iter().map(|id| (after.1, id.into()));
                self.tell(tx, EventType::AlertReopened, row.alerts, some);
            }
        }
        Ok(())
    }

    /// Notes what webhooks tell of it.
    fn tell(
        &self,
        tx: &mut TenantTx,
        event: EventType,
        count: i32,
        some: impl IntoIterator<Item = (Severity, AlertId)>,
    ) {
        let by = By::Task(self.scan.task);
        let count = u64::try_from(count).unwrap_or(0);
        tx.outbox.add(self.scan.project, event, &by, count, some);
    }

    /// Alerts that nobody knew.
    pub(super) async fn open(
        &self,
        tx: &mut TenantTx,
        changes: &mut Changes,
        comparison: &mut Comparison,
    ) -> Result<(), StoreError> {
        let new = self.each().filter_map(|(_, belongs)| match belongs {
            Belongs::New(alert) => Some(alert),
            Belongs::Held(..) | Belongs::Known(_) => None,
        });
        let new: BTreeSet<AlertId> = new.collect();
        let new = self.showing(&new);
        for (_, shown) in &new {
            changes.add(None, (AlertState::Open, shown.severity), 1);
            tx.rule_counts
                .add(self.scan.project, Uuid::from_bytes(shown.content), 1);
        }
        comparison.new = u32::try_from(new.len()).unwrap_or(u32::MAX);
        let told = new.iter().map(|(alert, shown)| (shown.severity, *alert));
        self.tell(
            tx,
            EventType::AlertOpened,
            i32::try_from(new.len()).unwrap_or(i32::MAX),
            told,
        );
        for part in new.chunks(ROWS_AT_ONCE) {
            self.insert(tx, part).await?;
        }
        Ok(())
    }

    async fn insert(&self, tx: &mut TenantTx, alerts: &[(AlertId, &Sighting)]) -> Result<(), StoreError> {
        let columns = Columns::of(alerts);
        let kinds: Vec<&str> = alerts.iter().map(|(_, shown)| shown.kind.as_str()).collect();
        sqlx::query!(
            r#"
            with new as (
                insert into tenant.alert
                    (tenant_id, project_id, scope_id, first_task_id, source_tool, fingerprint_version, id, kind,
                     content_id, fingerprint, state, severity, tool_severity, weakness_place)
                select $1, $2, $3, $4, $5, $6, x.id, x.kind, x.content_id, x.fingerprint, 0, x.severity, x.severity,
                       x.weakness_place
                from unnest($7::uuid[], $8::text[], $9::uuid[], $10::bytea[], $11::smallint[], $12::uuid[])
                     x(id, kind, content_id, fingerprint, severity, weakness_place))
            insert into tenant.alert_event (tenant_id, alert_id, id, kind, task_id, after)
            select $1, x.id, x.id, 'opened', $4, '{"state": "open"}' from unnest($7::uuid[]) x(id)
            "#,
            tx.tenant(),
            self.scan.project.uuid(),
            self.scope,
            self.scan.task.uuid(),
            self.scan.scope.tool,
            fingerprint::VERSION,
            &columns.alerts,
            &kinds as &[&str],
            &columns.contents,
            &columns.prints,
            &columns.severities,
            &columns.weakness_places as &[Option<Uuid>]
        )
        .execute(tx.connection())
        .await?;
        self.name_advisories(tx, alerts).await
    }

    /// The advisories that these alerts name now. What an alert named before stays: readers look at what it says.
    async fn name_advisories(
        &self,
        tx: &mut TenantTx,
        alerts: &[(AlertId, &Sighting)],
    ) -> Result<(), StoreError> {
        let named = alerts
            .iter()
            .map(|(alert, shown)| (*alert, &shown.traits.advisories[..]));
        related::name_advisories(tx, self.scan.project, named).await
    }

    /// The places that the scope did not hold, or held otherwise.
    pub(super) async fn places(&self, tx: &mut TenantTx) -> Result<(), StoreError> {
        let mut places: BTreeMap<(AlertId, Uuid), &Sighting> = BTreeMap::new();
        for (sighting, belongs) in self.each() {
            if !matches!(belongs, Belongs::Held(_, before) if before.is(sighting)) {
                places.insert((belongs.alert(), Uuid::from_bytes(sighting.place)), sighting);
            }
        }
        let places: Vec<_> = places.into_iter().collect();
        for part in places.chunks(ROWS_AT_ONCE) {
            self.upsert(tx, part).await?;
        }
        Ok(())
    }

    async fn upsert(
        &self,
        tx: &mut TenantTx,
        places: &[((AlertId, Uuid), &Sighting)],
    ) -> Result<(), StoreError> {
        let alerts: Vec<Uuid> = places.iter().map(|((alert, _), _)| alert.uuid()).collect();
        let names: Vec<Uuid> = places.iter().map(|((_, place), _)| *place).collect();
        let prints: Vec<Vec<u8>> = places.iter().map(|(_, one)| one.fingerprint.0.to_vec()).collect();
        let contents: Vec<Uuid> = places
            .iter()
            .map(|(_, one)| Uuid::from_bytes(one.content))
            .collect();
        let numbers: Vec<i32> = places.iter().map(|(_, one)| line(one)).collect();
        let lines: Vec<Option<Vec<u8>>> = places.iter().map(|(_, one)| one.lines.clone()).collect();
        let tool_ids = places.iter().map(|(_, one)| one.tool_id.map(Uuid::from_bytes));
        let tool_ids: Vec<Option<Uuid>> = tool_ids.collect();
        sqlx::query!(
            r#"
            insert into tenant.alert_occurrence as o
                (tenant_id, scope_id, alert_id, place, fingerprint, content_id, line, lines, tool_id)
            select $1, $2, x.alert_id, x.place, x.fingerprint, x.content_id, x.line, x.lines, x.tool_id
            from unnest($3::uuid[], $4::uuid[], $5::bytea[], $6::uuid[], $7::int[], $8::bytea[], $9::uuid[])
                 x(alert_id, place, fingerprint, content_id, line, lines, tool_id)
            on conflict (tenant_id, alert_id, scope_id, place) do update
            set fingerprint = excluded.fingerprint, content_id = excluded.content_id, line = excluded.line,
                lines = excluded.lines, tool_id = excluded.tool_id, last_seen_at = null
            "#,
            tx.tenant(),
            self.scope,
            &alerts,
            &names,
            &prints,
            &contents,
            &numbers,
            &lines as &[Option<Vec<u8>>],
            &tool_ids as &[Option<Uuid>]
        )
        .execute(tx.connection())
        .await?;
        Ok(())
    }

    /// Alerts that another scope saw last are listed as seen by this one. Without another scope of the tool there is
    /// none, and nothing is read.
    pub(super) async fn come_home(&self, tx: &mut TenantTx) -> Result<(), StoreError> {
        let has_others = sqlx::query_scalar!(
            r#"select exists (select from tenant.scan_scope where tenant_id = $1 and project_id = $2 and tool = $3
                              and id <> $4) as "others!""#,
            tx.tenant(),
            self.scan.project.uuid(),
            self.scan.scope.tool,
            self.scope
        )
        .fetch_one(tx.connection())
        .await?;
        if !has_others {
            return Ok(());
        }
        for part in self.belongs.chunks(ROWS_AT_ONCE) {
            let ids: Vec<Uuid> = part.iter().map(|belongs| belongs.alert().uuid()).collect();
            sqlx::query!(
                r#"
                update tenant.alert a set scope_id = $2
                from (select a.at from (select distinct * from unnest($3::uuid[]) x(id)) x
                      cross join lateral (
                          select a.ctid as at from tenant.alert a
                          where a.tenant_id = $1 and a.id >= x.id and a.id <= x.id and a.scope_id <> $2
                          order by a.id limit 1) a
                      where coalesce(x.id, x.id) = x.id and greatest(x.id, x.id) = x.id) known
                where a.tenant_id = $1 and a.ctid = known.at
                "#,
                tx.tenant(),
                self.scope,
                &ids
            )
            .execute(tx.connection())
            .await?;
        }
        Ok(())
    }
}
