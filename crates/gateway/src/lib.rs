//! The WebSocket gateway: sessions, presence, delivery across nodes.
//!
//! | module | what |
//! |---|---|
//! | [`cluster`] | what a gateway asks of the cluster: who is where |
//! | [`backplane`] | how a message comes to the gateway that holds its recipient |

pub mod backplane;
pub mod cluster;
