//! Who gets how much while there is more to do than there are slots.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::field::{
    ABLE, Claimed, Class, Dice, Field, Order, Tenant, Worker, as_float, count_by_tenant, jain,
};

/// The bar.
const JAIN_MIN: f64 = 0.98;

/// Five classes of three scan types. Few tenants use the later ones.
pub(super) const CLASSES: [Class; 5] = [
    Class {
        scan_type: "codeaudit",
        tools: &[],
        world: "1.0",
    },
    Class {
        scan_type: "codeaudit",
        tools: &["semgrep"],
        world: "1.0",
    },
    Class {
        scan_type: "web",
        tools: &["nikto", "nuclei"],
        world: "1.0",
    },
    Class {
        scan_type: "web",
        tools: &["nuclei"],
        world: "1.0",
    },
    Class {
        scan_type: "osint",
        tools: &[],
        world: "1.0",
    },
];

pub(super) async fn classes(field: &mut Field) -> Vec<i32> {
    let mut ids = Vec::new();
    for class in &CLASSES {
        ids.push(field.class(class).await);
    }
    ids
}

/// So many tickets of this tenant in this class.
pub(super) fn backlog(dice: &mut Dice, tenant: Uuid, class: i32, count: usize) -> Vec<Order> {
    (0..count)
        .map(|_| Order {
            tenant,
            class,
            task: dice.uuid(),
            priority: 0,
        })
        .collect()
}

/// Claims and ends until `total` tickets were served; answers how many of each tenant.
async fn serve(field: &mut Field, worker: &Worker, round: usize, total: usize) -> BTreeMap<Uuid, usize> {
    let mut served: Vec<Claimed> = Vec::new();
    while served.len() < total {
        let claimed = field.fill(worker, round).await;
        assert_eq!(claimed.len(), round, "there is always more to do");
        assert_eq!(field.finish(&claimed).await, claimed.len());
        served.extend(claimed);
        field.tick().await;
    }
    count_by_tenant(&served)
}

fn shares(tenants: &[Tenant], served: &BTreeMap<Uuid, usize>) -> Vec<f64> {
    tenants
        .iter()
        .map(|tenant| as_float(served.get(&tenant.id).copied().unwrap_or(0)) / f64::from(tenant.weight))
        .collect()
}

#[tokio::test]
async fn two_thousand_tenants_of_five_classes_are_served_by_their_weights() {
    const TENANTS: usize = 2_000;
    /// Tickets that a tenant of weight 1 is to get.
    const TURNS: usize = 7;
    let mut field = Field::start().await;
    let mut dice = Dice::of(5);
    let classes = classes(&mut field).await;
    let tenants: Vec<Tenant> = (0..TENANTS)
        .map(|_| {
            let weight = dice.one_of(&[1, 1, 1, 2, 2, 3, 5, 8]);
            Tenant::of_weight(&mut dice, weight)
        })
        .collect();
    field.add_tenants(&tenants).await;
    let mut orders = Vec::new();
    for tenant in &tenants {
        // one to three classes each, of which the first is tenfold as common as the last
        for _ in 0..=dice.below(3) {
            let class = dice.one_of(&[0, 0, 0, 0, 0, 1, 1, 1, 2, 2, 3, 4]);
            let tickets = tenant.weight as usize * (TURNS + 2) + 4;
            orders.extend(backlog(&mut dice, tenant.id, classes[class], tickets));
        }
    }
    for part in orders.chunks(20_000) {
        assert_eq!(field.enqueue(part).await, part.len());
    }
    let total = tenants.iter().map(|tenant| tenant.weight as usize).sum::<usize>() * TURNS;
    let served = serve(&mut field, &ABLE, 1_000, total).await;
    let index = jain(&shares(&tenants, &served));
    assert!(index >= JAIN_MIN, "Jain's index of served by weight is {index}");
    field.assert_no_drift().await;
    field.end().await;
}

#[tokio::test]
async fn a_tenant_alone_in_its_class_gets_no_more_than_its_part() {
    const TENANTS: usize = 60;
    let mut field = Field::start().await;
    let mut dice = Dice::of(6);
    let classes = classes(&mut field).await;
    let tenants: Vec<Tenant> = (0..TENANTS).map(|_| Tenant::of_weight(&mut dice, 1)).collect();
    field.add_tenants(&tenants).await;
    for (place, tenant) in tenants.iter().enumerate() {
        let class = classes[if place == 0 { 4 } else { 0 }];
        let orders = backlog(&mut dice, tenant.id, class, 80);
        field.enqueue(&orders).await;
    }
    let served = serve(&mut field, &ABLE, 10, TENANTS * 20).await;
    let index = jain(&shares(&tenants, &served));
    assert!(index >= JAIN_MIN, "{index}");
    let alone = served[&tenants[0].id];
    assert!((17..=23).contains(&alone), "{alone} of 20");
    field.end().await;
}

#[tokio::test]
async fn a_class_that_has_workers_of_its_own_does_not_starve_another() {
    let mut field = Field::start().await;
    let mut dice = Dice::of(7);
    let classes = classes(&mut field).await;
    let (spoilt, modest) = (Tenant::of_weight(&mut dice, 1), Tenant::of_weight(&mut dice, 1));
    field.add_tenants(&[spoilt.clone(), modest.clone()]).await;
    let orders = backlog(&mut dice, spoilt.id, classes[0], 2_000);
    field.enqueue(&orders).await;
    let orders = backlog(&mut dice, modest.id, classes[4], 2_000);
    field.enqueue(&orders).await;
    let own = Worker {
        types: &["codeaudit"],
        tools: &[],
        slots: 10,
    };
    let shared = Worker {
        types: &["codeaudit", "osint"],
        tools: &[],
        slots: 2,
    };
    let mut by_shared = Vec::new();
    for _ in 0..60 {
        let first = field.fill(&own, 10).await;
        let second = field.fill(&shared, 2).await;
        assert_eq!((first.len(), second.len()), (10, 2));
        field.finish(&first).await;
        field.finish(&second).await;
        by_shared.extend(second);
        field.tick().await;
    }
    let modest = count_by_tenant(&by_shared).get(&modest.id).copied().unwrap_or(0);
    assert!(modest >= 50, "{modest} of 120 slots that both could have");
    field.end().await;
}

#[tokio::test]
async fn tenants_at_their_limits_leave_the_rest_to_the_others() {
    const TENANTS: usize = 300;
    /// Tickets at a time; each takes one round.
    const SLOTS: usize = 300;
    const ROUNDS: usize = 40;
    let mut field = Field::start().await;
    let mut dice = Dice::of(8);
    let classes = classes(&mut field).await;
    let tenants: Vec<Tenant> = (0..TENANTS)
        .map(|place| {
            let weight = dice.one_of(&[1, 2, 4, 8]);
            let most = [None, None, Some(1), Some(2)][place % 4];
            Tenant {
                running_max: most,
                ..Tenant::of_weight(&mut dice, weight)
            }
        })
        .collect();
    field.add_tenants(&tenants).await;
    for tenant in &tenants {
        let class = classes[dice.below(2)];
        let orders = backlog(&mut dice, tenant.id, class, 300);
        field.enqueue(&orders).await;
    }
    let mut served = Vec::new();
    for _ in 0..ROUNDS {
        let claimed = field.fill(&ABLE, SLOTS).await;
        assert_eq!(claimed.len(), SLOTS);
        field.assert_limits().await;
        field.finish(&claimed).await;
        served.extend(claimed);
        field.tick().await;
    }
    let counts = count_by_tenant(&served);
    let fair = max_min_fair(&tenants, as_float(SLOTS));
    let parts: Vec<f64> = tenants
        .iter()
        .zip(&fair)
        .map(|(tenant, fair)| as_float(counts.get(&tenant.id).copied().unwrap_or(0)) / fair)
        .collect();
    let index = jain(&parts);
    assert!(
        index >= JAIN_MIN,
        "Jain's index of served by fair share is {index}"
    );
    field.assert_no_drift().await;
    field.end().await;
}

/// What each tenant gets of so many slots: by weight, but nobody more than the limit; what is left goes to the
/// others.
fn max_min_fair(tenants: &[Tenant], slots: f64) -> Vec<f64> {
    let limit = |tenant: &Tenant| tenant.running_max.map_or(f64::INFINITY, as_float);
    let (mut low, mut high) = (0.0, slots);
    // halving an interval 100 times leaves nothing of it
    for _ in 0..100 {
        let level = f64::midpoint(low, high);
        let used: f64 = tenants
            .iter()
            .map(|tenant| limit(tenant).min(level * f64::from(tenant.weight)))
            .sum();
        if used > slots { high = level } else { low = level }
    }
    tenants
        .iter()
        .map(|tenant| limit(tenant).min(low * f64::from(tenant.weight)))
        .collect()
}

/// With one tenant holding `flood` tickets, a tenant that adds one has it claimed within two rounds of free slots.
async fn newcomer_beside(flood: usize) {
    const SLOTS: usize = 10;
    let mut field = Field::start().await;
    let mut dice = Dice::of(9);
    let classes = classes(&mut field).await;
    let mut tenants: Vec<Tenant> = (0..40).map(|_| Tenant::of_weight(&mut dice, 1)).collect();
    tenants[0].weight = 8;
    field.add_tenants(&tenants).await;
    for made in (0..flood).step_by(20_000) {
        let orders = backlog(&mut dice, tenants[0].id, classes[0], 20_000.min(flood - made));
        field.enqueue(&orders).await;
    }
    for tenant in &tenants[1..30] {
        let orders = backlog(&mut dice, tenant.id, classes[0], 100);
        field.enqueue(&orders).await;
    }
    for (newcomer, class) in tenants[30..].iter().zip([0, 1, 2, 3, 4, 0, 1, 2, 3, 4]) {
        let warm = field.fill(&ABLE, SLOTS).await;
        field.finish(&warm).await;
        field.tick().await;
        let orders = backlog(&mut dice, newcomer.id, classes[class], 1);
        field.enqueue(&orders).await;
        let mut rounds = 0;
        loop {
            rounds += 1;
            let claimed = field.fill(&ABLE, SLOTS).await;
            assert_eq!(claimed.len(), SLOTS);
            field.finish(&claimed).await;
            if claimed.iter().any(|claim| claim.tenant == newcomer.id) {
                break;
            }
            assert!(rounds < 2, "class {class}: not claimed in two rounds");
        }
    }
    field.end().await;
}

#[tokio::test]
async fn a_flood_of_one_tenant_does_not_hold_up_the_first_ticket_of_another() {
    newcomer_beside(200_000).await;
}
