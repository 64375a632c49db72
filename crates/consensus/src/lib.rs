//! openraft bound to the replicated state.
//!
//! The life of a command, by file: [`proposer`] gathers it into a batch → [`forward`] finds the leader →
//! [`peer`] carries it there → the leader's log → `storage`'s machine applies it on every node → [`observer`]
//! publishes the View → the proposer answers, once it is applied on the node that was asked.
//!
//! | module | what |
//! |---|---|
//! | [`consensus`] | start, stop, the handle that the node uses |
//! | [`options`] | what a node says at start; every deadline and bound |
//! | `standing`, `handing_over` | where this node stands; leadership changes hands on purpose |
//! | `candidacy` | standing for election soon after the leader fell silent |
//! | [`forming`] | the first start of a cluster |
//! | [`proposer`], [`forward`] | group commit; doing something at the leader, through leader changes |
//! | [`reads`] | linearizable reads |
//! | [`liveness`], [`lease_keeper`] | heartbeats, and what follows from their absence |
//! | [`silence`], [`lease_guard`] | what outlives a leader change; what must not look like a mass death |
//! | [`key_tracing`] | what each member has seen of a routing key that somebody follows |
//! | [`gateway`], [`holdings`], `gateway_keeper` | what this node holds, and until when it may; which gateways are silent |
//! | [`observing`] | what each member makes of a service's workers |
//! | [`in_flight`] | what is under way at a worker, over all members |
//! | [`looking`] | a worker that is said to be down is looked at before anybody believes it |
//! | [`probing`] | who shares the health checks, and what another node finds |
//! | [`levels`] | what all members can do |
//! | `loads`, `load_table` | what workers say of their load, told from node to node outside of the log |
//! | `openings`, `opening_table` | which circuit breakers opened, told likewise |
//! | [`sessions`] | users of the WebSocket gateway on their way into the log |
//! | [`tunnelling`] | streams to what hangs on a tunnel at another node |
//! | `vessel` | what heartbeats need on their way |
//! | [`ramps`], `ramp_table` | steps of ramps begin; how their requests fare, told likewise |
//! | `tending` | what runs beside Raft |
//! | `telling` | how what is outside of the log goes from node to node |
//! | [`observer`] | what happens after each apply |
//! | [`visible`] | which members have applied an entry |
//! | `watching` | what happened lately, for those who watch |
//! | [`housekeeping`], [`roster`] | cluster id, node descriptions, who answers |
//! | `joining`, `membership` | nodes join, leave and move; learners get their vote; a removed node notices |
//! | [`backup`] | the state out of a cluster as a file, and into an empty one |
//! | [`log_bound`] | snapshots and purges by the log's size in bytes |
//! | `replacing` | a node that comes back with an empty disk |
//! | [`room`] | what is left alone while the disk is nearly full |
//! | [`peer`] | node to node |

pub mod backup;
mod candidacy;
pub mod consensus;
pub mod delivering;
mod ending;
pub mod forming;
pub mod forward;
pub mod gateway;
mod gateway_keeper;
mod handing_over;
pub mod holdings;
pub mod housekeeping;
pub mod in_flight;
mod joining;
pub mod key_tracing;
mod lease;
pub mod lease_guard;
pub mod lease_keeper;
pub mod levels;
pub mod liveness;
mod load_table;
mod loads;
pub mod log_bound;
pub mod looking;
mod membership;
pub mod observer;
pub mod observing;
mod opening_table;
mod openings;
pub mod options;
pub mod peer;
#[cfg(madsim)]
mod planted_expiry;
pub mod probing;
pub mod proposer;
mod ramp_table;
pub mod ramps;
pub mod reads;
mod replacing;
pub mod room;
pub mod roster;
pub mod sessions;
pub mod silence;
mod standing;
mod telling;
mod tending;
pub mod tunnelling;
pub mod types;
mod vessel;
pub mod visible;
mod watching;

pub use consensus::{Consensus, StartError};
pub use delivering::Door;
pub use forming::refuse_other_cluster;
pub use forward::{Leader, Unavailable};
pub use gateway::OpenTunnelError;
pub use holdings::{Lost, SessionHold, TunnelHold};
pub use observer::Applied;
pub use options::Options;
pub use peer::address_book::{AddressBook, SelfId};
pub use peer::proof::{SECRET_BYTES_MIN, Secret, TooShort};
pub use proposer::Committed;
pub use room::Room;
pub use sessions::OpenSessionError;
