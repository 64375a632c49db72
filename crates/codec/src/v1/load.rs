//! What workers say about their load, as nodes tell each other.

use quorate_model as model;
use quorate_model::{Invalid, Milli, ServiceName, WorkerId};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
pub(crate) struct LoadReport {
    id: String,
    ago_ms: u64,
    load: u16,
    active: u32,
    gpu: u16,
    models: Vec<String>,
    specialization: Option<String>,
    memory: Option<String>,
    unwell: Option<String>,
    unhealthy: Vec<String>,
}

impl From<&model::LoadReport> for LoadReport {
    fn from(report: &model::LoadReport) -> Self {
        let model::LoadReport { id, ago_ms, load } = report;
        let model::Load { load, active, gpu, models, specialization, memory, unwell, unhealthy } = &**load;
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        Self {
            id: id.to_string(),
            ago_ms: *ago_ms,
            load: load.get(),
            active: *active,
            gpu: gpu.get(),
            models: models.iter().map(ToString::to_string).collect(),
            specialization: text(specialization),
            memory: text(memory),
            unwell: text(unwell),
            unhealthy: unhealthy.iter().map(ToString::to_string).collect(),
        }
    }
}

impl TryFrom<LoadReport> for model::LoadReport {
    type Error = Invalid;

    fn try_from(report: LoadReport) -> Result<Self, Invalid> {
        let unhealthy =
            report.unhealthy.iter().map(|name| ServiceName::parse(name)).collect::<Result<_, _>>()?;
        let load = model::Load {
            load: Milli::new(report.load),
            active: report.active,
            gpu: Milli::new(report.gpu),
            models: report.models.into_iter().map(Into::into).collect(),
            specialization: report.specialization.map(Into::into),
            memory: report.memory.map(Into::into),
            unwell: report.unwell.map(Into::into),
            unhealthy,
        };
        let first = |wrong: Vec<Invalid>| wrong.into_iter().next();
        let load = match load.validate() {
            Ok(load) => Arc::new(load),
            Err(wrong) => return Err(first(wrong).expect("whoever refuses says why")),
        };
        Ok(Self { id: WorkerId::parse(&report.id)?, ago_ms: report.ago_ms, load })
    }
}
