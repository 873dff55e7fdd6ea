//! Scans of several scopes merged one after the other: who opens, who closes, and whether the counters are right.

use std::collections::BTreeSet;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use sha2::{Digest as _, Sha256};
use tamiz_core::identity::{self, Parts, ordinals};
use tamiz_core::location::Position;
use tamiz_core::related::Traits;
use tamiz_core::scope::ScopeLabels;
use tamiz_core::{Confidence, Finding, Location, ScanType};

use super::*;
use crate::alert::{hold_project, rehash};
use crate::connect::Store;
use crate::database_for_tests::{Database, tenant_with_task};
use crate::finding::{NewContent, insert_contents, missing_contents};
use crate::scope::TenantScope;
use crate::task;

/// What a tool says of a line of code: path, line, code.
pub(in crate::alert) type Said<'a> = (&'a str, u32, &'a str);

pub(in crate::alert) struct World {
    pub(in crate::alert) database: Database,
    pub(in crate::alert) store: Store,
    pub(in crate::alert) scope: TenantScope,
    pub(in crate::alert) project: ProjectId,
    task: TaskId,
}

fn found((path, line, code): Said<'_>) -> Finding {
    Finding {
        tool: "tool".into(),
        rule_id: "rule".into(),
        rule_name: None,
        title: "title".into(),
        message: "message".into(),
        severity: Severity::High,
        severity_raw: None,
        confidence: Confidence::High,
        category: None,
        locations: vec![Location::File {
            path: path.into(),
            start: Some(Position { line, column: None }),
            end: None,
            snippet: (!code.is_empty()).then(|| code.into()),
        }],
        cwe: vec![79],
        cve: vec![],
        cvss_vector: None,
        references: vec![],
        tags: vec![],
        remediation: None,
        tool_fingerprint: None,
        origin: None,
        extra: serde_json::Map::new(),
    }
}

fn branch(name: &str) -> ScanScope {
    ScanScope {
        scan_type: ScanType::parse("codeaudit").unwrap(),
        tool: "tool".into(),
        target: String::new(),
        labels: ScopeLabels {
            branch: name.into(),
            ..ScopeLabels::default()
        },
        configuration: String::new(),
    }
}

impl World {
    pub(in crate::alert) async fn made() -> Self {
        let database = Database::fresh().await;
        let store = database.store().await;
        let (scope, task) = tenant_with_task(&store, "acme").await;
        let mut tx = store.begin(&scope).await.unwrap();
        let project = task::get(&mut tx, task).await.unwrap().unwrap().project_id;
        drop(tx);
        Self {
            database,
            store,
            scope,
            project,
            task,
        }
    }

    pub(in crate::alert) async fn scan(
        &self,
        name: &str,
        closes: bool,
        said: &[Said<'_>],
    ) -> (Vec<AlertId>, Comparison) {
        let mut tx = self.store.begin(&self.scope).await.unwrap();
        let merged = self.scan_within(&mut tx, name, closes, said).await;
        tx.commit().await.unwrap();
        merged
    }

    async fn scan_within(
        &self,
        tx: &mut TenantTx,
        name: &str,
        closes: bool,
        said: &[Said<'_>],
    ) -> (Vec<AlertId>, Comparison) {
        hold_project(tx, self.project).await.unwrap();
        rehash::catch_up(tx, self.project).await.unwrap();
        let findings: Vec<Finding> = said.iter().copied().map(found).collect();
        let mut sightings = Vec::new();
        for finding in &findings {
            let text = serde_json::to_vec(finding).unwrap();
            let mut content = [0; 16];
            content.copy_from_slice(&Sha256::digest(&text)[..16]);
            let parts = Parts::of(finding, None);
            sightings.push(Sighting {
                finding: FindingId::fresh(),
                content,
                kind: parts.kind,
                base: parts.base(),
                fingerprint: parts.base(),
                place: identity::place(parts.kind, finding),
                severity: finding.severity,
                at: (parts.line, 0),
                lines: None,
                tool_id: None,
                traits: Traits::of(finding),
            });
        }
        let places = sightings
            .iter()
            .map(|one| (one.kind, one.base, (one.at.0, one.at.1, one.content)));
        let prints = ordinals::fingerprints(&places.collect::<Vec<_>>());
        for (sighting, print) in sightings.iter_mut().zip(prints) {
            sighting.fingerprint = print;
        }
        let ids: Vec<PartHash> = sightings.iter().map(|one| one.content).collect();
        let missing = missing_contents(tx, self.project, &ids).await.unwrap();
        let new = sightings
            .iter()
            .zip(findings)
            .filter(|(one, _)| missing.contains(&one.content));
        let new = new.map(|(one, finding)| NewContent {
            id: one.content,
            cvss_score: None,
            finding,
        });
        insert_contents(tx, self.project, new.collect()).await.unwrap();
        let scope = branch(name);
        let scan = Scan {
            project: self.project,
            task: self.task,
            scope: &scope,
            closes,
            contents: &Arrival::done(),
        };
        merge(tx, scan, &sightings).await.unwrap()
    }

    /// How many alerts the project has: open, reopened, dismissed, fixed.
    pub(in crate::alert) async fn states(&self) -> [i64; 4] {
        let mut admin = self.database.as_admin().await;
        let mut states = [0; 4];
        for (state, count) in (0..).zip(states.iter_mut()) {
            let query = "select count(*) from tenant.alert where state = $1";
            *count = sqlx::query_scalar(query)
                .bind(state)
                .fetch_one(&mut admin)
                .await
                .unwrap();
        }
        states
    }

    /// What must hold whatever was merged.
    pub(in crate::alert) async fn is_sound(&self) {
        let mut admin = self.database.as_admin().await;
        for (what, query) in [
            (
                "counters",
                "select count(*) from (select state, severity, count(*) as n from tenant.alert group by 1, 2) a
                 full join (select * from tenant.alert_count where alerts > 0) c using (state, severity)
                 where a.n is distinct from c.alerts",
            ),
            (
                "counters of rules",
                "select count(*) from (
                     select c.source_tool as tool, c.rule_id, count(*) as n from tenant.alert a
                     join tenant.finding_content c on c.tenant_id = a.tenant_id and c.project_id = a.project_id
                         and c.id = a.content_id
                     where a.state in (0, 1) group by 1, 2) a
                 full join (select * from tenant.alert_rule_count where alerts > 0) c using (tool, rule_id)
                 where a.n is distinct from c.alerts",
            ),
            (
                "alerts that are there without a place, or gone with one",
                "select count(*) from tenant.alert a where (a.last_seen_at is null) <> exists (
                     select from tenant.alert_occurrence o where o.alert_id = a.id and o.last_seen_at is null)",
            ),
            (
                "states that do not fit",
                "select count(*) from tenant.alert where (state = 3) <> (last_seen_at is not null) and state <> 2",
            ),
            (
                "alerts listed by a scope that does not hold them",
                "select count(*) from tenant.alert a where a.last_seen_at is null and not exists (
                     select from tenant.alert_occurrence o
                     where o.alert_id = a.id and o.scope_id = a.scope_id and o.last_seen_at is null)",
            ),
        ] {
            let wrong: i64 = sqlx::query_scalar(query).fetch_one(&mut admin).await.unwrap();
            assert_eq!(wrong, 0, "{what}");
        }
    }

    pub(in crate::alert) async fn end(self) {
        self.is_sound().await;
        self.store.close().await;
        self.database.drop().await;
    }
}

#[tokio::test]
async fn a_scan_closes_what_its_own_scope_held_and_nothing_else() {
    let world = World::made().await;
    let (a, b) = (("a.py", 1, "x()"), ("b.py", 1, "y()"));
    let (main, _) = world.scan("main", true, &[a, b]).await;
    let (dev, seen) = world.scan("dev", true, &[a]).await;
    assert_eq!(dev[0], main[0], "one alert for both branches");
    assert_eq!((seen.new, seen.unchanged, seen.fixed), (0, 1, 0));
    let (_, less) = world.scan("main", true, &[]).await;
    assert_eq!(
        (less.fixed, world.states().await),
        (1, [1, 0, 0, 1]),
        "dev still has the first"
    );
    let (_, last) = world.scan("dev", true, &[]).await;
    assert_eq!((last.fixed, world.states().await), (1, [0, 0, 0, 2]));
    let (back, again) = world.scan("dev", true, &[b]).await;
    assert_eq!((back[0], again.reopened), (main[1], 1));
    world.end().await;
}

#[tokio::test]
async fn a_report_that_proves_nothing_closes_nothing() {
    let world = World::made().await;
    let all = [("a.py", 1, "x()"), ("b.py", 1, "y()")];
    world.scan("", true, &all).await;
    let (_, part) = world.scan("", false, &all[..1]).await;
    assert_eq!(
        (part.fixed, part.closes, world.states().await),
        (0, false, [2, 0, 0, 0])
    );
    world.end().await;
}

#[tokio::test]
async fn equals_keep_their_alerts_when_one_more_stands_above_them() {
    let world = World::made().await;
    let at = |line| ("a.py", line, "x()");
    let (before, _) = world.scan("", true, &[at(10), at(20), at(30)]).await;
    let (after, changed) = world.scan("", true, &[at(4), at(13), at(23), at(33)]).await;
    assert_eq!(after[1..], before[..]);
    assert_eq!((changed.new, changed.moved, changed.fixed), (1, 3, 0));
    // the middle one goes and comes back
    let (_, less) = world.scan("", true, &[at(4), at(13), at(33)]).await;
    assert_eq!(less.fixed, 1);
    let (again, back) = world.scan("", true, &[at(4), at(13), at(23), at(33)]).await;
    assert_eq!((back.new, back.reopened), (0, 1));
    let (again, after): (BTreeSet<_>, BTreeSet<_>) =
        (again.into_iter().collect(), after.into_iter().collect());
    assert_eq!(again, after);
    world.end().await;
}

#[tokio::test]
async fn what_both_scans_know_says_which_of_equals_went() {
    let world = World::made().await;
    let (x, y) = (|line| ("a.py", line, "x()"), |line| ("a.py", line, "y()"));
    let (before, _) = world.scan("", true, &[y(5), x(10), x(20), x(30)]).await;
    // all moved by ten lines, and the last one went: by their own lines it would be the first
    let (after, changed) = world.scan("", true, &[y(15), x(20), x(30)]).await;
    assert_eq!(after[..], before[..3]);
    assert_eq!((changed.new, changed.moved, changed.fixed), (0, 3, 1));
    world.end().await;
}

#[tokio::test]
async fn equals_of_a_branch_are_the_same_when_it_is_merged() {
    let world = World::made().await;
    let at = |line| ("a.py", line, "x()");
    let (old, _) = world.scan("main", true, &[at(10), at(20)]).await;
    let (dev, _) = world.scan("dev", true, &[at(5), at(11), at(21)]).await;
    assert!(
        !old.contains(&dev[0]) || !old.contains(&dev[2]),
        "one of them is new"
    );
    let (merged, changed) = world.scan("main", true, &[at(5), at(11), at(21)]).await;
    assert_eq!((merged, changed.new, changed.fixed), (dev, 0, 0));
    world.end().await;
}

/// Alerts and places of somebody else, who knows of no project of ours.
const OTHERS: &str = "
    insert into tenant.alert (tenant_id, id, project_id, kind, source_tool, content_id, fingerprint, fingerprint_version,
        state, severity, tool_severity, scope_id, first_task_id)
    select '00000000-0000-0000-0000-000000000001', gen_random_uuid(), '00000000-0000-0000-0000-000000000002', 'code', 'tool',
        gen_random_uuid(), sha256(n::text::bytea), 2, 0, 3, 3, '00000000-0000-0000-0000-000000000003', gen_random_uuid()
    from generate_series(1, 5000) n;
    insert into tenant.alert_occurrence (tenant_id, alert_id, scope_id, place, fingerprint, content_id, line)
    select tenant_id, id, scope_id, gen_random_uuid(), fingerprint, content_id, 7 from tenant.alert;
    insert into tenant.alert_event (tenant_id, alert_id, id, kind) select tenant_id, id, id, 'opened' from tenant.alert;";

#[tokio::test]
async fn scans_read_each_alert_a_few_times_when_the_planner_knows_nothing() {
    let world = World::made().await;
    reads_few(world).await;
}

#[tokio::test]
async fn scans_read_each_alert_a_few_times_when_the_planner_knows_others_alone() {
    let world = World::made().await;
    let mut admin = world.database.as_admin().await;
    sqlx::raw_sql(OTHERS).execute(&mut admin).await.unwrap();
    reads_few(world).await;
}

/// Statistics of tables in which the tenant had nothing make any plan look good, also one that reads all that it has for
/// each alert.
async fn reads_few(world: World) {
    const ALERTS: u32 = 1_000;
    let mut admin = world.database.as_admin().await;
    sqlx::query("vacuum (analyze) tenant.alert, tenant.alert_occurrence, tenant.alert_event")
        .execute(&mut admin)
        .await
        .unwrap();
    let codes: Vec<String> = (0..2 * ALERTS).map(|number| format!("call({number})")).collect();
    let said = |from: usize, line: u32| -> Vec<Said<'_>> {
        let codes = codes[from..].iter().take(ALERTS as usize);
        (line..)
            .zip(codes)
            .map(|(line, code)| ("a.py", line, code.as_str()))
            .collect()
    };
    let (first, second) = (0, ALERTS as usize);
    world.scan("dev", true, &said(first, 1)[..9]).await;
    for (what, from, line, expected) in [
        ("new", first, 1, (ALERTS - 9, 0, 0)),
        ("others", second, 1, (ALERTS, ALERTS - 9, 0)),
        ("the first again", first, 1, (0, ALERTS, ALERTS - 9)),
        ("moved", first, 4, (0, 0, 0)),
    ] {
        let mut tx = world.store.begin(&world.scope).await.unwrap();
        let (_, changed) = world.scan_within(&mut tx, "", true, &said(from, line)).await;
        assert_eq!((changed.new, changed.fixed, changed.reopened), expected, "{what}");
        let read: Vec<(String, i64)> = sqlx::query_as(
            "select relname::text, seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables
             where schemaname = 'tenant' and relname like 'alert%'",
        )
        .fetch_all(tx.connection())
        .await
        .unwrap();
        tx.commit().await.unwrap();
        for (table, rows) in read {
            assert!(
                rows <= 20 * i64::from(ALERTS),
                "{what}: {rows} rows of {table} were read"
            );
        }
    }
    world.store.close().await;
    world.database.drop().await;
}

#[tokio::test]
async fn random_scans_of_two_branches_leave_sound_rows() {
    let world = World::made().await;
    let mut random = StdRng::seed_from_u64(5);
    for _ in 0..40 {
        let mut said = Vec::new();
        for _ in 0..random.random_range(0..14) {
            let path = ["a.py", "b.py", "c.py"][random.random_range(0..3)];
            let code = ["x()", "y()", ""][random.random_range(0..3)];
            said.push((path, random.random_range(1..40), code));
        }
        said.sort_unstable();
        said.dedup();
        let name = ["main", "dev"][random.random_range(0..2)];
        let (alerts, comparison) = world.scan(name, random.random_ratio(4, 5), &said).await;
        let distinct: BTreeSet<_> = alerts.iter().collect();
        assert_eq!(distinct.len(), said.len(), "each has an alert of its own");
        let (_, again) = world.scan(name, comparison.closes, &said).await;
        assert_eq!(
            (again.new, again.reopened, again.moved, again.fixed),
            (0, 0, 0, 0),
            "the same again"
        );
        world.is_sound().await;
    }
    world.end().await;
}
