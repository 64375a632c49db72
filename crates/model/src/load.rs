//! What a worker says about itself between log entries: how busy it is, what it has at hand, what of it is ill.
//!
//! Soft state. It comes with every heartbeat, so it must never be in the log: a thousand workers would write all day.
//! Each node keeps what it heard and tells the others; what is not repeated in time is forgotten. Nothing here
//! decides whether a worker is alive, only which of several live ones is the better choice.

use crate::{
    limit,
    name::{Invalid, ServiceName, WorkerId, excerpt},
};
use std::{fmt, sync::Arc};

/// A share in thousandths, 0 to 1000. No float, so that equal words are equal values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Milli(u16);

impl Milli {
    /// All of it.
    pub const ONE: Self = Self(1_000);

    /// Of thousandths; more than all of it is all of it.
    pub fn new(thousandths: u16) -> Self {
        Self(thousandths.min(Self::ONE.0))
    }

    /// Of a share. What is beyond 0 to 1, as a load average can be, counts as the nearer end.
    pub fn of(share: f64) -> Self {
        let thousandths = (share.clamp(0.0, 1.0) * 1_000.0).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "0 to 1000, or NaN, which becomes 0"
        )]
        let thousandths = thousandths as u16;
        Self(thousandths)
    }

    /// In thousandths.
    pub fn get(self) -> u16 {
        self.0
    }

    /// As a share, 0 to 1.
    pub fn share(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }
}

impl fmt::Display for Milli {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.share(), f)
    }
}

/// One worker's last word about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// How busy it is.
    pub load: Milli,
    /// Requests that it says it is working on.
    pub active: u32,
    /// How busy its GPU is.
    pub gpu: Milli,
    /// Models that it has in memory: sorted, unique, at most [`limit::MODELS_PER_WORKER_MAX`].
    pub models: Vec<Box<str>>,
    /// What it is best at; a service or a model, by name.
    pub specialization: Option<Box<str>>,
    /// Free memory in its own words, such as `12.3GB`.
    pub memory: Option<Box<str>>,
    /// The word that it used for its state where that was not `healthy`: no request is for it then.
    pub unwell: Option<Box<str>>,
    /// Services of it that it calls other than healthy: sorted, unique.
    pub unhealthy: Vec<ServiceName>,
}

impl Load {
    /// Whether it says that it can take requests for `service`.
    pub fn takes(&self, service: &str) -> bool {
        self.unwell.is_none() && self.unhealthy.binary_search_by(|name| name.as_str().cmp(service)).is_err()
    }

    /// Whether it has `model` in memory.
    pub fn has_model(&self, model: &str) -> bool {
        self.models.binary_search_by(|name| (**name).cmp(model)).is_ok()
    }

    /// Sorts what is sorted, and checks the bounds.
    pub fn validate(mut self) -> Result<Self, Vec<Invalid>> {
        let mut wrong = Vec::new();
        self.models.sort_unstable();
        self.models.dedup();
        self.unhealthy.sort_unstable();
        self.unhealthy.dedup();
        let mut at_most = |field: &str, count: usize, max: usize| {
            if count > max {
                wrong.push(Invalid::new(field, format!("has {count} items"), format!("at most {max}")));
            }
        };
        at_most("loaded_models", self.models.len(), limit::MODELS_PER_WORKER_MAX);
        at_most("services_status", self.unhealthy.len(), limit::SERVICES_PER_WORKER_MAX);
        let texts = self.models.iter().map(|model| ("loaded_models", model));
        let texts = texts.chain(self.specialization.iter().map(|text| ("specialization", text)));
        let texts = texts.chain(self.memory.iter().map(|text| ("available_memory", text)));
        for (field, text) in texts.chain(self.unwell.iter().map(|text| ("status", text))) {
            if text.len() > limit::LABEL_BYTES_MAX || text.chars().any(char::is_control) {
                let allowed = format!("at most {} bytes of printable text", limit::LABEL_BYTES_MAX);
                let problem = format!("{} is too long or not printable", excerpt(text));
                wrong.push(Invalid::new(field, problem, allowed));
            }
        }
        if wrong.is_empty() { Ok(self) } else { Err(wrong) }
    }
}

/// A worker's word about itself, as nodes tell each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LoadReport {
    /// Who.
    pub id: WorkerId,
    /// How long ago it said so, in milliseconds: clocks differ, spans hardly.
    pub ago_ms: u64,
    /// What.
    pub load: Arc<Load>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(name: &str) -> ServiceName {
        ServiceName::parse(name).expect("valid")
    }

    #[test]
    fn a_share_stays_between_nothing_and_all() {
        for (share, thousandths) in
            [(0.0, 0), (0.3, 300), (0.4567, 457), (1.0, 1_000), (1.7, 1_000), (-2.0, 0), (f64::NAN, 0)]
        {
            assert_eq!(Milli::of(share).get(), thousandths, "{share}");
        }
        assert_eq!(Milli::new(2_000), Milli::ONE);
        assert_eq!(Milli::of(0.3).to_string(), "0.3");
    }

    #[test]
    fn an_ill_service_takes_nothing_and_an_ill_worker_none_of_them() {
        let load = Load { unhealthy: vec![service("rag"), service("notes")], ..Load::default() };
        let load = load.validate().expect("valid");
        assert!(load.takes("upload") && !load.takes("rag") && !load.takes("notes"));
        let unwell = Load { unwell: Some("degraded".into()), ..Load::default() };
        assert!(!unwell.takes("upload"));
    }

    #[test]
    fn models_are_found_whatever_their_order_was() {
        let load = Load { models: ["m2", "m1", "m2"].map(Into::into).into(), ..Load::default() };
        let load = load.validate().expect("valid");
        assert_eq!(load.models.len(), 2);
        assert!(load.has_model("m1") && load.has_model("m2") && !load.has_model("m"));
    }

    #[test]
    fn each_bound_names_its_field() {
        let load = Load {
            models: (0..=limit::MODELS_PER_WORKER_MAX).map(|i| i.to_string().into()).collect(),
            specialization: Some("x".repeat(257).into()),
            memory: Some("a\nb".into()),
            ..Load::default()
        };
        let fields: Vec<_> = load.validate().expect_err("three").into_iter().map(|e| e.field).collect();
        assert_eq!(fields, ["loaded_models", "specialization", "available_memory"]);
    }
}
