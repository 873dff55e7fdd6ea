//! Rows as an older version left them: known again, with all that was decided.

use super::*;
use crate::alert::merge::tests::{Said, World};
use crate::alert::recount::recount;

const ALL: Terms = Terms {
    which: Which::All,
    keep: Keep::Work,
    alerts_at_once: 2,
};
const OLDER: Terms = Terms {
    which: Which::Older,
    ..ALL
};

const fn x(line: u32) -> Said<'static> {
    ("a.py", line, "x()")
}
const Y: Said<'static> = ("b.py", 7, "y()");
const Z: Said<'static> = ("c.py", 9, "z()");

/// Two branches with equals, one that is gone, one that is dismissed, one that somebody has.
async fn lived_in() -> World {
    let world = World::made().await;
    world.scan("main", true, &[x(10), x(20), Y, Z]).await;
    world.scan("dev", true, &[x(5), x(11), x(21), Y]).await;
    world.scan("main", true, &[x(10), x(20), Y]).await;
    world.scan("dev", true, &[x(5), x(11), x(21), Y]).await;
    run(
        &world,
        "update tenant.alert set state = 2, dismissed_reason = 'wont-fix', dismissed_comment = 'no', assignee = 'kim'
         where content_id in (select id from tenant.finding_content where file_path = 'b.py')",
    )
    .await;
    recount(&world.store, world.scope.tenant_id(), true)
        .await
        .unwrap();
    world.is_sound().await;
    world
}

async fn run(world: &World, statement: &'static str) {
    let mut admin = world.database.as_admin().await;
    sqlx::raw_sql(statement).execute(&mut admin).await.unwrap();
}

/// Makes all rows those of version 1, which had other hashes.
async fn age(world: &World) {
    run(
        world,
        "begin; set constraints all deferred;
         update tenant.alert set fingerprint = sha256('1'::bytea || fingerprint), fingerprint_version = 1;
         update tenant.alert_occurrence set fingerprint = sha256('1'::bytea || fingerprint);
         update tenant.scan_scope set fingerprint_version = 1;
         commit",
    )
    .await;
}

/// All that is known of alerts and the places that are there.
async fn rows(world: &World) -> Vec<String> {
    let mut admin = world.database.as_admin().await;
    let query = "select to_jsonb(a)::text from tenant.alert a
                 union all select to_jsonb(o)::text from tenant.alert_occurrence o where o.last_seen_at is null
                 union all select to_jsonb(s)::text from tenant.scan_scope s
                 union all select to_jsonb(e)::text from tenant.alert_event e order by 1";
    sqlx::query_scalar(query).fetch_all(&mut admin).await.unwrap()
}

async fn rehashed(world: &World, terms: Terms) -> Rehashed {
    let tenant = world.scope.tenant_id();
    let done = rehash(&world.store, tenant, None, terms, |_, _| ()).await;
    done.unwrap().unwrap()
}

/// The same reports again: nothing opens, closes or comes back.
async fn stays_still(world: &World) {
    for (branch, said) in [
        ("main", &[x(10), x(20), Y][..]),
        ("dev", &[x(5), x(11), x(21), Y]),
    ] {
        let (_, again) = world.scan(branch, true, said).await;
        assert_eq!(
            (again.new, again.reopened, again.moved, again.fixed),
            (0, 0, 0, 0),
            "{branch}"
        );
    }
    world.is_sound().await;
}

#[tokio::test]
async fn rows_of_an_older_version_become_what_this_one_would_have_written() {
    let world = lived_in().await;
    let before = rows(&world).await;
    assert_eq!(
        rehashed(&world, OLDER).await,
        Rehashed::default(),
        "nothing is behind"
    );
    let all = rehashed(&world, ALL).await;
    assert_eq!(
        (all.alerts, all.places, all.fell_together),
        (0, 0, 0),
        "nothing changes"
    );
    age(&world).await;
    let aged = rows(&world).await;
    let rehearsed = rehashed(
        &world,
        Terms {
            keep: Keep::Numbers,
            ..OLDER
        },
    )
    .await;
    assert_eq!(rows(&world).await, aged, "a rehearsal changes nothing");
    assert_eq!((rehearsed.places, rehearsed.fell_together), (7, 0));
    rehashed(&world, OLDER).await;
    assert_eq!(rows(&world).await, before);
    stays_still(&world).await;
    world.end().await;
}

#[tokio::test]
async fn alerts_from_before_learn_where_their_weakness_is() {
    let world = lived_in().await;
    let before = rows(&world).await;
    run(&world, "update tenant.alert set weakness_place = null").await;
    assert_ne!(rows(&world).await, before);
    assert_eq!(rehashed(&world, ALL).await.alerts, 0, "no other identity");
    assert_eq!(rows(&world).await, before);
    world.end().await;
}

#[tokio::test]
async fn whoever_is_killed_goes_on_where_he_was() {
    let world = lived_in().await;
    let before = rows(&world).await;
    age(&world).await;
    // the first of each step is committed, and whoever did the second died before he could
    let mut tx = world.store.begin(&world.scope).await.unwrap();
    hold_project(&mut tx, world.project).await.unwrap();
    gone::batch(&mut tx, world.project, Which::Older, &[], 1)
        .await
        .unwrap()
        .unwrap();
    let first = next_scope(&mut tx, world.project, Which::Older, None)
        .await
        .unwrap()
        .unwrap();
    held::of_scope(&mut tx, world.project, Which::Older, first.id)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let mut tx = world.store.begin(&world.scope).await.unwrap();
    hold_project(&mut tx, world.project).await.unwrap();
    let second = next_scope(&mut tx, world.project, Which::Older, None)
        .await
        .unwrap()
        .unwrap();
    assert_ne!(first.id, second.id);
    held::of_scope(&mut tx, world.project, Which::Older, second.id)
        .await
        .unwrap();
    drop(tx);
    rehashed(&world, OLDER).await;
    assert_eq!(rows(&world).await, before);
    stays_still(&world).await;
    world.end().await;
}

#[tokio::test]
async fn an_import_over_rows_of_an_older_version_doubles_nothing() {
    let world = lived_in().await;
    age(&world).await;
    stays_still(&world).await;
    // what was gone is known as well
    let (_, back) = world.scan("dev", true, &[x(5), x(11), x(21), Y, Z]).await;
    assert_eq!((back.new, back.reopened), (0, 1));
    world.end().await;
}

#[tokio::test]
async fn alerts_that_fall_together_stay_apart_and_the_open_one_is_found() {
    let world = lived_in().await;
    world.scan("main", true, &[x(10), x(20), Y, Z]).await;
    // what this version takes for one secret in two files
    run(
        &world,
        r#"update tenant.finding_content set extra = '{"secret": true}', tool_fingerprint = 'k'
           where file_path in ('b.py', 'c.py')"#,
    )
    .await;
    age(&world).await;
    let done = rehashed(&world, OLDER).await;
    assert_eq!(done.fell_together, 1);
    let mut admin = world.database.as_admin().await;
    let secrets: Vec<(i16, Vec<u8>)> =
        sqlx::query_as("select state, fingerprint from tenant.alert where kind = 'secret' order by state")
            .fetch_all(&mut admin)
            .await
            .unwrap();
    assert_eq!(
        secrets.iter().map(|(state, _)| *state).collect::<Vec<_>>(),
        [1, 2]
    );
    let content = "select id from tenant.finding_content where file_path = 'b.py' limit 1";
    let content: Uuid = sqlx::query_scalar(content).fetch_one(&mut admin).await.unwrap();
    let mut tx = world.store.begin(&world.scope).await.unwrap();
    let marks = mark::marks(&mut tx, world.project, &[(content, None)])
        .await
        .unwrap();
    let base = marks[0].as_ref().unwrap().base;
    assert_eq!(secrets[0].1, base.numbered(0).0, "the open one is who scans find");
    drop(tx);
    let again = rehashed(&world, ALL).await;
    assert_eq!((again.alerts, again.places), (0, 0));
    world.is_sound().await;
    world.end().await;
}
