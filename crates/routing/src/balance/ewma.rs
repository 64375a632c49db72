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

/// A latency, as known at some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PeakEwma {
    us: u32,
    at_ms: u64,
}

impl PeakEwma {
    /// Nothing is known.
    pub const UNKNOWN: Self = Self { us: 0, at_ms: 0 };

    /// An answer took so long.
    pub fn answered(&mut self, us: u32, now_ms: u64) {
        let known = faded(self.us, now_ms.saturating_sub(self.at_ms));
        // What has faded of the old makes room for the new.
        let mixed = if self.us == 0 { us } else { known + part(us, self.us - known, self.us) };
        *self = Self { us: us.max(mixed).max(1), at_ms: now_ms.max(self.at_ms) };
    }

    /// There was none, or none that was worth it.
    pub fn failed(&mut self, us: u32, now_ms: u64) {
        self.answered(us.max(FAILURE_US), now_ms);
    }

    /// In microseconds; `None`: nothing is known, or no longer.
    pub fn read(&self, now_ms: u64) -> Option<u32> {
        Some(faded(self.us, now_ms.saturating_sub(self.at_ms))).filter(|us| *us > 0)
    }
}

fn part(value: u32, of: u32, whole: u32) -> u32 {
    (u64::from(value) * u64::from(of) / u64::from(whole)) as u32
}

/// Halved for each half-life, and in between along the straight line: at most 6 % above the curve, never a jump.
fn faded(us: u32, for_ms: u64) -> u32 {
    let halved = us.checked_shr(u32::try_from(for_ms / HALF_LIFE_MS).unwrap_or(u32::MAX)).unwrap_or(0);
    let rest = for_ms % HALF_LIFE_MS;
    halved - (u64::from(halved) * rest / (2 * HALF_LIFE_MS)) as u32
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
        assert!((240_000..275_000).contains(&after), "half after a half-life: {after}");
        for nth in 0..70_000 {
            latency.answered(10_000, 8_020 + nth);
        }
        assert!(latency.read(78_020) < Some(11_000));
    }

    #[test]
    fn what_is_not_asked_is_forgotten() {
        let mut latency = PeakEwma::UNKNOWN;
        latency.answered(1_000_000, 5);
        assert_eq!(latency.read(5 + HALF_LIFE_MS), Some(500_000));
        assert_eq!(latency.read(5 + HALF_LIFE_MS / 2), Some(750_000));
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
