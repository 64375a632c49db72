//! How a local workload is, as far as the cluster knows: who is led to it, and whether anybody is there.

use super::shown::Ready;
use crate::timestamp;
use quorate_model::{ObjectId, RoutingKey, StoredObject, TunnelHolder};
use serde_json::{Map, Value, json};

/// What the cluster knows about a local workload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalFacts {
    /// Whether its sandbox is there.
    pub has_sandbox: bool,
    /// By which key requests come to it.
    pub key: Option<RoutingKey>,
    /// The one that gets the requests for its service; `None`: no sandbox, no requests.
    pub chosen: Option<ObjectId>,
    /// Who holds its tunnel.
    pub holder: Option<TunnelHolder>,
}

impl LocalFacts {
    /// What nobody has said.
    pub(super) fn fill(&self, status: &mut Map<String, Value>, stored: &StoredObject) {
        let phase = if self.holder.is_some() { "Connected" } else { "Pending" };
        status.entry("phase").or_insert(phase.into());
        if let Some(key) = &self.key {
            status.entry("routingKey").or_insert(key.as_str().into());
        }
        let mut connection = json!({"tunnelId": stored.id().tunnel().as_str()});
        if let Some(holder) = &self.holder {
            connection["connectedAt"] = timestamp::seconds(holder.since).into();
        }
        status.entry("connection").or_insert(connection);
    }

    /// Where the requests go.
    pub(super) fn ready(&self, stored: &StoredObject) -> Ready {
        let (id, Some(spec)) = (stored.id(), stored.object.spec().as_local()) else {
            return (false, "NoLocalWorkload", "it is none".into());
        };
        let (sandbox, service, tunnel) = (&spec.sandbox, &spec.service, id.tunnel());
        if !self.has_sandbox {
            return (
                false,
                "SandboxNotFound",
                format!("no such sandbox: {sandbox}; no request is led to it"),
            );
        }
        if let Some(chosen) = self.chosen.as_ref().filter(|chosen| *chosen != id) {
            let why =
                format!("{} is of the same service and was made later: it gets the requests", chosen.name);
            return (false, "Replaced", why);
        }
        let Some(key) = &self.key else {
            let why = format!("the sandbox {sandbox} has no routingKey, and no route group leads there");
            return (false, "NoRoutingKey", why);
        };
        let requests = format!("requests with the key {key} for {service}");
        match &self.holder {
            Some(holder) => {
                let why =
                    format!("{requests} go to the tunnel {tunnel}, which hangs on the node {}", holder.node);
                (true, "Connected", why)
            }
            None => {
                let why = format!(
                    "{requests} go where they would go without their key: nobody holds the tunnel {tunnel}"
                );
                (false, "NotConnected", why)
            }
        }
    }
}
