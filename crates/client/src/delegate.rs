//! Heartbeats by way of a delegate: both sides of what the members of a group agree on among themselves.
//!
//! The rule is that an answer is the truth. A delegate answers a member's heartbeat once the routers have taken it,
//! not before; so a member that is answered has been heard, and one that is not answered in time sends the same
//! heartbeat to the routers itself, within the same interval. There is nothing that a delegate could lose in silence:
//! were it to answer at once and to pass on later, a heartbeat that it took to its grave would leave its member unheard
//! for two intervals, which is when a lease is suspect.
//!
//! What a delegate passes on it has received since its last call, from somebody who still waits for the answer. It has
//! no list of members that it could name by itself, so it can't keep a silent one alive.
//!
//! | module | what |
//! |---|---|
//! | `route` | which way a heartbeat goes, as a pure table |
//! | `roster` | who beats here, and who has stopped, as a pure table |
//! | `beat` | what members and delegates say to each other |
//! | `proof` | that both know the same token |
//! | `ask` | a member's question |
//! | `desk` | the role: gathers, calls, answers |
//! | `call` | one call to the routers, and who spoils it |
//! | `listener` | the delegate's endpoint |
//! | `part` | one worker's part in it, as its session sees it |

mod ask;
mod beat;
mod call;
mod desk;
mod listener;
mod part;
mod proof;
mod roster;
mod route;

pub(crate) use part::{Due, Part, Plan};
pub(crate) use route::Way;

use std::net::SocketAddr;

/// A worker's offer to be the delegate of its group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DelegateOffer {
    /// Where it takes the heartbeats of its group.
    pub listen: SocketAddr,
    /// Under which URL the group reaches that; `None`: `http://` and the address it listens at, which must be one.
    pub url: Option<String>,
    /// What becomes of members whose heartbeats stop.
    pub when_silent: WhenSilent,
}

/// What a delegate does about a member whose heartbeats stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhenSilent {
    /// It says so to the routers, which look themselves before they believe it.
    Report,
    /// Nothing: the lease runs out.
    Wait,
}

/// Which way a worker's heartbeats go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeartbeatWay {
    /// From the worker to the routers.
    Direct,
    /// By the delegate of its group.
    ByDelegate {
        /// Who.
        worker: String,
        /// The fencing token of its role.
        epoch: u64,
    },
    /// The worker is the delegate, and sends them for its group.
    OnBehalf {
        /// The fencing token of its role.
        epoch: u64,
    },
}
