//! What a Kubernetes Service and the kubelets do: know which nodes are ready, and send each connection to one of
//! those. Nobody tells it that a node is about to stop; it finds out by asking.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::clock::sleep;
use super::http::{self, Request};

const ROUTING_PORT: u16 = 8080;
const MANAGEMENT_PORT: u16 = 9090;
const PROBE_EVERY: Duration = Duration::from_secs(1);
const PROBE_LIMIT: Duration = Duration::from_secs(3);
/// Silence has to last for so many probes; a refusal counts at once.
const SILENT_PROBES_MAX: u32 = 2;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub node: String,
    pub ip: IpAddr,
}

impl Endpoint {
    pub fn routing(&self) -> SocketAddr {
        SocketAddr::new(self.ip, ROUTING_PORT)
    }

    pub fn management(&self) -> SocketAddr {
        SocketAddr::new(self.ip, MANAGEMENT_PORT)
    }
}

struct State {
    ip: IpAddr,
    ready: bool,
    silent: u32,
}

/// The nodes that there are, and which of them are ready.
#[derive(Default)]
pub struct Service {
    nodes: Mutex<BTreeMap<String, State>>,
    turn: AtomicUsize,
}

impl Service {
    fn nodes(&self) -> MutexGuard<'_, BTreeMap<String, State>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A node runs at this address now; it is not ready until it says so.
    pub fn place(&self, node: &str, ip: IpAddr) {
        self.nodes().insert(node.to_owned(), State { ip, ready: false, silent: 0 });
    }

    /// A node is gone, with its address.
    pub fn forget(&self, node: &str) {
        self.nodes().remove(node);
    }

    /// Where a node is.
    pub fn endpoint(&self, node: &str) -> Option<Endpoint> {
        self.nodes().get(node).map(|state| Endpoint { node: node.to_owned(), ip: state.ip })
    }

    /// All nodes, ready or not.
    pub fn all(&self) -> Vec<Endpoint> {
        self.nodes().iter().map(|(node, state)| Endpoint { node: node.clone(), ip: state.ip }).collect()
    }

    /// Those that are ready.
    pub fn ready(&self) -> Vec<Endpoint> {
        let nodes = self.nodes();
        let ready = nodes.iter().filter(|(_, state)| state.ready);
        ready.map(|(node, state)| Endpoint { node: node.clone(), ip: state.ip }).collect()
    }

    pub fn is_ready(&self, endpoint: &Endpoint) -> bool {
        self.nodes().get(&endpoint.node).is_some_and(|state| state.ready && state.ip == endpoint.ip)
    }

    /// The next ready node in turn.
    pub fn pick(&self) -> Option<Endpoint> {
        let mut ready = self.ready();
        if ready.is_empty() {
            return None;
        }
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % ready.len();
        Some(ready.swap_remove(turn))
    }

    /// Asks one node for its readiness until `ended`.
    pub fn probe(&self, node: &str, ended: &dyn Fn() -> bool) {
        while !ended() {
            if let Some(endpoint) = self.endpoint(node) {
                self.note(&endpoint, &ready(&endpoint));
            }
            sleep(PROBE_EVERY);
        }
    }

    fn note(&self, endpoint: &Endpoint, verdict: &Verdict) {
        let mut nodes = self.nodes();
        let state = nodes.get_mut(&endpoint.node).filter(|state| state.ip == endpoint.ip);
        // It may have moved while it was asked.
        let Some(state) = state else { return };
        (state.ready, state.silent) = match verdict {
            Verdict::Ready => (true, 0),
            Verdict::NotReady => (false, 0),
            Verdict::Silent => (state.ready && state.silent + 1 < SILENT_PROBES_MAX, state.silent + 1),
        };
    }
}

enum Verdict {
    Ready,
    NotReady,
    Silent,
}

fn ready(endpoint: &Endpoint) -> Verdict {
    match http::ask(endpoint.management(), &Request::get("/readyz"), PROBE_LIMIT) {
        Ok(answer) if answer.status == 200 => Verdict::Ready,
        Ok(_) => Verdict::NotReady,
        Err(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => Verdict::NotReady,
        Err(_) => Verdict::Silent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn ip(last: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, last).into()
    }

    #[test]
    fn only_ready_nodes_get_requests_in_turn() {
        let service = Service::default();
        for (node, last) in [("n1", 1), ("n2", 2), ("n3", 3)] {
            service.place(node, ip(last));
        }
        assert_eq!(service.pick(), None);
        for node in ["n1", "n3"] {
            service.note(&service.endpoint(node).expect("placed"), &Verdict::Ready);
        }
        let picked: Vec<_> = (0..4).filter_map(|_| service.pick()).map(|e| e.node).collect();
        assert_eq!(picked, ["n1", "n3", "n1", "n3"]);
    }

    #[test]
    fn a_refusal_counts_at_once_and_silence_the_second_time() {
        let service = Service::default();
        service.place("n1", ip(1));
        let n1 = service.endpoint("n1").expect("placed");
        for (verdict, ready) in [
            (Verdict::Ready, true),
            (Verdict::Silent, true),
            (Verdict::Silent, false),
            (Verdict::Ready, true),
            (Verdict::NotReady, false),
        ] {
            service.note(&n1, &verdict);
            assert_eq!(service.is_ready(&n1), ready);
        }
    }

    #[test]
    fn what_was_heard_at_an_earlier_address_says_nothing_of_the_new_one() {
        let service = Service::default();
        service.place("n1", ip(1));
        let before = service.endpoint("n1").expect("placed");
        service.place("n1", ip(9));
        service.note(&before, &Verdict::Ready);
        assert_eq!(service.pick(), None);
    }
}
