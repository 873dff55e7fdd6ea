//! Findings that go with their month, and contents that nobody names any more.

use super::field::Field;

/// A month that is long over, with a finding of each alert in it, as the owner of the tables would have made it.
const OLD_MONTH: &str = "
    create table tenant.finding_2020_01 (like tenant.finding including all);
    create table tenant.finding_occurrence_2020_01 (like tenant.finding_occurrence including all);
    alter table tenant.finding attach partition tenant.finding_2020_01 for values from ('2020-01-01') to ('2020-02-01');
    alter table tenant.finding_occurrence attach partition tenant.finding_occurrence_2020_01
        for values from ('2020-01-01') to ('2020-02-01');
    alter table tenant.finding_2020_01 owner to tamiz_owner;
    alter table tenant.finding_occurrence_2020_01 owner to tamiz_owner;
    insert into tenant.finding (tenant_id, id, project_id, task_id, alert_id, content_id, source_tool, severity, fingerprint,
        fingerprint_version, expires_on)
    select tenant_id, gen_random_uuid(), project_id, first_task_id, id, content_id, source_tool, severity, fingerprint,
        fingerprint_version, day
    from tenant.alert, unnest(array['2020-01-01', '9999-12-31']::date[]) day";

async fn count(field: &mut Field, table: &str) -> String {
    let counted = format!("select count(*)::text from tenant.{table}");
    field.texts(&counted).await.remove(0)
}

#[tokio::test]
async fn findings_go_with_their_month_and_alerts_stay() {
    let mut field = Field::with(20).await;
    field.sql(OLD_MONTH).await;
    assert_eq!(count(&mut field, "finding").await, "40");
    assert_eq!(field.store.drop_finding_months().await.unwrap(), 1);
    assert_eq!(count(&mut field, "finding").await, "20");
    assert_eq!(count(&mut field, "alert").await, "20");
    let left = "select relname::text from pg_class where relname like 'finding%2020%'";
    assert!(field.texts(left).await.is_empty());
    assert_eq!(field.store.drop_finding_months().await.unwrap(), 0);
    field.end().await;
}

#[tokio::test]
async fn contents_that_nobody_names_go_once_a_month_and_no_others() {
    let mut field = Field::with(20).await;
    let named = "select distinct content_id::text from tenant.alert order by 1";
    let named = field.texts(named).await;
    assert_eq!(field.store.sweep_contents().await.unwrap(), 0, "not yet");
    // one is named by a finding alone
    field
        .sql(
            "insert into tenant.finding (tenant_id, id, project_id, task_id, content_id, source_tool, severity, fingerprint,
                 fingerprint_version, expires_on)
             select tenant_id, gen_random_uuid(), project_id, gen_random_uuid(), id, source_tool, severity,
                 sha256('x'), 1, '9999-12-31'
             from tenant.finding_content order by id desc limit 1;
             update tenant.project set contents_swept_at = now() - interval '31 days'",
        )
        .await;
    assert_eq!(
        field.store.sweep_contents().await.unwrap(),
        50 - 1 - named.len() as u64
    );
    let left = field
        .texts("select id::text from tenant.finding_content order by 1")
        .await;
    assert_eq!(left.len(), named.len() + 1);
    assert!(named.iter().all(|content| left.contains(content)));
    assert_eq!(
        field.store.sweep_contents().await.unwrap(),
        0,
        "a month has to pass"
    );
    field.end().await;
}
