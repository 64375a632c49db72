//! A circuit breaker that opened at one node, as nodes tell each other.
//!
//! Soft state, like [`crate::load`]: it is never in the log, it ends by itself, and nothing depends on its being told.

use crate::{
    name::{ServiceName, WorkerId},
    number::Epoch,
};

/// Longest time that a breaker stays open, in milliseconds: [`crate::policy::Breaker::validate`] allows no more.
pub const OPEN_MS_MAX: u32 = 3_600_000;

/// A node leaves a worker alone for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// For which service.
    pub service: ServiceName,
    /// Whom.
    pub worker: WorkerId,
    /// In which life: one that comes back has a clean record.
    pub epoch: Epoch,
    /// For how much longer, in milliseconds: clocks differ, spans hardly.
    pub left_ms: u32,
}

/// What a node's cores are told: all openings that are not over.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Openings(pub Vec<NumberedOpening>);

/// An opening, and which one it is: of two that are told one after another, the later one has the higher number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NumberedOpening {
    /// Which.
    pub number: u64,
    /// It.
    pub opening: Opening,
}
