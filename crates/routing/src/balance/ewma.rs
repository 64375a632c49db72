//! How long an endpoint takes to answer, as one number that follows bad news at once and good news slowly.
//!
//! Peak EWMA (Finagle's): an answer that took longer than the average becomes the average; one that was faster moves
//! it by as much as time has passed. Without answers the average fades, so that an endpoint that was slow is asked
//! again some time. A failure counts as a slow answer: one that refuses within a tenth of a millisecond would
//! otherwise look like the fastest of all and draw all requests.

/// In this time half of what was known is forgotten.
pub const HALF_LIFE_MS: u64 = 7_000;
/// What a failure counts as, at least.
pub const FAILURE_US: u32 = 1_000_000;

/// Fractions of a microsecond are kept: what fades within a millisecond is less than one.
const FRACTION_BITS: u32 = 20;

/// A latency, as known at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakEwma {
    /// In parts of a microsecond.
    parts: u64,
    at_ms: u64,
}

impl PeakEwma {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { parts: 0, at_ms: 0 };

    /// An answer took so long.
    pub fn answered(&mut self, us: u32, now_ms: u64) {
        let new = u64::from(us.max(1)) << FRACTION_BITS;
        let kept = kept(now_ms.saturating_sub(self.at_ms));
        // What has faded of the old makes room for the new.
        let mixed = if self.parts == 0 { new } else { scale(self.parts, kept) + scale(new, WHOLE - kept) };
        *self = Self { parts: new.max(mixed), at_ms: now_ms.max(self.at_ms) };
    }

    /// There was none, or none that was worth it.
    pub fn failed(&mut self, us: u32, now_ms: u64) {
        self.answered(us.max(FAILURE_US), now_ms);
    }

    /// In microseconds; `None`: nothing is known, or no longer.
    pub fn read(&self, now_ms: u64) -> Option<u32> {
        let left = scale(self.parts, kept(now_ms.saturating_sub(self.at_ms)));
        u32::try_from(left >> FRACTION_BITS).ok().filter(|us| *us > 0)
    }
}

const WHOLE: u64 = 1 << 32;

fn scale(value: u64, by: u64) -> u64 {
    ((u128::from(value) * u128::from(by)) >> 32) as u64
}

/// How much is left after a time, of [`WHOLE`]: halved for each half-life, and within one by the parabola that has the
/// value and slope of `2^-x` at its beginning and its value at the end. It is less than 1 % off.
fn kept(for_ms: u64) -> u64 {
    const SLOPE: u64 = 2_977_044_472; // ln 2
    const BEND: u64 = SLOPE - WHOLE / 2;
    let x = (for_ms % HALF_LIFE_MS) * WHOLE / HALF_LIFE_MS;
    let within = WHOLE - scale(SLOPE, x) + scale(BEND, scale(x, x));
    u32::try_from(for_ms / HALF_LIFE_MS).ok().and_then(|halvings| within.checked_shr(halvings)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_news_count_at_once_and_good_news_slowly() {
        let mut latency = PeakEwma::UNKNOWN;
        assert_eq!(latency.read(0), None);
        latency.answered(10_000, 1_000);
        assert_eq!(latency.read(1_000), Some(10_000));
        latency.answered(500_000, 1_010);
        assert_eq!(latency.read(1_010), Some(500_000), "at once");
        latency.answered(10_000, 1_020);
        assert!(latency.read(1_020) > Some(490_000), "one good answer is not much");
        for nth in 0..7_000 {
            latency.answered(10_000, 1_020 + nth);
        }
        let after = latency.read(8_020).expect("known");
        assert!((250_000..260_000).contains(&after), "half of the difference after a half-life: {after}");
        for nth in 0..70_000 {
            latency.answered(10_000, 8_020 + nth);
        }
        assert!(latency.read(78_020) < Some(10_600));
    }

    /// Many answers a millisecond, each worth less than a microsecond: they count nevertheless.
    #[test]
    fn small_steps_add_up() {
        let mut latency = PeakEwma::UNKNOWN;
        latency.answered(2_000, 0);
        for nth in 0..700_000 {
            latency.answered(100, nth / 10);
        }
        let after = latency.read(70_000).expect("known");
        assert!((100..105).contains(&after), "{after}");
    }

    #[test]
    fn what_is_left_follows_the_curve() {
        for ms in 0..30_000u64 {
            let exact = (2f64).powf(-(ms as f64) / HALF_LIFE_MS as f64);
            let is = kept(ms) as f64 / WHOLE as f64;
            assert!((is - exact).abs() < 0.01 * exact && kept(ms + 1) <= kept(ms), "{ms}: {is}, not {exact}");
        }
    }

    #[test]
    fn what_is_not_asked_is_forgotten() {
        let mut latency = PeakEwma::UNKNOWN;
        latency.answered(1_000_000, 5);
        assert_eq!(latency.read(5 + HALF_LIFE_MS), Some(500_000));
        assert_eq!(latency.read(5 + 3 * HALF_LIFE_MS), Some(125_000));
        assert_eq!(latency.read(5 + 30 * HALF_LIFE_MS), None);
        assert_eq!(latency.read(u64::MAX), None);
        assert_eq!(latency.read(0), Some(1_000_000), "a clock that went back does no harm");
    }

    #[test]
    fn a_quick_failure_is_no_quick_answer() {
        let mut latency = PeakEwma::UNKNOWN;
        latency.answered(10_000, 0);
        latency.failed(100, 1);
        assert_eq!(latency.read(1), Some(FAILURE_US));
    }
}
