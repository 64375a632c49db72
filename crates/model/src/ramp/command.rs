//! What ramps are told, and which of them.

use super::state::ErrorsSeen;
use crate::{
    name::{RouteName, RoutingKey},
    number::LogIndex,
};
use std::fmt;

/// Whose ramp.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RampSubject {
    /// Of a route.
    Route(RouteName),
    /// Of a rule of a sandbox.
    Rule {
        /// The sandbox's key.
        key: RoutingKey,
        /// The rule's place, from 0.
        rule: u16,
    },
}

impl RampSubject {
    /// The route's name, if it is one's.
    pub fn route(&self) -> Option<&RouteName> {
        match self {
            Self::Route(name) => Some(name),
            Self::Rule { .. } => None,
        }
    }
}

impl fmt::Display for RampSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(name) => write!(f, "route {name}"),
            Self::Rule { key, rule } => write!(f, "rule {rule} of sandbox {key}"),
        }
    }
}

/// A change of a ramp, besides what its document says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RampCommand {
    /// The time of steps has come, as the leader sees it.
    Advance(
        /// In no particular order, at most [`crate::limit::RAMP_ADVANCES_MAX`].
        Vec<RampAdvance>,
    ),
    /// Too many requests fail, as the leader has added it up.
    Errors(RampErrors),
    /// An operator's word.
    Order {
        /// Which.
        subject: RampSubject,
        /// What becomes of it.
        order: RampOrder,
        /// `If-Match`, of the route or the sandbox.
        if_index: Option<LogIndex>,
    },
}

/// One step whose time has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RampAdvance {
    /// Which.
    pub subject: RampSubject,
    /// Its epoch; void if another one stands.
    pub epoch: LogIndex,
    /// How many steps have begun with this one; void if it is not the next one, or its time has not come.
    pub entered: u16,
}

/// A step at which too many requests failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RampErrors {
    /// Which.
    pub subject: RampSubject,
    /// Its epoch; void if another one stands.
    pub epoch: LogIndex,
    /// How many steps had begun; void if it has gone on since.
    pub entered: u16,
    /// What was counted.
    pub seen: ErrorsSeen,
}

/// What an operator can say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RampOrder {
    /// It stays where it is, and its clock stands still.
    Pause,
    /// It goes on with the rest of its step's time.
    Resume,
    /// The destinations have their own weights again, for good.
    Abort,
}

impl RampOrder {
    /// As in paths.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Abort => "abort",
        }
    }
}

/// What a node has counted of a step of a ramp, within the ramp's window. Nodes tell it each other, and it never enters
/// the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RampCounted {
    /// Which.
    pub subject: RampSubject,
    /// Its epoch.
    pub epoch: LogIndex,
    /// How many steps had begun.
    pub entered: u16,
    /// One for each destination that had requests.
    pub seen: Vec<ErrorsSeen>,
}
