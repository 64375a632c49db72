//! What of a request says which worker it belongs to.

use super::Rules;
use quorate_routing::{
    RequestHead,
    balance::{Strategy, key::hash},
    route::key,
};

/// The hash of the key that a service's rules want. `None`: they want none, or the request has none, and chance decides.
pub(crate) fn key_of(rules: &Rules, head: &RequestHead<'_>) -> Option<u64> {
    match rules.balancing?.strategy {
        Strategy::SourceIp => Some(hash(head.source.as_bytes())),
        Strategy::ConsistentHash => key::of(rules.hash_on.as_ref()?, head).map(|value| hash(&value)),
        Strategy::RoundRobin | Strategy::LeastConnections | Strategy::PeakEwma => None,
    }
}
