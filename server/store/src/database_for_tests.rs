//! A database for one test, cloned from the migrated template.
//!
//! Needs `TAMIZ_TEST_DATABASE_URL`, a superuser's address of a cluster that has the migrated database
//! `tamiz_template`; `scripts/test` provides both.

use std::str::FromStr;

use sqlx::postgres::{PgConnectOptions, PgConnection};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tamiz_core::{ScanType, TaskId, TenantId, UploadId};

use crate::connect::{Store, StoreConfig, admin_options};
use crate::queue::NewTickets;
use crate::scope::TenantScope;
use crate::task::{NewTask, Payload, Terms};
use crate::{project, task, tenant};

/// A database of its own, dropped at the end.
pub(crate) struct Database {
    pub(crate) url: String,
    name: String,
    admin: PgConnectOptions,
}

impl Database {
    pub(crate) async fn fresh() -> Self {
        let base = std::env::var("TAMIZ_TEST_DATABASE_URL")
            .expect("TAMIZ_TEST_DATABASE_URL is not set: run `make test`, which starts a cluster");
        let admin = PgConnectOptions::from_str(&base).unwrap();
        let name = format!("store_{}", uuid::Uuid::now_v7().simple());
        let make = format!("create database {name} template tamiz_template");
        let mut connection = admin.connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(make))
            .execute(&mut connection)
            .await
            .unwrap();
        connection.close().await.unwrap();
        let mut url = url::Url::parse(&base).unwrap();
        url.set_path(&name);
        Self {
            url: url.into(),
            name,
            admin,
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Where databases are made and dropped.
    pub(crate) const fn server(&self) -> &PgConnectOptions {
        &self.admin
    }

    pub(crate) async fn store(&self) -> Store {
        Store::open(&StoreConfig {
            database_url: self.url.clone(),
            connections_max: 4,
        })
        .await
        .unwrap()
    }

    pub(crate) async fn as_admin(&self) -> PgConnection {
        admin_options(&self.url).unwrap().connect().await.unwrap()
    }

    pub(crate) async fn drop(self) {
        let drop = format!("drop database {} with (force)", self.name);
        let mut connection = self.admin.connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(drop))
            .execute(&mut connection)
            .await
            .unwrap();
    }
}

/// A tenant with one project and one queued import.
pub(crate) async fn tenant_with_task(store: &Store, name: &str) -> (TenantScope, TaskId) {
    tenant_with_task_for(store, name, &[]).await
}

/// The same, and the task needs these tools.
pub(crate) async fn tenant_with_task_for(store: &Store, name: &str, tools: &[&str]) -> (TenantScope, TaskId) {
    let mut control = store.begin_control().await.unwrap();
    let id = tenant::create(&mut control, name, None).await.unwrap().unwrap();
    control.commit().await.unwrap();
    let scope = TenantScope::of(id);
    let mut tx = store.begin(&scope).await.unwrap();
    let project = project::create(&mut tx, "web shop").await.unwrap().unwrap();
    let payload = Payload {
        tools: tools.iter().map(|tool| (*tool).to_owned()).collect(),
        ..Payload::of_report(UploadId::fresh())
    };
    let scan_type = ScanType::parse("codeaudit").unwrap();
    let new = NewTask {
        id: TaskId::fresh(),
        project: project.id,
        scan_type: &scan_type,
        payload: &payload,
        priority: 0,
        terms: Terms::default(),
    };
    task::create(&mut tx, &new).await.unwrap().task().unwrap();
    tx.commit().await.unwrap();
    (scope, new.id)
}

/// Adds so many waiting tickets of one type to the tenant's queue, without tasks.
pub(crate) async fn enqueue_tickets(store: &Store, tenant: TenantId, scan_type: &str, count: usize) {
    let tasks: Vec<TaskId> = (0..count).map(|_| TaskId::fresh()).collect();
    let new = NewTickets {
        tenant,
        scan_type: &ScanType::parse(scan_type).unwrap(),
        tools: &[],
        worlds: &[],
        priority: 0,
        run_at: None,
        tasks: &tasks,
    };
    assert_eq!(store.enqueue_tickets(&new).await.unwrap(), count as u64);
}
