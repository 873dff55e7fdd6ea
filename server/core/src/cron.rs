//! When a schedule is due: cron expressions in a time zone, and what becomes of turns that were missed.
//!
//! Five fields (minute, hour, day of month, month, day of week) or `@hourly`, `@daily`, `@weekly`,
//! `@monthly`, `@yearly`; names of months and days, lists, ranges, steps, `L`, `W` and `#`. When both days
//! are restricted either will do, as cron has always had it.
//!
//! Clocks that are put forward or back: an expression with a fixed hour and minute runs once on either
//! day, at the first moment after the skipped hour and in the first of two equal hours. One with `*` or a
//! step in them follows the wall clock: nothing in the skipped hour, everything twice in the doubled one.
//!
//! Not here: the clock, and who fires (see the app's `flow::schedule`).

use std::str::FromStr as _;

use chrono::{DateTime, TimeDelta, Utc};
use chrono_tz::Tz;
use croner::parser::{CronParser, Seconds, Year};
use sha2::{Digest as _, Sha256};

use crate::id::{ScheduleId, TaskId};
use crate::text;
use crate::words::words;

/// A cron expression in bytes; the longest honest one lists every minute of an hour.
pub const EXPRESSION_BYTES_MAX: usize = 400;
/// A name of a time zone in bytes; the longest has 32.
const ZONE_BYTES_MAX: usize = 64;
/// A turn that came due less than this before the platform was back was not missed: a restart takes that long.
const LATE_MAX: TimeDelta = TimeDelta::seconds(90);

/// What is wrong with an expression or its zone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    /// Not an expression.
    #[error("{0:?} is no cron expression of five fields: minute, hour, day of month, month, day of week")]
    Expression(String),
    /// An expression of times that never come, such as the 30th of February.
    #[error("{0:?} never comes")]
    Never(String),
    /// Not a zone.
    #[error("{0:?} is no name of the time zone database such as Europe/Berlin or UTC")]
    Zone(String),
}

/// Times that come again and again.
#[derive(Debug, Clone)]
pub struct Cron {
    pattern: croner::Cron,
    zone: Tz,
}

impl Cron {
    /// The expression, read in that zone; `now` is where it is tried.
    ///
    /// # Errors
    /// [`CronError`] says what is wrong.
    pub fn parse(expression: &str, zone: &str, now: DateTime<Utc>) -> Result<Self, CronError> {
        let told = || text::cut(expression, EXPRESSION_BYTES_MAX).to_owned();
        let cut_zone = text::cut(zone, ZONE_BYTES_MAX);
        let known = Tz::from_str(cut_zone).map_err(|_| CronError::Zone(cut_zone.to_owned()))?;
        if expression.len() > EXPRESSION_BYTES_MAX {
            return Err(CronError::Expression(told()));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let pattern = parser
            .parse(expression)
            .map_err(|_| CronError::Expression(told()))?;
        let cron = Self { pattern, zone: known };
        if cron.next_after(now).is_none() {
            return Err(CronError::Never(told()));
        }
        Ok(cron)
    }

    /// The first time after `at`.
    pub fn next_after(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = at.with_timezone(&self.zone);
        let next = self.pattern.find_next_occurrence(&local, false).ok()?;
        // a second walk back in time would fire for ever
        Some(next.with_timezone(&Utc)).filter(|next| *next > at)
    }

    /// The last time that is not after `at`.
    fn last_until(&self, at: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let local = at.with_timezone(&self.zone);
        let last = self.pattern.find_previous_occurrence(&local, true).ok()?;
        Some(last.with_timezone(&Utc)).filter(|last| *last <= at)
    }

    /// The next times after `at`, at most `count`.
    pub fn upcoming(&self, at: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
        let next = |last: &DateTime<Utc>| self.next_after(*last);
        std::iter::successors(self.next_after(at), next)
            .take(count)
            .collect()
    }

    /// What to do now about a schedule that was due at `due`: however many turns were missed, at most one
    /// is made up for. Somebody has looked for due schedules since `watched_since`: what came due after that is
    /// only late, however long that took.
    pub fn turn(
        &self,
        due: DateTime<Utc>,
        now: DateTime<Utc>,
        watched_since: DateTime<Utc>,
        catch_up: CatchUp,
    ) -> Turn {
        let next = self.next_after(now);
        // of several the last counts; what is asked for is then as fresh as it can be
        let last = self.last_until(now).filter(|last| *last >= due).unwrap_or(due);
        let was_missed = watched_since - last > LATE_MAX;
        let runs = !was_missed || catch_up == CatchUp::One;
        Turn {
            run: runs.then_some(last),
            next,
        }
    }
}

/// What is done about a due schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turn {
    /// It runs, for this time; otherwise the missed turns are left out.
    pub run: Option<DateTime<Utc>>,
    /// When it is due again; never, if that lies beyond the calendar.
    pub next: Option<DateTime<Utc>>,
}

/// The id of the task that a turn makes: the same however often the turn is made, sorted by its time.
pub fn task_of_turn(schedule: ScheduleId, at: DateTime<Utc>) -> TaskId {
    let mut hash = Sha256::new();
    hash.update(b"tamiz turn 1:");
    hash.update(schedule.uuid().as_bytes());
    hash.update(at.timestamp_micros().to_be_bytes());
    let digest = hash.finalize();
    let mut tail = [0; 10];
    tail.copy_from_slice(&digest[..10]);
    let millis = u64::try_from(at.timestamp_millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &tail)
        .into_uuid()
        .into()
}

words! {
    /// What a turn does when an earlier task of its schedule has not ended.
    Overlap {
        /// Both run.
        Allow = "allow",
        /// The turn is left out.
        Forbid = "forbid",
        /// The earlier one is cancelled.
        Replace = "replace",
    } known "allow, forbid, replace"
}

words! {
    /// What becomes of turns that nobody was there to make.
    CatchUp {
        /// They are left out.
        None = "none",
        /// One is made up for, however many there were.
        One = "one",
    } known "none, one"
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn cron(expression: &str, zone: &str) -> Cron {
        Cron::parse(expression, zone, at("2026-01-01T00:00:00Z")).unwrap()
    }

    /// Wall-clock times with their offset, from the moment on.
    fn times(expression: &str, zone: &str, from: &str, count: usize) -> Vec<String> {
        let cron = cron(expression, zone);
        let times = cron.upcoming(at(from), count);
        let shown = times.iter().map(|time| time.with_timezone(&cron.zone));
        shown
            .map(|time| time.format("%d. %H:%M %:z").to_string())
            .collect()
    }

    #[test]
    fn a_fixed_time_in_the_skipped_hour_comes_once_right_after_it() {
        // in Berlin 02:00 is 03:00 on 2026-03-29
        let found = times("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", 2);
        assert_eq!(found, ["29. 03:00 +02:00", "30. 02:30 +02:00"]);
    }

    #[test]
    fn a_fixed_time_in_the_doubled_hour_comes_once_in_the_first_of_them() {
        // in Berlin 03:00 is 02:00 again on 2026-10-25
        let found = times("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 2);
        assert_eq!(found, ["25. 02:30 +02:00", "26. 02:30 +01:00"]);
    }

    #[test]
    fn steps_leave_the_skipped_hour_out_and_come_twice_in_the_doubled_one() {
        let spring = times("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:29:00Z", 3);
        assert_eq!(
            spring,
            ["29. 01:30 +01:00", "29. 03:00 +02:00", "29. 03:30 +02:00"]
        );
        let autumn = times("*/30 * * * *", "Europe/Berlin", "2026-10-24T23:59:00Z", 5);
        assert_eq!(
            autumn,
            [
                "25. 02:00 +02:00",
                "25. 02:30 +02:00",
                "25. 02:00 +01:00",
                "25. 02:30 +01:00",
                "25. 03:00 +01:00"
            ]
        );
    }

    #[test]
    fn zones_without_and_with_odd_offsets_are_understood() {
        assert_eq!(
            times("0 9 * * MON-FRI", "Asia/Kathmandu", "2026-11-20T12:00:00Z", 2),
            ["23. 09:00 +05:45", "24. 09:00 +05:45"]
        );
        // Lord Howe puts its clocks forward by half an hour, at 02:00 on 2026-10-04
        let found = times("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2);
        assert_eq!(found, ["04. 02:30 +11:00", "05. 02:15 +11:00"]);
    }

    #[test]
    fn what_is_no_time_is_refused_with_a_reason() {
        let now = at("2026-01-01T00:00:00Z");
        let parse = |expression: &str, zone: &str| Cron::parse(expression, zone, now).unwrap_err();
        for bad in [
            "",
            "* * * *",
            "0 * * * * *",
            "60 * * * *",
            "a b c d e",
            "* * * * 9",
            &"1,".repeat(300),
        ] {
            assert!(matches!(parse(bad, "UTC"), CronError::Expression(_)), "{bad}");
        }
        assert!(matches!(parse("0 0 30 2 *", "UTC"), CronError::Never(_)));
        for zone in ["", "Mars/Olympus", "europe/berlin", "+02:00"] {
            assert!(matches!(parse("@daily", zone), CronError::Zone(_)), "{zone}");
        }
    }

    #[test]
    fn after_a_long_downtime_one_turn_is_made_up_for_or_none() {
        let every_minute = cron("* * * * *", "UTC");
        let (due, now) = (at("2026-01-01T00:00:00Z"), at("2026-03-01T10:00:30Z"));
        let one = every_minute.turn(due, now, now, CatchUp::One);
        assert_eq!(one.run, Some(at("2026-03-01T10:00:00Z")), "the last of 85,560");
        assert_eq!(one.next, Some(at("2026-03-01T10:01:00Z")));
        let nightly = cron("0 3 * * *", "UTC");
        let missed = nightly.turn(at("2026-01-01T03:00:00Z"), now, now, CatchUp::None);
        assert_eq!(
            (missed.run, missed.next),
            (None, Some(at("2026-03-02T03:00:00Z")))
        );
        let made_up = nightly.turn(at("2026-01-01T03:00:00Z"), now, now, CatchUp::One);
        assert_eq!(made_up.run, Some(at("2026-03-01T03:00:00Z")));
    }

    #[test]
    fn a_turn_has_one_task_that_sorts_by_its_time() {
        let (mine, other) = (ScheduleId::fresh(), ScheduleId::fresh());
        let (first, second) = (at("2026-01-01T05:00:00Z"), at("2026-01-01T06:00:00Z"));
        assert_eq!(task_of_turn(mine, first), task_of_turn(mine, first));
        assert_ne!(task_of_turn(mine, first), task_of_turn(other, first));
        assert!(task_of_turn(other, first) < task_of_turn(mine, second));
        assert_eq!(task_of_turn(mine, first).uuid().get_version_num(), 7);
    }

    #[test]
    fn a_turn_is_missed_when_nobody_looked_and_not_when_others_came_first() {
        let hourly = cron("@hourly", "UTC");
        let due = at("2026-01-01T05:00:00Z");
        for (now, watched_since, runs) in [
            // back after a restart
            ("2026-01-01T05:01:20Z", "2026-01-01T05:01:20Z", true),
            // back after a downtime, at once and after a while of catching up
            ("2026-01-01T05:02:00Z", "2026-01-01T05:02:00Z", false),
            ("2026-01-01T05:40:00Z", "2026-01-01T05:02:00Z", false),
            // never away
            ("2026-01-01T05:40:00Z", "2026-01-01T04:00:00Z", true),
        ] {
            let turn = hourly.turn(due, at(now), at(watched_since), CatchUp::None);
            assert_eq!(turn.run, runs.then_some(due), "{now} {watched_since}");
            assert_eq!(turn.next, Some(at("2026-01-01T06:00:00Z")));
        }
    }
}
