//! Times as logs write them, in nanoseconds since 1970.

const NANOSECONDS: i64 = 1_000_000_000;
const DAY_SECONDS: i64 = 86_400;

/// Reads `1795254509.81`, or `2026-11-21T09:48:47.418683+0000` with or without its parts behind the
/// seconds; nothing for other texts.
pub(crate) fn nanoseconds(text: &str) -> Option<i64> {
    let text = text.trim();
    if let Some((date, time)) = text.split_once(['T', ' ']) {
        return timestamp(date, time);
    }
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    seconds.checked_mul(NANOSECONDS)?.checked_add(fraction(part)?)
}

fn timestamp(date: &str, time: &str) -> Option<i64> {
    let [year, month, day] = numbers(date, '-')?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || !(0..10_000).contains(&year) {
        return None;
    }
    let zone_at = time.find(['+', '-', 'Z', 'z']).unwrap_or(time.len());
    let (clock, zone) = time.split_at_checked(zone_at)?;
    let (clock, part) = clock.split_once('.').unwrap_or((clock, ""));
    let [hour, minute, second] = numbers(clock, ':')?;
    let seconds = days(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second - offset(zone)?;
    seconds.checked_mul(NANOSECONDS)?.checked_add(fraction(part)?)
}

/// Days since 1970 in the Gregorian calendar, by its 400-year eras that begin in March.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn numbers(text: &str, separator: char) -> Option<[i64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let plain = !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit());
        part.parse::<i64>().ok().filter(|_| plain)
    });
    let found = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(found)
}

/// `+0100` or `+01:00` in seconds; nothing behind the time is UTC.
fn offset(zone: &str) -> Option<i64> {
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    if digits.is_empty() {
        return Some(0);
    }
    let (hours, minutes) = digits.split_at_checked(2)?;
    let minutes = if minutes.is_empty() {
        0
    } else {
        minutes.parse().ok()?
    };
    let seconds = hours.parse::<i64>().ok()? * 3600 + minutes * 60;
    Some(if zone.starts_with('-') { -seconds } else { seconds })
}

/// The digits behind the point; what is finer than a nanosecond is left.
fn fraction(digits: &str) -> Option<i64> {
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = digits.chars().chain("000000000".chars()).take(9).collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::nanoseconds;

    #[test]
    fn a_time_is_read_in_every_spelling() {
        for (text, seconds) in [
            ("0", 0),
            ("1795254509.810000", 1_795_254_509),
            ("1970-01-02T00:00:00", 86_400),
            ("2016-01-01T00:00:00", 1_451_606_400),
            ("2024-02-29T12:30:01.5Z", 1_709_209_801),
            ("2026-11-21T09:48:47.418683+0000", 1_795_254_527),
            ("2026-11-21T10:48:47+01:00", 1_795_254_527),
            ("2026-11-21T04:48:47-0500", 1_795_254_527),
        ] {
            let read = nanoseconds(text).map(|time| time.div_euclid(1_000_000_000));
            assert_eq!(read, Some(seconds), "{text}");
        }
        assert_eq!(nanoseconds("1.5"), Some(1_500_000_000));
        for wrong in [
            "",
            "soon",
            "2026-13-01T00:00:00",
            "1.x",
            "99999999999999999999",
            "2026-11-21Tx",
        ] {
            assert_eq!(nanoseconds(wrong), None, "{wrong}");
        }
    }
}
