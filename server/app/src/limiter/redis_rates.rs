//! The accounts of tenants in Redis: GCRA (`tamiz_core::rate`) in one script, by the server's `TIME`.
//!
//! The same rule as `control.take_requests` in Postgres; one suite of tests runs over both. A key goes by
//! itself when its account is empty, so Redis holds only tenants that asked in the last seconds.

use std::time::Duration;

use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, RedisError, Script};
use tamiz_core::TenantId;
use tamiz_core::rate::{Granted, GrantedPoints, RequestRate};

/// A Redis that takes longer is away: the limit must cost less than the request.
const ANSWER_MAX: Duration = Duration::from_millis(500);
/// A connection across a data centre takes a few milliseconds.
const CONNECT_MAX: Duration = Duration::from_secs(1);
/// Before the keys of tamiz in a Redis that others use, too.
const KEY_PREFIX: &str = "tamiz:rate:";

/// The same of points, which have accounts of their own.
const POINTS_KEY_PREFIX: &str = "tamiz:points:";

/// `string.format`, because Lua would print a time in microseconds with 14 digits of its 16.
const TAKE: &str = r"
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local asked, spacing, burst = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local full = now + burst * spacing
local stored = tonumber(redis.call('GET', KEYS[1]) or now)
local ahead = math.min(math.max(stored, now), full)
local granted = math.min(asked, math.floor((full - ahead) / spacing))
ahead = ahead + granted * spacing
if granted > 0 or stored > full then
    redis.call('SET', KEYS[1], string.format('%.0f', ahead), 'PX', math.ceil((ahead - now) / 1000))
end
return {granted, math.max(0, ahead + spacing - full), ahead - now}
";

/// The accounts of all tenants.
#[derive(Clone)]
pub struct RedisRates {
    connection: ConnectionManager,
    take: Script,
}

impl RedisRates {
    /// Prepares a connection; it is made when it is first needed, and again when it breaks.
    ///
    /// # Errors
    /// What is wrong with the address.
    pub fn open(address: &str) -> Result<Self, RedisError> {
        let settings = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(CONNECT_MAX))
            .set_response_timeout(Some(ANSWER_MAX))
            // whoever asks does not wait for a Redis that is away
            .set_number_of_retries(1);
        Ok(Self {
            connection: ConnectionManager::new_lazy_with_config(Client::open(address)?, settings)?,
            take: Script::new(TAKE),
        })
    }

    /// Takes up to `asked` requests of the tenant, in one round trip.
    ///
    /// # Errors
    /// Redis is away, or is none.
    pub async fn take(&self, tenant: TenantId, rate: RequestRate, asked: u32) -> Result<Granted, RedisError> {
        let key = format!("{KEY_PREFIX}{tenant}");
        let (requests, wait_microseconds, _) = self.ask(key, rate, asked).await?;
        Ok(Granted {
            requests,
            wait: Duration::from_micros(wait_microseconds),
        })
    }

    /// Takes up to `asked` points of the tenant, in one round trip.
    ///
    /// # Errors
    /// Redis is away, or is none.
    pub async fn take_points(
        &self,
        tenant: TenantId,
        rate: RequestRate,
        asked: u32,
    ) -> Result<GrantedPoints, RedisError> {
        let key = format!("{POINTS_KEY_PREFIX}{tenant}");
        let (points, _, used_microseconds) = self.ask(key, rate, asked).await?;
        Ok(GrantedPoints {
            points,
            used: Duration::from_micros(used_microseconds),
        })
    }

    /// What was granted, the microseconds until there is room for one more, and those until the account is empty.
    async fn ask(&self, key: String, rate: RequestRate, asked: u32) -> Result<(u32, u64, u64), RedisError> {
        let mut connection = self.connection.clone();
        self.take
            .key(key)
            .arg(asked)
            .arg(rate.spacing_microseconds())
            .arg(rate.burst())
            .invoke_async(&mut connection)
            .await
    }
}
