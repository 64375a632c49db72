//! What all members of a cluster can do together.
//!
//! A binary knows every level up to its own [`FeatureLevel::NEWEST`]. The cluster's level is replicated, and is raised
//! only once every member has said that it can: so no log entry is ever written that some member can't read, and
//! nodes of neighbouring versions work side by side while they are rolled.

use crate::{command::Command, name::Invalid, presence::PresenceCommand};
use std::fmt;

/// A feature level. Levels only grow, in the binary and in the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FeatureLevel(u16);

impl FeatureLevel {
    /// What every release can; also the level of all that was written before there were levels.
    pub const FIRST: Self = Self(1);
    /// A leader that hands over says who has been silent for how long ([`Command::HandOverLeases`]).
    pub const SECOND: Self = Self(2);
    /// Services: operator intent, policies, delegates, requests that wait.
    pub const THIRD: Self = Self(3);
    /// Routes, policies of more than waiting, health verdicts, many objects in one entry.
    pub const FOURTH: Self = Self(4);
    /// Sandboxes.
    pub const FIFTH: Self = Self(5);
    /// Ramps, tunnels, the objects of the sandbox API, the history of what operators declare, versions of services in
    /// routes and policies.
    pub const SIXTH: Self = Self(6);
    /// Sessions of the WebSocket gateway.
    pub const SEVENTH: Self = Self(7);
    /// The highest one that this binary knows.
    pub const NEWEST: Self = Self::SEVENTH;

    /// Checks that it is at least 1. Larger than [`Self::NEWEST`] is allowed: a newer node may say so.
    pub fn new(level: u16) -> Result<Self, Invalid> {
        if level >= Self::FIRST.0 {
            Ok(Self(level))
        } else {
            Err(Invalid::new("feature_level", "is 0", "1 or more"))
        }
    }

    /// As a number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl Default for FeatureLevel {
    fn default() -> Self {
        Self::FIRST
    }
}

impl fmt::Display for FeatureLevel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// What a node says about levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeLevels {
    /// The highest that it can.
    pub max: FeatureLevel,
    /// The cluster's, as far as it has applied the log.
    pub cluster: FeatureLevel,
}

impl Command {
    /// The lowest level at which every member can read it.
    pub fn feature_level(&self) -> FeatureLevel {
        if self.names_tunnel() {
            return FeatureLevel::SIXTH;
        }
        let with = |services: bool| if services { FeatureLevel::THIRD } else { FeatureLevel::FIRST };
        match self {
            Self::RegisterWorker { registration, .. } | Self::AdoptWorker { registration } => {
                with(registration.extras.is_some())
            }
            Self::PutKeyspace { hold, .. } => with(hold.is_some()),
            Self::Restore { step, .. } => step.feature_level(),
            Self::Presence(PresenceCommand::Sessions { .. }) => FeatureLevel::SEVENTH,
            Self::PutService { policy, .. } => policy.feature_level(),
            Self::PutRoute { route, .. } => route.feature_level(),
            Self::Configure { config, .. } => config.feature_level(),
            Self::Ramp(_) | Self::Presence(_) | Self::Object(_) | Self::RollBack { .. } => FeatureLevel::SIXTH,
            Self::PutSandbox { sandbox, .. } if sandbox.has_ramp() => FeatureLevel::SIXTH,
            Self::PutSandbox { .. }
            | Self::DeleteSandbox { .. }
            | Self::ExtendSandbox { .. }
            | Self::EndSandboxes(_) => FeatureLevel::FIFTH,
            Self::DeleteRoute { .. } | Self::ChangeHealth(_) => FeatureLevel::FOURTH,
            Self::FormCluster { .. }
            | Self::UnregisterWorker { .. }
            | Self::ChangeLeases(_)
            | Self::ObservePartitions { .. }
            | Self::DescribeNode(_)
            // Proposed only after every member has said that it can a later level, and so knows this command.
            | Self::RaiseLevel { .. } => FeatureLevel::FIRST,
            Self::HandOverLeases { .. } => FeatureLevel::SECOND,
            Self::SetDuty { .. } | Self::SetWeight { .. } | Self::DeleteService { .. } => FeatureLevel::THIRD,
        }
    }
}
