//! Plugins in the database: who sees which, and who may write what.

mod folder;

use serde_json::json;
use sqlx::AssertSqlSafe;
use tamiz_core::plugin::{
    Capability, ComponentDigest, LimitSet, PluginLimit, PluginSource, PluginState, Precedence,
};
use tamiz_core::{PluginId, ScanType, TenantId};

use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::page::{PageLimit, Window};
use crate::plan::Plan;
use crate::plugin::bundle::{self, Followed};
use crate::plugin::operate::{self, Installed, NewPlugin, StateChange};
use crate::plugin::{self, InstalledPlugin, PluginFilter, PluginFormat};
use crate::scope::TenantScope;
use crate::tenant_tx::TenantTx;
use crate::{plan, tenant};

fn codeaudit() -> ScanType {
    ScanType::parse("codeaudit").unwrap()
}

/// A component whose bytes are `bytes`.
struct Component {
    tenant: Option<TenantId>,
    name: &'static str,
    version: &'static str,
    bytes: &'static str,
    wanted: Vec<String>,
    scan_type: ScanType,
    formats: [PluginFormat; 1],
    options_schema: serde_json::Value,
}

impl Component {
    fn of(name: &'static str, version: &'static str, bytes: &'static str) -> Self {
        Self {
            tenant: None,
            name,
            version,
            bytes,
            wanted: Vec::new(),
            scan_type: codeaudit(),
            formats: [PluginFormat {
                name: "semgrep-json".to_owned(),
                tools: vec!["semgrep".to_owned()],
            }],
            options_schema: json!({ "type": "object" }),
        }
    }

    fn owned_by(mut self, scope: TenantScope) -> Self {
        self.tenant = Some(scope.tenant_id());
        self
    }

    fn wants(mut self, capability: Capability) -> Self {
        self.wanted.push(capability.to_string());
        self
    }

    fn described(&self) -> NewPlugin<'_> {
        NewPlugin {
            tenant: self.tenant,
            name: self.name,
            version: self.version,
            sha256: ComponentDigest::of(self.bytes.as_bytes()),
            size_bytes: self.bytes.len() as u64,
            world: "1.0",
            scan_type: &self.scan_type,
            formats: &self.formats,
            options_schema: &self.options_schema,
            wanted: &self.wanted,
            origin: "a file",
            signed_by: None,
        }
    }

    async fn installed(&self, store: &Store) -> PluginId {
        let mut tx = store.begin_control().await.unwrap();
        let answer = operate::install(&mut tx, &self.described()).await.unwrap();
        tx.commit().await.unwrap();
        match answer {
            Installed::Fresh(id) | Installed::AlreadyThere(id) | Installed::Revived(id) => id,
            Installed::VersionTaken(id) => panic!("{id} holds the version"),
        }
    }
}

async fn follow(store: &Store, folder: &[Component]) -> Vec<Followed> {
    let folder: Vec<NewPlugin<'_>> = folder.iter().map(Component::described).collect();
    let mut tx = store.begin_control().await.unwrap();
    let answers = bundle::follow(&mut tx, &folder).await.unwrap();
    tx.commit().await.unwrap();
    answers
}

/// Names and versions in the order in which they are asked.
async fn asked(store: &Store, scope: &TenantScope) -> Vec<String> {
    let mut tx = store.begin(scope).await.unwrap();
    let plugins = plugin::candidates(&mut tx, &codeaudit()).await.unwrap();
    let names = plugins
        .iter()
        .map(|plugin| format!("{} {}", plugin.name, plugin.version));
    names.collect()
}

async fn chosen_by(store: &Store, scope: &TenantScope, id: Option<PluginId>) -> bool {
    let mut tx = store.begin(scope).await.unwrap();
    let chosen = plugin::choose(&mut tx, &codeaudit(), id).await.unwrap();
    tx.commit().await.unwrap();
    chosen
}

/// What the tenant sees with these bytes, in whatever state.
async fn with_digest(tx: &mut TenantTx, digest: ComponentDigest) -> Vec<InstalledPlugin> {
    let all = PageLimit::new(100).unwrap();
    let page = plugin::visible(tx, &PluginFilter::default(), Window::first(all)).await;
    let mut rows = page.unwrap().rows;
    rows.retain(|row| row.sha256 == digest);
    rows
}

#[tokio::test]
async fn installing_again_answers_the_same_row_and_a_taken_version_is_told() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let first = Component::of("clippy", "1.0.0", "bytes");
    let id = first.installed(&store).await;
    let mut tx = store.begin_control().await.unwrap();
    let mut signed = first.described();
    signed.signed_by = Some("a key");
    assert_eq!(
        operate::install(&mut tx, &signed).await.unwrap(),
        Installed::AlreadyThere(id)
    );
    assert_eq!(
        operate::list(&mut tx).await.unwrap()[0].signed_by.as_deref(),
        Some("a key"),
        "a signature that was checked later is noted"
    );
    let other = Component::of("clippy", "1.0.0", "other bytes");
    assert_eq!(
        operate::install(&mut tx, &other.described()).await.unwrap(),
        Installed::VersionTaken(id)
    );
    let next = Component::of("clippy", "1.1.0", "other bytes");
    assert!(matches!(
        operate::install(&mut tx, &next.described()).await.unwrap(),
        Installed::Fresh(_)
    ));
    let rows = operate::list(&mut tx).await.unwrap();
    assert_eq!(rows.len(), 2);
    assert!(
        rows.iter()
            .all(|row| row.source == PluginSource::Installed && row.world == "1.0")
    );
    assert_eq!(rows[0].formats, next.formats);
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn plugins_are_asked_by_choice_then_name_then_age() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, _) = tenant_with_task(&store, "acme").await;
    let (globex, _) = tenant_with_task(&store, "globex").await;
    let older = Component::of("aardvark", "1", "a1").installed(&store).await;
    let newer = Component::of("aardvark", "2", "a2").installed(&store).await;
    follow(
        &store,
        &[
            Component::of("web", "1", "w"),
            Component::of("codeaudit", "1", "c"),
        ],
    )
    .await;
    let unchosen = ["codeaudit 1", "web 1", "aardvark 1", "aardvark 2"];
    assert_eq!(asked(&store, &acme).await, unchosen);

    assert!(chosen_by(&store, &acme, Some(newer)).await);
    assert_eq!(
        asked(&store, &acme).await,
        ["aardvark 2", "codeaudit 1", "web 1", "aardvark 1"]
    );
    assert_eq!(
        asked(&store, &globex).await,
        unchosen,
        "one tenant's choice is its own"
    );

    let mut tx = store.begin_control().await.unwrap();
    assert!(
        operate::choose_for(&mut tx, None, &codeaudit(), Some(older))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    assert_eq!(asked(&store, &globex).await[0], "aardvark 1");
    assert_eq!(asked(&store, &acme).await[..2], ["aardvark 2", "aardvark 1"]);
    let mut tx = store.begin(&acme).await.unwrap();
    let first = plugin::candidates(&mut tx, &codeaudit()).await.unwrap().remove(0);
    assert_eq!(first.precedence(), Precedence::TenantChoice);
    let choices = plugin::choices(&mut tx).await.unwrap();
    assert_eq!(
        choices
            .iter()
            .map(|choice| (choice.plugin, choice.own))
            .collect::<Vec<_>>(),
        [(newer, true), (older, false)]
    );
    drop(tx);

    assert!(chosen_by(&store, &acme, None).await);
    assert_eq!(asked(&store, &acme).await[0], "aardvark 1");
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_tenant_neither_sees_nor_chooses_the_plugin_of_another() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, _) = tenant_with_task(&store, "acme").await;
    let (globex, _) = tenant_with_task(&store, "globex").await;
    let everybodys = Component::of("shared", "1", "s").installed(&store).await;
    let theirs = Component::of("private", "1", "p")
        .owned_by(globex)
        .wants(Capability::Clock);
    let digest = ComponentDigest::of(theirs.bytes.as_bytes());
    let theirs = theirs.installed(&store).await;
    let mut tx = store.begin_control().await.unwrap();
    assert!(operate::grant(&mut tx, theirs, Capability::Clock).await.unwrap());
    assert!(
        !operate::choose_for(&mut tx, Some(acme.tenant_id()), &codeaudit(), Some(theirs))
            .await
            .unwrap(),
        "not even the operator gives one tenant's plugin to another"
    );
    assert!(
        !operate::choose_for(&mut tx, None, &codeaudit(), Some(theirs))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    assert!(chosen_by(&store, &globex, Some(theirs)).await);

    let mut tx = store.begin(&acme).await.unwrap();
    let limit = PageLimit::new(100).unwrap();
    let seen = plugin::visible(&mut tx, &PluginFilter::default(), Window::first(limit))
        .await
        .unwrap();
    assert_eq!(
        seen.rows.iter().map(|row| row.id).collect::<Vec<_>>(),
        [everybodys]
    );
    assert_eq!(plugin::count(&mut tx, &PluginFilter::default()).await.unwrap(), 1);
    assert_eq!(plugin::get(&mut tx, theirs).await.unwrap(), None);
    assert!(with_digest(&mut tx, digest).await.is_empty());
    assert!(plugin::choices(&mut tx).await.unwrap().is_empty());
    assert!(!plugin::choose(&mut tx, &codeaudit(), Some(theirs)).await.unwrap());
    for table in ["control.plugin_grant", "control.plugin_choice"] {
        let query = format!("select count(*) from {table}");
        let count: i64 = sqlx::query_scalar(AssertSqlSafe(query))
            .fetch_one(tx.connection())
            .await
            .unwrap();
        assert_eq!(count, 0, "{table}");
    }
    drop(tx);
    assert_eq!(asked(&store, &acme).await, ["shared 1"]);

    let mut tx = store.begin(&globex).await.unwrap();
    let own = with_digest(&mut tx, digest).await.remove(0);
    assert_eq!(
        (own.granted, own.tenant),
        (vec![Capability::Clock], Some(globex.tenant_id()))
    );
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_tenant_writes_its_own_choice_and_nothing_else_about_plugins() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, _) = tenant_with_task(&store, "acme").await;
    let (globex, _) = tenant_with_task(&store, "globex").await;
    let shared = Component::of("shared", "1", "s")
        .wants(Capability::Network)
        .installed(&store)
        .await;
    let theirs = Component::of("private", "1", "p")
        .owned_by(globex)
        .installed(&store)
        .await;
    assert!(chosen_by(&store, &globex, Some(theirs)).await);
    let mut tx = store.begin_control().await.unwrap();
    assert!(
        operate::choose_for(&mut tx, None, &codeaudit(), Some(shared))
            .await
            .unwrap()
    );
    tx.commit().await.unwrap();
    let foreign = globex.tenant_id();
    let own = acme.tenant_id();
    let denied = [
        format!("insert into control.plugin_grant (plugin_id, capability) values ('{shared}', 'network')"),
        "delete from control.plugin_grant".to_owned(),
        "update control.plugin set state = 'disabled'".to_owned(),
        "update control.plugin set memory_bytes = 1".to_owned(),
        "delete from control.plugin".to_owned(),
        "update control.plan set memory_bytes = null".to_owned(),
        "insert into control.plan (name) values ('mine')".to_owned(),
        "update control.tenant set plan = 'standard'".to_owned(),
        choice(&format!("'{foreign}'"), shared),
        choice("null", shared),
        choice(&format!("'{own}'"), theirs),
    ];
    for write in denied {
        let mut tx = store.begin(&acme).await.unwrap();
        let error = sqlx::raw_sql(AssertSqlSafe(write.clone()))
            .execute(tx.connection())
            .await;
        let error = error.expect_err(&write).to_string();
        let held = ["permission denied", "row-level security"];
        assert!(held.iter().any(|word| error.contains(word)), "{write}: {error}");
    }
    for write in [
        "delete from control.plugin_choice",
        "update control.plugin_choice set chosen_at = now()",
    ] {
        let mut tx = store.begin(&acme).await.unwrap();
        let done = sqlx::raw_sql(AssertSqlSafe(write))
            .execute(tx.connection())
            .await
            .unwrap();
        assert_eq!(done.rows_affected(), 0, "{write} reached another's choice");
    }
    store.close().await;
    database.drop().await;
}

fn choice(tenant: &str, plugin: PluginId) -> String {
    format!(
        "insert into control.plugin_choice (tenant_id, scan_type, plugin_id)
         values ({tenant}, 'codeaudit', '{plugin}')"
    )
}

#[tokio::test]
async fn only_what_a_plugin_wants_can_be_granted() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let id = Component::of("probe", "1", "p")
        .wants(Capability::Network)
        .installed(&store)
        .await;
    let mut tx = store.begin_control().await.unwrap();
    assert!(operate::grant(&mut tx, id, Capability::Network).await.unwrap());
    assert!(
        operate::grant(&mut tx, id, Capability::Network).await.unwrap(),
        "again is no mistake"
    );
    assert!(!operate::grant(&mut tx, id, Capability::Clock).await.unwrap());
    assert!(
        !operate::grant(&mut tx, PluginId::fresh(), Capability::Network)
            .await
            .unwrap()
    );
    assert_eq!(
        operate::list(&mut tx).await.unwrap()[0].granted,
        [Capability::Network]
    );
    assert!(operate::revoke(&mut tx, id, Capability::Network).await.unwrap());
    assert!(!operate::revoke(&mut tx, id, Capability::Network).await.unwrap());
    assert!(operate::list(&mut tx).await.unwrap()[0].granted.is_empty());
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_plugin_that_is_switched_off_serves_nobody_and_is_found_by_its_digest() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, _) = tenant_with_task(&store, "acme").await;
    let component = Component::of("clippy", "1", "c");
    let id = component.installed(&store).await;
    assert!(chosen_by(&store, &acme, Some(id)).await);
    let mut tx = store.begin_control().await.unwrap();
    let done = operate::set_state(&mut tx, id, PluginState::Disabled)
        .await
        .unwrap();
    assert_eq!(done, StateChange::Done);
    let unknown = operate::set_state(&mut tx, PluginId::fresh(), PluginState::Active)
        .await
        .unwrap();
    assert_eq!(unknown, StateChange::Unknown);
    tx.commit().await.unwrap();
    assert!(asked(&store, &acme).await.is_empty());
    assert!(!chosen_by(&store, &acme, Some(id)).await, "it cannot be chosen");
    let mut tx = store.begin(&acme).await.unwrap();
    let digest = ComponentDigest::of(component.bytes.as_bytes());
    let found = with_digest(&mut tx, digest).await;
    assert_eq!(
        found.iter().map(|row| row.state).collect::<Vec<_>>(),
        [PluginState::Disabled]
    );
    assert!(plugin::scan_types(&mut tx).await.unwrap().is_empty());
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_tenant_reads_its_own_plan_and_no_other() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, _) = tenant_with_task(&store, "acme").await;
    let (globex, _) = tenant_with_task(&store, "globex").await;
    let small = Plan {
        name: "small".to_owned(),
        limits: LimitSet::NONE
            .with(PluginLimit::InstancesMax, Some(1))
            .with(PluginLimit::FindingsMax, Some(1_000)),
    };
    let mut tx = store.begin_control().await.unwrap();
    plan::put(&mut tx, &small).await.unwrap();
    assert!(plan::assign(&mut tx, acme.tenant_id(), "small").await.unwrap());
    assert!(!plan::assign(&mut tx, acme.tenant_id(), "large").await.unwrap());
    assert!(!plan::assign(&mut tx, TenantId::fresh(), "small").await.unwrap());
    let names: Vec<_> = plan::list(&mut tx)
        .await
        .unwrap()
        .into_iter()
        .map(|plan| plan.name)
        .collect();
    assert_eq!(names, ["small", "standard"]);
    let plans: Vec<_> = tenant::list(&mut tx)
        .await
        .unwrap()
        .into_iter()
        .map(|tenant| tenant.plan)
        .collect();
    assert_eq!(plans, ["small", "standard"]);
    tx.commit().await.unwrap();

    let mut tx = store.begin(&acme).await.unwrap();
    assert_eq!(plan::of_tenant(&mut tx).await.unwrap(), small);
    let seen: i64 = sqlx::query_scalar("select count(*) from control.plan")
        .fetch_one(tx.connection())
        .await
        .unwrap();
    assert_eq!(seen, 1);
    drop(tx);
    let mut tx = store.begin(&globex).await.unwrap();
    let standard = plan::of_tenant(&mut tx).await.unwrap();
    assert_eq!(
        (standard.name.as_str(), standard.limits),
        (plan::STANDARD, LimitSet::NONE)
    );
    drop(tx);
    store.close().await;
    database.drop().await;
}
