//! One suite over both places where requests are counted, and what the limiter makes of them.
//!
//! Needs `TAMIZ_TEST_DATABASE_URL` (see `scripts/test`) and a Redis that `scripts/setup-redis` found.

mod points;
mod redis_server;

use std::num::NonZeroU32;
use std::time::Duration;

use tamiz_core::rate::RequestRate;
use tamiz_core::token::Token;
use tamiz_store::request_rate::RequestRates;
use tamiz_store::token::{NewToken, Role};
use tamiz_store::{Store, StoreConfig, TenantScope, tenant, token};
use tokio::time::Instant;
use url::Url;
use uuid::Uuid;

use super::{Limiter, Rates, RedisRates, Stopped};
use redis_server::RedisServer;

/// There is room again after milliseconds; a machine under load takes a while.
const ROOM_MAX: Duration = Duration::from_secs(30);

/// A database of its own, with one way for each test of the suite to make another server's [`Rates`].
struct Place {
    store: Store,
    url: Url,
    base: String,
    redis: Option<RedisServer>,
}

fn run_sql(base: &str, command: &str) {
    let done = std::process::Command::new("psql")
        .args(["-qX", base, "-c", command])
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

impl Place {
    async fn postgres() -> Self {
        let base = std::env::var("TAMIZ_TEST_DATABASE_URL")
            .expect("TAMIZ_TEST_DATABASE_URL is not set: run `make test`, which starts a cluster");
        let name = format!("limiter_{}", Uuid::now_v7().simple());
        run_sql(&base, &format!("create database {name} template tamiz_template"));
        let mut url = Url::parse(&base).unwrap();
        url.set_path(&name);
        let config = StoreConfig {
            database_url: url.to_string(),
            connections_max: 4,
        };
        Self {
            store: Store::open(&config).await.unwrap(),
            url,
            base,
            redis: None,
        }
    }

    async fn redis() -> Self {
        let mut place = Self::postgres().await;
        place.redis = Some(RedisServer::start().await);
        place
    }

    /// As another server would have it: connections of its own.
    fn rates(&self) -> Rates {
        let redis = self
            .redis
            .as_ref()
            .map(|server| RedisRates::open(&server.url()).unwrap());
        Rates::new(RequestRates::open(self.url.as_str()).unwrap(), redis)
    }

    fn limiter(&self) -> Limiter {
        Limiter::new(self.rates())
    }

    async fn tenant(&self) -> TenantScope {
        let mut tx = self.store.begin_control().await.unwrap();
        let name = Uuid::now_v7().to_string();
        let tenant = tenant::create(&mut tx, &name, None).await.unwrap().unwrap();
        let secret = Token::from_random(tenant, rand::random());
        let new = NewToken {
            tenant,
            name: "test",
            role: Role::Owner,
            expires_at: None,
        };
        token::create(&mut tx, &new, &secret).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        self.store.authenticate(&secret).await.unwrap().unwrap().scope
    }

    async fn end(self) {
        self.store.close().await;
        let name = self.url.path().trim_start_matches('/');
        run_sql(&self.base, &format!("drop database {name} with (force)"));
    }
}

fn rate(requests_per_minute: u32) -> RequestRate {
    RequestRate::per_minute(NonZeroU32::new(requests_per_minute).unwrap())
}

/// A burst passes whole, one at a time and together; then one request per spacing, and the wait says when.
async fn burst_and_rate(place: &Place) {
    let (rates, tenant, slow) = (place.rates(), place.tenant().await, rate(60));
    for _ in 0..slow.burst() {
        assert_eq!(rates.take(&tenant, slow, 1).await.unwrap().requests, 1);
    }
    let refused = rates.take(&tenant, slow, 1).await.unwrap();
    assert_eq!(refused.requests, 0);
    assert!(
        refused.wait > Duration::ZERO && refused.wait <= Duration::from_secs(1),
        "{refused:?}"
    );

    let (tenant, quick) = (place.tenant().await, rate(1_200));
    let began = Instant::now();
    let granted = rates.take(&tenant, quick, 500).await.unwrap();
    assert_eq!(granted.requests, quick.burst());
    assert!(granted.wait <= Duration::from_millis(50));
    let next = takes_when_there_is_room(&rates, &tenant, quick).await;
    let most = began.elapsed().as_micros() / u128::from(quick.spacing_microseconds());
    assert!(u128::from(next) <= most, "{next} after {:?}", began.elapsed());
}

/// Asks until something is granted; answers how much.
async fn takes_when_there_is_room(rates: &Rates, tenant: &TenantScope, rate: RequestRate) -> u32 {
    let deadline = Instant::now() + ROOM_MAX;
    loop {
        match rates.take(tenant, rate, 500).await.unwrap().requests {
            0 => assert!(Instant::now() < deadline, "there is never room again"),
            granted => return granted,
        }
    }
}

/// Never more than the burst and what time has added, whoever asks how; and no less in the end.
async fn many_askers_never_pass_the_limit(place: &Place) {
    let (tenant, rate) = (place.tenant().await, rate(3_000));
    let began = Instant::now();
    let askers = (0..8_u32).map(|asker| {
        let rates = place.rates();
        tokio::spawn(async move {
            let mut granted = 0;
            while began.elapsed() < Duration::from_millis(1_500) {
                granted += rates.take(&tenant, rate, 1 + asker % 3).await.unwrap().requests;
            }
            granted
        })
    });
    let mut granted = 0;
    for asker in askers.collect::<Vec<_>>() {
        granted += asker.await.unwrap();
    }
    // what nobody has taken yet, and not more of it than one second's
    granted += place.rates().take(&tenant, rate, 10_000).await.unwrap().requests;
    let spacings = began.elapsed().as_micros() / u128::from(rate.spacing_microseconds());
    let most = u128::from(rate.burst()) + spacings;
    assert!(u128::from(granted) <= most, "{granted} of {most}");
    // asked for all the time, so nothing was lost but the time before the first question
    let least = most - 1_500_000 / u128::from(rate.spacing_microseconds()) / 2;
    assert!(u128::from(granted) >= least, "{granted} of at least {least}");
}

/// Two servers share the account, and another tenant has its own.
async fn servers_share_an_account(place: &Place) {
    let (one, other, tenant, rate) = (place.limiter(), place.limiter(), place.tenant().await, rate(60));
    let mut passed = 0;
    for turn in 0..2 * rate.burst() {
        let limiter = if turn % 2 == 0 { &one } else { &other };
        passed += u32::from(limiter.count(&tenant, rate).await.is_ok());
    }
    // time goes on meanwhile: at one a second a slow machine may add a few
    assert!((rate.burst()..rate.burst() + 5).contains(&passed), "{passed}");
    assert_eq!(one.count(&place.tenant().await, rate).await, Ok(()));
}

/// Requests at once are asked for together, and exactly the burst of them passes.
async fn requests_at_once_are_counted_one_by_one(place: &Place) {
    let (limiter, tenant, rate) = (place.limiter(), place.tenant().await, rate(600));
    let began = Instant::now();
    let requests: Vec<_> = (0..4 * rate.burst())
        .map(|_| {
            let limiter = limiter.clone();
            tokio::spawn(async move { limiter.count(&tenant, rate).await })
        })
        .collect();
    let (mut passed, mut refused) = (0, 0);
    for request in requests {
        match request.await.unwrap() {
            Ok(()) => passed += 1,
            Err(Stopped::TooMany { rate: of, wait }) => {
                assert!(of == rate && wait <= Duration::from_millis(100), "{wait:?}");
                refused += 1;
            }
            Err(stopped) => panic!("{stopped:?}"),
        }
    }
    let most = u128::from(rate.burst()) + began.elapsed().as_micros() / 100_000;
    assert_eq!(passed + refused, 4 * rate.burst());
    assert!(passed >= rate.burst() && u128::from(passed) <= most, "{passed}");
}

/// The place's clock says when: a server that has just started is told the same wait as the one that was
/// there all the time, whatever time either believes it is.
async fn a_server_without_memory_is_told_the_same_wait(place: &Place) {
    let (limiter, tenant, rate) = (place.limiter(), place.tenant().await, rate(1));
    for _ in 0..rate.burst() {
        assert_eq!(limiter.count(&tenant, rate).await, Ok(()));
    }
    let mut waits = Vec::new();
    for server in [&limiter, &limiter, &place.limiter()] {
        match server.count(&tenant, rate).await {
            Err(Stopped::TooMany { wait, .. }) => waits.push(wait),
            other => panic!("{other:?}"),
        }
    }
    // the second one is refused from memory, which does not believe for a whole minute
    assert!(waits[1] <= Duration::from_secs(1), "{waits:?}");
    for wait in [waits[0], waits[2]] {
        assert!(
            wait > Duration::from_secs(30) && wait <= Duration::from_mins(1),
            "{waits:?}"
        );
    }
}

/// A tighter limit holds at once, a wider one, too: what was taken before is at most a full account.
async fn a_changed_limit_holds_at_once(place: &Place) {
    let (rates, tenant) = (place.rates(), place.tenant().await);
    let (wide, tight) = (rate(6_000), rate(60));
    assert_eq!(rates.take(&tenant, tight, 100).await.unwrap().requests, 10);
    // ten seconds ahead at one a second is beyond the six that six thousand may be ahead
    let granted = rates.take(&tenant, wide, 1).await.unwrap();
    assert!(granted.wait <= Duration::from_millis(10), "{granted:?}");
    let (mut granted, began) = (0, Instant::now());
    while granted < 3 {
        assert!(began.elapsed() < ROOM_MAX, "the wider limit does not hold");
        granted += takes_when_there_is_room(&rates, &tenant, wide).await;
    }
    let refused = rates.take(&tenant, tight, 1).await.unwrap();
    assert!(refused.wait <= Duration::from_secs(1), "{refused:?}");
}

macro_rules! suite {
    ($($check:ident),* $(,)?) => {
        mod in_postgres {
            use super::Place;
            $(#[tokio::test]
            async fn $check() {
                let place = Place::postgres().await;
                super::$check(&place).await;
                place.end().await;
            })*
        }

        mod in_redis {
            use super::Place;
            $(#[tokio::test]
            async fn $check() {
                let place = Place::redis().await;
                super::$check(&place).await;
                place.end().await;
            })*
        }
    };
}

use points::{
    a_budget_is_paid_out_once_over_all_servers, queries_at_once_are_paid_one_by_one,
    what_is_too_dear_now_leaves_room_for_what_is_not,
};

suite!(
    a_budget_is_paid_out_once_over_all_servers,
    what_is_too_dear_now_leaves_room_for_what_is_not,
    queries_at_once_are_paid_one_by_one,
    burst_and_rate,
    many_askers_never_pass_the_limit,
    servers_share_an_account,
    requests_at_once_are_counted_one_by_one,
    a_server_without_memory_is_told_the_same_wait,
    a_changed_limit_holds_at_once,
);

#[tokio::test]
async fn without_redis_postgres_counts_and_the_limit_holds() {
    let mut place = Place::redis().await;
    let (rates, tenant, rate) = (place.rates(), place.tenant().await, rate(60));
    assert_eq!(
        rates.take(&tenant, rate, 100).await.unwrap().requests,
        rate.burst()
    );
    place.redis.as_mut().unwrap().kill();
    let began = Instant::now();
    assert_eq!(
        rates.take(&tenant, rate, 100).await.unwrap().requests,
        rate.burst()
    );
    assert_eq!(rates.take(&tenant, rate, 1).await.unwrap().requests, 0);
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());

    place.redis.as_mut().unwrap().restart().await;
    // it has forgotten the account; until it is asked again, Postgres says no
    let deadline = Instant::now() + ROOM_MAX;
    let mut passed = 0;
    while passed < rate.burst() {
        assert!(Instant::now() < deadline, "Redis is not asked again");
        passed = passed.max(rates.take(&tenant, rate, 100).await.unwrap().requests);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    place.end().await;
}

#[tokio::test]
async fn nothing_passes_when_nobody_can_count() {
    let place = Place::postgres().await;
    let tenant = place.tenant().await;
    let nowhere = RequestRates::open("postgres://nobody@127.0.0.1:1/none").unwrap();
    let limiter = Limiter::new(Rates::new(nowhere, None));
    let counted = limiter.count(&tenant, rate(60)).await;
    assert!(matches!(counted, Err(Stopped::Unavailable(_))), "{counted:?}");
    place.end().await;
}

#[tokio::test]
async fn requests_that_passed_are_written_down_once() {
    let place = Place::postgres().await;
    let (limiter, tenant, rate) = (place.limiter(), place.tenant().await, rate(60));
    for _ in 0..rate.burst() + 5 {
        let _ = limiter.count(&tenant, rate).await;
    }
    for _ in 0..2 {
        limiter.usage().flush(&place.store).await.unwrap();
        let mut tx = place.store.begin(&tenant).await.unwrap();
        let now = chrono::Utc::now();
        let from = now - chrono::TimeDelta::minutes(10);
        let bucket = tamiz_store::usage::Bucket::FiveMinutes;
        let used = tamiz_store::usage::between(&mut tx, from, now, bucket)
            .await
            .unwrap();
        let requests: i64 = used.values().map(|used| used.requests).sum();
        assert!((10..13).contains(&requests), "{requests}");
    }
    place.end().await;
}
