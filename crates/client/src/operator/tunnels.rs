//! Tunnels: which node holds which.

use super::{Operator, Told, named};
use crate::Error;
use reqwest::Method;
use serde::Deserialize;

/// `GET /v1/tunnels/{name}`, an item of `GET /v1/tunnels`.
#[derive(Clone, Debug, Deserialize)]
pub struct TunnelRecord {
    /// What it is called.
    pub name: String,
    /// The node that it hangs on.
    pub node: String,
    /// Its fencing token.
    pub epoch: u64,
    /// Since when.
    pub since: String,
}

impl Operator {
    /// All of `GET /v1/tunnels`.
    pub async fn tunnels(&self) -> Result<Told<Vec<TunnelRecord>>, Error> {
        self.list(&["v1", "tunnels"]).await
    }

    /// `GET /v1/tunnels/{name}`.
    pub async fn tunnel(&self, name: &str) -> Result<Told<TunnelRecord>, Error> {
        self.one(Method::GET, &["v1", "tunnels", named("tunnel", name)?], None).await
    }

    /// The same as the leader knows it; `None`: nobody holds it.
    pub async fn standing_tunnel(&self, name: &str) -> Result<Option<TunnelRecord>, Error> {
        match self.get(&["v1", "tunnels", named("tunnel", name)?], &[("consistent", "true")]).await {
            Ok(told) => Ok(Some(told.value)),
            Err(Error::Refused(problem)) if problem.code == "tunnel_unknown" => Ok(None),
            Err(error) => Err(error),
        }
    }
}
