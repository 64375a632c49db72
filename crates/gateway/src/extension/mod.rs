//! The protocol `quorate.v1`, for clients that ask for it in the handshake: acknowledgements, presence, rooms,
//! broadcasts, and sessions that outlive their socket. Other clients see none of it.
//!
//! | module | what |
//! |---|---|
//! | [`said`], [`told`], [`refusal`] | the frames: what a client says, what it is told |
//! | [`extended`] | what a session is beside its socket: hears, delivers, resumes |
//! | [`replay`] | what was sent and not acknowledged |
//! | [`sent`] | which requests were done, so that none is done twice |
//! | [`watched`] | whom a session watches, and what it was told |
//! | [`rooms`] | who of this node's sessions hears which room |
//! | [`life`], [`home`] | a session with a socket or without; its place in presence |
//! | [`enter`] | how a client comes in, or comes back |
//! | [`asked`] | what another gateway asks |
//! | [`shared`] | what the sessions of one node share |
//! | [`seen`] | which messages a session has taken |
//! | [`token`] | what a client shows to have its session back |
//! | [`handover`] | what two gateways say to each other about a session that moves |
//! | [`limit`] | what one session may take up |

pub mod asked;
pub mod enter;
pub mod extended;
#[cfg(test)]
mod extended_tests;
pub mod handover;
pub mod home;
pub mod life;
pub mod limit;
pub mod refusal;
pub mod replay;
pub mod rooms;
pub mod said;
pub mod seen;
pub mod sent;
pub mod shared;
#[cfg(test)]
mod tests;
pub mod token;
pub mod told;
pub mod watched;

/// What a client asks for in `Sec-WebSocket-Protocol`.
pub const SUBPROTOCOL: &str = "quorate.v1";

pub use enter::converse;
