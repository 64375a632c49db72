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
}
