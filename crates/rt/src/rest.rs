//! How long to wait after a failure: by chance, so that those who lost the same server don't come back together, and
//! longer each time, so that a server that comes up is not overrun.

use crate::rng;
use std::time::Duration;

/// Between which a rest is.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// After the first failure, at most.
    pub shortest: Duration,
    /// After many.
    pub longest: Duration,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Rest {
    failures: u32,
}

impl Rest {
    /// It has failed once more: wait for so long, half to the whole of what it is by now.
    pub fn next(&mut self, Bounds { shortest, longest }: Bounds) -> Duration {
        let whole = shortest.saturating_mul(2_u32.saturating_pow(self.failures)).min(longest);
        self.failures = self.failures.saturating_add(1);
        let share = u32::try_from(rng::random_u64() % 1_001).unwrap_or(0);
        whole / 2 + whole / 2 * share / 1_000
    }

    /// It has worked.
    pub fn over(&mut self) {
        self.failures = 0;
    }
}

#[cfg(all(test, not(madsim)))]
mod tests {
    use super::*;

    #[test]
    fn a_rest_grows_to_the_longest_and_begins_anew_after_a_success() {
        let bounds = Bounds { shortest: Duration::from_millis(100), longest: Duration::from_secs(2) };
        let mut rest = Rest::default();
        for failure in 0..40 {
            let whole = (bounds.shortest * (1 << failure.min(10))).min(bounds.longest);
            let now = rest.next(bounds);
            assert!((whole / 2..=whole).contains(&now), "{now:?} after {failure} failures");
        }
        rest.over();
        assert!(rest.next(bounds) <= bounds.shortest);
    }
}
