//! Pages of findings: what the database reads for them.

use serde_json::Value;
use sqlx::QueryBuilder;

use super::field::Field;
use super::listing::nodes;
use crate::finding::{FindingFilter, FindingOrder, FindingParents, push_pages};
use crate::page::{PageLimit, Window};

const FINDINGS: &str = "insert into tenant.finding (tenant_id, id, project_id, task_id, alert_id, content_id, source_tool,
        severity, fingerprint, fingerprint_version, expires_on)
    select tenant_id, gen_random_uuid(), project_id, first_task_id, id, content_id, source_tool, severity, fingerprint,
        fingerprint_version, '9999-12-31'
    from tenant.alert";

#[tokio::test]
async fn the_worst_findings_are_read_by_the_index_until_the_page_is_full() {
    let mut field = Field::with(20_000).await;
    field.sql(FINDINGS).await;
    field.sql("analyze tenant.finding").await;
    let (tenant, parents) = (
        field.scope.tenant_id().uuid(),
        FindingParents::Projects(vec![field.project]),
    );
    let mut query = QueryBuilder::new("explain (analyze, costs off, timing off, format json) ");
    let (filter, limit) = (FindingFilter::default(), PageLimit::new(100).unwrap());
    push_pages(
        &mut query,
        tenant,
        &parents,
        &filter,
        FindingOrder::SeverityDesc,
        &Window::first(limit),
    );
    let mut tx = field.begin().await;
    let plan: Value = query
        .build_query_scalar()
        .fetch_one(tx.connection())
        .await
        .unwrap();
    drop(tx);
    let all = nodes(&plan[0]["Plan"]);
    let mut scans = all.iter().filter(|node| {
        node["Relation Name"]
            .as_str()
            .is_some_and(|name| name.starts_with("finding_9999"))
    });
    let scan = scans.next().expect("findings are read");
    assert_eq!(scan["Actual Rows"], 101.0, "{plan:#}");
    let index = scan["Index Name"].as_str().unwrap_or_default();
    assert!(index.contains("project_id_severity_id"), "{plan:#}");
    assert!(scans.next().is_none(), "{plan:#}");
    field.end().await;
}
