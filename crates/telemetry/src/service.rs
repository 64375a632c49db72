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
    collections::{BTreeMap, BTreeSet},
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

/// The names that have series of their own, decided once for all cores: whoever has one keeps it. If each core had its
/// own first 256, a series could vanish as soon as another core met other names.
#[derive(Debug, Default)]
pub(crate) struct Names(Mutex<BTreeSet<Box<str>>>);

impl Names {
    /// The name under which one is counted.
    pub(crate) fn of<'n>(&self, name: &'n str) -> &'n str {
        let mut names = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if names.contains(name) {
            return name;
        }
        if names.len() < SERVICES_MAX && name != OTHERS {
            names.insert(name.into());
            return name;
        }
        OTHERS
    }
}

/// One core's services.
#[derive(Debug, Default)]
pub(crate) struct Services {
    names: Arc<Names>,
    counted: Mutex<BTreeMap<Box<str>, Arc<ServiceCounters>>>,
}

impl Services {
    pub(crate) fn new(names: Arc<Names>) -> Self {
        Self { names, counted: Mutex::default() }
    }

    pub(crate) fn of(&self, name: &str) -> Arc<ServiceCounters> {
        let mut services = self.services();
        if let Some(counters) = services.get(name) {
            return counters.clone();
        }
        services.entry(self.names.of(name).into()).or_default().clone()
    }

    /// All cores together.
    pub(crate) fn encode<'s>(cores: impl Iterator<Item = &'s Self>, sheet: &mut Sheet<'_>) -> fmt::Result {
        let mut sums = BTreeMap::from([(Box::from(OTHERS), [0; ServiceResult::COUNT])]);
        for core in cores {
            for (name, counters) in &*core.services() {
                let sum = sums.entry(name.clone()).or_default();
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
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
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

    /// Scenario: one core has met 256 services, and another one meets one more, whose name comes before theirs.
    #[test]
    fn a_series_stays_whatever_another_core_meets() {
        let metrics = Metrics::new();
        let (a, b) = (metrics.add_core(), metrics.add_core());
        for nth in 0..SERVICES_MAX {
            b.service(&format!("s{nth:03}")).ended(ServiceResult::Answered);
        }
        let series = |of: &str| {
            let begin = format!("quorate_service_requests_total{{service=\"{of}\",result=\"answered\"}} ");
            metrics.render().lines().find_map(|line| line.strip_prefix(&begin).map(str::to_owned))
        };
        assert_eq!(series("s255").as_deref(), Some("1"));
        a.service("a").ended(ServiceResult::Answered);
        a.service("s255").ended(ServiceResult::Answered);
        assert_eq!(
            (series("s255").as_deref(), series("a"), series("").as_deref()),
            (Some("2"), None, Some("1"))
        );
    }
}
