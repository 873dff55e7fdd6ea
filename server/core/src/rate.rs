//! How often a tenant may ask: the generic cell rate algorithm (GCRA), in whole microseconds.
//!
//! From ITU-T recommendation I.371 (annex A, "virtual scheduling"), where it polices cells of ATM. Per
//! tenant one time is kept, the theoretical arrival time `a` of its next request. With the spacing
//! `T = 60 s / requests per minute` and the burst `b`, a request at the time `t` passes if
//!
//! ```text
//! max(a, t) + T <= t + b * T        and then        a := max(a, t) + T
//! ```
//!
//! So in any stretch of `s` seconds at most `b + s / T` requests pass, and there is one number to store
//! instead of a window of requests. Who keeps the number and whose clock says `t` is not here: Postgres or
//! Redis (`tamiz_store::request_rate`, the server's `limiter`), each by its own clock.

use std::num::NonZeroU32;
use std::time::Duration;

const MINUTE_MICROSECONDS: u32 = 60_000_000;
/// The burst is this part of a minute's requests: six seconds' worth, which a page of a console uses…
const BURST_PART: u32 = 10;
/// …and never fewer than these, or a small plan could not show one page.
const BURST_MIN: u32 = 10;

/// What a tenant may ask for: so many requests a minute, or points of what its queries cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RequestRate {
    per_minute: NonZeroU32,
    burst: u32,
}

impl RequestRate {
    /// So many requests a minute in the long run.
    pub const fn per_minute(requests: NonZeroU32) -> Self {
        let part = requests.get() / BURST_PART;
        let burst = if part < BURST_MIN { BURST_MIN } else { part };
        Self {
            per_minute: requests,
            burst,
        }
    }

    /// So many points a minute, which may all come at once: one large query is no burst.
    pub const fn points_per_minute(points: NonZeroU32) -> Self {
        Self {
            per_minute: points,
            burst: points.get(),
        }
    }

    /// Requests a minute.
    pub const fn requests_per_minute(self) -> u32 {
        self.per_minute.get()
    }

    /// Requests that may come at once, after a pause.
    pub const fn burst(self) -> u32 {
        self.burst
    }

    /// Between two requests in the long run; rounded up, so that the rate is never above what was said.
    pub const fn spacing_microseconds(self) -> u32 {
        MINUTE_MICROSECONDS.div_ceil(self.per_minute.get())
    }
}

/// The answer to a question for several requests at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Granted {
    /// How many may pass now.
    pub requests: u32,
    /// How long until the next one may.
    pub wait: Duration,
}

/// The answer to a question for points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrantedPoints {
    /// How many were taken.
    pub points: u32,
    /// How long until the account is empty again, and all of a minute's may be taken at once.
    pub used: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(requests: u32) -> RequestRate {
        RequestRate::per_minute(NonZeroU32::new(requests).unwrap())
    }

    #[test]
    fn a_burst_is_a_tenth_of_a_minute_and_at_least_ten() {
        assert_eq!(rate(6_000).burst(), 600);
        assert_eq!(rate(60).burst(), 10);
        assert_eq!(rate(1).burst(), 10);
    }

    #[test]
    fn all_points_of_a_minute_may_come_at_once() {
        let points = RequestRate::points_per_minute(NonZeroU32::new(2_000_000).unwrap());
        assert_eq!((points.burst(), points.spacing_microseconds()), (2_000_000, 30));
    }

    #[test]
    fn the_spacing_never_lets_more_pass_than_was_said() {
        for requests in [1, 7, 59, 60, 6_000, 7_000, 999_983, u32::MAX] {
            let spacing = rate(requests).spacing_microseconds();
            assert!(spacing > 0);
            assert!(u64::from(MINUTE_MICROSECONDS / spacing) <= u64::from(requests));
        }
        assert_eq!(rate(6_000).spacing_microseconds(), 10_000);
    }
}
