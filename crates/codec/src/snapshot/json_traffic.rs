//! What came with routes, at the fourth level: sections of their own, which are there only where they say something.

use quorate_model as model;
use quorate_model::{Epoch, Invalid, LogIndex, LogTime, ServiceName, WorkerId};
use serde::{Deserialize, Serialize};

/// An endpoint that health checks have found not well.
#[derive(Serialize, Deserialize)]
pub(super) struct Ailment {
    service: String,
    worker: String,
    incarnation: u64,
    since_ms: u64,
}

/// Where what operators declare changed last.
#[derive(Serialize, Deserialize)]
pub(super) struct Declared {
    changed: u64,
}

impl From<&model::Ailment> for Ailment {
    fn from(ailment: &model::Ailment) -> Self {
        let model::Ailment { service, worker, incarnation, since } = ailment;
        Self {
            service: service.to_string(),
            worker: worker.to_string(),
            incarnation: incarnation.0,
            since_ms: since.0,
        }
    }
}

impl TryFrom<Ailment> for model::Ailment {
    type Error = Invalid;

    fn try_from(ailment: Ailment) -> Result<Self, Invalid> {
        Ok(Self {
            service: ServiceName::parse(&ailment.service)?,
            worker: WorkerId::parse(&ailment.worker)?,
            incarnation: Epoch(ailment.incarnation),
            since: LogTime(ailment.since_ms),
        })
    }
}

impl From<LogIndex> for Declared {
    fn from(changed: LogIndex) -> Self {
        Self { changed: changed.0 }
    }
}

impl From<Declared> for LogIndex {
    fn from(declared: Declared) -> Self {
        Self(declared.changed)
    }
}
