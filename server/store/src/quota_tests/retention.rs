//! What is kept long enough, and the bytes behind it.

use tamiz_core::{ArtifactId, ProjectId, ScanType, TaskId, UploadId};

use super::storage::blob;
use super::{as_admin, limit, number, tenant_with, told};
use crate::artifact::{self, NewArtifact};
use crate::connect::Store;
use crate::database_for_tests::Database;
use crate::error::StoreError;
use crate::quota::storage;
use crate::scope::TenantScope;
use crate::task::{self, NewTask, Payload, Terms};
use crate::upload::{self, NewUpload};
use crate::{page, project, retention};

async fn project_of(store: &Store, scope: &TenantScope) -> ProjectId {
    let mut tx = store.begin(scope).await.unwrap();
    let one = page::PageLimit::new(1).unwrap();
    project::page(&mut tx, None, page::Window::first(one))
        .await
        .unwrap()
        .rows[0]
        .id
}

/// An upload, and a task that scans it and has an artifact; `name` makes the artifact's bytes.
async fn scanned(store: &Store, scope: &TenantScope, name: u8) -> (TaskId, UploadId) {
    let project = project_of(store, scope).await;
    let mut tx = store.begin(scope).await.unwrap();
    let source = blob(scope, 100 + name, 1_000);
    let upload = NewUpload {
        id: UploadId::fresh(),
        project,
        file_name: "a.zip",
        media_type: "application/zip",
        blob: &source,
    };
    let mut new_bytes = upload::create(&mut tx, &upload).await.unwrap().unwrap();
    let payload = Payload::of_report(upload.id);
    let scan_type = ScanType::parse("codeaudit").unwrap();
    let task = TaskId::fresh();
    let new = NewTask {
        id: task,
        project,
        scan_type: &scan_type,
        payload: &payload,
        priority: 0,
        terms: Terms::default(),
    };
    let artifact = NewArtifact {
        id: ArtifactId::fresh(),
        kind: "report".to_owned(),
        name: "report.json".to_owned(),
        media_type: "application/json".to_owned(),
        blob: blob(scope, name, 10),
    };
    let reservation = told(storage::reserve(&mut tx, 1_010).await).unwrap();
    task::create(&mut tx, &new).await.unwrap();
    upload::bind(&mut tx, upload.id, task).await.unwrap();
    new_bytes += artifact::create(&mut tx, task, &artifact).await.unwrap();
    told(storage::settle(&mut tx, reservation, new_bytes).await).unwrap();
    tx.commit().await.unwrap();
    (task, upload.id)
}

/// The task ended so many days ago, and its upload is older still.
async fn ended(database: &Database, task: TaskId, days: u32) {
    let statement = format!(
        "update tenant.task set status = 'completed', finished_at = now() - interval '{days} days'
         where id = '{task}';
         update tenant.codeaudit_upload set created_at = now() - interval '{days} days' where task_id = '{task}';
         insert into tenant.finding (tenant_id, id, project_id, task_id, content_id, source_tool, severity, fingerprint,
             fingerprint_version, expires_on)
         select tenant_id, gen_random_uuid(), project_id, id, gen_random_uuid(), 'tool', 1, sha256('x'), 1, '9999-12-31'
         from tenant.task, generate_series(1, 3) where id = '{task}'"
    );
    as_admin(database, &statement).await;
}

#[tokio::test]
async fn what_ended_long_enough_ago_goes_with_its_bytes_and_nothing_else_does() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let acme = tenant_with(&store, "acme", &[("retention-days", 30)]).await;
    let globex = tenant_with(&store, "globex", &[]).await;
    let (old, _) = scanned(&store, &acme, 1).await;
    let (young, _) = scanned(&store, &acme, 2).await;
    // the same report as the old task's
    let (twin, _) = scanned(&store, &acme, 1).await;
    let (foreign, _) = scanned(&store, &globex, 3).await;
    for (task, days) in [(old, 31), (young, 29), (foreign, 400)] {
        ended(&database, task, days).await;
    }
    while store.delete_expired_tasks().await.unwrap() > 0 {}
    let left = format!("select count(*) from tenant.task where id = '{old}'");
    assert_eq!(number(&database, &left).await, 0);
    for (what, rows) in [
        // one each was made with the tenants
        ("task", 5),
        ("finding", 6),
        ("artifact", 3),
        ("codeaudit_upload", 3),
        // the twin has the old task's report and archive
        ("blob", 6),
    ] {
        let count = format!("select count(*) from tenant.{what}");
        assert_eq!(number(&database, &count).await, rows, "{what}");
    }
    assert_eq!(
        number(&database, "select count(*) from control.blob_trash").await,
        0
    );
    ended(&database, twin, 40).await;
    while store.delete_expired_tasks().await.unwrap() > 0 {}
    assert_eq!(number(&database, "select count(*) from tenant.blob").await, 4);
    let stored = format!(
        "select stored_bytes from control.storage where tenant_id = '{}'",
        acme.tenant_id()
    );
    assert_eq!(number(&database, &stored).await, 1_010);
    let trash = store.trash_to_delete().await.unwrap();
    let mut paths: Vec<&str> = trash.iter().map(|one| one.storage_path.as_str()).collect();
    paths.sort_unstable();
    assert_eq!(
        paths,
        [blob(&acme, 1, 0).storage_path, blob(&acme, 101, 0).storage_path]
    );
    assert!(store.trash_to_delete().await.unwrap().is_empty());
    store.trash_deleted(&trash).await.unwrap();
    assert_eq!(
        number(&database, "select count(*) from control.blob_trash").await,
        0
    );
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_finished_group_goes_with_its_last_task_and_an_open_one_stays() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let acme = tenant_with(&store, "acme", &[("retention-days", 30)]).await;
    let (task, _) = scanned(&store, &acme, 1).await;
    let groups = "insert into tenant.task_group (tenant_id, id, project_id, name, closed_at, finished_at)
        select p.tenant_id, gen_random_uuid(), p.id, g.name, g.at, g.at
        from tenant.project p, (values ('used', now() - interval '40 days'), ('old', now() - interval '31 days'),
            ('young', now() - interval '29 days'), ('open', null)) g(name, at)";
    as_admin(&database, groups).await;
    let join = format!(
        "update tenant.task set group_id = (select id from tenant.task_group where name = 'used') where id = '{task}'"
    );
    as_admin(&database, &join).await;
    ended(&database, task, 29).await;
    let left = "select count(*) from tenant.task_group";
    while store.delete_expired_tasks().await.unwrap() > 0 {}
    assert_eq!(number(&database, left).await, 3);
    ended(&database, task, 31).await;
    while store.delete_expired_tasks().await.unwrap() > 0 {}
    assert_eq!(number(&database, left).await, 2);
    let kept = "select count(*) from tenant.task_group where name in ('young', 'open')";
    assert_eq!(number(&database, kept).await, 2);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn an_upload_stays_while_a_task_wants_it() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let scope = tenant_with(&store, "acme", &[("retention-days", 30)]).await;
    let (task, upload) = scanned(&store, &scope, 1).await;
    let again = format!(
        "insert into tenant.task (tenant_id, id, project_id, type, status, payload)
         select tenant_id, gen_random_uuid(), project_id, type, 'completed', payload
         from tenant.task where id = '{task}'"
    );
    as_admin(&database, &again).await;
    ended(&database, task, 31).await;
    while store.delete_expired_tasks().await.unwrap() > 0 {}
    let there =
        format!("select count(*) from tenant.codeaudit_upload where id = '{upload}' and task_id is null");
    assert_eq!(number(&database, &there).await, 1);
    let last = "update tenant.task set finished_at = now() - interval '31 days' where status = 'completed'";
    as_admin(&database, last).await;
    while store.delete_expired_tasks().await.unwrap() > 0 {}
    assert_eq!(number(&database, &there).await, 0);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn bytes_that_come_back_while_they_are_deleted_are_taken_back_or_asked_for_again() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let scope = tenant_with(&store, "acme", &[]).await;
    let project = project_of(&store, &scope).await;
    let bytes = blob(&scope, 1, 10);
    let note = format!(
        "insert into control.blob_trash (tenant_id, storage_path) values ('{}', '{}')",
        scope.tenant_id(),
        bytes.storage_path
    );
    let upload = async || {
        let mut tx = store.begin(&scope).await.unwrap();
        let new = NewUpload {
            id: UploadId::fresh(),
            project,
            file_name: "a.zip",
            media_type: "application/zip",
            blob: &bytes,
        };
        let new_bytes = upload::create(&mut tx, &new).await?;
        tx.commit().await?;
        Ok::<_, StoreError>(new_bytes)
    };
    let forget = "delete from tenant.codeaudit_upload; delete from tenant.blob";
    // not marked yet: taken back
    as_admin(&database, &note).await;
    assert_eq!(upload().await.unwrap(), Some(10));
    assert!(store.trash_to_delete().await.unwrap().is_empty());
    // being deleted: who knows
    as_admin(&database, &format!("{forget}; {note}")).await;
    let trash = store.trash_to_delete().await.unwrap();
    assert_eq!(trash.len(), 1);
    assert!(matches!(upload().await, Err(StoreError::BeingDeleted)));
    // deleted, and somebody has been putting bytes since before
    limit(&store, scope.tenant_id(), &[]).await;
    let mut tx = store.begin(&scope).await.unwrap();
    let reservation = told(storage::reserve(&mut tx, 10).await).unwrap();
    tx.commit().await.unwrap();
    store.trash_deleted(&trash).await.unwrap();
    assert!(matches!(upload().await, Err(StoreError::BeingDeleted)));
    // who finds them there takes them back all the same
    let mut tx = store.begin(&scope).await.unwrap();
    let gone = retention::deleted_at(&mut tx, &bytes.storage_path).await.unwrap();
    retention::came_back(&mut tx, &bytes.storage_path, gone.unwrap())
        .await
        .unwrap();
    tx.commit().await.unwrap();
    assert_eq!(upload().await.unwrap(), Some(10));
    as_admin(&database, &format!("{forget}; {note}")).await;
    let trash = store.trash_to_delete().await.unwrap();
    store.trash_deleted(&trash).await.unwrap();
    // deleted, and nobody has
    let mut tx = store.begin(&scope).await.unwrap();
    storage::release(&mut tx, reservation).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(upload().await.unwrap(), Some(10));
    assert_eq!(
        number(&database, "select count(*) from control.blob_trash").await,
        0
    );
    store.close().await;
    database.drop().await;
}

/// Notes bytes as put, long ago if `late`.
async fn put(database: &Database, store: &Store, scope: &TenantScope, path: &str, late: bool) {
    let mut tx = store.begin(scope).await.unwrap();
    retention::note_put(&mut tx, path).await.unwrap();
    tx.commit().await.unwrap();
    if late {
        let day = "update control.blob_trash set created_at = created_at - interval '25 hours'";
        as_admin(database, day).await;
    }
}

#[tokio::test]
async fn bytes_that_no_row_names_within_a_day_are_trash_and_named_ones_never_are() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let scope = tenant_with(&store, "acme", &[]).await;
    let lost = blob(&scope, 50, 0).storage_path;
    put(&database, &store, &scope, &lost, false).await;
    assert!(store.trash_to_delete().await.unwrap().is_empty());
    put(&database, &store, &scope, &lost, true).await;
    // noted while the row was being written, which did not see the note
    scanned(&store, &scope, 1).await;
    let named = blob(&scope, 1, 0).storage_path;
    let unseen = format!(
        "insert into control.blob_trash (tenant_id, storage_path) values ('{}', '{named}')",
        scope.tenant_id()
    );
    as_admin(&database, &unseen).await;
    // of stored bytes there is nothing to note
    put(
        &database,
        &store,
        &scope,
        &blob(&scope, 101, 0).storage_path,
        true,
    )
    .await;
    let mut trash = store.trash_to_delete().await.unwrap();
    trash.sort_by(|one, other| one.storage_path.cmp(&other.storage_path));
    let paths: Vec<&str> = trash.iter().map(|one| one.storage_path.as_str()).collect();
    assert_eq!(paths, [named.as_str(), lost.as_str()]);
    assert!(!store.is_still_trash(&mut trash[0]).await.unwrap());
    let mut stopped = trash[1].clone();
    assert!(store.is_still_trash(&mut trash[1]).await.unwrap());
    // whoever was stopped since the mark finds that it is another's turn
    assert!(!store.is_still_trash(&mut stopped).await.unwrap());
    store.trash_deleted(&[stopped]).await.unwrap();
    let going = "select count(*) from control.blob_trash where deleted_at is null";
    assert_eq!(number(&database, going).await, 1);
    store.trash_deleted(&trash[1..]).await.unwrap();
    assert_eq!(number(&database, going).await, 0);
    store.close().await;
    database.drop().await;
}
