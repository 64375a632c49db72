//! What carries the bytes of HTTP/1.1: hyper towards clients, a codec of our own towards workers.
//!
//! The rest of the data plane sees requests and answers, an [`Upstream`] that exchanges one for the other, and two body
//! types; nothing of hyper's connections, and nothing of the codec.
//!
//! A connection to a worker has no task of its own: the request that uses it polls it (see [`upstream`]), which
//! saves two wake-ups and a task switch per request. An unused one is polled by nobody; the pool looks at it
//! once a second.

pub(crate) mod body;
mod call;
pub(crate) mod kept;
pub(crate) mod serve;
pub(crate) mod socket;
pub(crate) mod upstream;

pub(crate) use body::RequestBody;
pub use body::{AnswerBody, AnswerError};
pub(crate) use kept::Kept;
pub use upstream::WireError;
pub(crate) use upstream::{Ask, Broken, Upstream};
