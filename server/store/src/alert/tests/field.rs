//! A project with scopes and alerts that no scan made.

use sqlx::AssertSqlSafe;
use sqlx::postgres::PgConnection;
use tamiz_core::{AlertId, ProjectId, TenantId};
use uuid::Uuid;

use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::page::{PageLimit, Window};
use crate::project;
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;

pub(in crate::alert) struct Field {
    pub(in crate::alert) database: Database,
    pub(in crate::alert) store: Store,
    pub(in crate::alert) scope: TenantScope,
    pub(in crate::alert) project: ProjectId,
    pub(in crate::alert) admin: PgConnection,
}

impl Field {
    /// Four scopes, of which two were scanned in one transaction, and `alerts` alerts: of the states and severities
    /// in turn, gone where they are fixed and half of the time where they are dismissed, of 50 contents.
    pub(in crate::alert) async fn with(alerts: i32) -> Self {
        let database = Database::fresh().await;
        let store = database.store().await;
        let (scope, _) = tenant_with_task(&store, "acme").await;
        let mut tx = store.begin(&scope).await.unwrap();
        let page = project::page(&mut tx, None, Window::first(PageLimit::new(1).unwrap())).await;
        let project = page.unwrap().rows[0].id;
        tx.commit().await.unwrap();
        let mut field = Self {
            admin: database.as_admin().await,
            database,
            store,
            scope,
            project,
        };
        let tenant = TenantId::uuid(scope.tenant_id());
        let (scopes, contents) = (SCOPES, CONTENTS);
        field
            .sql(&format!("{scopes} '{tenant}', '{project}' {SCOPE_ROWS}"))
            .await;
        field
            .sql(&format!("{contents} '{tenant}', '{project}' {CONTENT_ROWS}"))
            .await;
        let alerts = format!("{ALERTS} '{tenant}', '{project}' {ALERT_ROWS} generate_series(1, {alerts}) n");
        field.sql(&alerts).await;
        field.sql(COUNT).await;
        field.sql(COUNT_RULES).await;
        field
            .sql("analyze tenant.alert, tenant.scan_scope, tenant.finding_content")
            .await;
        field
    }

    pub(in crate::alert) async fn sql(&mut self, statement: &str) {
        let statement = AssertSqlSafe(statement.to_owned());
        sqlx::raw_sql(statement).execute(&mut self.admin).await.unwrap();
    }

    pub(in crate::alert) async fn texts(&mut self, statement: &str) -> Vec<String> {
        let statement = AssertSqlSafe(statement.to_owned());
        sqlx::query_scalar(statement)
            .fetch_all(&mut self.admin)
            .await
            .unwrap()
    }

    pub(in crate::alert) async fn ids(&mut self, statement: &str) -> Vec<AlertId> {
        let statement = AssertSqlSafe(statement.to_owned());
        let ids: Vec<Uuid> = sqlx::query_scalar(statement)
            .fetch_all(&mut self.admin)
            .await
            .unwrap();
        ids.into_iter().map(AlertId::from).collect()
    }

    pub(in crate::alert) async fn begin(&self) -> TenantTx {
        self.store.begin(&self.scope).await.unwrap()
    }

    pub(in crate::alert) async fn end(self) {
        self.store.close().await;
        drop(self.admin);
        self.database.drop().await;
    }
}

const SCOPES: &str = "insert into tenant.scan_scope (tenant_id, project_id, id, key, scan_type, tool, target, branch, \
    environment, category, task_id, scanned_at, fingerprint_version) select";
const SCOPE_ROWS: &str = ", ('00000000-0000-7000-8000-00000000000' || n)::uuid, sha256(n::text::bytea), 'codeaudit', \
    case when n = 4 then 'bandit' else 'semgrep' end, '', 'branch-' || n, '', '', gen_random_uuid(), \
    '2026-11-20'::timestamptz + (n / 2) * interval '1 hour', 2 from generate_series(1, 4) n";
const CONTENTS: &str = "insert into tenant.finding_content (tenant_id, project_id, id, source_tool, rule_id, severity, \
    confidence, cwe, cve, title, message, file_path, line, locations, refs, tags, extra) select";
const CONTENT_ROWS: &str = ", ('00000000-0000-7000-9000-0000000000' || to_char(n, 'FM00'))::uuid, 'semgrep', \
    'rule-' || n, 2, 3, array[n], '{}', 'title', 'message', 'src/part-' || n % 5 || '/file.py', n, '[]', '[]', '[]', '{}' \
    from generate_series(1, 50) n";
const ALERTS: &str = "insert into tenant.alert (tenant_id, project_id, id, kind, source_tool, content_id, fingerprint, \
    fingerprint_version, state, severity, tool_severity, scope_id, last_seen_at, first_task_id, dismissed_reason, \
    dismissed_by, dismissed_at) select";
const ALERT_ROWS: &str = ", ('00000000-0000-7000-a000-' || to_char(n * 7919 % 1000003, 'FM000000000000'))::uuid, 'code', \
    'semgrep', ('00000000-0000-7000-9000-0000000000' || to_char(n % 50 + 1, 'FM00'))::uuid, sha256(n::text::bytea), 1, \
    n % 4, n / 4 % 5, n / 4 % 5, ('00000000-0000-7000-8000-00000000000' || n / 20 % 4 + 1)::uuid, \
    case when n % 4 = 3 or n % 8 = 2 then '2026-11-20'::timestamptz + n % 3 * interval '30 minutes' end, \
    gen_random_uuid(), case when n % 4 = 2 then 'wont-fix' end, case when n % 4 = 2 then 'alice' end, \
    case when n % 4 = 2 then now() end from";
const COUNT: &str = "insert into tenant.alert_count (tenant_id, project_id, state, severity, alerts) \
    select tenant_id, project_id, state, severity, count(*) from tenant.alert group by 1, 2, 3, 4";
const COUNT_RULES: &str = "insert into tenant.alert_rule_count (tenant_id, project_id, tool, rule_id, alerts) \
    select a.tenant_id, a.project_id, c.source_tool, c.rule_id, count(*) from tenant.alert a \
    join tenant.finding_content c on c.id = a.content_id where a.state < 2 group by 1, 2, 3, 4";
