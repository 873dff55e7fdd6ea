//! Alerts on their way out: in order, in their states, from where the last file ended, and of one tenant.

use tamiz_core::export::Exported;
use tamiz_core::identity::{Fingerprint, Kind};
use tamiz_core::related::Traits;
use tamiz_core::scope::{ScanScope, ScopeLabels};
use tamiz_core::{
    AlertId, AlertState, Confidence, DismissalReason, Finding, FindingId, Location, ProjectId, ScanType,
    Severity, TaskId,
};
use uuid::Uuid;

use crate::alert::export::{ALERTS_PER_READ, order, read};
use crate::alert::hold_project;
use crate::alert::merge::{Arrival, Scan, Sighting, merge};
use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::finding::{NewContent, insert_contents};
use crate::page::{PageLimit, Window};
use crate::project;
use crate::scope::TenantScope;

/// A finding of `rule` in a file that is named as its number.
fn finding(tool: &str, rule: &str, number: u8) -> Finding {
    Finding {
        tool: tool.to_owned(),
        rule_id: rule.to_owned(),
        rule_name: None,
        title: format!("number {number}"),
        message: String::new(),
        severity: Severity::High,
        severity_raw: None,
        confidence: Confidence::Medium,
        category: None,
        locations: vec![Location::File {
            path: format!("src/{number}.py"),
            start: None,
            end: None,
            snippet: None,
        }],
        cwe: vec![79],
        cve: Vec::new(),
        cvss_vector: None,
        references: Vec::new(),
        tags: Vec::new(),
        remediation: None,
        tool_fingerprint: None,
        origin: None,
        extra: serde_json::Map::new(),
    }
}

/// A sighting of content `number` as alert `identity`, at place `number`.
fn sighting(identity: u8, number: u8) -> Sighting {
    Sighting {
        finding: FindingId::fresh(),
        content: [number; 16],
        kind: Kind::Code,
        base: Fingerprint([identity; 32]),
        fingerprint: Fingerprint([identity; 32]),
        place: [number; 16],
        severity: Severity::High,
        at: (u32::from(number), 1),
        lines: None,
        tool_id: None,
        traits: Traits::default(),
    }
}

async fn project_of(store: &Store, scope: &TenantScope) -> ProjectId {
    let mut tx = store.begin(scope).await.unwrap();
    let page = project::page(&mut tx, None, Window::first(PageLimit::new(1).unwrap()))
        .await
        .unwrap();
    page.rows[0].id
}

/// One scan of `tool` that finds these: rule, identity, number.
async fn scan(
    store: &Store,
    scope: &TenantScope,
    task: TaskId,
    tool: &str,
    found: &[(&str, u8, u8)],
) -> Vec<Uuid> {
    let project = project_of(store, scope).await;
    let mut tx = store.begin(scope).await.unwrap();
    hold_project(&mut tx, project).await.unwrap();
    let contents = found.iter().map(|(rule, _, number)| NewContent {
        id: [*number; 16],
        cvss_score: Some(7.5),
        finding: finding(tool, rule, *number),
    });
    insert_contents(&mut tx, project, contents.collect())
        .await
        .unwrap();
    let looked = ScanScope {
        scan_type: ScanType::parse("codeaudit").unwrap(),
        tool: tool.to_owned(),
        target: String::new(),
        labels: ScopeLabels::default(),
        configuration: String::new(),
    };
    let scan = Scan {
        project,
        task,
        scope: &looked,
        closes: true,
        contents: &Arrival::done(),
    };
    let sightings: Vec<Sighting> = found
        .iter()
        .map(|(_, identity, number)| sighting(*identity, *number))
        .collect();
    let (alerts, _) = merge(&mut tx, scan, &sightings).await.unwrap();
    tx.commit().await.unwrap();
    alerts.into_iter().map(AlertId::uuid).collect()
}

async fn export(
    store: &Store,
    scope: &TenantScope,
    project: ProjectId,
    states: &[AlertState],
    from: Option<Uuid>,
) -> Vec<Exported> {
    let mut tx = store.begin(scope).await.unwrap();
    let order = order(&mut tx, project, states, from).await.unwrap();
    assert_eq!(order.next, None);
    assert!(order.ids.len() <= ALERTS_PER_READ);
    read(&mut tx, project, &order.ids).await.unwrap()
}

fn said(alerts: &[Exported]) -> Vec<(&str, &str, &str)> {
    let said = alerts.iter().map(|alert| {
        let finding = &alert.finding;
        (
            finding.tool.as_str(),
            finding.rule_id.as_str(),
            finding.title.as_str(),
        )
    });
    said.collect()
}

#[tokio::test]
async fn alerts_come_by_tool_and_rule_and_go_on_where_a_file_ended() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, task) = tenant_with_task(&store, "acme").await;
    let project = project_of(&store, &scope).await;
    scan(
        &store,
        &scope,
        task,
        "semgrep",
        &[("b", 1, 1), ("a", 2, 2), ("a", 3, 3)],
    )
    .await;
    scan(&store, &scope, task, "bandit", &[("z", 4, 4)]).await;
    let all = export(&store, &scope, project, AlertState::ALL, None).await;
    assert_eq!(
        said(&all),
        [
            ("bandit", "z", "number 4"),
            ("semgrep", "a", "number 2"),
            ("semgrep", "a", "number 3"),
            ("semgrep", "b", "number 1"),
        ]
    );
    let rest = export(&store, &scope, project, AlertState::ALL, Some(all[2].id)).await;
    assert_eq!(rest[..], all[2..]);
    let after_nothing = export(&store, &scope, project, AlertState::ALL, Some(Uuid::now_v7())).await;
    assert_eq!(after_nothing, []);

    let first = &all[0];
    assert_eq!(first.state, AlertState::Open);
    assert_eq!(
        (first.cvss_score, first.scan_type.as_str()),
        (Some(7.5), "codeaudit")
    );
    assert_eq!(first.fingerprint, Fingerprint([4; 32]));
    assert_eq!(first.places, first.finding.locations);
    assert_eq!(
        (first.dismissal.as_ref(), first.tool_version.as_deref()),
        (None, None)
    );
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn an_alert_says_its_state_its_decision_and_all_its_places() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, task) = tenant_with_task(&store, "acme").await;
    let project = project_of(&store, &scope).await;
    // the second is in two places, the third goes
    let found = [("a", 1, 1), ("a", 2, 2), ("a", 2, 5), ("a", 3, 3)];
    let alerts = scan(&store, &scope, task, "semgrep", &found).await;
    scan(&store, &scope, task, "semgrep", &found[..3]).await;
    let mut tx = store.begin(&scope).await.unwrap();
    let dismissed = sqlx::query(
        "update tenant.alert set state = 2, dismissed_reason = 'wont-fix', dismissed_comment = 'old',
         dismissed_by = 'ci', dismissed_at = now() where tenant_id = $1 and id = $2",
    )
    .bind(tx.tenant())
    .bind(alerts[0])
    .execute(tx.connection())
    .await;
    assert_eq!(dismissed.unwrap().rows_affected(), 1);
    tx.commit().await.unwrap();

    let open = export(&store, &scope, project, &[AlertState::Open], None).await;
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].places.len(), 2);
    let fixed = export(&store, &scope, project, &[AlertState::Fixed], None).await;
    assert_eq!(said(&fixed), [("semgrep", "a", "number 3")]);
    assert!(fixed[0].last_seen <= open[0].last_seen);
    assert_eq!(fixed[0].places, []);
    let dismissed = export(&store, &scope, project, &[AlertState::Dismissed], None).await;
    let decision = dismissed[0].dismissal.as_ref().unwrap();
    assert_eq!(
        (decision.reason, decision.by.as_str()),
        (DismissalReason::WontFix, "ci")
    );
    assert_eq!(decision.comment.as_deref(), Some("old"));
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn another_tenants_alerts_are_in_no_order_and_read_by_no_id() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, task) = tenant_with_task(&store, "acme").await;
    let (other, _) = tenant_with_task(&store, "other").await;
    let alerts = scan(&store, &acme, task, "semgrep", &[("a", 1, 1)]).await;
    let project = project_of(&store, &acme).await;
    assert_eq!(export(&store, &other, project, AlertState::ALL, None).await, []);
    let own = project_of(&store, &other).await;
    let mut tx = store.begin(&other).await.unwrap();
    for project in [own, project] {
        assert_eq!(read(&mut tx, project, &alerts).await.unwrap(), []);
    }
    drop(tx);
    store.close().await;
    database.drop().await;
}
