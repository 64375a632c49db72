//! How long to wait after a failure. Chance is an argument, so the table below is the whole truth.
//!
//! Half of each delay is random: workers that lost the same router at one moment must not come back at one moment.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(200);
/// No worker waits longer, so a router that is back is found within seconds.
pub(crate) const LONGEST: Duration = Duration::from_secs(5);

/// The delay after `failures` failures in a row (from 1); `chance` in [0, 1).
pub(crate) fn delay(failures: u32, chance: f64) -> Duration {
    let doubled = FIRST.saturating_mul(1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST).mul_f64(0.5 + chance / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_double_up_to_five_seconds_and_are_half_random() {
        let longest: Vec<_> = (1..=7).map(|n| delay(n, 1.0).as_millis()).collect();
        assert_eq!(longest, [200, 400, 800, 1_600, 3_200, 5_000, 5_000]);
        assert_eq!(delay(1, 0.0).as_millis(), 100);
        assert_eq!(delay(u32::MAX, 1.0), LONGEST);
    }
}
