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
//! | [`forming`] | the first start of a cluster |
//! | [`proposer`], [`forward`] | group commit; doing something at the leader, through leader changes |
//! | [`reads`] | linearizable reads |
//! | [`liveness`], [`lease_keeper`] | heartbeats, and what follows from their absence |
//! | [`observer`] | what happens after each apply |
//! | [`housekeeping`], [`roster`] | cluster id, node descriptions, who answers |
//! | `replacing` | a node that comes back with an empty disk |
//! | [`room`] | what is left alone while the disk is nearly full |
//! | [`peer`] | node to node |

pub mod consensus;
pub mod forming;
pub mod forward;
pub mod housekeeping;
pub mod lease_keeper;
pub mod liveness;
pub mod observer;
pub mod options;
pub mod peer;
pub mod proposer;
pub mod reads;
mod replacing;
pub mod room;
pub mod roster;
pub mod types;

pub use consensus::{Consensus, StartError};
pub use forming::refuse_other_cluster;
pub use forward::{Leader, Unavailable};
pub use observer::Applied;
pub use options::Options;
pub use peer::address_book::{AddressBook, SelfId};
pub use peer::proof::{SECRET_BYTES_MIN, Secret, TooShort};
pub use proposer::Committed;
pub use room::Room;
