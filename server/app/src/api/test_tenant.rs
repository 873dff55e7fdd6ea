//! A platform for tests: a database of its own, tenants with tokens, projects, tasks and findings.
//!
//! Needs `TAMIZ_TEST_DATABASE_URL`, a superuser's address of a cluster that has the migrated database
//! `tamiz_template`; `scripts/test` provides both.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use tamiz_core::location::{Location, Position};
use tamiz_core::occurrence::content_hash;
use tamiz_core::scope::{ScanScope, ScopeLabels};
use tamiz_core::summary::Summary;
use tamiz_core::token::Token;
use tamiz_core::{AlertId, Confidence, Finding, FindingId, ProjectId, ScanType, Severity, TaskId, UploadId};
use tamiz_host::{Host, HostConfig, Registry};
use tamiz_store::alert::merge::{Arrival, Scan, Sighting, merge};
use tamiz_store::finding::{FindingMonth, NewContent, NewFinding};
use tamiz_store::page::{PageLimit, Window};
use tamiz_store::plugin::operate::{self, NewPlugin};
use tamiz_store::request_rate::RequestRates;
use tamiz_store::task::{NewTask, Payload, Terms};
use tamiz_store::token::{Caller, NewToken, Role};
use tamiz_store::{Store, StoreConfig, alert, finding, project, scan_result, task, tenant, token};
use tempfile::TempDir;
use url::Url;
use uuid::Uuid;

use super::state::ApiState;
use super::transport::Documents;
use super::workers::RemoteWorkers;
use crate::blob::BlobStore;
use crate::config::{self, ApiSettings, GraphqlSettings, Places, PluginSettings, TargetSettings};
use crate::flow::apply_rules::after_import;
use crate::limiter::{Limiter, Rates};
use crate::plugins::{Plugins, limits};
use crate::spool::Mark;

/// Bytes of one upload that tests may send.
pub(crate) const UPLOAD_BYTES_MAX: u64 = 100_000;

pub(crate) struct Platform {
    pub(crate) state: Arc<ApiState>,
    _cache: TempDir,
    base: String,
    name: String,
}

/// Runs one command as the cluster's superuser.
fn run_sql(base: &str, command: &str) {
    let done = std::process::Command::new("psql")
        .args(["-qX", "-v", "ON_ERROR_STOP=1", base, "-c", command])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

impl Platform {
    pub(crate) async fn start() -> Self {
        let base = std::env::var("TAMIZ_TEST_DATABASE_URL")
            .expect("TAMIZ_TEST_DATABASE_URL is not set: run `make test`, which starts a cluster");
        let name = format!("api_{}", Uuid::now_v7().simple());
        run_sql(&base, &format!("create database {name} template tamiz_template"));
        let mut url = Url::parse(&base).unwrap();
        url.set_path(&name);
        let rates = RequestRates::open(url.as_str()).unwrap();
        let store = Store::open(&StoreConfig {
            database_url: url.into(),
            connections_max: 8,
        })
        .await
        .unwrap();
        let settings = ApiSettings {
            public_url: Url::parse("https://tamiz.example/").unwrap(),
            archive_entries_max: 10_000,
            upload_bytes_max: UPLOAD_BYTES_MAX,
            rate: config::RateLimit {
                requests_per_second: NonZeroU32::new(1000).unwrap(),
                burst: NonZeroU32::new(1000).unwrap(),
            },
            trusted_proxies: Vec::new(),
            graphql_depth_max: 20,
            graphql_complexity_max: 20_000,
            graphql_page_max: 100,
            cors_origins: vec!["https://console.example".parse().unwrap()],
            graphql: GraphqlSettings::default(),
            places: Places::default(),
        };
        let blobs = BlobStore::open(&Url::parse("memory:///").unwrap()).await.unwrap();
        let cache = tempfile::tempdir().unwrap();
        let host = Host::start(HostConfig {
            concurrency: 1,
            compiler: "/proc/self/exe".into(),
            cache_folder: cache.path().to_owned(),
        })
        .unwrap();
        let allowed = PluginSettings {
            dir: cache.path().to_owned(),
            cache_dir: cache.path().to_owned(),
            memory_bytes_max: 64 << 20,
            deadline: Duration::from_secs(10),
        };
        let state = ApiState {
            store,
            limiter: Limiter::new(Rates::new(rates, None)),
            blobs: blobs.clone(),
            plugin_limits: limits::of_platform(&allowed),
            plugins: Plugins::new(host, Registry::default(), Some(blobs), allowed),
            targets: TargetSettings::default(),
            webhooks: TargetSettings::default(),
            remote_workers: RemoteWorkers {
                queue: config::load(Some("/dev/null".into()), Vec::new())
                    .unwrap()
                    .config
                    .queue,
                scratch_dir: cache.path().to_owned(),
            },
            documents: Documents::default(),
            settings,
            metrics: None,
        };
        Self {
            state: Arc::new(state),
            _cache: cache,
            base,
            name,
        }
    }

    /// Removes the database. A test that fails leaves it for whoever looks; `scripts/test` clears up.
    pub(crate) async fn end(self) {
        self.state.store.close().await;
        run_sql(&self.base, &format!("drop database {} with (force)", self.name));
    }

    /// The database, for its superuser.
    pub(crate) fn url(&self) -> String {
        let mut url = Url::parse(&self.base).unwrap();
        url.set_path(&self.name);
        url.into()
    }

    /// What the superuser does in the database.
    pub(crate) fn run_sql(&self, statement: &str) {
        run_sql(&self.url(), statement);
    }

    pub(crate) fn store(&self) -> &Store {
        &self.state.store
    }

    /// A tenant with an owner's token.
    pub(crate) async fn tenant(&self, name: &str) -> Caller {
        let token = self.token(name, Role::Owner).await;
        self.store().authenticate(&token).await.unwrap().unwrap()
    }

    /// A token of a new tenant.
    pub(crate) async fn token(&self, tenant_name: &str, role: Role) -> Token {
        let mut tx = self.store().begin_control().await.unwrap();
        let tenant = tenant::create(&mut tx, tenant_name, None).await.unwrap().unwrap();
        let token = Token::from_random(tenant, rand::random());
        let new = NewToken {
            tenant,
            name: "test",
            role,
            expires_at: None,
        };
        token::create(&mut tx, &new, &token).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        token
    }

    pub(crate) async fn revoke(&self, caller: &Caller) {
        let mut tx = self.store().begin_control().await.unwrap();
        assert!(token::revoke(&mut tx, caller.token).await.unwrap());
        tx.commit().await.unwrap();
    }

    pub(crate) async fn project(&self, caller: &Caller) -> ProjectId {
        let mut tx = self.store().begin(&caller.scope).await.unwrap();
        let made = project::create(&mut tx, &Uuid::now_v7().to_string())
            .await
            .unwrap()
            .unwrap();
        tx.commit().await.unwrap();
        made.id
    }

    pub(crate) async fn projects_of(&self, caller: &Caller) -> usize {
        let mut tx = self.store().begin(&caller.scope).await.unwrap();
        let page = project::page(&mut tx, None, Window::first(PageLimit::new(100).unwrap()))
            .await
            .unwrap();
        page.rows.len()
    }

    /// A queued task.
    pub(crate) async fn task(&self, caller: &Caller, project: ProjectId) -> TaskId {
        let mut tx = self.store().begin(&caller.scope).await.unwrap();
        let payload = Payload::of_report(UploadId::fresh());
        let scan_type = ScanType::parse("codeaudit").unwrap();
        let new = NewTask {
            id: TaskId::fresh(),
            project,
            scan_type: &scan_type,
            payload: &payload,
            priority: 0,
            terms: Terms::default(),
        };
        let made = task::create(&mut tx, &new).await.unwrap().task().unwrap();
        tx.commit().await.unwrap();
        made.id
    }

    /// Installs so many plugins for everybody.
    pub(crate) async fn plugins(&self, count: u8) {
        let scan_type = ScanType::parse("oddities").unwrap();
        let mut tx = self.store().begin_control().await.unwrap();
        for number in 0..count {
            let new = NewPlugin {
                tenant: None,
                name: &format!("plugin-{number}"),
                version: "1.0.0",
                sha256: [number; 32].into(),
                size_bytes: 1,
                world: "1.0",
                scan_type: &scan_type,
                formats: &[],
                options_schema: &serde_json::json!({}),
                wanted: &[],
                origin: "a test",
                signed_by: None,
            };
            operate::install(&mut tx, &new).await.unwrap();
        }
        tx.commit().await.unwrap();
    }

    /// Findings that a scan of source code saw, and all that its scope holds if it closes; answers their alerts.
    pub(crate) async fn merge_findings(
        &self,
        caller: &Caller,
        project: ProjectId,
        task: TaskId,
        batch: Vec<Finding>,
    ) -> Vec<AlertId> {
        let mut tx = self.store().begin(&caller.scope).await.unwrap();
        alert::hold_project(&mut tx, project).await.unwrap();
        let sightings: Vec<Sighting> = batch.iter().map(sighting).collect();
        let new = batch.iter().zip(&sightings);
        let contents = new.map(|(finding, sighting)| NewContent {
            id: sighting.content,
            cvss_score: None,
            finding: finding.clone(),
        });
        finding::insert_contents(&mut tx, project, contents.collect())
            .await
            .unwrap();
        let scope = source_code();
        let scan = Scan {
            project,
            task,
            scope: &scope,
            closes: true,
            contents: &Arrival::done(),
        };
        let (alerts, comparison) = merge(&mut tx, scan, &sightings).await.unwrap();
        after_import(&mut tx, project, task).await.unwrap();
        let new = sightings.iter().zip(&alerts).map(|(sighting, alert)| NewFinding {
            id: sighting.finding,
            alert: Some(*alert),
            content: sighting.content,
            tool: "semgrep".to_owned(),
            severity: sighting.severity,
            fingerprint: sighting.fingerprint,
        });
        let new: Vec<NewFinding> = new.collect();
        finding::insert(&mut tx, project, task, FindingMonth::kept(), &new)
            .await
            .unwrap();
        let summary = Summary {
            comparison: Some(comparison),
            ..Summary::default()
        };
        scan_result::create(&mut tx, task, &summary, None, FindingMonth::kept())
            .await
            .unwrap();
        tx.commit().await.unwrap();
        alerts
    }

    pub(crate) async fn store_findings(
        &self,
        caller: &Caller,
        project: ProjectId,
        task: TaskId,
        batch: Vec<Finding>,
    ) -> Vec<FindingId> {
        let mut tx = self.store().begin(&caller.scope).await.unwrap();
        let marks: Vec<Mark> = batch.iter().map(mark).collect();
        let new = marks.iter().map(|mark| NewFinding {
            id: FindingId::fresh(),
            alert: None,
            content: mark.content,
            tool: mark.tool.clone(),
            severity: mark.severity,
            fingerprint: mark.base(),
        });
        let new: Vec<NewFinding> = new.collect();
        let contents = batch.into_iter().zip(&marks).map(|(finding, mark)| NewContent {
            id: mark.content,
            cvss_score: None,
            finding,
        });
        finding::insert_contents(&mut tx, project, contents.collect())
            .await
            .unwrap();
        finding::insert(&mut tx, project, task, FindingMonth::kept(), &new)
            .await
            .unwrap();
        tx.commit().await.unwrap();
        new.iter().map(|finding| finding.id).collect()
    }
}

/// What semgrep looks at.
fn source_code() -> ScanScope {
    ScanScope {
        scan_type: ScanType::parse("codeaudit").unwrap(),
        tool: "semgrep".to_owned(),
        target: String::new(),
        labels: ScopeLabels::default(),
        configuration: String::new(),
    }
}

/// Findings that go round: five severities, five rules, five files.
pub(crate) fn findings(count: u32) -> Vec<Finding> {
    (0..count).map(finding_of).collect()
}

fn finding_of(number: u32) -> Finding {
    let turn = number % 5;
    let start = Some(Position {
        line: number + 1,
        column: None,
    });
    Finding {
        tool: "semgrep".into(),
        rule_id: format!("rule-{turn}"),
        rule_name: None,
        title: format!("title {number}"),
        message: "message".into(),
        severity: Severity::ALL[turn as usize],
        severity_raw: None,
        confidence: Confidence::High,
        category: None,
        locations: vec![Location::File {
            path: format!("src/file-{turn}.py"),
            start,
            end: start,
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

/// A finding as a scan without source lines and without equals sees it.
fn sighting(finding: &Finding) -> Sighting {
    let mark = mark(finding);
    Sighting {
        finding: FindingId::fresh(),
        content: mark.content,
        kind: mark.kind,
        base: mark.base(),
        fingerprint: mark.base(),
        place: mark.place,
        severity: mark.severity,
        at: mark.at,
        lines: None,
        tool_id: None,
        traits: mark.traits(),
    }
}

fn mark(finding: &Finding) -> Mark {
    Mark::of(finding, content_hash(&serde_json::to_vec(finding).unwrap()), None)
}
