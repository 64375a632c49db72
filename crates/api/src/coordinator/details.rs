//! What a worker of this dialect says and the model has no field for: its address in its own words, and of each
//! service its container, its port, its health at the registration. Kept in labels, one for each service.

use quorate_model::Registration;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The label of a worker's address as it was given.
pub(super) const IP_ADDRESS: &str = "coordinator/ip_address";
/// There when services were given by name only: those without details are shown so again.
const NAMES_ONLY: &str = "coordinator/services";
const SERVICE: &str = "coordinator/service/";

/// Longest container name or health path, in bytes: with these a label's bound holds.
pub(super) const DETAIL_BYTES_MAX: usize = 80;
/// Longest word for a service's health, in bytes.
pub(super) const HEALTH_BYTES_MAX: usize = 32;

/// What is kept of one service.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Details {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_endpoint: Option<String>,
}

/// Of a service: what was said, or that only its name was.
pub(super) enum Said {
    Name,
    Details(Details),
}

pub(super) fn keep(labels: &mut BTreeMap<Box<str>, Box<str>>, service: &str, said: &Said) {
    match said {
        Said::Name => labels.insert(NAMES_ONLY.into(), "names".into()),
        Said::Details(details) => {
            let text = serde_json::to_string(details).expect("texts and a number");
            labels.insert(format!("{SERVICE}{service}").into(), text.into())
        }
    };
}

pub(super) fn of(registration: &Registration, service: &str) -> Said {
    let label = registration.labels.get(format!("{SERVICE}{service}").as_str());
    match label {
        None if registration.labels.contains_key(NAMES_ONLY) => Said::Name,
        None => Said::Details(Details::default()),
        Some(text) => Said::Details(serde_json::from_str(text).unwrap_or_default()),
    }
}
