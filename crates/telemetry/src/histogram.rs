//! A histogram with fixed buckets of atomics.
//!
//! prometheus-client's own takes a lock for each observation; the data plane observes once per request.

use prometheus_client::encoding::{MetricEncoder, NoLabelSet};
use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

/// Upper bounds in microseconds, from half a millisecond to the longest request timeout that is usual. The last
/// bucket has no bound.
const BOUNDS_US: [u64; 15] = [
    500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    5_000_000, 10_000_000, 30_000_000,
];

/// How often a duration fell into each bucket, and the sum of all.
#[derive(Debug, Default)]
pub struct Durations {
    buckets: [AtomicU64; BOUNDS_US.len() + 1],
    sum_us: AtomicU64,
}

impl Durations {
    /// Counts one duration.
    pub fn observe(&self, elapsed: Duration) {
        let us = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX >> 1);
        // Most requests end in the first buckets: a linear search beats a binary one.
        let bucket = BOUNDS_US.iter().position(|bound| us <= *bound).unwrap_or(BOUNDS_US.len());
        self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        self.sum_us.fetch_add(us, Ordering::Relaxed);
    }

    /// Renders the sum of several, which together are one histogram.
    pub(crate) fn encode<'a>(
        parts: impl Iterator<Item = &'a Self>,
        mut encoder: MetricEncoder<'_>,
    ) -> fmt::Result {
        let mut counts = [0u64; BOUNDS_US.len() + 1];
        let mut sum_us = 0u64;
        for part in parts {
            sum_us = sum_us.saturating_add(part.sum_us.load(Ordering::Relaxed));
            for (count, bucket) in counts.iter_mut().zip(&part.buckets) {
                *count += bucket.load(Ordering::Relaxed);
            }
        }
        let bounds = BOUNDS_US.iter().map(|us| seconds(*us)).chain([f64::INFINITY]);
        let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
        encoder.encode_histogram::<NoLabelSet>(seconds(sum_us), counts.iter().sum(), &buckets, None)
    }
}

#[expect(clippy::cast_precision_loss, reason = "shown to people; 2^53 microseconds are 285 years")]
fn seconds(us: u64) -> f64 {
    us as f64 / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_belongs_to_its_bucket() {
        let durations = Durations::default();
        for us in [0, 500, 501, 30_000_000, 30_000_001] {
            durations.observe(Duration::from_micros(us));
        }
        let counts: Vec<_> = durations.buckets.iter().map(|b| b.load(Ordering::Relaxed)).collect();
        assert_eq!(counts, [2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]);
    }
}
