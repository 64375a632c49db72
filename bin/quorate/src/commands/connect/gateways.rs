//! Which gateways are dialled: as they were named, else as the nodes of a cluster tell.

use crate::{args::ConnectArgs, failure::Failure};
use futures_util::future::join_all;
use quorate_client::{Operator, Url, operator::Cluster, socket};
use std::time::Duration;

/// Where a node on this machine has its gateway, unless it was told otherwise.
const DEFAULT: &str = "ws://127.0.0.1:8082/ws";
/// A node that does not tell by then where its gateway is stays out.
const TOLD_WITHIN: Duration = Duration::from_secs(2);

/// Where the gateways are to be had from.
pub enum Nodes {
    /// These are they.
    Named(Vec<Url>),
    /// Management addresses of nodes, which know.
    Asked(Vec<Url>),
}

impl Nodes {
    pub fn of(args: &ConnectArgs) -> Result<Self, Failure> {
        if let (None, Some(server)) = (&args.gateway, &args.server) {
            let nodes = quorate_client::routers(server);
            let nodes = nodes.map_err(|e| Failure::Usage(format!("--server (or QUORATE_SERVER): {e}")))?;
            return Ok(Self::Asked(nodes));
        }
        let gateways = socket::gateways(args.gateway.as_deref().unwrap_or(DEFAULT));
        gateways.map(Self::Named).map_err(|e| Failure::Usage(format!("--gateway (or QUORATE_GATEWAYS): {e}")))
    }

    /// The first that answers is asked who else there is; each knows its own gateway alone.
    pub async fn gateways(self) -> Result<Vec<Url>, Failure> {
        let asked = match self {
            Self::Named(gateways) => return Ok(gateways),
            Self::Asked(nodes) => nodes,
        };
        let first = Operator::new(asked, None)?.cluster().await?.value;
        let others = first.nodes.iter().filter(|node| node.name != first.node);
        let others = others.filter_map(|node| node.management.as_deref()).map(told_by);
        let told: Vec<_> =
            [first.gateway.clone()].into_iter().chain(join_all(others).await).flatten().collect();
        // One that can't be read is of a newer version than this program.
        let gateways: Vec<_> = told.iter().filter_map(|one| socket::gateways(one).ok()).flatten().collect();
        if gateways.is_empty() { Err(none(&first)) } else { Ok(gateways) }
    }
}

async fn told_by(management: &str) -> Option<String> {
    let nodes = quorate_client::routers(&format!("http://{management}")).ok()?;
    let operator = Operator::new(nodes, None).ok()?;
    let told = tokio::time::timeout(TOLD_WITHIN, operator.cluster()).await;
    told.ok()?.ok()?.value.gateway
}

fn none(cluster: &Cluster) -> Failure {
    Failure::Failed(format!(
        "{} has no WebSocket gateway, and no other node tells of one: name them by --gateway",
        cluster.node
    ))
}
