//! Room for bytes, with many who want it at once.

use tamiz_core::quota::QuotaRefusal;
use tamiz_core::{ArtifactId, TaskId, UploadId};

use super::{as_admin, limit, number, tenant_with, told};
use crate::artifact::{self, NewArtifact};
use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::quota::storage::{self, ReservationId, Stored};
use crate::scope::TenantScope;
use crate::upload::{self, NewUpload, StoredBlob};
use crate::{project, usage};

const MIB: u64 = 1 << 20;

pub(super) fn blob(scope: &TenantScope, name: u8, size_bytes: u64) -> StoredBlob {
    StoredBlob {
        storage_path: format!("t/{}/upload/{name}", scope.tenant_id()),
        hash: [name; 32],
        size_bytes,
    }
}

async fn reserve(store: &Store, scope: &TenantScope, bytes: u64) -> Result<ReservationId, QuotaRefusal> {
    let mut tx = store.begin(scope).await.unwrap();
    let id = told(storage::reserve(&mut tx, bytes).await)?;
    tx.commit().await.unwrap();
    Ok(id)
}

/// Writes an upload's rows and settles its reservation.
async fn store_upload(
    store: &Store,
    scope: &TenantScope,
    blob: &StoredBlob,
    id: ReservationId,
) -> Result<(), QuotaRefusal> {
    let mut tx = store.begin(scope).await.unwrap();
    let project = project::page(
        &mut tx,
        None,
        crate::page::Window::first(crate::page::PageLimit::new(1).unwrap()),
    )
    .await
    .unwrap();
    let new = NewUpload {
        id: UploadId::fresh(),
        project: project.rows[0].id,
        file_name: "a.zip",
        media_type: "application/zip",
        blob,
    };
    let new_bytes = upload::create(&mut tx, &new).await.unwrap().unwrap();
    told(storage::settle(&mut tx, id, new_bytes).await)?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn stored(store: &Store, scope: &TenantScope) -> Stored {
    let mut tx = store.begin(scope).await.unwrap();
    storage::of_own_tenant(&mut tx).await.unwrap()
}

fn holds(stored_bytes: u64, reserved_bytes: u64) -> Stored {
    Stored {
        stored_bytes,
        reserved_bytes,
    }
}

#[tokio::test]
async fn parallel_uploads_cannot_overrun_the_storage_together() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let scope = tenant_with(&store, "acme", &[("stored-bytes", 10 * MIB)]).await;
    let uploads = (0..50u8).map(|name| {
        let store = store.clone();
        tokio::spawn(async move {
            let id = reserve(&store, &scope, MIB).await?;
            store_upload(&store, &scope, &blob(&scope, name, MIB), id).await
        })
    });
    let mut taken = 0;
    for upload in futures_util::future::join_all(uploads).await {
        match upload.unwrap() {
            Ok(()) => taken += 1,
            Err(refused) => {
                assert_eq!(refused.name.to_string(), "stored-bytes");
                assert_eq!((refused.value, refused.used), (10 * MIB, 10 * MIB));
                assert_eq!(refused.room_at, None);
            }
        }
    }
    assert_eq!(taken, 10);
    assert_eq!(stored(&store, &scope).await, holds(10 * MIB, 0));
    let drifts = usage::recount(&store, scope.tenant_id(), false).await.unwrap();
    assert!(drifts.iter().all(|drift| drift.what == "tasks"), "{drifts:?}");
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn equal_bytes_count_once_and_a_given_up_upload_gives_its_room_back() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let scope = tenant_with(&store, "acme", &[("stored-bytes", 3 * MIB)]).await;
    for _ in 0..4 {
        let id = reserve(&store, &scope, MIB).await.unwrap();
        let same = blob(&scope, 1, MIB);
        store_upload(&store, &scope, &same, id).await.unwrap();
    }
    assert_eq!(stored(&store, &scope).await, holds(MIB, 0));
    let id = reserve(&store, &scope, 0).await.unwrap();
    let mut tx = store.begin(&scope).await.unwrap();
    assert!(storage::extend(&mut tx, id, 2 * MIB).await.unwrap());
    tx.commit().await.unwrap();
    reserve(&store, &scope, 1).await.unwrap_err();
    for _ in 0..2 {
        let mut tx = store.begin(&scope).await.unwrap();
        storage::release(&mut tx, id).await.unwrap();
        tx.commit().await.unwrap();
    }
    assert_eq!(stored(&store, &scope).await, holds(MIB, 0));
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn an_expired_reservation_is_counted_back_and_asked_for_again_at_its_end() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let scope = tenant_with(&store, "acme", &[("stored-bytes", 2 * MIB)]).await;
    let late = reserve(&store, &scope, MIB).await.unwrap();
    let live = reserve(&store, &scope, MIB).await.unwrap();
    assert_eq!(store.expire_reservations().await.unwrap(), 0);
    let past = "update control.storage_reservation set expires_at = now() - interval '1 second'
                where id = (select min(id::text)::uuid from control.storage_reservation)";
    as_admin(&database, past).await;
    assert_eq!(store.expire_reservations().await.unwrap(), 1);
    assert_eq!(stored(&store, &scope).await, holds(0, MIB));
    let mut tx = store.begin(&scope).await.unwrap();
    assert!(!storage::extend(&mut tx, late, 0).await.unwrap());
    drop(tx);
    // somebody else has the room now
    let other = reserve(&store, &scope, MIB).await.unwrap();
    let bytes = blob(&scope, 1, MIB);
    let refused = store_upload(&store, &scope, &bytes, late).await.unwrap_err();
    assert_eq!((refused.used, refused.asked), (2 * MIB, MIB));
    store_upload(&store, &scope, &bytes, live).await.unwrap();
    let mut tx = store.begin(&scope).await.unwrap();
    storage::release(&mut tx, other).await.unwrap();
    tx.commit().await.unwrap();
    store_upload(&store, &scope, &blob(&scope, 2, MIB), late)
        .await
        .unwrap();
    assert_eq!(stored(&store, &scope).await, holds(2 * MIB, 0));
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn an_attempt_reserves_piece_by_piece_and_the_next_one_takes_over() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, task) = tenant_with_task(&store, "acme").await;
    limit(&store, scope.tenant_id(), &[("stored-bytes", 4 * MIB)]).await;
    let reserve = async |attempt, bytes| {
        let mut tx = store.begin(&scope).await.unwrap();
        let may = told(storage::reserve_for_attempt(&mut tx, task, attempt, bytes).await)?;
        tx.commit().await.unwrap();
        Ok::<bool, QuotaRefusal>(may)
    };
    let runs = async |attempt: i32| {
        let moved =
            format!("update tenant.task set status = 'running', attempt = {attempt} where id = '{task}'");
        as_admin(&database, &moved).await;
    };
    runs(1).await;
    assert!(reserve(1, MIB).await.unwrap());
    assert!(reserve(1, 2 * MIB).await.unwrap());
    reserve(1, 2 * MIB).await.unwrap_err();
    assert_eq!(stored(&store, &scope).await, holds(0, 3 * MIB));
    // the worker died; the next attempt starts from nothing, and the dead one gets nothing any more
    runs(2).await;
    assert!(reserve(2, 4 * MIB).await.unwrap());
    assert!(!reserve(1, MIB).await.unwrap());
    assert_eq!(stored(&store, &scope).await, holds(0, 4 * MIB));
    let mut tx = store.begin(&scope).await.unwrap();
    let mut new_bytes = 0;
    for name in [1, 1, 2] {
        let new = NewArtifact {
            id: ArtifactId::fresh(),
            kind: "report".to_owned(),
            name: "report.json".to_owned(),
            media_type: "application/json".to_owned(),
            blob: blob(&scope, name, MIB),
        };
        new_bytes += artifact::create(&mut tx, task, &new).await.unwrap();
    }
    told(storage::settle_attempt(&mut tx, task, 2, new_bytes).await).unwrap();
    tx.commit().await.unwrap();
    assert_eq!(stored(&store, &scope).await, holds(2 * MIB, 0));
    let reservations = "select count(*) from control.storage_reservation";
    assert_eq!(number(&database, reservations).await, 0);
    // an attempt without anything changes nothing
    let mut tx = store.begin(&scope).await.unwrap();
    told(storage::settle_attempt(&mut tx, TaskId::fresh(), 1, 0).await).unwrap();
    tx.commit().await.unwrap();
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_tenant_neither_sees_nor_moves_the_room_of_another() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let acme = tenant_with(&store, "acme", &[]).await;
    let globex = tenant_with(&store, "globex", &[]).await;
    let id = reserve(&store, &acme, MIB).await.unwrap();
    let mut tx = store.begin(&globex).await.unwrap();
    storage::release(&mut tx, id).await.unwrap();
    for table in [
        "storage",
        "storage_reservation",
        "meter",
        "tenant_quota",
        "quota_refusal",
        "blob_trash",
    ] {
        let foreign = format!("select count(*) from control.{table} where tenant_id <> $1");
        let seen: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(foreign))
            .bind(globex.tenant_id().uuid())
            .fetch_one(tx.connection())
            .await
            .unwrap();
        assert_eq!(seen, 0, "{table}");
    }
    let made_up = "insert into control.tenant_quota values ($1, 'stored-bytes', 1)";
    let error = sqlx::query(made_up)
        .bind(globex.tenant_id().uuid())
        .execute(tx.connection())
        .await
        .unwrap_err();
    assert!(error.to_string().contains("permission denied"), "{error}");
    drop(tx);
    assert_eq!(stored(&store, &acme).await, holds(0, MIB));
    store.close().await;
    database.drop().await;
}
