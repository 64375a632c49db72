//! What the sessions of one gateway share.

use crate::{
    backplane::Backplane, cluster::Presence, delivery::Courier, drain::Drain, extension::shared::Shared,
    hall::Hall, settings::Settings, token::Verifier,
};
use quorate_model::NodeName;
use quorate_telemetry::gateway::GatewayCounters;
use std::sync::Arc;

/// Shared by all sessions.
pub struct Desk {
    /// This gateway.
    pub node: NodeName,
    /// What the operator has decided.
    pub settings: Settings,
    /// Set: whoever connects must prove who they are.
    pub verifier: Option<Verifier>,
    /// Who is where.
    pub presence: Arc<dyn Presence>,
    /// Who is here.
    pub hall: Arc<Hall>,
    /// By what other gateways are asked.
    pub(crate) backplane: Arc<dyn Backplane>,
    /// The other nodes of the cluster, now.
    pub(crate) others: Arc<dyn Fn() -> Vec<NodeName> + Send + Sync>,
    /// What those of `quorate.v1` share beside.
    pub(crate) extension: Arc<Shared>,
    /// Brings what they say.
    pub courier: Courier,
    /// What is counted.
    pub counters: Arc<GatewayCounters>,
    /// Whether the node is about to end.
    pub drain: Drain,
}
