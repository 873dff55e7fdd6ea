//! Row-level security alone, with queries that no other code may write: no tenant named anywhere.

use sqlx::postgres::PgConnection;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tamiz_core::TenantId;

use crate::connect::{APP_ROLE, DISPATCH_ROLE, Store, role_options};
use crate::database_for_tests::{Database, tenant_with_task};
use crate::scope::TenantScope;

/// Two tenants with one project and one queued task each.
async fn two_tenants(store: &Store) -> [TenantScope; 2] {
    let (acme, _) = tenant_with_task(store, "acme").await;
    let (globex, _) = tenant_with_task(store, "globex").await;
    [acme, globex]
}

async fn count(connection: &mut PgConnection, table: &str) -> i64 {
    let query = format!("select count(*) from {table}");
    sqlx::query_scalar(AssertSqlSafe(query))
        .fetch_one(connection)
        .await
        .unwrap()
}

async fn names(connection: &mut PgConnection, query: &'static str) -> Vec<String> {
    sqlx::query_scalar(query).fetch_all(connection).await.unwrap()
}

const TABLES: [&str; 4] = [
    "tenant.project",
    "tenant.task",
    "tenant.task_event",
    "control.ticket",
];

#[tokio::test]
async fn a_query_that_forgot_its_where_sees_one_tenant_only() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let [acme, _] = two_tenants(&store).await;
    let mut tx = store.begin(&acme).await.unwrap();
    for table in TABLES {
        assert_eq!(count(tx.connection(), table).await, 1, "{table}");
    }
    assert_eq!(count(tx.connection(), "control.tenant").await, 1);
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn without_a_tenant_setting_there_are_no_rows() {
    let database = Database::fresh().await;
    let store = database.store().await;
    two_tenants(&store).await;
    let mut connection = role_options(&database.url, APP_ROLE)
        .unwrap()
        .connect()
        .await
        .unwrap();
    for table in TABLES {
        assert_eq!(count(&mut connection, table).await, 0, "{table}");
    }
    connection.close().await.unwrap();
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_row_cannot_be_written_into_or_moved_to_another_tenant() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let [acme, globex] = two_tenants(&store).await;
    let foreign = globex.tenant_id().uuid();
    let writes = [
        format!("insert into tenant.project (tenant_id, id, name) values ('{foreign}', '{foreign}', 'x')"),
        format!("update tenant.project set tenant_id = '{foreign}'"),
        format!(
            "insert into control.ticket (task_id, tenant_id, scan_type) values ('{foreign}', '{foreign}', 'web')"
        ),
    ];
    for write in writes {
        let mut tx = store.begin(&acme).await.unwrap();
        let error = sqlx::raw_sql(AssertSqlSafe(write.clone()))
            .execute(tx.connection())
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("row-level security"),
            "{write}: {error}"
        );
    }
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn the_tenant_of_a_transaction_ends_with_it() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let [acme, globex] = two_tenants(&store).await;
    for (scope, _) in std::iter::repeat_n((acme, globex), 8) {
        store.begin(&scope).await.unwrap().commit().await.unwrap();
    }
    let mut bare = store.app.begin().await.unwrap();
    assert_eq!(count(&mut bare, "tenant.project").await, 0);
    drop(bare);
    let unknown = TenantScope::of(TenantId::fresh());
    let mut tx = store.begin(&unknown).await.unwrap();
    assert_eq!(count(tx.connection(), "tenant.project").await, 0);
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn the_dispatcher_sees_tickets_and_no_tenant_rows() {
    let database = Database::fresh().await;
    let store = database.store().await;
    two_tenants(&store).await;
    let mut connection = role_options(&database.url, DISPATCH_ROLE)
        .unwrap()
        .connect()
        .await
        .unwrap();
    assert_eq!(count(&mut connection, "control.ticket").await, 2);
    for table in [
        "tenant.project",
        "tenant.task",
        "control.tenant",
        "control.plugin",
    ] {
        let query = format!("select count(*) from {table}");
        let error = sqlx::raw_sql(AssertSqlSafe(query))
            .execute(&mut connection)
            .await
            .unwrap_err();
        assert!(
            error.to_string().contains("permission denied"),
            "{table}: {error}"
        );
    }
    connection.close().await.unwrap();
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn the_catalogue_has_no_hole() {
    let database = Database::fresh().await;
    let mut admin = database.as_admin().await;
    let unforced = names(
        &mut admin,
        r"select oid::regclass::text from pg_class
          where relnamespace in ('tenant'::regnamespace, 'control'::regnamespace) and relkind in ('r', 'p')
            and relname not like '\_sqlx%' and not (relrowsecurity and relforcerowsecurity)",
    )
    .await;
    assert!(
        unforced.is_empty(),
        "row-level security is not forced on {unforced:?}"
    );
    let leaky_keys = names(
        &mut admin,
        r"select c.conrelid::regclass::text || '.' || c.conname from pg_constraint c
          join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
          where c.connamespace = 'tenant'::regnamespace and c.contype in ('p', 'u', 'f')
            and c.conrelid::regclass::text not like '%\_sqlx%' and a.attname <> 'tenant_id'",
    )
    .await;
    assert!(
        leaky_keys.is_empty(),
        "keys that do not lead with tenant_id: {leaky_keys:?}"
    );
    let leaky_indexes = names(
        &mut admin,
        r"select i.indexrelid::regclass::text from pg_index i
          join pg_class t on t.oid = i.indrelid and t.relnamespace = 'tenant'::regnamespace
          join pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
          where t.relname not like '\_sqlx%' and a.attname <> 'tenant_id'",
    )
    .await;
    assert!(
        leaky_indexes.is_empty(),
        "indexes that do not lead with tenant_id: {leaky_indexes:?}"
    );
    let crossing = names(
        &mut admin,
        "select conname::text from pg_constraint c join pg_class t on t.oid = c.confrelid
         where c.connamespace = 'tenant'::regnamespace and t.relnamespace <> 'tenant'::regnamespace",
    )
    .await;
    assert!(
        crossing.is_empty(),
        "foreign keys that leave the tenant schema: {crossing:?}"
    );
    no_other_doors(&mut admin).await;
    admin.close().await.unwrap();
    database.drop().await;
}

/// Enums (not leakproof), views (run as their owner), definer functions, ownership, dangerous rights.
async fn no_other_doors(admin: &mut PgConnection) {
    let objects = names(
        admin,
        "select typname::text from pg_type where typtype = 'e'
           and typnamespace in ('tenant'::regnamespace, 'control'::regnamespace)
         union all
         select relname::text from pg_class where relkind in ('v', 'm')
           and relnamespace in ('tenant'::regnamespace, 'control'::regnamespace)
         union all
         select proname::text from pg_proc where prosecdef
           and pronamespace in ('tenant'::regnamespace, 'control'::regnamespace, 'public'::regnamespace)
           and not (oid in ('tenant.keep_worker_log(integer,integer)'::regprocedure,
                            'tenant.open_finding_month(date)'::regprocedure,
                            'tenant.drop_finding_months()'::regprocedure)
                    and pg_get_userbyid(proowner) = 'tamiz_owner'
                    and 'search_path=pg_catalog, pg_temp' = any(proconfig)
                    and not has_function_privilege('tamiz_app', oid, 'execute')
                    and not has_function_privilege('tamiz_dispatch', oid, 'execute'))",
    )
    .await;
    assert!(
        objects.is_empty(),
        "enums, views, or definer functions beside those that make and drop months: {objects:?}"
    );
    let rights = names(
        admin,
        "select grantee || ' ' || privilege_type || ' ' || table_name from information_schema.role_table_grants
         where table_schema in ('tenant', 'control') and grantee <> 'tamiz_owner'
           and (privilege_type in ('TRUNCATE', 'REFERENCES', 'TRIGGER') or grantee = 'PUBLIC')",
    )
    .await;
    assert!(rights.is_empty(), "dangerous rights: {rights:?}");
    let mighty = names(
        admin,
        r"select rolname::text from pg_roles where rolname like 'tamiz\_%' and rolname <> 'tamiz_admin'
            and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb
                 or (rolname = 'tamiz_owner' and rolcanlogin))
          union all
          select relname::text from pg_class where relowner in (select oid from pg_roles where rolname in
            ('tamiz_app', 'tamiz_dispatch', 'tamiz_control'))",
    )
    .await;
    assert!(mighty.is_empty(), "too mighty: {mighty:?}");
}
