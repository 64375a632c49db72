//! What one node makes of the workers of a service, as operators are shown it.
//!
//! None of it is replicated: each core of a node has its own breakers and ejections, and nodes need not agree. It says
//! why a node sends a worker nothing though the cluster thinks the worker well. Spans, no points in time: clocks differ.

use crate::name::WorkerId;

/// What a node makes of some workers of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observation {
    /// How many of its cores tell.
    pub cores: u32,
    /// How many did not in time.
    pub cores_silent: u32,
    /// How many of those that tell have had requests for the service lately: the others know nothing of it.
    pub cores_asked: u32,
    /// On how many of them so many workers are out that ejections and checks do not count.
    pub cores_in_panic: u32,
    /// The workers that were asked for, as far as any core has anything to say.
    pub endpoints: Vec<EndpointObservation>,
}

/// What a node makes of one worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointObservation {
    /// Which.
    pub worker: WorkerId,
    /// Requests and tunnels that it has from this node, for whatever.
    pub in_flight: u64,
    /// Its breaker; `None`: the service's policy has none, or no core has sent it anything lately.
    pub breaker: Option<BreakerObservation>,
    /// That it is ejected; `None`: by no core.
    pub ejection: Option<EjectionObservation>,
    /// How many of a hundred of its weight count, where it has just begun; of all cores the fewest.
    pub slow_start_percent: Option<u8>,
}

/// The breakers that a node's cores have of a worker. Where they differ: the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerObservation {
    /// Where it is.
    pub phase: BreakerPhase,
    /// On how many cores.
    pub cores: u32,
    /// For how long it has been, in milliseconds; 0 where it never changed. Of those cores the longest.
    pub since_ms: u64,
    /// For how much longer it lets nothing through, where it is open. Of those cores the longest.
    pub left_ms: u64,
    /// Who opened it, where it is not closed.
    pub cause: OpeningCause,
}

/// Where a breaker is, from the best to the worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum BreakerPhase {
    /// All go through.
    Closed,
    /// A few do, or the next one will, to see how it is.
    HalfOpen,
    /// None does.
    Open,
}

/// Who opened a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OpeningCause {
    /// This core: requests of its own failed.
    Failures,
    /// Another core or node told it.
    Told,
}

/// Ejections that a node's cores have decided on a worker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectionObservation {
    /// By which rule. Of those cores: the one that ejects it for longest.
    pub cause: EjectionCause,
    /// On how many cores.
    pub cores: u32,
    /// For how long it has been, in milliseconds. Of those cores the longest.
    pub since_ms: u64,
    /// For how much longer. Of those cores the longest.
    pub left_ms: u64,
}

/// Why a worker is ejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum EjectionCause {
    /// Answers of 5xx in a row.
    Errors,
    /// Failures of a gateway (502, 503, 504, or no answer) in a row.
    GatewayErrors,
    /// No connection.
    ConnectFailures,
    /// Far fewer good answers than the others give.
    SuccessRate,
}

impl Observation {
    /// Adds what one more core tells.
    pub fn add(&mut self, core: Self) {
        self.cores += core.cores;
        self.cores_silent += core.cores_silent;
        self.cores_asked += core.cores_asked;
        self.cores_in_panic += core.cores_in_panic;
        for told in core.endpoints {
            match self.endpoints.binary_search_by(|known| known.worker.cmp(&told.worker)) {
                Ok(at) => self.endpoints[at].add(&told),
                Err(at) => self.endpoints.insert(at, told),
            }
        }
    }
}

impl EndpointObservation {
    fn add(&mut self, other: &Self) {
        self.in_flight += other.in_flight;
        self.breaker = joined(self.breaker, other.breaker, BreakerObservation::with);
        self.ejection = joined(self.ejection, other.ejection, EjectionObservation::with);
        self.slow_start_percent = joined(self.slow_start_percent, other.slow_start_percent, u8::min);
    }
}

impl BreakerObservation {
    fn with(self, other: Self) -> Self {
        match self.phase.cmp(&other.phase) {
            std::cmp::Ordering::Greater => self,
            std::cmp::Ordering::Less => other,
            std::cmp::Ordering::Equal => Self {
                phase: self.phase,
                cores: self.cores + other.cores,
                since_ms: self.since_ms.max(other.since_ms),
                left_ms: self.left_ms.max(other.left_ms),
                cause: self.cause.min(other.cause),
            },
        }
    }
}

impl EjectionObservation {
    fn with(self, other: Self) -> Self {
        Self {
            cause: if other.left_ms > self.left_ms { other.cause } else { self.cause },
            cores: self.cores + other.cores,
            since_ms: self.since_ms.max(other.since_ms),
            left_ms: self.left_ms.max(other.left_ms),
        }
    }
}

fn joined<T>(one: Option<T>, other: Option<T>, with: impl FnOnce(T, T) -> T) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(with(one, other)),
        (one, other) => one.or(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoint(id: &str) -> EndpointObservation {
        let worker = WorkerId::parse(id).expect("valid");
        EndpointObservation { worker, in_flight: 1, breaker: None, ejection: None, slow_start_percent: None }
    }

    fn core(endpoints: Vec<EndpointObservation>) -> Observation {
        Observation { cores: 1, cores_asked: 1, endpoints, ..Observation::default() }
    }

    fn breaker(phase: BreakerPhase, since_ms: u64, left_ms: u64) -> BreakerObservation {
        BreakerObservation { phase, cores: 1, since_ms, left_ms, cause: OpeningCause::Failures }
    }

    /// One core's closed breaker must not hide another core's open one.
    #[test]
    fn the_worst_of_the_cores_is_shown_and_on_how_many() {
        let told = [
            breaker(BreakerPhase::Open, 5, 10),
            breaker(BreakerPhase::Closed, 900, 0),
            breaker(BreakerPhase::Open, 7, 8),
        ];
        let mut node = Observation::default();
        for breaker in told {
            node.add(core(vec![EndpointObservation { breaker: Some(breaker), ..endpoint("w1") }]));
        }
        node.add(core(vec![endpoint("w0"), endpoint("w2")]));
        assert_eq!((node.cores, node.cores_asked, node.endpoints.len()), (4, 4, 3));
        let shown = &node.endpoints[1];
        let expected = BreakerObservation { cores: 2, ..breaker(BreakerPhase::Open, 7, 10) };
        assert_eq!((shown.worker.as_str(), shown.in_flight, shown.breaker), ("w1", 3, Some(expected)));
    }

    #[test]
    fn the_longest_ejection_gives_the_rule() {
        let ejection = |cause, left_ms| EjectionObservation { cause, cores: 1, since_ms: 3, left_ms };
        let mut node = Observation::default();
        for (cause, left_ms, slow) in [
            (EjectionCause::Errors, 5, None),
            (EjectionCause::ConnectFailures, 9, Some(40)),
            (EjectionCause::SuccessRate, 2, Some(30)),
        ] {
            let ejection = Some(ejection(cause, left_ms));
            let endpoint = EndpointObservation { ejection, slow_start_percent: slow, ..endpoint("w1") };
            node.add(core(vec![endpoint]));
        }
        let expected = EjectionObservation { cores: 3, ..ejection(EjectionCause::ConnectFailures, 9) };
        assert_eq!(node.endpoints[0].ejection, Some(expected));
        assert_eq!(node.endpoints[0].slow_start_percent, Some(30));
    }
}
