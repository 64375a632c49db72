//! What a node has seen of a routing key that is followed.

use quorate_model::{LogTime, key_trace as model};
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize)]
pub(crate) struct Asked {
    pub(crate) key: String,
    pub(crate) follow_ms: Option<u64>,
    pub(crate) traces: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(crate) struct KeyTrace {
    clock: u64,
    cores: u32,
    cores_silent: u32,
    cores_full: u32,
    left_ms: Option<u64>,
    passed_over: u64,
    hops: Vec<Hop>,
}

#[derive(Serialize, Deserialize)]
struct Hop {
    at: u64,
    elapsed_us: u64,
    traces: Vec<String>,
    parent: Option<String>,
    method: String,
    host: String,
    path: String,
    forms: Vec<String>,
    has_other_key: bool,
    decided_by: String,
    service: Option<String>,
    address: Option<String>,
    status: Option<u16>,
    failed_over: Option<String>,
}

impl From<&model::KeyTrace> for KeyTrace {
    fn from(told: &model::KeyTrace) -> Self {
        let model::KeyTrace { clock, cores, cores_silent, cores_full, left_ms, passed_over, hops } = told;
        Self {
            clock: clock.0,
            cores: *cores,
            cores_silent: *cores_silent,
            cores_full: *cores_full,
            left_ms: *left_ms,
            passed_over: *passed_over,
            hops: hops.iter().map(Into::into).collect(),
        }
    }
}

impl From<KeyTrace> for model::KeyTrace {
    fn from(told: KeyTrace) -> Self {
        let KeyTrace { clock, cores, cores_silent, cores_full, left_ms, passed_over, hops } = told;
        let hops = hops.into_iter().map(Into::into).collect();
        Self { clock: LogTime(clock), cores, cores_silent, cores_full, left_ms, passed_over, hops }
    }
}

impl From<&model::Hop> for Hop {
    fn from(hop: &model::Hop) -> Self {
        let all = |texts: &[Box<str>]| texts.iter().map(ToString::to_string).collect();
        let one = |text: &Option<Box<str>>| text.as_deref().map(ToOwned::to_owned);
        Self {
            at: hop.at.0,
            elapsed_us: hop.elapsed_us,
            traces: all(&hop.traces),
            parent: one(&hop.parent),
            method: hop.method.to_string(),
            host: hop.host.to_string(),
            path: hop.path.to_string(),
            forms: all(&hop.forms),
            has_other_key: hop.has_other_key,
            decided_by: hop.decided_by.to_string(),
            service: one(&hop.service),
            address: one(&hop.address),
            status: hop.status,
            failed_over: one(&hop.failed_over),
        }
    }
}

impl From<Hop> for model::Hop {
    fn from(hop: Hop) -> Self {
        let all = |texts: Vec<String>| texts.into_iter().map(Into::into).collect();
        Self {
            at: LogTime(hop.at),
            elapsed_us: hop.elapsed_us,
            traces: all(hop.traces),
            parent: hop.parent.map(Into::into),
            method: hop.method.into(),
            host: hop.host.into(),
            path: hop.path.into(),
            forms: all(hop.forms),
            has_other_key: hop.has_other_key,
            decided_by: hop.decided_by.into(),
            service: hop.service.map(Into::into),
            address: hop.address.map(Into::into),
            status: hop.status,
            failed_over: hop.failed_over.map(Into::into),
        }
    }
}
