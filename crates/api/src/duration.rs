//! Spans of time as people write them: `30s`, `1m30s`, `500ms`.
//!
//! Whole milliseconds, without floats: what was written is what is read back.

use quorate_model::Invalid;
use std::{ops::RangeInclusive, time::Duration};

const UNITS_MS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Ten years. Longer is refused: no setting is meant to take so long.
const MS_MAX: u64 = 10 * 365 * 24 * 3_600_000;
/// What a refused text should have been.
pub const ALLOWED: &str = "a duration such as 500ms, 30s, 1m30s or 1.5h";

/// Parses; `None` for anything else, also beyond ten years. Fractions of a millisecond are cut off.
pub fn parse(text: &str) -> Option<Duration> {
    if text == "0" {
        return Some(Duration::ZERO);
    }
    let (mut rest, mut ms) = (text, 0u64);
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?);
        let (unit, after) =
            after.split_at(after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len()));
        let scale = UNITS_MS.iter().find(|(name, _)| *name == unit)?.1;
        ms = ms.checked_add(scaled(number, scale)?)?;
        rest = after;
    }
    (!text.is_empty() && ms <= MS_MAX).then(|| Duration::from_millis(ms))
}

/// `number`, which may have one decimal point, times `scale`.
fn scaled(number: &str, scale: u64) -> Option<u64> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    let whole = whole.parse::<u64>().ok()?.checked_mul(scale)?;
    // Nine digits are finer than any unit counts.
    let digits = fraction.get(..fraction.len().min(9))?;
    let part = digits.parse::<u64>().ok()? * scale / 10u64.pow(u32::try_from(digits.len()).ok()?);
    if !fraction.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    whole.checked_add(part)
}

/// Writes whole milliseconds, largest unit first: `1m30s`, `1s500ms`; `0s` for nothing.
pub fn format(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    let mut text = String::new();
    for (unit, scale) in UNITS_MS {
        if left >= scale {
            text.push_str(&format!("{}{unit}", left / scale));
            left %= scale;
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

/// `asked`, if it is within `bounds`.
pub(crate) fn within(asked: Duration, bounds: RangeInclusive<Duration>) -> Result<Duration, Invalid> {
    if bounds.contains(&asked) {
        return Ok(asked);
    }
    let allowed = format!("{} to {}", format(*bounds.start()), format(*bounds.end()));
    Err(Invalid::new("", format!("is {}", format(asked)), allowed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(text: &str) -> Option<u128> {
        parse(text).map(|d| d.as_millis())
    }

    #[test]
    fn a_duration_is_numbers_with_units() {
        assert_eq!(ms("30s"), Some(30_000));
        assert_eq!(ms("1m30s"), Some(90_000));
        assert_eq!(ms("500ms"), Some(500));
        assert_eq!(ms("1.5h"), Some(5_400_000));
        assert_eq!(ms("0.25s"), Some(250));
        assert_eq!(ms("0s"), Some(0));
        assert_eq!(ms("0"), Some(0));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in [
            "",
            "30",
            "s",
            "-1s",
            "30 s",
            "30x",
            "1..5s",
            ".",
            ".5s",
            "1.s",
            "1e9s",
            "99999999999999999999s",
            "999999h",
            "30s1",
            "NaNs",
            "٣s",
            "1S",
            "1.1234567890xs",
        ] {
            assert_eq!(ms(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        for (ms, text) in [
            (0, "0s"),
            (1, "1ms"),
            (500, "500ms"),
            (1_500, "1s500ms"),
            (30_000, "30s"),
            (90_000, "1m30s"),
            (86_400_000, "24h"),
            (3_661_001, "1h1m1s1ms"),
        ] {
            let duration = Duration::from_millis(ms);
            assert_eq!(format(duration), text);
            assert_eq!(parse(text), Some(duration), "{text}");
        }
    }
}
