//! Points of what queries cost, in both places.

use super::*;
use crate::limiter::{Balance, Spent};

fn points(per_minute: u32) -> RequestRate {
    RequestRate::points_per_minute(NonZeroU32::new(per_minute).unwrap())
}

/// A budget of a thousand, of which one server has taken ten ahead at most.
const BUDGET: u32 = 1_000;

pub(super) async fn a_budget_is_paid_out_once_over_all_servers(place: &Place) {
    let (one, two, tenant) = (place.limiter(), place.limiter(), place.tenant().await);
    let (rate, began) = (points(BUDGET), Instant::now());
    let mut paid = 0;
    let refused = loop {
        match one.spend(&tenant, rate, 7).await {
            Ok(Balance {
                budget, remaining, ..
            }) => {
                paid += 7;
                assert_eq!(budget, BUDGET);
                assert!(remaining <= BUDGET - 7, "{remaining}");
            }
            Err(refused) => break refused,
        }
        match two.spend(&tenant, rate, 5).await {
            Ok(_) => paid += 5,
            Err(refused) => break refused,
        }
    };
    let back = began.elapsed().as_micros() / u128::from(rate.spacing_microseconds());
    let most = u128::from(BUDGET) + back + 1;
    assert!(u128::from(paid) <= most, "{paid} of {most}");
    // each may hold what it took ahead and has not paid out
    assert!(paid + 2 * (BUDGET / 100 + 7) >= BUDGET, "{paid}");
    let Spent::TooFew { balance, wait } = refused else {
        panic!("{refused:?}");
    };
    assert!(
        balance.remaining < 20 && balance.full_in > Duration::from_secs(50),
        "{balance:?}"
    );
    assert!(wait <= Duration::from_millis(7 * 60), "{wait:?}");
}

pub(super) async fn what_is_too_dear_now_leaves_room_for_what_is_not(place: &Place) {
    let (limiter, tenant, rate) = (place.limiter(), place.tenant().await, points(BUDGET));
    limiter.spend(&tenant, rate, 900).await.unwrap();
    let refused = limiter.spend(&tenant, rate, 900).await;
    assert!(
        matches!(refused, Err(Spent::TooFew { wait, .. }) if wait > Duration::from_secs(40)),
        "{refused:?}"
    );
    let balance = limiter.spend(&tenant, rate, 50).await.unwrap();
    assert!((45..80).contains(&balance.remaining), "{balance:?}");
    // neither requests nor other tenants are touched
    limiter.count(&tenant, super::rate(60)).await.unwrap();
    let other = place.tenant().await;
    let balance = limiter.spend(&other, rate, 1).await.unwrap();
    assert_eq!(balance.remaining, BUDGET - 1);
}

pub(super) async fn queries_at_once_are_paid_one_by_one(place: &Place) {
    let (limiter, tenant, rate) = (place.limiter(), place.tenant().await, points(BUDGET));
    let began = Instant::now();
    let spending = (0..150).map(|_| limiter.spend(&tenant, rate, 10));
    let paid = futures_util::future::join_all(spending).await;
    let paid = paid.iter().filter(|paid| paid.is_ok()).count();
    let back = began.elapsed().as_micros() / u128::from(rate.spacing_microseconds()) / 10;
    assert!(paid >= 98 && (paid as u128) <= 101 + back, "{paid}");
}

#[tokio::test]
async fn nothing_is_paid_when_nobody_can_count() {
    let place = Place::postgres().await;
    let tenant = place.tenant().await;
    let nowhere = RequestRates::open("postgres://nobody@127.0.0.1:1/none").unwrap();
    let limiter = Limiter::new(Rates::new(nowhere, None));
    let paid = limiter.spend(&tenant, points(BUDGET), 1).await;
    assert!(matches!(paid, Err(Spent::Unavailable(_))), "{paid:?}");
    place.end().await;
}
