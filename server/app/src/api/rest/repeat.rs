//! `Idempotency-Key`: a request that is sent again changes nothing and gets the same task.
//!
//! The key becomes the id of the task that the request makes: tenant, address and key through SHA-256, behind the hour
//! in which it was first used, so that tasks sort by time as all others do. A key is looked for in the last
//! [`HOURS_REMEMBERED`]; there is no table of keys. Two requests of one key at the same moment meet at the task's id, but
//! for a moment at the full hour, when they may find different hours.

use axum::http::{HeaderMap, StatusCode};
use chrono::{DateTime, DurationRound as _, TimeDelta, Utc};
use sha2::{Digest as _, Sha256};
use tamiz_core::{TaskId, TenantId};
use tamiz_store::task::{self, Task};
use tamiz_store::token::Caller;

use super::Rest;
use crate::api::refused::{Refused, unreached};

/// The header.
pub(super) const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// A UUID, or what a pipeline calls its run.
const KEY_BYTES_MAX: usize = 255;
/// A key that is older is new.
const HOURS_REMEMBERED: i32 = 24;

/// What a repeated request is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key([u8; 10]);

impl Key {
    /// The key that the request has, if any.
    pub(super) fn of(headers: &HeaderMap, tenant: TenantId, route: &str) -> Result<Option<Self>, Refused> {
        let mut given = headers.get_all(IDEMPOTENCY_KEY).iter();
        let Some(key) = given.next() else {
            return Ok(None);
        };
        let is_plain = |byte: &u8| (b' '..=b'~').contains(byte);
        let key = key.as_bytes();
        if given.next().is_some() || key.is_empty() || key.len() > KEY_BYTES_MAX || !key.iter().all(is_plain)
        {
            let rule =
                format!("`Idempotency-Key` must be one header of 1 to {KEY_BYTES_MAX} ASCII characters");
            return Err(Refused::bad_request(rule));
        }
        Ok(Some(Self::made_of(tenant, route, key)))
    }

    /// A key of what makes a request the same without saying so.
    pub(super) fn made_of(tenant: TenantId, route: &str, key: &[u8]) -> Self {
        let mut hash = Sha256::new();
        hash.update(b"tamiz idempotency 1:");
        hash.update(tenant.uuid().as_bytes());
        hash.update((route.len() as u64).to_be_bytes());
        hash.update(route.as_bytes());
        hash.update(key);
        let mut tail = [0; 10];
        tail.copy_from_slice(&hash.finalize()[..10]);
        Self(tail)
    }

    /// The task's id, if the key is used for the first time.
    pub(super) fn id(self, now: DateTime<Utc>) -> TaskId {
        let hour = now.duration_trunc(TimeDelta::hours(1)).unwrap_or(now);
        let millis = u64::try_from(hour.timestamp_millis()).unwrap_or(0);
        uuid::Builder::from_unix_timestamp_millis(millis, &self.0)
            .into_uuid()
            .into()
    }

    /// All ids that the task may have.
    fn ids(self, now: DateTime<Utc>) -> Vec<TaskId> {
        let hours = (0..=HOURS_REMEMBERED).map(|hours| TimeDelta::hours(i64::from(hours)));
        hours.map(|ago| self.id(now - ago)).collect()
    }

    /// The task that the key has made already.
    pub(super) async fn task(self, rest: &Rest, caller: &Caller) -> Result<Option<Task>, Refused> {
        let fault = |error| unreached(&error);
        let mut tx = rest.state.store.begin(&caller.scope).await.map_err(fault)?;
        let found = task::by_ids(&mut tx, &self.ids(Utc::now()))
            .await
            .map_err(fault)?;
        tx.commit().await.map_err(fault)?;
        Ok(found.into_iter().max_by_key(|task| task.id))
    }
}

/// 422: the key belongs to another request.
pub(super) fn reused() -> Refused {
    Refused::new(
        StatusCode::UNPROCESSABLE_ENTITY,
        "IDEMPOTENCY_KEY_REUSED",
        "this `Idempotency-Key` was used for a request that asked for something else",
    )
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn a_key_is_found_for_a_day_and_sorts_by_its_hour() {
        let key = Key::made_of(TenantId::fresh(), "/v1/reports", b"run 7");
        let id = key.id(at("2026-01-01T05:59:59Z"));
        assert_eq!(id, key.id(at("2026-01-01T05:00:00Z")));
        assert!(id < key.id(at("2026-01-01T06:00:00Z")));
        assert_eq!(id.uuid().get_version_num(), 7);
        for (now, is_found) in [
            ("2026-01-01T05:59:59Z", true),
            ("2026-01-02T05:59:58Z", true),
            ("2026-01-02T06:00:00Z", false),
        ] {
            assert_eq!(key.ids(at(now)).contains(&id), is_found, "{now}");
        }
    }

    #[test]
    fn a_key_is_of_one_tenant_and_one_address() {
        let tenant = TenantId::fresh();
        let key = Key::made_of(tenant, "/v1/reports", b"a");
        assert_eq!(key, Key::made_of(tenant, "/v1/reports", b"a"));
        for other in [
            Key::made_of(TenantId::fresh(), "/v1/reports", b"a"),
            Key::made_of(tenant, "/queue/result", b"a"),
            Key::made_of(tenant, "/v1/report", b"sa"),
            Key::made_of(tenant, "/v1/reports", b"b"),
        ] {
            assert_ne!(key, other);
        }
    }

    #[test]
    fn a_key_that_is_none_is_refused() {
        let of = |given: &[&str]| {
            let mut headers = HeaderMap::new();
            for given in given {
                headers.append(IDEMPOTENCY_KEY, HeaderValue::from_str(given).unwrap());
            }
            Key::of(&headers, TenantId::fresh(), "/").map(|key| key.is_some())
        };
        assert!(!of(&[]).unwrap());
        assert!(of(&["8f6c"]).unwrap());
        for bad in [&[""][..], &["a", "b"], &[&"x".repeat(256)], &["ü"]] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
