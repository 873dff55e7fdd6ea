//! Webhooks: what may be told, how a message is signed for (Standard Webhooks), and when it is tried again.
//!
//! Not here: signing itself and sending (the app), and what waits (the store).

use core::time::Duration;

use crate::words::words;

words! {
    /// What a message tells.
    EventType {
        /// A scan found what nobody knew.
        AlertOpened = "alert.opened",
        /// A scan looked and did not find it any more.
        AlertFixed = "alert.fixed",
        /// It is there again, or is to be acted on again.
        AlertReopened = "alert.reopened",
        /// Somebody decided not to act.
        AlertDismissed = "alert.dismissed",
        /// A risk is accepted for some days more only.
        AcceptanceExpiring = "acceptance.expiring",
        /// A task has ended, well or badly.
        TaskFinished = "task.finished",
        /// Somebody tries an endpoint out.
        Test = "webhook.test",
    } known "alert.opened, alert.fixed, alert.reopened, alert.dismissed, acceptance.expiring, task.finished"
}

words! {
    /// Why nothing is sent to an endpoint.
    DisabledReason {
        /// Somebody wanted it so.
        ByHand = "by-hand",
        /// It answered 410.
        Gone = "gone",
        /// Nothing came through for days.
        Failing = "failing",
    } known "by-hand, gone, failing"
}

words! {
    /// Where a delivery stands.
    DeliveryState {
        /// It will be sent, for the first time or again.
        Waiting = "waiting",
        /// The endpoint took it.
        Delivered = "delivered",
        /// It was tried often enough, or the endpoint does not want any more.
        Failed = "failed",
    } known "waiting, delivered, failed"
}

/// What stands before a secret in text.
pub const SECRET_PREFIX: &str = "whsec_";
/// Bytes of a secret that is made here; the standard asks for 24 to 64.
pub const SECRET_BYTES: usize = 32;
/// Endpoints of one tenant: each message is sent to all that want it.
pub const ENDPOINTS_MAX: i64 = 10;
/// Alerts that one message names.
pub const ALERTS_TOLD_MAX: usize = 100;
/// Longer than any address that a receiver gives out.
pub const URL_BYTES_MAX: usize = 2_048;
/// Projects that an endpoint may be limited to.
pub const PROJECTS_MAX: usize = 100;
/// Nothing came through for so long: the endpoint is disabled.
pub const FAILING_DAYS_MAX: i32 = 5;
/// Messages and what became of them are kept for so long.
pub const KEPT_DAYS: i32 = 30;
/// After a rotation the old secret signs beside the new one for so long.
pub const OLD_SECRET_HOURS: i32 = 24;
/// An acceptance is told so long before it ends.
pub const EXPIRING_DAYS: i32 = 7;
/// A receiver may ask for so long a pause, no longer.
pub const RETRY_AFTER_MAX: Duration = Duration::from_hours(24);

/// Pauses after the first try and each further one, as the standard suggests.
const PAUSES: [Duration; 9] = [
    Duration::from_secs(5),
    Duration::from_mins(5),
    Duration::from_mins(30),
    Duration::from_hours(2),
    Duration::from_hours(5),
    Duration::from_hours(10),
    Duration::from_hours(14),
    Duration::from_hours(20),
    Duration::from_hours(24),
];

/// How long to wait after so many tries before the next one, at least as long as the receiver `asked` for within
/// bounds; `None` when that was the last.
pub fn pause_after(tries: u32, asked: Option<Duration>) -> Option<Duration> {
    let index = usize::try_from(tries).ok()?.checked_sub(1)?;
    let pause = *PAUSES.get(index)?;
    Some(asked.map_or(pause, |asked| pause.max(asked.min(RETRY_AFTER_MAX))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_tried_ten_times_in_about_three_days() {
        let pauses: Vec<Duration> = (1..).map_while(|tries| pause_after(tries, None)).collect();
        assert_eq!(pauses.len(), 9);
        let whole: Duration = pauses.iter().sum();
        assert_eq!(whole.as_secs() / 3_600, 75);
        assert_eq!(pause_after(0, None), None);
    }

    #[test]
    fn a_receiver_may_ask_for_a_longer_pause_and_not_for_a_shorter_or_endless_one() {
        let asked = |seconds| pause_after(1, Some(Duration::from_secs(seconds)));
        assert_eq!(asked(1), Some(Duration::from_secs(5)));
        assert_eq!(asked(60), Some(Duration::from_mins(1)));
        assert_eq!(asked(u64::MAX), Some(RETRY_AFTER_MAX));
        assert_eq!(pause_after(10, Some(Duration::from_mins(1))), None);
    }

    #[test]
    fn words_are_read_back() {
        for kind in EventType::ALL {
            assert_eq!(kind.as_str().parse(), Ok(*kind));
        }
        assert!("alert.moved".parse::<EventType>().is_err());
    }
}
