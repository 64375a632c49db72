//! Durations as people write them, the way the API has them, and numbers without a unit where the systems that
//! Quorate replaces had those.

use super::error::{Wrong, quoted};
use std::time::Duration;

/// What a number without a unit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bare {
    /// An error: nobody knows whether `100` are seconds.
    Refused,
    /// Seconds, as in the first versions of the workspace router.
    Seconds,
}

/// Parses a duration; bounds are the caller's business.
pub(super) fn parse(text: &str, bare: Bare) -> Result<Duration, Wrong> {
    let wrong = |problem: String| Wrong::new(problem, quorate_api::duration::ALLOWED);
    if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
        return match (bare, text.parse::<u32>()) {
            (Bare::Seconds, Ok(seconds)) => Ok(Duration::from_secs(seconds.into())),
            _ => Err(wrong(format!("{} has no unit", quoted(text)))),
        };
    }
    quorate_api::duration::parse(text).ok_or_else(|| wrong(format!("{} is not allowed here", quoted(text))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_number_is_seconds_only_where_the_original_said_so() {
        assert_eq!(parse("30", Bare::Seconds), Ok(Duration::from_secs(30)));
        assert_eq!(parse("30s", Bare::Seconds), Ok(Duration::from_secs(30)));
        let wrong = parse("30", Bare::Refused).expect_err("no unit");
        assert_eq!(wrong.problem, "`30` has no unit");
    }
}
