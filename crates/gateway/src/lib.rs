//! The WebSocket gateway: sessions, presence, delivery across nodes.
//!
//! A connection's way, from the top: [`listen`] takes it, [`admit`] decides whether it may come in, [`answer`] shakes
//! hands, a [`dialect`] speaks with it over its [`wire`], and its [`session`] is what the cluster knows of it.
//!
//! | module | what |
//! |---|---|
//! | [`gateway`] | a gateway's life |
//! | [`settings`] | what an operator may decide |
//! | [`listen`] | the listener |
//! | [`admit`] | who may come in, and how many |
//! | [`origin`] | where pages may come from |
//! | [`token`] | proof of who somebody is |
//! | [`answer`] | `/ws`, `/health`, `/stats` |
//! | [`wire`] | one WebSocket: frames, limits, pings, closing |
//! | [`dialect`] | what is spoken on it |
//! | [`legacy`] | the dialect of the original |
//! | [`returning`] | a session whose node has lost its lease |
//! | [`session`] | one registered connection of a user |
//! | [`hall`] | the sessions that are here |
//! | [`queue`] | what waits for one client |
//! | [`rate`] | so many a second |
//! | [`desk`] | what the sessions of one gateway share |
//! | [`drain`] | how a gateway ends |
//! | [`cluster`] | what a gateway asks of the cluster: who is where |
//! | [`backplane`] | how a message comes to the gateway that holds its recipient |
//! | [`delivery`] | who holds the recipient, and the second try |
//! | [`repeats`] | which named messages were taken already |
//! | [`lanes`] | one message at a time for each recipient of a session |
//! | `extension` | the protocol `quorate.v1`: acknowledgements, presence, rooms, sessions that outlive their socket |

pub mod admit;
pub mod answer;
pub mod backplane;
pub mod cluster;
pub mod delivery;
pub mod desk;
pub mod dialect;
pub mod drain;
pub(crate) mod extension;
pub mod gateway;
pub mod hall;
pub mod lanes;
pub mod legacy;
pub mod listen;
pub mod origin;
pub mod queue;
pub mod rate;
pub mod repeats;
pub mod returning;
pub mod session;
pub mod settings;
pub mod token;
pub mod wire;

#[cfg(test)]
mod fakes;
#[cfg(test)]
pub mod rig;
