//! Strategies for replies.

use super::{ids, keyspaces};
use proptest::prelude::*;
use quorate_model::{Epoch, LogIndex, Partition, Refusal, Reply, reply::Bounded};

pub fn any_reply() -> impl Strategy<Value = Reply> {
    let bounded = [
        Bounded::Workers,
        Bounded::Keyspaces,
        Bounded::ServicePolicies,
        Bounded::Routes,
        Bounded::RegexRoutes,
        Bounded::RouteBytes,
        Bounded::ConfigObjects,
        Bounded::Sandboxes,
        Bounded::SandboxBytes,
        Bounded::Gateways,
        Bounded::Tunnels,
    ];
    let bounded = prop::sample::select(bounded.to_vec());
    let refusals = prop_oneof![
        ids().prop_map(|id| Refusal::UnknownWorker { id }),
        (ids(), any::<(u64, u64)>()).prop_map(|(id, (current, got))| Refusal::StaleEpoch {
            id,
            current: Epoch(current),
            got: Epoch(got)
        }),
        keyspaces().prop_map(|name| Refusal::UnknownKeyspace { name }),
        (keyspaces(), any::<(i32, u32)>()).prop_map(|(keyspace, (partition, count))| {
            Refusal::PartitionOutOfRange { keyspace, partition: Partition(partition), count }
        }),
        keyspaces().prop_map(|name| Refusal::PartitionCountUnknown { name }),
        any::<(u64, u64)>().prop_map(|(current, wanted)| Refusal::PreconditionFailed {
            current: LogIndex(current),
            wanted: LogIndex(wanted)
        }),
        (bounded, any::<u64>()).prop_map(|(what, max)| Refusal::Full { what, max }),
        any::<u64>().prop_map(|policies| Refusal::HasPolicies { policies }),
        any::<u64>().prop_map(|routes| Refusal::HasRoutes { routes }),
        any::<(u64, u64, u64)>().prop_map(|(wanted, from, until)| Refusal::NotInHistory {
            wanted: LogIndex(wanted),
            from: LogIndex(from),
            until: LogIndex(until),
        }),
        any::<u64>().prop_map(|sandboxes| Refusal::HasSandboxes { sandboxes }),
        super::sandboxes::any_key().prop_map(|key| Refusal::UnknownSandbox { key }),
        super::objects::any_refusal(),
        Just(Refusal::UnknownRoute { name: super::traffic::route_name("r") }),
        Just(Refusal::UnknownService { name: super::services::service("chat") }),
        any::<u64>().prop_map(|epoch| Refusal::GatewayEnded { epoch: Epoch(epoch) }),
        prop::sample::select(super::ramps::refusals().to_vec()),
        Just(Refusal::AlreadyFormed),
        Just(Refusal::Forgotten),
    ];
    prop_oneof![
        Just(Reply::Done),
        Just(Reply::Unchanged),
        any::<u64>().prop_map(|epoch| Reply::Registered { epoch: Epoch(epoch) }),
        refusals.prop_map(Reply::Refused),
        super::sessions::any_reply(),
    ]
}

/// What a bound is called that was reached.
pub fn full_name(what: Bounded) -> &'static str {
    match what {
        Bounded::Workers => "full-workers",
        Bounded::Keyspaces => "full-keyspaces",
        Bounded::ServicePolicies => "full-service-policies",
        Bounded::Routes => "full-routes",
        Bounded::RegexRoutes => "full-regex-routes",
        Bounded::RouteBytes => "full-route-bytes",
        Bounded::ConfigObjects => "full-config-objects",
        Bounded::Sandboxes => "full-sandboxes",
        Bounded::SandboxBytes => "full-sandbox-bytes",
        Bounded::Gateways => "full-gateways",
        Bounded::Tunnels => "full-tunnels",
    }
}
