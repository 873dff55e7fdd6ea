//! Rules as they are kept, and the alerts that they look at.

use std::collections::BTreeSet;

use tamiz_core::alert_rule::{Action, Conditions, RULES_MAX};
use tamiz_core::{AlertId, Severity};

use super::alerts::{ALERTS_AT_ONCE, Position, decided_by_people, open_after};
use super::{RulePlan, SavedRule, create, delete, get, of_projects, update};
use crate::alert::hold_project;
use crate::alert::tests::field::Field;
use crate::database_for_tests::tenant_with_task;

fn plan(name: &str, position: i16) -> RulePlan {
    RulePlan {
        name: name.to_owned(),
        position,
        enabled: true,
        conditions: Conditions {
            cwe: vec![89],
            ..Conditions::default()
        },
        action: Action::SetSeverity {
            severity: Severity::Low,
        },
    }
}

#[tokio::test]
async fn a_project_has_a_hundred_rules_with_names_of_their_own_in_their_order() {
    let field = Field::with(0).await;
    let mut tx = field.begin().await;
    hold_project(&mut tx, field.project).await.unwrap();
    for number in 0..RULES_MAX {
        let position = i16::try_from(number % 3).unwrap();
        let made = create(
            &mut tx,
            field.project,
            &plan(&format!("rule {number}"), position),
            "ana",
        )
        .await;
        assert!(matches!(made.unwrap(), SavedRule::Saved(_)), "{number}");
        if number == 0 {
            let again = create(&mut tx, field.project, &plan("rule 0", 0), "ana").await;
            assert_eq!(again.unwrap(), SavedRule::NameTaken);
        }
    }
    let more = create(&mut tx, field.project, &plan("one more", 0), "ana").await;
    assert_eq!(more.unwrap(), SavedRule::TooMany);
    let rules = of_projects(&mut tx, &[field.project]).await.unwrap();
    let rules = &rules[&field.project];
    assert!(rules.is_sorted_by_key(|rule| (rule.plan.position, rule.id)));
    let taken = update(&mut tx, rules[0].id, &plan("rule 1", 0), "bob").await;
    assert_eq!(taken.unwrap(), SavedRule::NameTaken);
    let SavedRule::Saved(renamed) = update(&mut tx, rules[0].id, &plan("new", 7), "bob")
        .await
        .unwrap()
    else {
        panic!("the name is free");
    };
    assert_eq!((renamed.plan, renamed.made_by.as_str()), (plan("new", 7), "ana"));
    assert_eq!(renamed.changed_by, "bob");
    let first = rules[0].id;
    tx.commit().await.unwrap();

    let (other, _) = tenant_with_task(&field.store, "globex").await;
    let mut tx = field.store.begin(&other).await.unwrap();
    assert_eq!(get(&mut tx, first).await.unwrap(), None);
    assert!(!delete(&mut tx, first).await.unwrap());
    assert!(of_projects(&mut tx, &[field.project]).await.unwrap().is_empty());
    drop(tx);
    let mut tx = field.begin().await;
    assert!(delete(&mut tx, first).await.unwrap());
    assert_eq!(get(&mut tx, first).await.unwrap(), None);
    drop(tx);
    field.end().await;
}

#[tokio::test]
async fn a_walk_over_open_alerts_meets_each_once_and_the_worst_of_a_state_first() {
    let mut field = Field::with(24_000).await;
    let open = field
        .ids("select id from tenant.alert where state < 2 and last_seen_at is null")
        .await;
    let mut tx = field.begin().await;
    let (mut seen, mut after) = (Vec::new(), Position::START);
    loop {
        let part = open_after(&mut tx, field.project, after).await.unwrap();
        assert!(part.len() <= ALERTS_AT_ONCE);
        let Some(last) = part.last() else { break };
        after = last.position();
        seen.extend(part.iter().map(|alert| (alert.state, alert.severity, alert.id)));
    }
    assert!(seen.len() > 2 * ALERTS_AT_ONCE, "{}", seen.len());
    assert!(seen.is_sorted_by(|one, next| (one.0, one.1) >= (next.0, next.1)));
    let seen: BTreeSet<AlertId> = seen.into_iter().map(|(.., id)| id).collect();
    assert_eq!(seen, open.into_iter().collect());
    drop(tx);
    field.end().await;
}

#[tokio::test]
async fn people_decide_and_tasks_rules_and_the_end_of_an_acceptance_do_not() {
    let mut field = Field::with(40).await;
    let alerts = field.ids("select id from tenant.alert order by id limit 6").await;
    let events = [
        "'reopened', null, gen_random_uuid(), null",
        "'dismissed', 'rule:all', null, gen_random_uuid()",
        "'reopened', 'expiry', null, null",
        "'commented', 'ana', null, null",
        "'reopened', 'ana', null, null",
        "'severity', 'ana', null, null",
    ];
    for (alert, event) in alerts.iter().zip(events) {
        field
            .sql(&format!(
                "insert into tenant.alert_event (tenant_id, alert_id, id, kind, actor, task_id, rule_id)
                 select tenant_id, id, gen_random_uuid(), {event} from tenant.alert where id = '{alert}'"
            ))
            .await;
    }
    let mut tx = field.begin().await;
    let decided = decided_by_people(&mut tx, &alerts).await.unwrap();
    assert_eq!(decided.dismissal, [alerts[4]].into());
    assert_eq!(decided.severity, [alerts[5]].into());
    drop(tx);
    field.end().await;
}
