//! What several kinds of objects say: protocols, balancing, keys, retries.

use quorate_model as model;
use quorate_model::Invalid;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Protocol {
    Http1,
    H2c,
    H2,
}

impl From<model::policy::Protocol> for Protocol {
    fn from(protocol: model::policy::Protocol) -> Self {
        match protocol {
            model::policy::Protocol::Http1 => Self::Http1,
            model::policy::Protocol::H2c => Self::H2c,
            model::policy::Protocol::H2 => Self::H2,
        }
    }
}

impl From<Protocol> for model::policy::Protocol {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Http1 => Self::Http1,
            Protocol::H2c => Self::H2c,
            Protocol::H2 => Self::H2,
        }
    }
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum Balancing {
    RoundRobin,
    LeastConnections,
    SourceIp,
    ConsistentHash,
    P2c,
}

impl From<model::policy::Balancing> for Balancing {
    fn from(balancing: model::policy::Balancing) -> Self {
        match balancing {
            model::policy::Balancing::RoundRobin => Self::RoundRobin,
            model::policy::Balancing::LeastConnections => Self::LeastConnections,
            model::policy::Balancing::SourceIp => Self::SourceIp,
            model::policy::Balancing::ConsistentHash => Self::ConsistentHash,
            model::policy::Balancing::P2c => Self::P2c,
        }
    }
}

impl From<Balancing> for model::policy::Balancing {
    fn from(balancing: Balancing) -> Self {
        match balancing {
            Balancing::RoundRobin => Self::RoundRobin,
            Balancing::LeastConnections => Self::LeastConnections,
            Balancing::SourceIp => Self::SourceIp,
            Balancing::ConsistentHash => Self::ConsistentHash,
            Balancing::P2c => Self::P2c,
        }
    }
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub(super) enum KeySource {
    Header(String),
    Cookie(String),
    Query(String),
    PathSegment(u16),
    Trace,
    SourceIp,
}

impl From<&model::policy::KeySource> for KeySource {
    fn from(source: &model::policy::KeySource) -> Self {
        use model::policy::KeySource as M;
        match source {
            M::Header(name) => Self::Header(name.to_string()),
            M::Cookie(name) => Self::Cookie(name.to_string()),
            M::Query(name) => Self::Query(name.to_string()),
            M::PathSegment(nth) => Self::PathSegment(*nth),
            M::Trace => Self::Trace,
            M::SourceIp => Self::SourceIp,
        }
    }
}

impl TryFrom<KeySource> for model::policy::KeySource {
    type Error = Invalid;

    fn try_from(source: KeySource) -> Result<Self, Invalid> {
        match source {
            KeySource::Header(name) => Self::header(&name),
            KeySource::Cookie(name) => Self::cookie(&name),
            KeySource::Query(name) => Self::query(&name),
            KeySource::PathSegment(nth) => Self::path_segment(nth.into()),
            KeySource::Trace => Ok(Self::Trace),
            KeySource::SourceIp => Ok(Self::SourceIp),
        }
    }
}

#[derive(Serialize, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
pub(super) struct Retries {
    max: u8,
    on: Vec<u16>,
    backoff_ms: u32,
    backoff_max_ms: u32,
    #[serde(default, skip_serializing_if = "super::is_false")]
    non_idempotent: bool,
    budget_percent: u8,
    budget_min_per_second: u32,
}

impl From<&model::policy::Retries> for Retries {
    fn from(retries: &model::policy::Retries) -> Self {
        let model::policy::Retries { max, on, backoff, non_idempotent, budget } = retries;
        let model::policy::Backoff { initial_ms, max_ms } = *backoff;
        let model::policy::RetryBudget { percent, min_per_second } = *budget;
        Self {
            max: *max,
            on: on.clone(),
            backoff_ms: initial_ms,
            backoff_max_ms: max_ms,
            non_idempotent: *non_idempotent,
            budget_percent: percent,
            budget_min_per_second: min_per_second,
        }
    }
}

/// Its bounds are checked with the whole that it is a part of.
impl From<Retries> for model::policy::Retries {
    fn from(retries: Retries) -> Self {
        let backoff =
            model::policy::Backoff { initial_ms: retries.backoff_ms, max_ms: retries.backoff_max_ms };
        let budget = model::policy::RetryBudget {
            percent: retries.budget_percent,
            min_per_second: retries.budget_min_per_second,
        };
        Self { max: retries.max, on: retries.on, backoff, non_idempotent: retries.non_idempotent, budget }
    }
}
