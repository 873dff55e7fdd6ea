//! EPSS and KEV as they are imported and read: again, out of order, replaced, withdrawn, forgotten.

use std::collections::HashMap;

use chrono::{Days, NaiveDate};
use sqlx::{AssertSqlSafe, Connection};
use tamiz_core::advisory::Advisory;
use tamiz_core::enrichment::{EpssScore, Kev, KevCatalogue, RowFault, RowPlace};

use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::enrichment::{
    Begun, FILES_MAX, Known, NewFile, OpenFile, Series, begin, files, finish, insert_scores, of_cves,
    put_catalogue,
};
use crate::scope::TenantScope;

fn day(number: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2025, 1, 1).unwrap() + Days::new(number)
}

fn file(series: Series, number: u64, content: u8) -> NewFile {
    NewFile {
        series,
        model: Some("v1".to_owned()),
        date: day(number),
        sha256: [content; 32],
    }
}

fn cve(number: u32) -> Advisory {
    Advisory::parse(&format!("CVE-2020-{number:04}")).unwrap()
}

/// Scores by the numbers of their CVEs; percentiles are the same as the scores.
fn scores(of: &[(u32, f32)]) -> Vec<EpssScore> {
    let scores = of.iter().map(|(number, score)| EpssScore {
        cve: cve(*number),
        score: *score,
        percentile: *score,
    });
    scores.collect()
}

fn entry(number: u32) -> Kev {
    Kev {
        cve: cve(number),
        added: day(0),
        vendor: "vendor".to_owned(),
        product: "product".to_owned(),
        name: format!("flaw {number}"),
        description: String::new(),
        action: String::new(),
        due: Some(day(30)),
        has_ransomware_use: number == 1,
        notes: String::new(),
        cwe: vec![79, 89],
    }
}

fn catalogue(numbers: &[u32]) -> KevCatalogue {
    KevCatalogue {
        entries: numbers.iter().copied().map(entry).collect(),
        ..KevCatalogue::default()
    }
}

/// Imports scores and answers how many rows they took; none if the file was there.
async fn import_scores(store: &Store, file: NewFile, of: &[(u32, f32)]) -> Option<u64> {
    let mut tx = store.begin_control().await.unwrap();
    let Begun::Open(open) = begin(&mut tx, file).await.unwrap() else {
        return None;
    };
    let written = insert_scores(&mut tx, &open, &scores(of)).await.unwrap();
    finish(&mut tx, open, of.len() as u64).await.unwrap();
    tx.commit().await.unwrap();
    Some(written)
}

/// Imports a catalogue and answers how many entries it withdrew.
async fn import_catalogue(store: &Store, number: u64, catalogue: &KevCatalogue) -> u64 {
    let mut tx = store.begin_control().await.unwrap();
    let content = u8::try_from(catalogue.entries.len()).unwrap();
    let open: OpenFile = match begin(&mut tx, file(Series::Kev, number, content)).await.unwrap() {
        Begun::Open(open) => open,
        other => panic!("the catalogue is not taken: {other:?}"),
    };
    let withdrawn = put_catalogue(&mut tx, &open, catalogue).await.unwrap();
    finish(&mut tx, open, catalogue.entries.len() as u64)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    withdrawn
}

async fn known(store: &Store, scope: &TenantScope, as_of: Option<u64>) -> HashMap<String, Known> {
    let cves: Vec<String> = (1..=9).map(|number| cve(number).to_string()).collect();
    let mut tx = store.begin(scope).await.unwrap();
    of_cves(&mut tx, &cves, as_of.map(day)).await.unwrap()
}

/// The score of CVE `number` on each day.
async fn series<const DAYS: usize>(
    store: &Store,
    scope: &TenantScope,
    number: u32,
    days: [u64; DAYS],
) -> [Option<f32>; DAYS] {
    let mut found = [None; DAYS];
    for (found, day) in found.iter_mut().zip(days) {
        let known = known(store, scope, Some(day)).await;
        let epss = known.get(cve(number).as_str()).and_then(|known| known.epss);
        *found = epss.map(|epss| epss.score);
    }
    found
}

/// Numbers of the CVEs that are listed.
async fn listed(store: &Store, scope: &TenantScope, as_of: Option<u64>) -> Vec<String> {
    let known = known(store, scope, as_of).await;
    let listed = known.into_values().filter_map(|known| known.kev);
    let mut listed: Vec<String> = listed.map(|entry| entry.name).collect();
    listed.sort();
    listed
}

async fn file_count(store: &Store) -> usize {
    let mut tx = store.begin_control().await.unwrap();
    files(&mut tx).await.unwrap().len()
}

#[tokio::test]
async fn scores_are_a_series_of_which_only_changes_are_stored() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, _) = tenant_with_task(&store, "acme").await;
    let import = async |number, of: &[(u32, f32)]| {
        let content = u8::try_from(number).unwrap();
        import_scores(&store, file(Series::Epss, number, content), of).await
    };
    assert_eq!(import(1, &[(1, 0.1), (2, 0.2)]).await, Some(2));
    assert_eq!(import(2, &[(1, 0.1), (2, 0.3), (3, 0.9)]).await, Some(2));
    // the same file again changes nothing
    assert_eq!(import(2, &[(1, 0.1), (2, 0.3), (3, 0.9)]).await, None);
    assert_eq!(import(4, &[(1, 0.4), (2, 0.3), (3, 0.9)]).await, Some(1));
    let days = [0, 1, 2, 3, 4, 9];
    let first = [None, Some(0.1), Some(0.1), Some(0.1), Some(0.4), Some(0.4)];
    assert_eq!(series(&store, &scope, 1, days).await, first);
    let second = [None, Some(0.2), Some(0.3), Some(0.3), Some(0.3), Some(0.3)];
    assert_eq!(series(&store, &scope, 2, days).await, second);

    let newest = known(&store, &scope, None).await;
    assert_eq!(newest.len(), 3);
    let epss = newest[cve(2).as_str()].epss.unwrap();
    assert_eq!((epss.score, epss.percentile, epss.date), (0.3, 0.3, day(2)));
    assert_eq!(file_count(&store).await, 3);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_file_that_comes_late_or_again_changes_its_own_day_alone() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, _) = tenant_with_task(&store, "acme").await;
    let import = async |number, content, of: &[(u32, f32)]| {
        import_scores(&store, file(Series::Epss, number, content), of)
            .await
            .unwrap()
    };
    import(1, 1, &[(1, 0.1)]).await;
    import(5, 5, &[(1, 0.1)]).await;
    import(3, 3, &[(1, 0.3), (2, 0.5)]).await;
    let days = [1, 2, 3, 4, 5, 6];
    let expected = [Some(0.1), Some(0.1), Some(0.3), Some(0.3), Some(0.1), Some(0.1)];
    assert_eq!(series(&store, &scope, 1, days).await, expected);

    // the third day is told anew, as the days before and after it
    import(3, 4, &[(1, 0.1)]).await;
    assert_eq!(series(&store, &scope, 1, days).await, [Some(0.1); 6]);
    assert_eq!(file_count(&store).await, 3);

    // of a CVE that stands twice the last one counts, and a percentile alone makes a row when it moved far
    import(7, 7, &[(4, 0.6), (4, 0.7)]).await;
    assert_eq!(series(&store, &scope, 4, [7]).await, [Some(0.7)]);
    let mut tx = store.begin_control().await.unwrap();
    let Begun::Open(open) = begin(&mut tx, file(Series::Epss, 8, 8)).await.unwrap() else {
        panic!("a new file is taken");
    };
    for (percentile, rows) in [(0.705, 0), (0.75, 1)] {
        let moved = EpssScore {
            percentile,
            ..scores(&[(4, 0.7)]).remove(0)
        };
        assert_eq!(insert_scores(&mut tx, &open, &[moved]).await.unwrap(), rows);
    }
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn no_more_days_are_kept_than_the_limit_and_the_oldest_stays_whole() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, _) = tenant_with_task(&store, "acme").await;
    import_scores(&store, file(Series::Epss, 1, 1), &[(1, 0.1), (2, 0.2)]).await;
    import_scores(&store, file(Series::Epss, 2, 2), &[(1, 0.15), (2, 0.2)]).await;
    let mut admin = database.as_admin().await;
    let fill = format!(
        "insert into control.enrichment_file (id, kind, date, rows, sha256) select gen_random_uuid(), 'epss', \
         date '2025-01-03' + n, 0, sha256(n::text::bytea) from generate_series(1, {}) n",
        FILES_MAX - 2
    );
    sqlx::raw_sql(AssertSqlSafe(fill))
        .execute(&mut admin)
        .await
        .unwrap();
    admin.close().await.unwrap();
    import_scores(&store, file(Series::Epss, 900, 9), &[(1, 0.1)]).await;
    let newest = file_count(&store).await;
    assert_eq!(newest, usize::try_from(FILES_MAX).unwrap());
    assert_eq!(
        series(&store, &scope, 1, [1, 2, 899, 900]).await,
        [None, Some(0.15), Some(0.15), Some(0.1)]
    );
    // what was told before and still counted is not lost
    assert_eq!(series(&store, &scope, 2, [900]).await, [Some(0.2)]);

    let mut tx = store.begin_control().await.unwrap();
    let begun = begin(&mut tx, file(Series::Epss, 1, 1)).await.unwrap();
    assert!(
        matches!(begun, Begun::TooOld(oldest) if oldest == day(2)),
        "{begun:?}"
    );
    drop(tx);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn an_entry_that_a_later_catalogue_has_no_more_is_withdrawn_on_its_day() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, _) = tenant_with_task(&store, "acme").await;
    assert_eq!(import_catalogue(&store, 1, &catalogue(&[1, 2, 3])).await, 0);
    assert_eq!(import_catalogue(&store, 5, &catalogue(&[1, 3])).await, 1);
    assert_eq!(listed(&store, &scope, None).await, ["flaw 1", "flaw 3"]);
    assert_eq!(
        listed(&store, &scope, Some(4)).await,
        ["flaw 1", "flaw 2", "flaw 3"]
    );
    assert_eq!(listed(&store, &scope, Some(5)).await, ["flaw 1", "flaw 3"]);

    // one between them still had the second, and one that nobody else had
    assert_eq!(import_catalogue(&store, 3, &catalogue(&[1, 2, 3, 4])).await, 0);
    assert_eq!(listed(&store, &scope, None).await, ["flaw 1", "flaw 3"]);
    assert_eq!(
        listed(&store, &scope, Some(4)).await,
        ["flaw 1", "flaw 2", "flaw 3", "flaw 4"]
    );
    // rows that were left out might be the missing ones
    let holes = KevCatalogue {
        faults: vec![RowFault {
            at: RowPlace::Entry(2),
            what: "it is no object".to_owned(),
        }],
        ..catalogue(&[2])
    };
    assert_eq!(import_catalogue(&store, 7, &holes).await, 0);
    assert_eq!(listed(&store, &scope, None).await, ["flaw 1", "flaw 2", "flaw 3"]);

    let newest = known(&store, &scope, None).await;
    let first = newest[cve(1).as_str()].kev.clone().unwrap();
    assert_eq!((first.added_on, first.due_on), (day(0), Some(day(30))));
    assert!(first.has_ransomware_use);
    assert_eq!(newest[cve(1).as_str()].epss, None);
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn another_catalogue_of_the_same_day_replaces_the_first() {
    let database = Database::fresh().await;
    let store = database.store().await;
    let (scope, _) = tenant_with_task(&store, "acme").await;
    import_catalogue(&store, 1, &catalogue(&[1])).await;
    import_catalogue(&store, 2, &catalogue(&[1, 2, 3])).await;
    assert_eq!(import_catalogue(&store, 2, &catalogue(&[1, 2])).await, 0);
    assert_eq!(listed(&store, &scope, Some(2)).await, ["flaw 1", "flaw 2"]);
    assert_eq!(listed(&store, &scope, Some(9)).await, ["flaw 1", "flaw 2"]);
    let mut tx = store.begin_control().await.unwrap();
    let all = files(&mut tx).await.unwrap();
    let days: Vec<_> = all.iter().map(|file| (file.date, file.rows)).collect();
    assert_eq!(days, [(day(2), 2), (day(1), 1)]);
    drop(tx);
    store.close().await;
    database.drop().await;
}
