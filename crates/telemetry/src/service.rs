//! Counters by service, of one core.
//!
//! A service's name is no closed set: workers choose it when they register. So at most [`SERVICES_MAX`] names have
//! series of their own, those that were asked for first; what comes after them is counted together.

use crate::{
    label::{Label, ServiceResult},
    proxy::add,
    sheet::Sheet,
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// How many services have series of their own.
pub const SERVICES_MAX: usize = 256;
/// What the others are counted as: no service has an empty name.
const OTHERS: &str = "";

/// One service's requests on one core.
#[derive(Debug, Default)]
pub struct ServiceCounters {
    results: [AtomicU64; ServiceResult::COUNT],
}

impl ServiceCounters {
    /// A request ended.
    pub fn ended(&self, how: ServiceResult) {
        add(&self.results[how.position()]);
    }
}

/// One core's services.
#[derive(Debug, Default)]
pub(crate) struct Services(Mutex<BTreeMap<Box<str>, Arc<ServiceCounters>>>);

impl Services {
    pub(crate) fn of(&self, name: &str) -> Arc<ServiceCounters> {
        let mut services = self.services();
        let name = if services.contains_key(name) || services.len() < SERVICES_MAX { name } else { OTHERS };
        services.entry(name.into()).or_default().clone()
    }

    /// All cores together.
    pub(crate) fn encode<'s>(cores: impl Iterator<Item = &'s Self>, sheet: &mut Sheet<'_>) -> fmt::Result {
        let mut sums = BTreeMap::from([(Box::from(OTHERS), [0; ServiceResult::COUNT])]);
        for core in cores {
            for (name, counters) in &*core.services() {
                // Each core has met other services first: together they stay within the bound all the same.
                let known = sums.contains_key(name) || sums.len() <= SERVICES_MAX;
                let sum = sums.entry(if known { name.clone() } else { OTHERS.into() }).or_default();
                for (sum, counter) in sum.iter_mut().zip(&counters.results) {
                    *sum += counter.load(Ordering::Relaxed);
                }
            }
        }
        let values = sums.iter().map(|(name, sum)| (&**name, |result: ServiceResult| sum[result.position()]));
        sheet.counters_of(
            ("quorate_service_requests", "Requests for a service; those beyond the first 256 have no name"),
            ("service", values),
        )
    }

    fn services(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Arc<ServiceCounters>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn services_are_summed_over_cores_and_bounded() {
        let metrics = Metrics::new();
        let (a, b) = (metrics.add_core(), metrics.add_core());
        for core in [&a, &a, &b] {
            core.service("upload").ended(ServiceResult::Answered);
        }
        b.service("upload").ended(ServiceResult::Failed);
        for nth in 0..SERVICES_MAX + 44 {
            a.service(&format!("s{nth}")).ended(ServiceResult::Unserved);
        }
        let text = metrics.render();
        for line in [
            "quorate_service_requests_total{service=\"upload\",result=\"answered\"} 3",
            "quorate_service_requests_total{service=\"upload\",result=\"failed\"} 1",
            "quorate_service_requests_total{service=\"s0\",result=\"unserved\"} 1",
            "quorate_service_requests_total{service=\"\",result=\"unserved\"} 45",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }
}
