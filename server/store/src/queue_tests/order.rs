//! Which ticket of a tenant comes next, and which do not come at all: priority, age, pauses, time, abilities,
//! limits of starts; and what puts a lane right again.

use sqlx::Row;
use uuid::Uuid;

use super::fairness::{backlog, classes};
use super::field::{ABLE, Class, Dice, Field, Order, Tenant, Worker};

async fn field_of_one() -> (Field, Dice, Vec<i32>, Uuid) {
    let mut field = Field::start().await;
    let mut dice = Dice::of(11);
    let classes = classes(&mut field).await;
    let tenant = Tenant::of_weight(&mut dice, 1);
    field.add_tenants(std::slice::from_ref(&tenant)).await;
    (field, dice, classes, tenant.id)
}

async fn put(field: &mut Field, dice: &mut Dice, tenant: Uuid, class: i32, priority: i16) -> Uuid {
    let order = Order {
        tenant,
        class,
        task: dice.uuid(),
        priority,
    };
    assert_eq!(field.enqueue(&[order]).await, 1);
    order.task
}

/// The tasks that a worker is given one by one.
async fn in_order(field: &mut Field, worker: &Worker) -> Vec<Uuid> {
    let mut tasks = Vec::new();
    loop {
        let claimed = field.fill(worker, 1).await;
        if claimed.is_empty() {
            return tasks;
        }
        field.finish(&claimed).await;
        tasks.push(claimed[0].task);
    }
}

/// As if the tenant's tickets had come so much earlier.
async fn grow_older(field: &mut Field, tenant: Uuid, minutes: i64) {
    let older = minutes * 60_000_000;
    for table in [
        "update control.ticket set rank = rank - $2 where tenant_id = $1",
        "update control.lane set head_rank = head_rank - $2 where tenant_id = $1",
    ] {
        sqlx::query(table)
            .bind(tenant)
            .bind(older)
            .execute(&mut field.admin)
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn priority_comes_before_age_across_classes_and_age_overtakes_it_at_last() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    let old = put(&mut field, &mut dice, tenant, classes[0], 0).await;
    grow_older(&mut field, tenant, 31).await;
    let late = put(&mut field, &mut dice, tenant, classes[0], 0).await;
    let urgent = put(&mut field, &mut dice, tenant, classes[4], 90).await;
    let soon = put(&mut field, &mut dice, tenant, classes[2], 30).await;
    assert_eq!(in_order(&mut field, &ABLE).await, [urgent, old, soon, late]);
    field.end().await;
}

#[tokio::test]
async fn a_constant_stream_of_urgent_tickets_does_not_starve_an_old_one() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    let old = put(&mut field, &mut dice, tenant, classes[0], 0).await;
    // a minute passes between two urgent tickets, of which each has a head start of ten
    for minute in 1.. {
        assert!(minute <= 10, "overtaken for longer than the head start");
        grow_older(&mut field, tenant, 1).await;
        put(&mut field, &mut dice, tenant, classes[1], 10).await;
        let claimed = field.fill(&ABLE, 1).await;
        field.finish(&claimed).await;
        if claimed[0].task == old {
            assert_eq!(minute, 10);
            break;
        }
    }
    field.end().await;
}

#[tokio::test]
async fn pauses_hold_a_tenant_a_type_or_everybody_and_end() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    let other = Tenant::of_weight(&mut dice, 1);
    field.add_tenants(std::slice::from_ref(&other)).await;
    for tenant in [tenant, other.id] {
        for class in [classes[0], classes[2]] {
            let orders = backlog(&mut dice, tenant, class, 50);
            field.enqueue(&orders).await;
        }
    }
    let all = 4;
    for (of, scan_type, running) in [
        (Some(tenant), None, 2),
        (Some(tenant), Some("web"), 3),
        (None, Some("web"), 2),
        (None, None, 0),
    ] {
        for (verb, kinds) in [("pause", running), ("resume", all)] {
            let question = if verb == "pause" {
                "select control.queue_pause($1, $2, 'a reason', 'somebody')"
            } else {
                "select control.queue_resume($1, $2)"
            };
            for new in [true, false] {
                let done: bool = sqlx::query_scalar(question)
                    .bind(of)
                    .bind(scan_type)
                    .fetch_one(&mut field.admin)
                    .await
                    .unwrap();
                assert_eq!(done, new, "{verb} of {of:?} {scan_type:?}");
            }
            let claimed = field.fill(&ABLE, 20).await;
            let mut seen: Vec<(Uuid, &str)> = claimed
                .iter()
                .map(|claim| (claim.tenant, claim.scan_type.as_str()))
                .collect();
            seen.sort_unstable();
            seen.dedup();
            // in a claim of several a tenant's best tickets come first, whatever their type
            let kinds_seen = if kinds == all {
                seen.len().clamp(2, all)
            } else {
                seen.len()
            };
            assert!(
                kinds_seen <= kinds && (kinds == 0) == claimed.is_empty(),
                "{verb} of {of:?} {scan_type:?}: {seen:?}"
            );
            let held_back = |(whose, kind): &(Uuid, &str)| {
                of.is_none_or(|of| of == *whose) && scan_type.is_none_or(|scan_type| scan_type == *kind)
            };
            assert!(
                verb == "resume" || !seen.iter().any(held_back),
                "{of:?} {scan_type:?}: {seen:?}"
            );
            field.finish(&claimed).await;
        }
    }
    field.end().await;
}

#[tokio::test]
async fn a_ticket_of_a_paused_tenant_that_comes_later_waits_as_well() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    for (step, expected) in [
        ("select control.queue_pause($1, null, '', '')", 0),
        ("select control.queue_resume($1, null)", 1),
    ] {
        sqlx::query(step)
            .bind(tenant)
            .execute(&mut field.admin)
            .await
            .unwrap();
        put(&mut field, &mut dice, tenant, classes[expected], 0).await;
        assert_eq!(field.fill(&ABLE, 10).await.len(), expected * 2);
    }
    field.end().await;
}

#[tokio::test]
async fn a_lane_that_missed_a_pause_or_its_end_is_put_right_by_the_tick() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    put(&mut field, &mut dice, tenant, classes[0], 0).await;
    // a lane made by a transaction that did not see the pause yet, and one that did not see its end
    for (step, expected) in [
        ("insert into control.pause (tenant_id) values ($1)", 0),
        ("delete from control.pause where tenant_id = $1", 1),
    ] {
        sqlx::query(step)
            .bind(tenant)
            .execute(&mut field.admin)
            .await
            .unwrap();
        field.tick().await;
        assert_eq!(field.fill(&ABLE, 10).await.len(), expected);
    }
    field.end().await;
}

#[tokio::test]
async fn a_scheduled_ticket_waits_for_its_time_and_is_counted_apart() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    sqlx::query(
        "select control.queue_enqueue($1, $2, array[$3], array[0::smallint], array[0], array[now() + interval '1 hour'])",
    )
    .bind(tenant)
    .bind(classes[0])
    .bind(dice.uuid())
    .execute(&mut field.dispatch)
    .await
    .unwrap();
    assert!(field.fill(&ABLE, 10).await.is_empty());
    assert_eq!(promoted(&mut field).await, 0);
    field.assert_no_drift().await;
    sqlx::query("update control.ticket set run_at = now()")
        .execute(&mut field.admin)
        .await
        .unwrap();
    assert_eq!(promoted(&mut field).await, 1);
    field.assert_no_drift().await;
    assert_eq!(field.fill(&ABLE, 10).await.len(), 1);
    field.end().await;
}

async fn promoted(field: &mut Field) -> i32 {
    sqlx::query_scalar("select control.queue_promote(10)")
        .fetch_one(&mut field.dispatch)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_worker_is_given_no_ticket_of_a_type_a_tool_or_a_world_that_it_lacks() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    let later = field
        .class(&Class {
            scan_type: "codeaudit",
            tools: &[],
            world: "2.0",
        })
        .await;
    put(&mut field, &mut dice, tenant, later, 100).await;
    for class in &classes {
        put(&mut field, &mut dice, tenant, *class, 0).await;
    }
    for (types, tools, expected) in [
        (&["dns"][..], &["semgrep", "nikto", "nuclei"][..], 0),
        (&["osint"], &[], 1),
        (&[], &[], 1),
        (&["web"], &["nikto"], 1),
        (&["codeaudit", "web"], &["nuclei", "semgrep"], 2),
    ] {
        let worker = Worker {
            types,
            tools,
            slots: 10,
        };
        assert_eq!(
            field.fill(&worker, 10).await.len(),
            expected,
            "{types:?} {tools:?}"
        );
    }
    // the one of a world that nobody has
    assert!(field.fill(&ABLE, 10).await.is_empty());
    field.end().await;
}

#[tokio::test]
async fn a_sparse_tenant_is_served_at_once_after_a_limit_held_its_empty_lane_back() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    let limit = Tenant {
        id: tenant,
        weight: 1,
        running_max: Some(2),
        type_max: None,
    };
    field.set_shares(std::slice::from_ref(&limit)).await;
    put(&mut field, &mut dice, tenant, classes[0], 0).await;
    put(&mut field, &mut dice, tenant, classes[4], 0).await;
    // the second one reaches the limit and leaves both lanes empty
    let claimed = field.fill(&ABLE, 2).await;
    assert_eq!(claimed.len(), 2);
    for done in 0..2 {
        field.finish(&claimed[done..=done]).await;
        for class in [classes[0], classes[4]] {
            put(&mut field, &mut dice, tenant, class, 0).await;
        }
        assert_eq!(
            field.fill(&ABLE, 10).await.len(),
            1,
            "room for one after end {done}"
        );
    }
    field.assert_limits().await;
    field.end().await;
}

#[tokio::test]
async fn a_tenant_whose_tickets_are_out_of_reach_does_not_hold_up_the_others() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    let other = Tenant::of_weight(&mut dice, 1);
    field.add_tenants(std::slice::from_ref(&other)).await;
    put(&mut field, &mut dice, tenant, classes[0], 0).await;
    put(&mut field, &mut dice, other.id, classes[0], 0).await;
    // somebody is at its ticket, and stays
    let mut busy = field.database.as_admin().await;
    for step in [
        "begin",
        "select from control.ticket order by tenant_id for update",
    ] {
        sqlx::query(step).execute(&mut busy).await.unwrap();
    }
    assert!(field.claim(&ABLE, 1).await.0.is_empty());
    sqlx::query("rollback").execute(&mut busy).await.unwrap();
    sqlx::query("begin").execute(&mut busy).await.unwrap();
    sqlx::query("select from control.ticket where tenant_id = $1 for update")
        .bind(tenant)
        .execute(&mut busy)
        .await
        .unwrap();
    let mut seen = Vec::new();
    for _ in 0..4 {
        seen.extend(field.claim(&ABLE, 1).await.0);
    }
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].tenant, other.id);
    sqlx::query("rollback").execute(&mut busy).await.unwrap();
    assert_eq!(field.fill(&ABLE, 1).await[0].tenant, tenant);
    field.end().await;
}

#[tokio::test]
async fn starts_per_hour_and_day_hold_across_the_borders_of_their_windows() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    sqlx::query("select control.set_share($1, 1, null, '{}', 3, 5)")
        .bind(tenant)
        .execute(&mut field.admin)
        .await
        .unwrap();
    let orders = backlog(&mut dice, tenant, classes[0], 20);
    field.enqueue(&orders).await;
    let mut begun = Vec::new();
    // minutes that have passed since the first starts, and how many begin then
    for (passed, expected) in [
        (0, 3),
        (30, 0),
        (59, 0),
        (66, 2),
        (70, 0),
        (600, 0),
        (1_439, 0),
        (1_446, 3),
        (1_480, 0),
        (1_520, 2),
    ] {
        let already: i32 = begun.last().map_or(0, |(minutes, _)| *minutes);
        sqlx::query("update control.start_count set bucket = bucket - $1 * interval '1 minute'")
            .bind(passed - already)
            .execute(&mut field.admin)
            .await
            .unwrap();
        field.tick().await;
        let claimed = field.fill(&ABLE, 10).await;
        assert_eq!(claimed.len(), expected, "after {passed} minutes");
        field.finish(&claimed).await;
        begun.push((passed, claimed.len()));
    }
    field.end().await;
}

#[tokio::test]
async fn a_lane_that_was_changed_by_hand_is_found_and_repaired() {
    let (mut field, mut dice, classes, tenant) = field_of_one().await;
    let orders = backlog(&mut dice, tenant, classes[0], 8);
    field.enqueue(&orders).await;
    let held = field.fill(&ABLE, 2).await;
    for harm in [
        "update control.lane set waiting = 3, running = 9",
        "update control.lane set head_rank = head_rank + 1000000000",
        "delete from control.lane",
    ] {
        sqlx::query(harm).execute(&mut field.admin).await.unwrap();
        let found = drift(&mut field, true).await;
        assert!(!found.is_empty(), "{harm}");
        assert_eq!(drift(&mut field, false).await, Vec::<String>::new(), "{harm}");
    }
    field.finish(&held).await;
    assert_eq!(in_order(&mut field, &ABLE).await.len(), 6);
    field.assert_no_drift().await;
    field.end().await;
}

async fn drift(field: &mut Field, repair: bool) -> Vec<String> {
    let rows = sqlx::query("select r_what from control.queue_drift($1)")
        .bind(repair)
        .fetch_all(&mut field.dispatch)
        .await
        .unwrap();
    rows.iter().map(|row| row.get("r_what")).collect()
}
