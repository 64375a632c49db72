//! The WebSocket gateway: sessions, presence, delivery across nodes.
//!
//! | module | what |
//! |---|---|
//! | [`cluster`] | what a gateway asks of the cluster: who is where |
//! | [`backplane`] | how a message comes to the gateway that holds its recipient |
//! | [`delivery`] | who holds the recipient, and the second try |
//! | [`lanes`] | one message at a time for each recipient of a session |
//! | `extension` | the protocol `quorate.v1`: acknowledgements, presence, rooms, sessions that outlive their socket |

pub mod backplane;
pub mod cluster;
pub mod delivery;
mod extension;
pub mod lanes;

#[cfg(test)]
mod fakes;
