//! What came with users of the WebSocket gateway, at the seventh level: a section of its own, which is there only where
//! somebody is connected. It comes behind the gateways, which it names.

use quorate_model as model;
use quorate_model::{ConnectionId, Epoch, Invalid, LogTime, UserId};
use serde::{Deserialize, Serialize};
use std::{borrow::Cow, sync::Arc};

#[derive(Serialize, Deserialize)]
pub(super) struct Session<'a> {
    #[serde(borrow)]
    user: Cow<'a, str>,
    gateway: u64,
    connection: Cow<'a, str>,
    epoch: u64,
    since_ms: u64,
}

impl<'a> From<&'a model::Session> for Session<'a> {
    fn from(session: &'a model::Session) -> Self {
        let model::Session { user, gateway, connection, epoch, since } = session;
        Self {
            user: user.as_str().into(),
            gateway: gateway.epoch.0,
            connection: connection.to_string().into(),
            epoch: epoch.0,
            since_ms: since.0,
        }
    }
}

impl Session<'_> {
    /// With its gateway, one of `gateways`.
    pub fn into_model(self, gateways: &[Arc<model::Gateway>]) -> Result<model::Session, Invalid> {
        let gateway = gateways.iter().find(|gateway| gateway.epoch.0 == self.gateway);
        let unknown = || Invalid::new("gateway", format!("is {}", self.gateway), "the epoch of a gateway");
        Ok(model::Session {
            user: UserId::parse(&self.user)?,
            gateway: gateway.ok_or_else(unknown)?.clone(),
            connection: self.connection.parse::<ConnectionId>()?,
            epoch: Epoch(self.epoch),
            since: LogTime(self.since_ms),
        })
    }
}
