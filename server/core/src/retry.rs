//! When to try again: exponential backoff with full jitter.
//!
//! The rule is "full jitter" (a uniform draw from zero to the exponential bound), so that tasks
//! that failed together do not come back together; a floor of a quarter of the bound keeps a
//! repeated failure from spinning.

use std::time::Duration;

/// The shape of the backoff.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Backoff {
    /// The bound after the first failure.
    pub base: Duration,
    /// The bound never grows beyond this.
    pub max: Duration,
    /// Attempts after which a task is dead, at least 1.
    pub attempts_max: i32,
}

impl Backoff {
    /// The pause before attempt `failed + 1`, or `None` when the cap is reached.
    ///
    /// `failed` is the number of the attempt that just failed, from 1; `draw` is uniform in 0 to 1.
    pub fn pause(&self, failed: i32, draw: f64) -> Option<Duration> {
        if failed >= self.attempts_max {
            return None;
        }
        let doublings = failed.saturating_sub(1).clamp(0, 30).unsigned_abs();
        let bound = self.base.saturating_mul(1 << doublings).min(self.max);
        Some(bound.mul_f64(0.25 + 0.75 * draw.clamp(0.0, 1.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BACKOFF: Backoff = Backoff {
        base: Duration::from_secs(2),
        max: Duration::from_mins(1),
        attempts_max: 5,
    };

    #[test]
    fn pauses_double_up_to_the_ceiling_and_end_at_the_cap() {
        let bounds: Vec<_> = (1..6).map(|failed| BACKOFF.pause(failed, 1.0)).collect();
        let seconds = |s| Some(Duration::from_secs(s));
        assert_eq!(bounds, [seconds(2), seconds(4), seconds(8), seconds(16), None]);
        let long = Backoff {
            attempts_max: 100,
            ..BACKOFF
        };
        assert_eq!(long.pause(99, 1.0), seconds(60));
    }

    #[test]
    fn jitter_stays_between_a_quarter_and_the_whole_bound() {
        assert_eq!(BACKOFF.pause(1, 0.0), Some(Duration::from_millis(500)));
        assert_eq!(BACKOFF.pause(1, 7.0), Some(Duration::from_secs(2)));
    }
}
