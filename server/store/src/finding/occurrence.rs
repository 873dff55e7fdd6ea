//! Occurrences: the further records of a report that say what one of its findings says.

use std::collections::HashMap;

use sqlx::types::Json;
use tamiz_core::{FindingId, Location, Span};
use uuid::Uuid;

use super::FindingMonth;
use super::content::json;
use crate::error::StoreError;
use crate::page::{Page, Window};
use crate::tenant_tx::TenantTx;
use crate::weight;

/// An occurrence on its way into the database.
#[derive(Debug, Clone, PartialEq)]
pub struct NewOccurrence {
    /// Of which finding.
    pub of: FindingId,
    /// Its number among those of the finding, from 1.
    pub ordinal: u32,
    /// Its places.
    pub locations: Vec<Location>,
    /// Where in the report it stood.
    pub origin: Option<Span>,
}

/// A stored occurrence.
#[derive(Debug, Clone, PartialEq)]
pub struct OccurrenceRow {
    /// Of which finding.
    pub finding_id: Uuid,
    /// Its number among those of the finding, from 1.
    pub ordinal: i32,
    /// Its places.
    pub locations: Json<Vec<Location>>,
    /// The byte of the report it began with.
    pub report_offset: Option<i64>,
    /// In bytes.
    pub report_length: Option<i64>,
}

/// Inserts at most [`super::CONTENTS_PER_INSERT`] occurrences in one statement, after their findings.
///
/// # Errors
/// [`StoreError`] when the database does not take them.
pub async fn insert_occurrences(
    tx: &mut TenantTx,
    month: FindingMonth,
    batch: &[NewOccurrence],
) -> Result<u64, StoreError> {
    let findings: Vec<Uuid> = batch.iter().map(|row| row.of.uuid()).collect();
    let ordinals: Vec<i32> = batch.iter().map(|row| row.ordinal.cast_signed()).collect();
    let locations = batch.iter().map(|row| json(&row.locations));
    let locations: Vec<String> = locations.collect::<Result<_, _>>()?;
    let origin = |of: fn(Span) -> u32| -> Vec<Option<i64>> {
        batch
            .iter()
            .map(|row| row.origin.map(|span| i64::from(of(span))))
            .collect()
    };
    let done = sqlx::query!(
        r#"
        insert into tenant.finding_occurrence
            (tenant_id, expires_on, finding_id, ordinal, locations, report_offset, report_length)
        select $1, $7, x.finding_id, x.ordinal, x.locations::jsonb, x.report_offset, x.report_length
        from unnest($2::uuid[], $3::int[], $4::text[], $5::bigint[], $6::bigint[])
             x(finding_id, ordinal, locations, report_offset, report_length)
        "#,
        tx.tenant(),
        &findings,
        &ordinals,
        &locations,
        &origin(|span| span.offset) as &[Option<i64>],
        &origin(|span| span.length) as &[Option<i64>],
        month.expires_on()
    )
    .execute(tx.connection())
    .await?;
    Ok(done.rows_affected())
}

/// The same page of occurrences of each finding; a finding without any is left out.
///
/// Served by the primary key `(tenant_id, finding_id, ordinal)`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn occurrence_pages_of(
    tx: &mut TenantTx,
    findings: &[FindingId],
    window: Window<i32>,
) -> Result<HashMap<FindingId, Page<OccurrenceRow>>, StoreError> {
    let findings: Vec<Uuid> = findings.iter().map(|id| id.uuid()).collect();
    let allowance = tx.allowance();
    let rows = sqlx::query_as!(
        OccurrenceRow,
        r#"
        select o.finding_id as "finding_id!", o.ordinal as "ordinal!",
               o.locations as "locations!: Json<Vec<Location>>", o.report_offset, o.report_length
        from unnest($2::uuid[]) parent(id) cross join lateral (
            (select finding_id, ordinal, locations, report_offset, report_length
             from tenant.finding_occurrence
             where tenant_id = $1 and finding_id = parent.id and ($3::int is null or ordinal > $3)
               and ($4::int is null or ordinal < $4) and not $6
             order by ordinal limit $5)
            union all
            (select finding_id, ordinal, locations, report_offset, report_length
             from tenant.finding_occurrence
             where tenant_id = $1 and finding_id = parent.id and ($3::int is null or ordinal > $3)
               and ($4::int is null or ordinal < $4) and $6
             order by ordinal desc limit $5)) o
        order by o.finding_id, o.ordinal
        "#,
        tx.tenant(),
        &findings,
        window.after,
        window.before,
        window.limit.probe(),
        window.from_end
    )
    .fetch(tx.connection());
    let rows = allowance.collect(rows, weight::of_occurrence).await?;
    let rows = rows.into_iter().map(|row| (row.finding_id.into(), row));
    Ok(Page::between_each(rows, &window))
}

/// How many occurrences each finding has; a finding without any is left out.
///
/// Served by the primary key `(tenant_id, finding_id, ordinal)`.
///
/// # Errors
/// [`StoreError`] when the database cannot be read.
pub async fn occurrence_counts_of(
    tx: &mut TenantTx,
    findings: &[FindingId],
) -> Result<HashMap<FindingId, i64>, StoreError> {
    let findings: Vec<Uuid> = findings.iter().map(|id| id.uuid()).collect();
    let rows = sqlx::query!(
        r#"
        select finding_id, count(*) as "count!" from tenant.finding_occurrence
        where tenant_id = $1 and finding_id = any($2) group by finding_id
        "#,
        tx.tenant(),
        &findings
    )
    .fetch_all(tx.connection())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| (row.finding_id.into(), row.count))
        .collect())
}

#[cfg(test)]
mod tests {
    use crate::page::PageLimit;
    use serde_json::json;
    use sqlx::AssertSqlSafe;
    use tamiz_core::Finding;
    use tamiz_core::identity::Fingerprint;
    use tamiz_core::summary::Summary;

    use super::*;
    use crate::connect::Store;
    use crate::database_for_tests::{Database, tenant_with_task};
    use crate::finding::{self, NewContent, NewFinding};
    use crate::scope::TenantScope;
    use crate::{scan_result, task};

    fn stored(id: u8, score: Option<f64>) -> NewContent {
        let finding: Finding = serde_json::from_value(json!({
            "tool": "t", "rule_id": "r", "rule_name": null, "title": "a", "message": "m",
            "severity": "high", "severity_raw": null, "confidence": "low", "category": null,
            "locations": [{ "kind": "file", "path": "a.py" }], "cwe": [], "cve": [], "cvss_vector": null,
            "references": [], "tags": [], "remediation": null, "tool_fingerprint": null, "origin": null,
            "extra": {}
        }))
        .unwrap();
        NewContent {
            id: [id; 16],
            cvss_score: score,
            finding,
        }
    }

    /// A tenant with two findings, of which the first has three occurrences.
    async fn tenant(store: &Store, name: &str) -> (TenantScope, tamiz_core::TaskId, [FindingId; 2]) {
        let (scope, id) = tenant_with_task(store, name).await;
        let mut tx = store.begin(&scope).await.unwrap();
        let project = task::get(&mut tx, id).await.unwrap().unwrap().project_id;
        let contents = vec![stored(1, Some(9.8)), stored(2, None)];
        let findings = [FindingId::fresh(), FindingId::fresh()];
        let occurrences: Vec<_> = (1..=3)
            .map(|ordinal| NewOccurrence {
                of: findings[0],
                ordinal,
                locations: contents[0].finding.locations.clone(),
                origin: Some(Span {
                    input: 0,
                    offset: u32::MAX - ordinal,
                    length: 9,
                }),
            })
            .collect();
        let new = [0, 1].map(|at| NewFinding {
            id: findings[at],
            alert: None,
            content: contents[at].id,
            tool: "t".into(),
            severity: tamiz_core::Severity::High,
            fingerprint: Fingerprint([1; 32]),
        });
        let month = FindingMonth::kept();
        finding::insert_contents(&mut tx, project, contents)
            .await
            .unwrap();
        finding::insert(&mut tx, project, id, month, &new).await.unwrap();
        assert_eq!(insert_occurrences(&mut tx, month, &occurrences).await.unwrap(), 3);
        scan_result::create(&mut tx, id, &Summary::empty(), None, month)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        (scope, id, findings)
    }

    #[tokio::test]
    async fn occurrences_are_read_in_pages_and_go_with_their_findings() {
        let database = Database::fresh().await;
        let store = database.store().await;
        let (scope, id, findings) = tenant(&store, "acme").await;
        let mut tx = store.begin(&scope).await.unwrap();

        let rows = finding::by_ids(&mut tx, &findings).await.unwrap();
        let scored = |id: FindingId| {
            rows.iter()
                .find(|row| row.id == id.uuid())
                .unwrap()
                .said
                .content
                .cvss_score
        };
        assert_eq!((scored(findings[0]), scored(findings[1])), (Some(9.8), None));

        let counts = occurrence_counts_of(&mut tx, &findings).await.unwrap();
        assert_eq!(counts, HashMap::from([(findings[0], 3)]));
        let (mut after, mut ordinals) = (0, Vec::new());
        for has_next in [true, false] {
            let limit = PageLimit::new(2).unwrap();
            let pages = occurrence_pages_of(&mut tx, &findings, Window::after(Some(after), limit))
                .await
                .unwrap();
            assert_eq!(pages.len(), 1, "a finding without any is left out");
            let page = &pages[&findings[0]];
            assert_eq!(page.has_next, has_next);
            for row in &page.rows {
                assert_eq!(row.locations.0[0].label(), "a.py");
                let origin = (row.report_offset, row.report_length);
                assert_eq!(
                    origin,
                    (Some(i64::from(u32::MAX) - i64::from(row.ordinal)), Some(9))
                );
                ordinals.push(row.ordinal);
            }
            after = page.rows.last().unwrap().ordinal;
        }
        assert_eq!(ordinals, [1, 2, 3]);

        scan_result::clear(&mut tx, id).await.unwrap();
        assert!(occurrence_counts_of(&mut tx, &findings).await.unwrap().is_empty());
        assert!(finding::by_ids(&mut tx, &findings).await.unwrap().is_empty());
        drop(tx);
        store.close().await;
        database.drop().await;
    }

    #[tokio::test]
    async fn occurrences_of_another_tenant_are_neither_seen_nor_made_nor_deleted() {
        let database = Database::fresh().await;
        let store = database.store().await;
        let (acme, _, theirs) = tenant(&store, "acme").await;
        let (globex, task, _) = tenant(&store, "globex").await;
        let mut tx = store.begin(&globex).await.unwrap();
        let pages = occurrence_pages_of(&mut tx, &theirs, Window::first(PageLimit::new(9).unwrap())).await;
        assert!(pages.unwrap().is_empty());
        assert!(occurrence_counts_of(&mut tx, &theirs).await.unwrap().is_empty());
        // a query that forgot its tenant
        let count = "select count(*) from tenant.finding_occurrence";
        let seen: i64 = sqlx::query_scalar(count)
            .fetch_one(tx.connection())
            .await
            .unwrap();
        assert_eq!(seen, 3);
        scan_result::clear(&mut tx, task).await.unwrap();
        let delete = "delete from tenant.finding_occurrence";
        let deleted = sqlx::raw_sql(delete).execute(tx.connection()).await.unwrap();
        assert_eq!(
            deleted.rows_affected(),
            0,
            "their own went, and nobody else's are there"
        );
        tx.commit().await.unwrap();

        let foreign = acme.tenant_id().uuid();
        let finding = theirs[1].uuid();
        let mut tx = store.begin(&globex).await.unwrap();
        let insert = format!(
            "insert into tenant.finding_occurrence (tenant_id, finding_id, ordinal, locations, expires_on)
             values ('{foreign}', '{finding}', 1, '[]', '9999-12-31')"
        );
        let made = sqlx::raw_sql(AssertSqlSafe(insert))
            .execute(tx.connection())
            .await;
        assert!(made.unwrap_err().to_string().contains("row-level security"));
        drop(tx);
        let mut tx = store.begin(&acme).await.unwrap();
        let counts = occurrence_counts_of(&mut tx, &theirs).await.unwrap();
        assert_eq!(counts, HashMap::from([(theirs[0], 3)]));
        drop(tx);
        store.close().await;
        database.drop().await;
    }
}
