//! The data plane's counters: one set per core, summed when they are rendered.
//!
//! Two cores that count in one cache line pass it back and forth for every request; so each core has its own
//! lines, and the reader, who comes every few seconds, does the adding.

use crate::{
    calls::{CallCounters, Calls},
    label::{
        BreakerChange, Ejection, HoldEnd, KeyUse, Label, Mirrored, Outcome, RetryRefusal, RoutingError,
        StatusClass, UpstreamUse,
    },
    paths::Paths,
    service::{Names, ServiceCounters, Services},
    sheet::Sheet,
};
use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

/// The counters of one core. Aligned to two cache lines, since processors fetch them in pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct CoreCounters {
    pub(crate) requests: [AtomicU64; Outcome::COUNT],
    pub(crate) upstream: [AtomicU64; UpstreamUse::COUNT],
    pub(crate) retries: AtomicU64,
    pub(crate) cut: AtomicU64,
    pub(crate) paths: Paths,
    accepted: AtomicU64,
    closed: AtomicU64,
    tunnels_opened: AtomicU64,
    tunnels_closed: AtomicU64,
    pub(crate) failovers: AtomicU64,
    holds: AtomicU64,
    holds_ended: [AtomicU64; HoldEnd::COUNT],
    breakers: [AtomicU64; BreakerChange::COUNT],
    ejections: [AtomicU64; Ejection::COUNT],
    retries_refused: [AtomicU64; RetryRefusal::COUNT],
    mirrored: [AtomicU64; Mirrored::COUNT],
    keys: [AtomicU64; KeyUse::COUNT],
    services: Services,
    calls: Calls,
}

impl CoreCounters {
    /// A client connected.
    pub fn client_connected(&self) {
        add(&self.accepted);
    }

    /// A client's connection ended.
    pub fn client_gone(&self) {
        add(&self.closed);
    }

    /// An upgraded connection became a tunnel.
    pub fn tunnel_opened(&self) {
        add(&self.tunnels_opened);
    }

    /// A tunnel ended.
    pub fn tunnel_closed(&self) {
        add(&self.tunnels_closed);
    }

    /// A request got an upstream connection, or failed to.
    pub fn upstream(&self, how: UpstreamUse) {
        add(&self.upstream[how.position()]);
    }

    /// A request is tried once more.
    pub fn retried(&self) {
        add(&self.retries);
    }

    /// A request that had failed is not tried again.
    pub fn retry_refused(&self, why: RetryRefusal) {
        add(&self.retries_refused[why.position()]);
    }

    /// A circuit breaker changed its state.
    pub fn breaker(&self, change: BreakerChange) {
        add(&self.breakers[change.position()]);
    }

    /// A worker of a service was ejected.
    pub fn ejected(&self, why: Ejection) {
        add(&self.ejections[why.position()]);
    }

    /// What became of a copy.
    pub fn mirrored(&self, how: Mirrored) {
        add(&self.mirrored[how.position()]);
    }

    /// Where a routing key led a request.
    pub fn key(&self, how: KeyUse) {
        add(&self.keys[how.position()]);
    }

    /// How many of them.
    pub fn keys(&self, how: KeyUse) -> u64 {
        self.keys[how.position()].load(Ordering::Relaxed)
    }

    /// A request begins to wait for a next owner.
    pub fn hold_began(&self) {
        add(&self.holds);
    }

    /// It waits no more; or it did not begin to ([`HoldEnd::TurnedAway`]).
    pub fn hold_ended(&self, how: HoldEnd) {
        add(&self.holds_ended[how.position()]);
    }

    /// The counters of one service. Ask once and keep them.
    pub fn service(&self, name: &str) -> Arc<ServiceCounters> {
        self.services.of(name)
    }

    /// The counters of the calls of one method, which must be bounded: one that a route names, or a template's name.
    pub fn calls(&self, method: &str) -> Arc<CallCounters> {
        self.calls.of(method)
    }

    /// How many requests ended in `outcome`, for tests and for `status`.
    pub fn requests(&self, outcome: Outcome) -> u64 {
        self.requests[outcome.position()].load(Ordering::Relaxed)
    }

    /// How many upstream connections were `how`.
    pub fn upstreams(&self, how: UpstreamUse) -> u64 {
        self.upstream[how.position()].load(Ordering::Relaxed)
    }
}

pub(crate) fn add(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// All cores of a node.
#[derive(Debug, Default)]
pub(crate) struct Cores {
    list: Mutex<Vec<Arc<CoreCounters>>>,
    /// The services that have series of their own.
    services: Arc<Names>,
    /// The same of methods of gRPC.
    methods: Arc<Names>,
}

impl Cores {
    pub(crate) fn add(&self) -> Arc<CoreCounters> {
        let services = Services::new(self.services.clone());
        let calls = Calls::new(self.methods.clone());
        let core = Arc::new(CoreCounters { services, calls, ..CoreCounters::default() });
        self.list().push(core.clone());
        core
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<CoreCounters>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Cores {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let cores = self.list();
        let sum = |of: &dyn Fn(&CoreCounters) -> &AtomicU64| -> u64 {
            cores.iter().map(|core| of(core).load(Ordering::Relaxed)).sum()
        };
        // Two counters instead of one that goes down: a gauge that two tasks change would need more than an add.
        let open = |opened: u64, closed: u64| opened.saturating_sub(closed);
        let mut sheet = Sheet(encoder);
        sheet.counters::<Outcome>("quorate_proxy_requests", "Requests on the routing listener", |l| {
            sum(&|c| &c.requests[l.position()])
        })?;
        sheet.counters::<StatusClass>("quorate_proxy_responses", "Answers on the routing listener", |l| {
            cores.iter().map(|core| core.paths.of_class(l)).sum()
        })?;
        sheet.counter(
            "quorate_proxy_retries",
            "Further attempts within one request",
            sum(&|c| &c.retries),
        )?;
        sheet.counter(
            "quorate_proxy_answers_cut",
            "Answers whose body broke off after their head was sent",
            sum(&|c| &c.cut),
        )?;
        sheet.counters::<UpstreamUse>(
            "quorate_proxy_upstream_connections",
            "Connections to workers, by how a request came by them",
            |l| sum(&|c| &c.upstream[l.position()]),
        )?;
        self.encode_services(&mut sheet, &cores)?;
        Self::encode_resilience(&mut sheet, &cores)?;
        let accepted = sum(&|c| &c.accepted);
        sheet.counter("quorate_proxy_connections", "Client connections accepted", accepted)?;
        let closed = sum(&|c| &c.closed);
        sheet.gauge(
            "quorate_proxy_connections_open",
            "Client connections now open",
            open(accepted, closed),
        )?;
        let tunnels = sum(&|c| &c.tunnels_opened);
        sheet.counter("quorate_proxy_tunnels", "Upgraded connections", tunnels)?;
        let ended = sum(&|c| &c.tunnels_closed);
        sheet.gauge("quorate_proxy_tunnels_open", "Upgraded connections now open", open(tunnels, ended))?;
        sheet.durations(
            "quorate_proxy_request_duration_seconds",
            "From a request's head to the head of its answer",
            cores.iter().flat_map(|core| core.paths.durations()),
        )?;
        Self::encode_original(&mut sheet, &cores)
    }
}

impl Cores {
    /// By the names of the sandbox proxy.
    fn encode_original(sheet: &mut Sheet<'_>, cores: &[Arc<CoreCounters>]) -> fmt::Result {
        Paths::encode(cores.iter().map(|core| &core.paths), sheet)?;
        sheet.counters::<RoutingError>(
            "proxy_routing_errors",
            "Requests that got no answer of whoever they were for, by why",
            |l| cores.iter().map(|core| core.requests(l.outcome())).sum(),
        )?;
        Calls::encode(cores.iter().map(|core| &core.calls), sheet)
    }

    /// What is about workers that fail.
    fn encode_resilience(sheet: &mut Sheet<'_>, cores: &[Arc<CoreCounters>]) -> fmt::Result {
        let sum = |of: &dyn Fn(&CoreCounters) -> &AtomicU64| -> u64 {
            cores.iter().map(|core| of(core).load(Ordering::Relaxed)).sum()
        };
        sheet.counters::<RetryRefusal>(
            "quorate_proxy_retries_refused",
            "Requests that failed and were not tried again, by why",
            |l| sum(&|c| &c.retries_refused[l.position()]),
        )?;
        sheet.counters::<Mirrored>(
            "quorate_proxy_mirrored",
            "Copies of requests for somebody who shall see them too, by what became of them",
            |l| sum(&|c| &c.mirrored[l.position()]),
        )?;
        sheet.counters::<KeyUse>(
            "quorate_proxy_routing_keys",
            "Routing keys of requests, by where they led",
            |l| sum(&|c| &c.keys[l.position()]),
        )?;
        sheet.counters::<BreakerChange>(
            "quorate_proxy_breaker_changes",
            "Changes of circuit breakers; each core has its own",
            |l| sum(&|c| &c.breakers[l.position()]),
        )?;
        sheet.counters::<Ejection>(
            "quorate_proxy_ejections",
            "Workers that a core gave no requests for a while, by why",
            |l| sum(&|c| &c.ejections[l.position()]),
        )
    }

    /// What is about services and about waiting.
    fn encode_services(&self, sheet: &mut Sheet<'_>, cores: &[Arc<CoreCounters>]) -> fmt::Result {
        let sum = |of: &dyn Fn(&CoreCounters) -> &AtomicU64| -> u64 {
            cores.iter().map(|core| of(core).load(Ordering::Relaxed)).sum()
        };
        sheet.counter(
            "quorate_proxy_failovers",
            "Requests for a service that went on to another worker after one had failed",
            sum(&|c| &c.failovers),
        )?;
        sheet.counters::<HoldEnd>(
            "quorate_proxy_holds",
            "Requests that waited for a next owner, by how it ended",
            |l| sum(&|c| &c.holds_ended[l.position()]),
        )?;
        let ended = |end: HoldEnd| sum(&|c| &c.holds_ended[end.position()]);
        let ended = ended(HoldEnd::Served) + ended(HoldEnd::InVain) + ended(HoldEnd::Abandoned);
        sheet.gauge(
            "quorate_proxy_holds_open",
            "Requests that wait for a next owner now",
            sum(&|c| &c.holds).saturating_sub(ended),
        )?;
        Services::encode(cores.iter().map(|core| &core.services), sheet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cores_share_no_cache_line() {
        assert_eq!(align_of::<CoreCounters>() % 128, 0);
        assert_eq!(size_of::<CoreCounters>() % 128, 0);
    }
}
