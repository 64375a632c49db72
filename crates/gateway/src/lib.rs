//! The WebSocket gateway: sessions, presence, delivery across nodes.
//!
//! | module | what |
//! |---|---|
//! | [`cluster`] | what a gateway asks of the cluster: who is where |
//! | [`backplane`] | how a message comes to the gateway that holds its recipient |
//! | [`delivery`] | who holds the recipient, and the second try |
//! | [`repeats`] | which named messages were taken already |
//! | [`lanes`] | one message at a time for each recipient of a session |

pub mod backplane;
pub mod cluster;
pub mod delivery;
pub mod lanes;
pub mod repeats;

#[cfg(test)]
mod fakes;
