//! Calls of gRPC, of one core, by method and code.
//!
//! A method that a client names is no label: a stranger could make as many series as he likes. Named are the methods
//! that routes name, and of those the first [`METHODS_MAX`]; all other calls are counted by what decided them.

use crate::{
    label::{CallCode, Label},
    proxy::add,
    service::Names,
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

/// How many methods have series of their own: as many as services have.
pub const METHODS_MAX: usize = crate::service::SERVICES_MAX;

/// One method's calls on one core.
#[derive(Debug, Default)]
pub struct CallCounters {
    codes: [AtomicU64; CallCode::COUNT],
}

impl CallCounters {
    fn ended(&self, code: CallCode) {
        add(&self.codes[code.position()]);
    }
}

/// A call that is under way. It is counted when this is gone, whatever ended it.
#[derive(Debug)]
pub struct OpenCall {
    counters: Arc<CallCounters>,
    code: CallCode,
}

impl OpenCall {
    /// Until somebody says more, its client has gone away.
    pub fn new(counters: Arc<CallCounters>) -> Self {
        Self { counters, code: CallCode::Cancelled }
    }

    /// What becomes of it, as it seems now.
    pub fn says(&mut self, code: CallCode) {
        self.code = code;
    }

    /// It is over, and nobody said how.
    pub fn ends(&mut self) {
        if self.code == CallCode::Cancelled {
            self.code = CallCode::Unknown;
        }
    }
}

impl Drop for OpenCall {
    fn drop(&mut self) {
        self.counters.ended(self.code);
    }
}

/// One core's calls.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    names: Arc<Names>,
    counted: Mutex<Counted>,
}

#[derive(Debug, Default)]
struct Counted {
    /// By the name that a series has.
    series: BTreeMap<Box<str>, Arc<CallCounters>>,
    /// The same by method, many of which may share a series: who looks here asks no other core.
    known: BTreeMap<Box<str>, Arc<CallCounters>>,
}

/// Routes come and go. More methods than this are forgotten, and asked for anew.
const KNOWN_MAX: usize = 4_096;

impl Calls {
    pub(crate) fn new(names: Arc<Names>) -> Self {
        Self { names, counted: Mutex::default() }
    }

    /// The counters of a method.
    pub(crate) fn of(&self, method: &str) -> Arc<CallCounters> {
        let Counted { series, known } = &mut *self.calls();
        if let Some(counters) = known.get(method) {
            return counters.clone();
        }
        let counters = series.entry(self.names.of(method).into()).or_default().clone();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(method.into(), counters.clone());
        counters
    }

    /// All cores together.
    pub(crate) fn encode<'c>(cores: impl Iterator<Item = &'c Self>, sheet: &mut Sheet<'_>) -> fmt::Result {
        let mut sums = BTreeMap::<Box<str>, [u64; CallCode::COUNT]>::new();
        for core in cores {
            for (method, counters) in &core.calls().series {
                let sum = sums.entry(method.clone()).or_default();
                for (sum, counter) in sum.iter_mut().zip(&counters.codes) {
                    *sum += counter.load(Ordering::Relaxed);
                }
            }
        }
        let values = sums.iter().map(|(name, sum)| (&**name, |code: CallCode| sum[code.position()]));
        sheet.counters_of(
            (
                "proxy_grpc_requests",
                "Calls of gRPC by the method that a route names, else by what decided them",
            ),
            ("method", values),
        )
    }

    fn calls(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Metrics;

    #[test]
    fn a_call_is_counted_once_by_what_was_said_of_it_last() {
        let metrics = Metrics::new();
        let core = metrics.add_core();
        let call = |method: &str| OpenCall::new(core.calls(method));
        call("/a.S/M").says(CallCode::of(b"0"));
        call("/a.S/M").says(CallCode::of(b"14"));
        call("/a.S/M").ends();
        drop(call("/a.S/M"));
        let mut known = call("{default}");
        known.says(CallCode::of(b"5"));
        known.ends();
        drop(known);
        let text = metrics.render();
        for (method, code, count) in [
            ("/a.S/M", "OK", 1),
            ("/a.S/M", "UNAVAILABLE", 1),
            ("/a.S/M", "UNKNOWN", 1),
            ("/a.S/M", "CANCELLED", 1),
            ("{default}", "NOT_FOUND", 1),
            ("{default}", "OK", 0),
        ] {
            let line = format!("proxy_grpc_requests_total{{method=\"{method}\",code=\"{code}\"}} {count}");
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
    }

    #[test]
    fn every_number_of_grpc_is_its_code_and_all_else_is_unknown() {
        let names: Vec<_> = CallCode::ALL.iter().map(|code| code.as_str()).collect();
        for (number, name) in names.iter().enumerate() {
            assert_eq!(CallCode::of(number.to_string().as_bytes()).as_str(), *name);
        }
        assert_eq!((names[5], names[14], names[16]), ("NOT_FOUND", "UNAVAILABLE", "UNAUTHENTICATED"));
        for odd in [&b"17"[..], b"", b"-1", b"ok", b"\xff"] {
            assert_eq!(CallCode::of(odd), CallCode::Unknown);
        }
    }

    #[test]
    fn methods_are_bounded() {
        let metrics = Metrics::new();
        let core = metrics.add_core();
        for nth in 0..METHODS_MAX + 7 {
            OpenCall::new(core.calls(&format!("/s.S/m{nth:03}"))).ends();
        }
        let text = metrics.render();
        let line = "proxy_grpc_requests_total{method=\"\",code=\"UNKNOWN\"} 7";
        assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
    }
}
