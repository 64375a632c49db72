//! What the fake knows about workers besides the state: what is in flight, and who is down.

use super::{Fake, node};
use quorate_management::{InFlightAt, KeyTraceAt, Look, Reason};
use quorate_model::{
    BreakerObservation, BreakerPhase, EjectionCause, EjectionObservation, EndpointObservation, Epoch,
    LogIndex, LogTime, NodeName, Observation, OpeningCause, RoutingKey, WorkerId,
    key_trace::{Hop, KeyTrace},
};

impl Fake {
    /// What a look at any worker comes to from now on.
    pub fn find(&self, look: Look) {
        self.inner.lock().expect("no panic").look = Ok(look);
    }

    /// Nobody looks at a worker from now on, and why.
    pub fn refuse_looks(&self, reason: Reason) {
        self.inner.lock().expect("no panic").look = Err(reason);
    }

    /// Who was looked at, and in which life.
    pub fn looked_at(&self) -> Vec<(WorkerId, Epoch)> {
        self.inner.lock().expect("no panic").looked_at.clone()
    }
}

/// Three requests of the worker `busy` here, none at n2; n3 does not answer where it is about `busy` or `unsure`.
pub fn in_flight(worker: &WorkerId, index: LogIndex) -> Vec<InFlightAt> {
    let at = |name: &str, applied, in_flight| InFlightAt { node: node(name), applied, in_flight };
    let here = u64::from(worker.as_str() == "busy") * 3;
    let unsure = matches!(worker.as_str(), "busy" | "unsure");
    let silent = || at("n3", None, Err("it does not answer".into()));
    vec![
        at("n1", Some(index), Ok(here)),
        at("n2", Some(index), Ok(0)),
        if unsure { silent() } else { at("n3", Some(index), Ok(0)) },
    ]
}

/// What each node tells.
pub type Observed = Vec<(NodeName, Result<Observation, String>)>;

/// n1 has opened its breaker of the first worker and ejected it, n2 finds nothing wrong with any, n3 does not answer.
pub fn observations(workers: &[WorkerId]) -> Observed {
    let plain = |worker: &WorkerId| EndpointObservation {
        worker: worker.clone(),
        in_flight: 2,
        breaker: None,
        ejection: None,
        slow_start_percent: None,
    };
    let all: Vec<_> = workers.iter().map(plain).collect();
    let mut bad = all.clone();
    if let Some(first) = bad.first_mut() {
        let (phase, cause) = (BreakerPhase::Open, OpeningCause::Failures);
        first.breaker =
            Some(BreakerObservation { phase, cores: 1, since_ms: 12_000, left_ms: 48_000, cause });
        let cause = EjectionCause::ConnectFailures;
        first.ejection = Some(EjectionObservation { cause, cores: 2, since_ms: 2_000, left_ms: 3_000 });
        first.slow_start_percent = Some(40);
    }
    let told = |endpoints| {
        Ok(Observation { cores: 2, cores_silent: 0, cores_asked: 2, cores_in_panic: 1, endpoints })
    };
    vec![(node("n1"), told(bad)), (node("n2"), told(all)), (node("n3"), Err("it does not answer".into()))]
}

/// n1 follows the key, unless it is `one-more`; n3 does not answer.
pub fn followed(key: &RoutingKey, ms: u64) -> Vec<KeyTraceAt> {
    let is_full = key.as_str() == "one-more";
    let told = KeyTrace {
        cores: 2,
        cores_full: if is_full { 2 } else { 0 },
        left_ms: (!is_full).then_some(ms),
        ..KeyTrace::default()
    };
    vec![(node("n1"), Ok(told)), (node("n3"), Err("it does not answer".into()))]
}

/// One request of the trace `t` at n1 with the key, and one that was made meanwhile at n2 without it; one without a trace.
pub fn key_traces(_: &RoutingKey) -> Vec<KeyTraceAt> {
    let hop = |at: u64, trace: &[&str], forms: &[&str]| Hop {
        at: LogTime(1_790_000_000_000 + at),
        elapsed_us: 9_500,
        traces: trace.iter().map(|id| Box::from(*id)).collect(),
        method: "GET".into(),
        host: "shop.example".into(),
        path: "/cart".into(),
        forms: forms.iter().map(|form| Box::from(*form)).collect(),
        decided_by: "sandbox".into(),
        service: Some("cart@v2".into()),
        address: Some("10.0.0.8:80".into()),
        status: Some(200),
        ..Hop::default()
    };
    let told =
        |hops| Ok(KeyTrace { cores: 2, left_ms: Some(41_000), passed_over: 3, hops, ..KeyTrace::default() });
    vec![
        (node("n1"), told(vec![hop(0, &["t"], &["x-route-key", "baggage"]), hop(500, &[], &["baggage"])])),
        (node("n2"), told(vec![hop(5, &["t"], &[])])),
        (node("n3"), Err("it does not answer".into())),
    ]
}
