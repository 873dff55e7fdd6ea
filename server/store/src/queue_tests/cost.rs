//! What a claim and a finish read, whatever the planner believes of the tables.

use std::collections::HashMap;

use super::fairness::{backlog, classes};
use super::field::{ABLE, Dice, Field, Order, Tenant};

/// Tenants with a lane each.
const TENANTS: usize = 300;
/// Tickets of one of them.
const BACKLOG: usize = 5_000;
/// Rows of one table that a claim and a finish of [`SLOTS`] tickets may read.
const READ_MAX: i64 = 100;
const SLOTS: usize = 5;

/// A connection makes its plans once, often while the queue is empty and its statistics say so. Any plan looks
/// good then, also one that reads every ticket, and it is kept when a flood comes.
#[tokio::test]
async fn plans_that_were_made_for_an_empty_queue_do_not_read_a_full_one() {
    let mut field = Field::start().await;
    let mut dice = Dice::of(17);
    let class = classes(&mut field).await[0];
    let tenants: Vec<Tenant> = (0..TENANTS).map(|_| Tenant::of_weight(&mut dice, 1)).collect();
    field.add_tenants(&tenants).await;
    // pages that hold nothing: statistics of an idle queue
    let gone = backlog(&mut dice, tenants[0].id, class, 50);
    field.enqueue(&gone).await;
    sqlx::raw_sql("delete from control.ticket; delete from control.lane")
        .execute(&mut field.admin)
        .await
        .unwrap();
    sqlx::query("vacuum (analyze, truncate false) control.ticket, control.lane")
        .execute(&mut field.admin)
        .await
        .unwrap();
    let first = backlog(&mut dice, tenants[0].id, class, 1);
    field.enqueue(&first).await;
    let claimed = field.fill(&ABLE, SLOTS).await;
    assert_eq!(field.finish(&claimed).await, 1);

    let mut orders = backlog(&mut dice, tenants[0].id, class, BACKLOG);
    orders.extend(tenants[1..].iter().map(|tenant| Order {
        tenant: tenant.id,
        class,
        task: dice.uuid(),
        priority: 0,
    }));
    field.enqueue(&orders).await;

    sqlx::query("begin").execute(&mut field.dispatch).await.unwrap();
    let before = read(&mut field).await;
    let claimed = field.fill(&ABLE, SLOTS).await;
    assert_eq!(field.finish(&claimed).await, SLOTS);
    let after = read(&mut field).await;
    sqlx::query("commit").execute(&mut field.dispatch).await.unwrap();
    for (table, rows) in &after {
        let rows = rows - before[table];
        assert!(
            (1..=READ_MAX).contains(&rows),
            "{rows} rows of {table} were read for {SLOTS} tickets"
        );
    }
    field.end().await;
}

/// Rows that this connection has read and not yet told the statistics of.
async fn read(field: &mut Field) -> HashMap<String, i64> {
    let read: Vec<(String, i64)> = sqlx::query_as(
        "select relname::text, seq_tup_read + idx_tup_fetch from pg_stat_xact_user_tables
         where schemaname = 'control' and relname in ('ticket', 'lane')",
    )
    .fetch_all(&mut field.dispatch)
    .await
    .unwrap();
    assert_eq!(read.len(), 2, "{read:?}");
    read.into_iter().collect()
}
