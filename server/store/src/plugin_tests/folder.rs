//! What follows the server's folder, and what an operator's word keeps from following.

use tamiz_core::plugin::{Capability, LimitSet, PluginLimit, PluginState};

use super::{Component, asked, chosen_by, codeaudit, follow};
use crate::database_for_tests::{Database, tenant_with_task};
use crate::plugin;
use crate::plugin::bundle::Followed;
use crate::plugin::operate::{self, StateChange};

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
