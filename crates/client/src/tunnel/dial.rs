//! Asking a node for a tunnel's connection.

use super::{NODES_MAX, Tunnel};
use crate::{
    Error, Operator, Problem, Url,
    nodes::{Trouble, causes, read_bounded},
    tasks, upgrading,
};
use quorate_api::tunnel::{EPOCH, PROTOCOL, VERSION, VERSION_HEADER};
use reqwest::{Client, Upgraded};
use std::time::Duration;

/// A node answers by then: an opening waits for the cluster to agree.
const OPENED_WITHIN: Duration = Duration::from_secs(8);
/// Whoever is asked for the other nodes has so long.
const LEARNT_WITHIN: Duration = Duration::from_secs(5);

/// Dials nodes.
pub(super) struct Dialler {
    client: Client,
    name: String,
    token: Option<String>,
}

/// A connection that is a tunnel's.
pub(super) struct Dialled {
    pub socket: Upgraded,
    pub epoch: u64,
}

/// Why there is none.
pub(super) enum NotDialled {
    /// Another node, or the same one later, may take it.
    Now(String),
    /// Nobody will.
    Never(Error),
}

impl Dialler {
    pub fn new(tunnel: &Tunnel) -> Result<Self, Error> {
        Ok(Self {
            client: upgrading::client(&tunnel.nodes)?,
            name: tunnel.name.clone(),
            token: tunnel.token.clone(),
        })
    }

    pub async fn dial(&self, node: &Url) -> Result<Dialled, NotDialled> {
        let late = || NotDialled::Now(format!("no answer within {OPENED_WITHIN:?}"));
        tasks::within(OPENED_WITHIN, self.ask(node)).await.ok_or_else(late)?
    }

    async fn ask(&self, node: &Url) -> Result<Dialled, NotDialled> {
        let now = |error: reqwest::Error| NotDialled::Now(causes(&error));
        let mut url = node.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v1", "tunnels", &self.name]);
        }
        let mut request = self
            .client
            .post(url)
            .header("connection", "Upgrade")
            .header("upgrade", PROTOCOL)
            .header(VERSION_HEADER, VERSION);
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        let mut response = request.send().await.map_err(now)?;
        let status = response.status().as_u16();
        if status != 101 {
            let body = read_bounded(&mut response).await.unwrap_or_else(|_: Trouble| Vec::new());
            return Err(refused(Problem::read(status, &body)));
        }
        let epoch = response.headers().get(EPOCH).and_then(|epoch| epoch.to_str().ok()?.parse().ok());
        let socket = response.upgrade().await.map_err(now)?;
        Ok(Dialled { socket, epoch: epoch.unwrap_or_default() })
    }

    /// The other nodes of the cluster, as this one names them.
    pub async fn learn(&self, node: &Url) -> Option<Vec<Url>> {
        let operator = Operator::new(vec![node.clone()], self.token.clone()).ok()?;
        let cluster = tasks::within(LEARNT_WITHIN, operator.cluster()).await?.ok()?.value;
        let addresses = cluster.nodes.into_iter().filter_map(|node| node.management);
        let urls = addresses.filter(|address| !address.is_empty()).take(NODES_MAX);
        Some(urls.filter_map(|address| Url::parse(&format!("{}://{address}", node.scheme())).ok()).collect())
    }
}

/// Whether asking again, or another one, may help.
fn refused(problem: Problem) -> NotDialled {
    match problem.status {
        // An older version, or a router's neighbour, may stand beside one that can.
        300..=399 | 404 | 409 | 429 | 500..=599 => NotDialled::Now(problem.to_string()),
        _ => NotDialled::Never(Error::Refused(problem)),
    }
}
