//! What follows the server's folder, and what an operator's word keeps from following.

use sqlx::AssertSqlSafe;
use tamiz_core::plugin::{Capability, ComponentDigest, LimitSet, PluginLimit, PluginState};

use super::{Component, asked, chosen_by, codeaudit, follow};
use crate::database_for_tests::{Database, tenant_with_task};
use crate::plugin::bundle::Followed;
use crate::plugin::operate::{self, Installed, StateChange};
use crate::plugin::{self, PLUGINS_READ_MAX};

#[tokio::test]
async fn the_newer_plugin_of_the_folder_takes_the_place_of_the_older_one() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, _) = tenant_with_task(&store, "acme").await;
    let old = || Component::of("codeaudit", "1", "old").wants(Capability::Clock);
    let new = || Component::of("codeaudit", "2", "new").wants(Capability::Clock);
    let [
        Followed::Arrived {
            id: first,
            retired: 0,
        },
    ] = follow(&store, &[old()]).await[..]
    else {
        panic!("it did not arrive");
    };
    assert_eq!(follow(&store, &[old()]).await, [Followed::AlreadyThere(first)]);
    let memory = LimitSet::NONE.with(PluginLimit::MemoryBytes, Some(1 << 20));
    let mut tx = store.begin_control().await.unwrap();
    assert!(operate::set_limits(&mut tx, first, memory).await.unwrap());
    assert!(operate::grant(&mut tx, first, Capability::Clock).await.unwrap());
    tx.commit().await.unwrap();
    assert!(chosen_by(&store, &acme, Some(first)).await);

    let [
        Followed::Arrived {
            id: second,
            retired: 1,
        },
    ] = follow(&store, &[new()]).await[..]
    else {
        panic!("it did not take the place");
    };
    let mut tx = store.begin(&acme).await.unwrap();
    let candidates = plugin::candidates(&mut tx, &codeaudit()).await.unwrap();
    let serving: Vec<_> = candidates
        .iter()
        .map(|row| (row.id, row.limits, row.chosen_by_tenant))
        .collect();
    assert_eq!(serving, [(second, memory, true)]);
    assert!(
        candidates[0].granted.is_empty(),
        "a grant is for bytes that somebody looked at"
    );
    let retired = plugin::get(&mut tx, first).await.unwrap().unwrap();
    assert_eq!(retired.state, PluginState::Retired);
    drop(tx);

    // the server is rolled back
    assert_eq!(
        follow(&store, &[old()]).await,
        [Followed::Arrived {
            id: first,
            retired: 1
        }]
    );
    assert_eq!(asked(&store, &acme).await, ["codeaudit 1"]);
    // and what an operator keeps by hand does not follow the folder any more
    let mut tx = store.begin_control().await.unwrap();
    let kept = operate::set_state(&mut tx, second, PluginState::Active)
        .await
        .unwrap();
    assert_eq!(kept, StateChange::Done);
    tx.commit().await.unwrap();
    assert_eq!(follow(&store, &[old()]).await, [Followed::AlreadyThere(first)]);
    assert_eq!(asked(&store, &acme).await, ["codeaudit 1", "codeaudit 2"]);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn what_was_switched_off_stays_off_when_the_server_brings_a_newer_one() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, _) = tenant_with_task(&store, "acme").await;
    let [Followed::Arrived { id, .. }] = follow(&store, &[Component::of("ssl", "1", "old")]).await[..] else {
        panic!("it did not arrive");
    };
    let mut tx = store.begin_control().await.unwrap();
    operate::set_state(&mut tx, id, PluginState::Disabled)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    // the same version with other bytes, as a developer builds it
    let rebuilt = follow(&store, &[Component::of("ssl", "1", "new")]).await;
    assert!(
        matches!(rebuilt[..], [Followed::Arrived { retired: 1, .. }]),
        "{rebuilt:?}"
    );
    assert!(asked(&store, &acme).await.is_empty());
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn the_folder_does_not_replace_what_an_operator_installed() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, _) = tenant_with_task(&store, "acme").await;
    let by_hand = Component::of("codeaudit", "2", "by hand").installed(&store).await;
    let answers = follow(
        &store,
        &[
            Component::of("codeaudit", "2", "bundled"),
            Component::of("web", "1", "w"),
        ],
    )
    .await;
    assert_eq!(answers[0], Followed::VersionTaken(by_hand));
    assert!(
        matches!(answers[1], Followed::Arrived { retired: 0, .. }),
        "{answers:?}"
    );
    assert_eq!(asked(&store, &acme).await, ["web 1", "codeaudit 2"]);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn what_was_installed_since_hides_no_plugin_from_the_operator_or_the_folder() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (acme, _) = tenant_with_task(&store, "acme").await;
    let old = Component::of("codeaudit", "1", "old");
    let digest = ComponentDigest::of(b"old");
    let first = match follow(&store, &[old]).await[..] {
        [Followed::Arrived { id, .. }] => id,
        ref other => panic!("{other:?}"),
    };
    let mut tx = store.begin_control().await.unwrap();
    operate::set_state(&mut tx, first, PluginState::Disabled)
        .await
        .unwrap();
    let later = format!(
        "insert into control.plugin (id, tenant_id, name, version, sha256, size_bytes, world, scan_type, formats,
            options_schema, capabilities, source, origin, state)
         select ('ffffffff-ffff-7fff-8fff-' || lpad(to_hex(n), 12, '0'))::uuid, tenant_id, 'later', n::text,
            sha256(n::text::bytea), size_bytes, world, scan_type, formats, options_schema, capabilities,
            'installed', origin, 'active'
         from control.plugin cross join generate_series(1, {PLUGINS_READ_MAX}) n where name = 'codeaudit'"
    );
    sqlx::raw_sql(AssertSqlSafe(later))
        .execute(tx.connection())
        .await
        .unwrap();
    assert!(
        operate::list(&mut tx)
            .await
            .unwrap()
            .iter()
            .all(|row| row.id != first)
    );
    let (id, sha256) = (first.to_string(), digest.to_string());
    for (name, prefix) in [
        ("codeaudit", None),
        ("codeaudit@1", Some("codeaudit@1")),
        (&*id, Some(&id[..])),
        (&sha256[..12], Some(&sha256[..12])),
    ] {
        let found = operate::named(&mut tx, name, prefix).await.unwrap();
        let found: Vec<_> = found.iter().map(|row| row.id).collect();
        assert_eq!(found, [first], "{name}");
    }
    for nobody in ["codeaudit@2", "code", "%", ""] {
        assert_eq!(
            operate::named(&mut tx, nobody, None).await.unwrap(),
            [],
            "{nobody}"
        );
    }
    tx.commit().await.unwrap();

    let new = || Component::of("codeaudit", "2", "new");
    let answers = follow(&store, &[new()]).await;
    assert!(
        matches!(answers[..], [Followed::Arrived { retired: 1, .. }]),
        "{answers:?}"
    );
    assert!(
        !asked(&store, &acme).await.contains(&"codeaudit 2".to_owned()),
        "what was switched off stays so"
    );
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_retired_plugin_that_is_installed_again_is_signed_as_it_came_this_time() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let component = Component::of("clippy", "1", "bytes");
    let mut signed = component.described();
    signed.signed_by = Some("a key");
    let mut tx = store.begin_control().await.unwrap();
    let Installed::Fresh(id) = operate::install(&mut tx, &signed).await.unwrap() else {
        panic!("it was there");
    };
    for (origin, signed_by) in [("another file", None), ("a registry", Some("another key"))] {
        operate::set_state(&mut tx, id, PluginState::Retired)
            .await
            .unwrap();
        let mut again = component.described();
        (again.origin, again.signed_by) = (origin, signed_by);
        let answer = operate::install(&mut tx, &again).await.unwrap();
        assert_eq!(answer, Installed::Revived(id));
        let row = operate::by_id(&mut tx, id).await.unwrap().unwrap();
        assert_eq!((&*row.origin, row.signed_by.as_deref()), (origin, signed_by));
        assert_eq!(row.state, PluginState::Active);
    }
    // an operator's word alone changes nothing about where it came from
    for state in [PluginState::Retired, PluginState::Active] {
        operate::set_state(&mut tx, id, state).await.unwrap();
    }
    let row = operate::by_id(&mut tx, id).await.unwrap().unwrap();
    assert_eq!(
        (&*row.origin, row.signed_by.as_deref()),
        ("a registry", Some("another key"))
    );
    drop(tx);
    store.close().await;
    database.drop().await;
}
