//! Heartbeats and leases, as nodes tell each other.

use quorate_model as model;
use quorate_model::{Epoch, Invalid, WorkerId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    id: String,
    incarnation: Option<u64>,
    sequence: Option<u64>,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum HeartbeatOutcome {
    Ok { epoch: u64 },
    Unknown,
    Displaced,
    Superseded { current: u64 },
    Replayed { last: u64 },
}

#[derive(Serialize, Deserialize)]
pub(crate) struct LeaseInfo {
    id: String,
    epoch: u64,
    incarnation: u64,
    ttl_ms: u64,
    status: Status,
    remaining_ms: u64,
}

#[derive(Serialize, Deserialize)]
pub(crate) enum Status {
    Live,
    Suspect,
    Expired,
    Departed,
}

impl From<&model::Heartbeat> for Heartbeat {
    fn from(beat: &model::Heartbeat) -> Self {
        let model::Heartbeat { id, incarnation, sequence } = beat;
        Self { id: id.to_string(), incarnation: incarnation.map(|e| e.0), sequence: *sequence }
    }
}

impl TryFrom<Heartbeat> for model::Heartbeat {
    type Error = Invalid;

    fn try_from(beat: Heartbeat) -> Result<Self, Invalid> {
        let id = WorkerId::parse(&beat.id)?;
        Ok(Self { id, incarnation: beat.incarnation.map(Epoch), sequence: beat.sequence })
    }
}

impl From<&model::HeartbeatOutcome> for HeartbeatOutcome {
    fn from(outcome: &model::HeartbeatOutcome) -> Self {
        match outcome {
            model::HeartbeatOutcome::Ok { epoch } => Self::Ok { epoch: epoch.0 },
            model::HeartbeatOutcome::Unknown => Self::Unknown,
            model::HeartbeatOutcome::Displaced => Self::Displaced,
            model::HeartbeatOutcome::Superseded { current } => Self::Superseded { current: current.0 },
            model::HeartbeatOutcome::Replayed { last } => Self::Replayed { last: *last },
        }
    }
}

impl From<HeartbeatOutcome> for model::HeartbeatOutcome {
    fn from(outcome: HeartbeatOutcome) -> Self {
        match outcome {
            HeartbeatOutcome::Ok { epoch } => Self::Ok { epoch: Epoch(epoch) },
            HeartbeatOutcome::Unknown => Self::Unknown,
            HeartbeatOutcome::Displaced => Self::Displaced,
            HeartbeatOutcome::Superseded { current } => Self::Superseded { current: Epoch(current) },
            HeartbeatOutcome::Replayed { last } => Self::Replayed { last },
        }
    }
}

impl From<&model::LeaseInfo> for LeaseInfo {
    fn from(lease: &model::LeaseInfo) -> Self {
        let model::LeaseInfo { id, epoch, incarnation, ttl, status, remaining } = lease;
        Self {
            id: id.to_string(),
            epoch: epoch.0,
            incarnation: incarnation.0,
            ttl_ms: ttl.as_ms(),
            status: match status {
                model::Status::Live => Status::Live,
                model::Status::Suspect => Status::Suspect,
                model::Status::Expired => Status::Expired,
                model::Status::Departed => Status::Departed,
            },
            remaining_ms: u64::try_from(remaining.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl TryFrom<LeaseInfo> for model::LeaseInfo {
    type Error = Invalid;

    fn try_from(lease: LeaseInfo) -> Result<Self, Invalid> {
        Ok(Self {
            id: WorkerId::parse(&lease.id)?,
            epoch: Epoch(lease.epoch),
            incarnation: Epoch(lease.incarnation),
            ttl: model::Ttl::new(Duration::from_millis(lease.ttl_ms))?,
            status: match lease.status {
                Status::Live => model::Status::Live,
                Status::Suspect => model::Status::Suspect,
                Status::Expired => model::Status::Expired,
                Status::Departed => model::Status::Departed,
            },
            remaining: Duration::from_millis(lease.remaining_ms),
        })
    }
}
