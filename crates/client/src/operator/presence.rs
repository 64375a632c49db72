//! Users of the WebSocket gateway: which node each is connected to.

use super::{Operator, Told, named};
use crate::Error;
use reqwest::Method;
use serde::Deserialize;

/// A session: one registered connection of a user. An item of `GET /v1/presence`.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
pub struct SessionRecord {
    /// Whose.
    pub user: String,
    /// The node that it hangs on.
    pub node: String,
    /// Which connection of that node.
    pub connection: String,
    /// Its fencing token.
    pub epoch: u64,
    /// Since when.
    pub since: String,
}

/// `GET /v1/presence/{user}`.
#[derive(Clone, Debug, Deserialize)]
pub struct PresenceRecord {
    /// The user's sessions, the newest first.
    pub sessions: Vec<SessionRecord>,
}

impl Operator {
    /// All of `GET /v1/presence`; with `gateway` those that hang on the node of this name.
    pub async fn presence(&self, gateway: Option<&str>) -> Result<Told<Vec<SessionRecord>>, Error> {
        let query: Vec<_> = gateway.map(|node| ("gateway", node)).into_iter().collect();
        self.list_by(&["v1", "presence"], &query).await
    }

    /// `GET /v1/presence/{user}`.
    pub async fn user(&self, user: &str) -> Result<Told<PresenceRecord>, Error> {
        self.one(Method::GET, &["v1", "presence", named("user", user)?], None).await
    }
}
