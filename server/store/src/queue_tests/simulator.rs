//! Thousands of tenants with random weights, limits and arrivals, workers of different abilities, by rounds.
//!
//! After every round the tickets themselves say that no limit is exceeded, and no ticket has waited longer
//! than its bound. Between two services of one tenant lie at most
//!
//! - `1.1 / 0.9 * all weights / own weight + 2 * tenants` services of others: its virtual time moves by at most
//!   1.1 / weight, and while it does another one's moves as far, of which each ticket takes 0.9 / weight, and
//!   one more at each end;
//! - of which the workers that take any ticket begin `slots / longest service` per round, at least;
//! - and, when it is at a limit, the longest service and a round to be seen.
//!
//! All weights are those of tenants that have tickets in a round; so a round uses up its part of what a ticket
//! may wait, which is that bound for each ticket of its tenant that is served before it, and for itself.

use std::collections::BTreeMap;

use uuid::Uuid;

use super::fairness::classes;
use super::field::{ABLE, Claimed, Dice, Field, Order, Tenant, Worker, as_float};

const TENANTS: usize = 2_000;
/// Tickets come in the first so many rounds…
const ARRIVALS: usize = 30;
/// …and all must have ended by then.
const ROUNDS_MAX: usize = 200;
/// A ticket takes one to so many rounds.
const SERVICE_MAX: usize = 3;

/// Some that take anything, and some that know one thing only.
const WORKERS: [Worker; 6] = [
    Worker { slots: 200, ..ABLE },
    Worker { slots: 200, ..ABLE },
    Worker {
        types: &["codeaudit"],
        tools: &[],
        slots: 40,
    },
    Worker {
        types: &["codeaudit"],
        tools: &["semgrep"],
        slots: 40,
    },
    Worker {
        types: &["web"],
        tools: &["nuclei"],
        slots: 30,
    },
    Worker {
        types: &[],
        tools: &[],
        slots: 20,
    },
];
/// Of the first two.
const ABLE_SLOTS: usize = 400;

struct Waiting {
    priority: i16,
    /// Tickets of its tenant that may be served before it, and itself.
    place: usize,
    /// The part of its bound that is used up, times its place.
    waited: f64,
}

/// What the simulator knows by itself.
#[derive(Default)]
struct Book {
    waiting: BTreeMap<Uuid, BTreeMap<Uuid, Waiting>>,
    /// With the round and the worker that they end in.
    running: Vec<(usize, usize, Claimed)>,
    /// The nearest that a wait came to its bound.
    nearest: f64,
}

impl Book {
    /// Tickets that come together are served in any order.
    fn came(&mut self, orders: &[Order]) {
        for order in orders {
            let own = self.waiting.entry(order.tenant).or_default();
            // all of this test is within the head start of a priority
            let overtaken = |other: &&mut Waiting| other.place > 0 && other.priority < order.priority;
            own.values_mut()
                .filter(overtaken)
                .for_each(|other| other.place += 1);
            let waiting = Waiting {
                priority: order.priority,
                place: 0,
                waited: 0.0,
            };
            assert!(own.insert(order.task, waiting).is_none());
        }
        for own in self.waiting.values_mut() {
            let count = own.len();
            own.values_mut()
                .filter(|ticket| ticket.place == 0)
                .for_each(|ticket| ticket.place = count);
        }
    }

    fn claimed(&mut self, claim: &Claimed) {
        let own = self.waiting.get_mut(&claim.tenant).unwrap();
        assert!(
            own.remove(&claim.task).is_some(),
            "claimed what did not wait: {claim:?}"
        );
        assert_eq!(claim.attempt, 1);
        if own.is_empty() {
            self.waiting.remove(&claim.tenant);
        }
    }

    fn running_of(&self, tenant: Uuid, scan_type: Option<&str>) -> usize {
        let of = |claim: &Claimed| {
            claim.tenant == tenant && scan_type.is_none_or(|wanted| claim.scan_type == wanted)
        };
        self.running.iter().filter(|(_, _, claim)| of(claim)).count()
    }

    /// Another round has passed for all that wait.
    fn wait(&mut self, weights: &BTreeMap<Uuid, f64>) {
        let all: f64 = self.waiting.keys().map(|tenant| weights[tenant]).sum();
        let tenants = as_float(self.waiting.len());
        let begun = as_float(ABLE_SLOTS / SERVICE_MAX);
        for (tenant, own) in &mut self.waiting {
            let others = 1.1 / 0.9 * all / weights[tenant] + 2.0 * tenants;
            let bound = others / begun + as_float(SERVICE_MAX) + 1.0;
            for (task, ticket) in own {
                ticket.waited += 1.0 / bound;
                let part = ticket.waited / as_float(ticket.place);
                assert!(
                    part <= 1.0,
                    "{task} of {tenant} waits too long; {bound} rounds at each place now"
                );
                self.nearest = self.nearest.max(part);
            }
        }
    }
}

fn random_tenant(dice: &mut Dice) -> Tenant {
    let weight = dice.one_of(&[1, 1, 1, 2, 2, 3, 5, 8]);
    Tenant {
        running_max: dice.one_of(&[None, Some(1), Some(2), Some(4)]),
        type_max: dice.one_of(&[None, Some(("codeaudit", 1)), Some(("web", 2)), Some(("osint", 1))]),
        ..Tenant::of_weight(dice, weight)
    }
}

fn arrivals(dice: &mut Dice, tenants: &[Tenant], classes: &[i32]) -> Vec<Order> {
    let mut orders = Vec::new();
    for _ in 0..50 {
        let (tenant, class) = (tenants[dice.below(tenants.len())].id, dice.one_of(classes));
        let priority = dice.one_of(&[0, 0, 0, 50]);
        for _ in 0..=dice.below(12) {
            orders.push(Order {
                tenant,
                class,
                task: dice.uuid(),
                priority,
            });
        }
    }
    orders
}

/// What runs goes on when a limit is lowered; so that the tickets can be held against the limits, none goes
/// below what runs.
async fn change_some_limits(field: &mut Field, dice: &mut Dice, tenants: &mut [Tenant], book: &Book) {
    let mut changed = Vec::new();
    for _ in 0..20 {
        let tenant = &mut tenants[dice.below(TENANTS)];
        let Tenant {
            running_max,
            type_max,
            ..
        } = random_tenant(dice);
        tenant.running_max = running_max.map(|most| most.max(book.running_of(tenant.id, None)));
        tenant.type_max =
            type_max.map(|(name, most)| (name, most.max(book.running_of(tenant.id, Some(name)))));
        changed.push(tenant.clone());
    }
    field.set_shares(&changed).await;
}

#[tokio::test]
async fn no_limit_is_exceeded_and_no_ticket_waits_longer_than_its_bound() {
    let mut field = Field::start().await;
    let mut dice = Dice::of(1);
    let classes = classes(&mut field).await;
    let mut tenants: Vec<Tenant> = (0..TENANTS).map(|_| random_tenant(&mut dice)).collect();
    let weights = tenants
        .iter()
        .map(|tenant| (tenant.id, f64::from(tenant.weight)))
        .collect();
    field.add_tenants(&tenants).await;
    let mut book = Book::default();
    let mut ended = 0;
    let mut came = 0;
    for round in 0..ROUNDS_MAX {
        let orders = match round {
            // everybody has one at first
            0 => {
                let one = |tenant: &Tenant| Order {
                    tenant: tenant.id,
                    class: dice.one_of(&classes),
                    task: dice.uuid(),
                    priority: 0,
                };
                tenants.iter().map(one).collect()
            }
            1..ARRIVALS => arrivals(&mut dice, &tenants, &classes),
            _ => Vec::new(),
        };
        assert_eq!(field.enqueue(&orders).await, orders.len());
        book.came(&orders);
        came += orders.len();
        if round % 4 == 0 {
            change_some_limits(&mut field, &mut dice, &mut tenants, &book).await;
        }
        for (place, worker) in WORKERS.iter().enumerate() {
            let held = book.running.iter().filter(|(_, of, _)| *of == place).count();
            for claim in field.fill(worker, worker.slots - held).await {
                book.claimed(&claim);
                book.running.push((round + dice.below(SERVICE_MAX), place, claim));
            }
        }
        field.assert_limits().await;
        book.wait(&weights);
        let over = book.running.extract_if(.., |(end, _, _)| *end <= round);
        let over: Vec<Claimed> = over.map(|(_, _, claim)| claim).collect();
        assert_eq!(field.finish(&over).await, over.len());
        ended += over.len();
        field.tick().await;
        if round >= ARRIVALS && book.waiting.is_empty() && book.running.is_empty() {
            break;
        }
    }
    assert_eq!(ended, came);
    assert!(
        book.nearest > 0.1,
        "the bound says little: the longest wait was {} of it",
        book.nearest
    );
    field.assert_no_drift().await;
    field.end().await;
}
