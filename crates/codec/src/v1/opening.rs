//! Breakers that opened, as nodes tell each other.

use quorate_model as model;
use quorate_model::{Epoch, Invalid, ServiceName, WorkerId, opening::OPEN_MS_MAX};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Opening {
    service: String,
    worker: String,
    epoch: u64,
    left_ms: u32,
}

impl From<&model::Opening> for Opening {
    fn from(opening: &model::Opening) -> Self {
        let model::Opening { service, worker, epoch, left_ms } = opening;
        Self { service: service.to_string(), worker: worker.to_string(), epoch: epoch.0, left_ms: *left_ms }
    }
}

impl TryFrom<Opening> for model::Opening {
    type Error = Invalid;

    fn try_from(opening: Opening) -> Result<Self, Invalid> {
        let Opening { service, worker, epoch, left_ms } = opening;
        if left_ms > OPEN_MS_MAX {
            let allowed = format!("at most {OPEN_MS_MAX} ms");
            return Err(Invalid::new("left_ms", format!("{left_ms} is too long"), allowed));
        }
        Ok(Self {
            service: ServiceName::parse(&service)?,
            worker: WorkerId::parse(&worker)?,
            epoch: Epoch(epoch),
            left_ms,
        })
    }
}
