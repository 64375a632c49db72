//! HTTP/2, beside [`crate::http1`]. Towards workers it is h2's ([`upstream`]).
//!
//! Towards clients it is hyper's, within bounds of our own.
//! Each stream is a conversation ([`crate::client::Client`]) and a task of its own, with a deadline in the core's row;
//! everything after that is the same as for HTTP/1.1. The connection is a conversation too, one that is idle while it
//! has no streams.
//!
//! | file | what happens there |
//! |---|---|
//! | [`serve`] | a connection, and a task for each of its streams |
//! | [`session`] | what is known of a connection: its streams, whether it is about to end |
//! | [`socket`] | its bytes: frames are looked at as they come, and a client that only makes work is told to calm down |
//! | [`calm`] | how much work without use a client may make |
//! | [`request`] | a request, as HTTP/1.1 would have said it; WebSockets too (RFC 8441) |
//! | [`body`] | an answer's body, in pieces |
//! | [`tunnel`] | a stream that is no longer HTTP |

pub(crate) mod body;
mod calm;
pub(crate) mod request;
pub(crate) mod serve;
mod session;
mod socket;
pub(crate) mod tunnel;
pub(crate) mod upstream;

pub(crate) use session::Session;
