//! One suite over every backend that runs here, and what only the disk can get wrong.

use futures_util::TryStreamExt;
use tamiz_core::TenantId;

use super::writer::PART_BYTES;
use super::*;

/// The suite runs on each of these.
async fn every_backend() -> Vec<(&'static str, BlobStore, Option<tempfile::TempDir>)> {
    let folder = tempfile::tempdir().unwrap();
    let url = Url::from_directory_path(folder.path().join("not/there/yet")).unwrap();
    let disk = BlobStore::open(&url).await.unwrap();
    let memory = BlobStore::open(&Url::parse("memory:///").unwrap()).await.unwrap();
    vec![("disk", disk, Some(folder)), ("memory", memory, None)]
}

fn writer(store: &BlobStore, tenant: TenantId, bytes_max: u64) -> BlobWriter {
    let place = Place::Tenant(tenant, BlobKind::Upload);
    BlobWriter::new(store.objects.clone(), place, bytes_max)
}

async fn put(store: &BlobStore, tenant: TenantId, bytes: &[u8]) -> Blob {
    let mut writer = writer(store, tenant, u64::MAX);
    for piece in bytes.chunks(100_003) {
        writer.write(Bytes::copy_from_slice(piece)).await.unwrap();
    }
    writer.finish().await.unwrap()
}

async fn get(reader: BlobReader) -> Result<Vec<u8>, BlobError> {
    reader
        .try_fold(Vec::new(), |mut all, piece| async move {
            all.extend_from_slice(&piece);
            Ok(all)
        })
        .await
}

/// Everything that lies under a tenant's prefix, unfinished uploads too.
async fn lie(store: &BlobStore, tenant: TenantId) -> Vec<String> {
    let prefix = ObjectPath::from(tenant_prefix(tenant));
    let found = store.objects.list(Some(&prefix));
    let found: Vec<_> = found.try_collect().await.unwrap();
    found.into_iter().map(|meta| meta.location.to_string()).collect()
}

fn pattern(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index * 7 + index / 251) as u8).collect()
}

#[tokio::test]
async fn what_is_written_is_read_whole_and_in_parts() {
    for (name, store, _folder) in every_backend().await {
        let tenant = TenantId::fresh();
        for length in [0, 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES + 12_345] {
            let bytes = pattern(length);
            let blob = put(&store, tenant, &bytes).await;
            assert_eq!(blob.size_bytes, length as u64, "{name}");
            assert_eq!(
                get(store.read(&blob.key, length as u64).await.unwrap())
                    .await
                    .unwrap(),
                bytes,
                "{name}"
            );
            let (start, end) = (length / 3, length - length / 4);
            let part = store
                .read_range(&blob.key, length as u64, start as u64..end as u64)
                .await
                .unwrap();
            assert_eq!(get(part).await.unwrap(), bytes[start..end], "{name}");
        }
    }
}

#[tokio::test]
async fn equal_bytes_lie_once_per_tenant_and_nothing_unfinished_stays() {
    for (name, store, _folder) in every_backend().await {
        let (ours, theirs) = (TenantId::fresh(), TenantId::fresh());
        let bytes = pattern(PART_BYTES + 5);
        let first = put(&store, ours, &bytes).await;
        assert_eq!(put(&store, ours, &bytes).await, first, "{name}");
        assert_ne!(put(&store, theirs, &bytes).await.key, first.key, "{name}");
        assert_eq!(lie(&store, ours).await, [first.key.to_string()], "{name}");
        assert_eq!(lie(&store, theirs).await.len(), 1, "{name}");
    }
}

#[tokio::test]
async fn a_writer_stops_at_its_limit_and_leaves_nothing() {
    for (name, store, _folder) in every_backend().await {
        let tenant = TenantId::fresh();
        let limit = PART_BYTES as u64 + 10;
        let mut writer = writer(&store, tenant, limit);
        writer.write(Bytes::from(pattern(PART_BYTES + 10))).await.unwrap();
        let error = writer.write(Bytes::from_static(b"x")).await.unwrap_err();
        assert!(
            matches!(error, BlobError::TooLarge { bytes_max } if bytes_max == limit),
            "{name}"
        );
        drop(writer);
        assert!(lie(&store, tenant).await.is_empty(), "{name}");
    }
}

#[tokio::test]
async fn an_absent_blob_is_said_to_be_absent() {
    for (name, store, _folder) in every_backend().await {
        let key = BlobKey {
            place: Place::Tenant(TenantId::fresh(), BlobKind::Artifact),
            hash: [7; 32],
        };
        assert!(
            matches!(store.read(&key, 3).await.unwrap_err(), BlobError::NotFound { .. }),
            "{name}"
        );
        assert!(
            matches!(store.read(&key, 0).await.unwrap_err(), BlobError::NotFound { .. }),
            "{name}"
        );
        store.check().await.unwrap();
    }
}

#[tokio::test]
async fn damaged_bytes_are_never_delivered_to_the_end() {
    for (name, store, _folder) in every_backend().await {
        let bytes = pattern(PIECE_BYTES * 3);
        let blob = put(&store, TenantId::fresh(), &bytes).await;
        let size = blob.size_bytes;
        let mut flipped = bytes.clone();
        flipped[0] ^= 1;
        store.objects.put(&blob.key.path(), flipped.into()).await.unwrap();
        let error = get(store.read(&blob.key, size).await.unwrap()).await.unwrap_err();
        assert!(
            error.to_string().contains("its hash is another one"),
            "{name}: {error}"
        );
        let error = store.read(&blob.key, size + 1).await.unwrap_err();
        assert!(error.to_string().contains("bytes instead of"), "{name}: {error}");
        assert!(
            store.read_range(&blob.key, size, 5..size + 1).await.is_err(),
            "{name}"
        );

        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("copy");
        assert!(store.fetch(&blob.key, size, &copy).await.is_err(), "{name}");
        assert!(!copy.exists(), "{name}");
    }
}

#[tokio::test]
async fn files_go_in_and_come_out() {
    for (name, store, _folder) in every_backend().await {
        let folder = tempfile::tempdir().unwrap();
        let (source, copy) = (folder.path().join("source"), folder.path().join("copy"));
        let bytes = pattern(PIECE_BYTES + 77);
        std::fs::write(&source, &bytes).unwrap();
        let tenant = TenantId::fresh();
        let blob = write_file(writer(&store, tenant, 1 << 30), &source)
            .await
            .unwrap();
        store.fetch(&blob.key, blob.size_bytes, &copy).await.unwrap();
        assert_eq!(std::fs::read(&copy).unwrap(), bytes, "{name}");
        let error = write_file(writer(&store, tenant, 10), &source).await.unwrap_err();
        assert!(matches!(error, BlobError::TooLarge { .. }), "{name}");
    }
}

#[test]
fn a_storage_path_is_a_key_only_for_its_own_tenant() {
    let (ours, theirs) = (TenantId::fresh(), TenantId::fresh());
    let key = BlobKey {
        place: Place::Tenant(ours, BlobKind::Artifact),
        hash: [0xab; 32],
    };
    let path = key.to_string();
    assert_eq!(path, format!("t/{ours}/artifact/{}", "ab".repeat(32)));
    assert_eq!(BlobKey::parse(ours, &path), Some(key));
    assert_eq!(BlobKey::parse(theirs, &path), None);
    for wrong in [
        path.to_uppercase(),
        format!("{path}/.."),
        format!("t/{ours}/artifact/../upload/{}", "ab".repeat(32)),
        format!("t/{ours}/secret/{}", "ab".repeat(32)),
        format!("t/{ours}/artifact/{}", "AB".repeat(32)),
        format!("t/{ours}/artifact/abcd"),
        String::new(),
    ] {
        assert_eq!(BlobKey::parse(ours, &wrong), None, "{wrong}");
    }
}

#[tokio::test]
async fn an_upload_cut_off_by_a_crash_is_swept_after_a_day() {
    let folder = tempfile::tempdir().unwrap();
    let incoming = folder
        .path()
        .join("t")
        .join(TenantId::fresh().to_string())
        .join("incoming");
    std::fs::create_dir_all(&incoming).unwrap();
    let (old, young) = (incoming.join("old#1"), incoming.join("young#1"));
    std::fs::write(&young, "x").unwrap();
    let file = std::fs::File::create(&old).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(INCOMING_SECONDS_MAX + 60))
        .unwrap();
    BlobStore::open(&Url::from_directory_path(folder.path()).unwrap())
        .await
        .unwrap();
    assert!(!old.exists() && young.exists());
}

#[test]
fn cloud_addresses_are_understood_without_touching_the_network() {
    let environment = || {
        let pairs = [
            ("AWS_REGION", "eu-central-1"),
            ("AZURE_STORAGE_ACCOUNT_NAME", "acme"),
            ("HOME", "/"),
        ];
        pairs.into_iter().map(|(name, value)| (name.into(), value.into()))
    };
    for good in [
        "s3://bucket/some/prefix",
        "s3://bucket",
        "gs://bucket/prefix",
        "az://container/prefix",
    ] {
        let store = open_cloud(&Url::parse(good).unwrap(), environment()).unwrap();
        let expected = Url::parse(good)
            .unwrap()
            .path()
            .trim_start_matches('/')
            .to_owned();
        assert!(store.to_string().contains(&expected), "{good}: {store}");
    }
    for bad in ["ftp://host/x", "s3:///nobucket"] {
        let error = open_cloud(&Url::parse(bad).unwrap(), environment()).unwrap_err();
        assert!(matches!(error, BlobError::Address { .. }), "{bad}: {error}");
    }
}

#[tokio::test]
async fn a_component_lies_once_for_the_whole_platform_and_is_known_by_its_digest() {
    for (name, store, _folder) in every_backend().await {
        let bytes = pattern(PART_BYTES + 9);
        let key = BlobKey::of_plugin(ComponentDigest::of(&bytes));
        let size_bytes = bytes.len() as u64;
        assert!(!store.has(&key, size_bytes).await.unwrap(), "{name}");
        for _ in 0..2 {
            let blob = store.put_plugin(bytes.clone().into()).await.unwrap();
            assert_eq!((blob.key, blob.size_bytes), (key, size_bytes), "{name}");
        }
        assert!(key.to_string().starts_with("p/plugin/"), "{key}");
        assert!(store.has(&key, size_bytes).await.unwrap(), "{name}");
        assert!(!store.has(&key, size_bytes + 1).await.unwrap(), "{name}");
        assert_eq!(
            get(store.read(&key, size_bytes).await.unwrap()).await.unwrap(),
            bytes,
            "{name}"
        );
        let found = store.objects.list(Some(&ObjectPath::from("p")));
        let found: Vec<_> = found.try_collect().await.unwrap();
        assert_eq!(found.len(), 1, "{name}: nothing unfinished stays");
        assert_eq!(
            BlobKey::parse(TenantId::fresh(), &key.to_string()),
            None,
            "{name}"
        );
    }
}
