//! What nodes ask each other about a worker: what is under way there, whether it can be reached, and that it is down.

use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct InFlightAsked {
    pub(crate) worker: String,
    pub(crate) index: u64,
    pub(crate) within_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct InFlight {
    pub(crate) applied: u64,
    pub(crate) count: Option<u64>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LookAsked {
    pub(crate) worker: String,
    pub(crate) epoch: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Found {
    Connected(String),
    Unconnected(String),
    Unknown(String),
}

#[derive(Serialize, Deserialize)]
pub(crate) struct Down {
    pub(crate) worker: String,
    pub(crate) epoch: u64,
    pub(crate) looked_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Believed {
    Ended,
    Heard,
    Expired,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct ProbeAsked {
    pub(crate) service: String,
    pub(crate) worker: String,
    pub(crate) incarnation: u64,
}
