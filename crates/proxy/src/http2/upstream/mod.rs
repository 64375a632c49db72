//! HTTP/2 towards workers: few connections, shared by the requests of one core.
//!
//! | file | what is there |
//! |---|---|
//! | [`links`] | a worker's connections on one core: which of them takes the next request, who dials, who waits |
//! | [`link`] | one connection, the task that moves its bytes, and whether it is still alive |
//! | [`exchange`] | one request on it, until the head of the answer |
//! | [`upload`] | the request's body on its way |
//! | [`answer`] | the answer's body |
//! | [`tunnel`] | a WebSocket on it (RFC 8441) |
//!
//! It is `h2` itself, not hyper's client on top of it. hyper's client takes two more tasks and three channels for each
//! request, and hides what a pool has to know: how many streams the worker allows, that it said GOAWAY, and whether a
//! request that failed had been looked at (RFC 9113, 8.7). With `h2` a request is polled by the task that it belongs
//! to, as it is in [`crate::http1`], and only the connection has a task of its own.

pub(crate) mod answer;
pub(crate) mod exchange;
pub(crate) mod link;
pub(crate) mod links;
pub(crate) mod tunnel;
pub(crate) mod upload;

pub(crate) use answer::Answer;
pub(crate) use exchange::{Broken, exchange};
pub(crate) use link::Fresh;
pub(crate) use links::{Dialled, Got, Links, Place, Turn};
pub(crate) use tunnel::{Opened, Pipe};
