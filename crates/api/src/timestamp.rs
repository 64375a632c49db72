//! Points in time as RFC 3339 has them, in UTC. Small enough not to need a calendar library: days to civil date
//! is Howard Hinnant's well-known algorithm. Only what is written here is read here.

use quorate_model::LogTime;

/// 9999-12-31T23:59:59.999Z: RFC 3339 has no larger year. Beyond, this is written.
const MS_MAX: u64 = 253_402_300_799_999;
const DAY_MS: u64 = 86_400_000;

/// With milliseconds: `2026-11-21T03:05:07.089Z`.
pub fn millis(at: LogTime) -> String {
    let (head, ms) = split(at);
    format!("{head}.{ms:03}Z")
}

/// Without a fraction, as Kubernetes writes them: `2026-11-21T03:05:07Z`.
pub fn seconds(at: LogTime) -> String {
    let (head, _) = split(at);
    format!("{head}Z")
}

/// With nine digits, as Go programs write and read them: `2026-11-21T03:05:07.089000000Z`.
pub fn nanos(at: LogTime) -> String {
    let (head, ms) = split(at);
    format!("{head}.{ms:03}000000Z")
}

/// What [`millis`] has written; `None`: something else.
pub fn parse_millis(text: &str) -> Option<LogTime> {
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<u64>().ok();
    let days = days(number(0, 4)?, number(5, 7)?, number(8, 10)?)?;
    let in_day = (number(11, 13)? * 60 + number(14, 16)?) * 60 + number(17, 19)?;
    let at = LogTime(days * DAY_MS + in_day * 1_000 + number(20, 23)?);
    (millis(at) == text).then_some(at)
}

/// The other way round than [`civil`].
fn days(year: u64, month: u64, day: u64) -> Option<u64> {
    const DAYS_PER_ERA: u64 = 146_097;
    let year = year.checked_sub(u64::from(month <= 2))?;
    let (era, year_of_era) = (year / 400, year % 400);
    let from_march = (month + 9) % 12;
    let day_of_year = (153 * from_march + 2) / 5 + day.checked_sub(1)?;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * DAYS_PER_ERA + day_of_era).checked_sub(719_468)
}

fn split(at: LogTime) -> (String, u64) {
    let ms = at.0.min(MS_MAX);
    let (days, in_day) = (ms / DAY_MS, ms % DAY_MS);
    let (year, month, day) = civil(days);
    let seconds = in_day / 1_000;
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    (format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}"), in_day % 1_000)
}

/// Days since 1970-01-01 → year, month, day. Counts from 0000-03-01, so that the leap day is a year's last.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_PER_ERA: u64 = 146_097;
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / DAYS_PER_ERA, shifted % DAYS_PER_ERA);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_instants_are_written_as_everybody_writes_them() {
        for (ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_709_251_199_001, "2024-02-29T23:59:59.001Z"),
            (1_767_225_600_000, "2026-01-01T00:00:00.000Z"),
            (1_795_230_307_089, "2026-11-21T03:05:07.089Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (u64::MAX, "9999-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(millis(LogTime(ms)), text);
            assert_eq!(parse_millis(text), Some(LogTime(ms.min(MS_MAX))), "{text}");
        }
        for other in
            ["", "2026-11-21", "2026-11-21T03:05:07Z", "2026-02-30T00:00:00.000Z", "1969-12-31T00:00:00.000Z"]
        {
            assert_eq!(parse_millis(other), None, "{other}");
        }
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..146_097 {
            assert_eq!(civil(days), (year, month, day), "day {days}");
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            (year, month, day) = match (month, day == length) {
                (_, false) => (year, month, day + 1),
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
            };
        }
    }

    #[test]
    fn go_programs_get_nine_digits() {
        assert_eq!(nanos(LogTime(1_767_225_600_012)), "2026-01-01T00:00:00.012000000Z");
    }
}
