//! The cluster's level: a section that came with the second one.

use quorate_model::{FeatureLevel, Invalid};
use serde::{Deserialize, Serialize};

/// Only where the cluster has left the first level.
#[derive(Serialize, Deserialize)]
pub(super) struct Level {
    feature_level: u16,
}

impl From<FeatureLevel> for Level {
    fn from(level: FeatureLevel) -> Self {
        Self { feature_level: level.get() }
    }
}

impl TryFrom<Level> for FeatureLevel {
    type Error = Invalid;

    fn try_from(level: Level) -> Result<Self, Invalid> {
        Self::new(level.feature_level)
    }
}
