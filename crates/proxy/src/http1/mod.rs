//! What carries the bytes of HTTP/1.1, on both sides: hyper.
//!
//! Everything that names a hyper connection type is in this folder. The rest of the data plane sees requests and
//! answers, an [`Upstream`] that exchanges one for the other, and two body types. So a leaner way of forwarding
//! plain HTTP/1.1 can take hyper's place here, and HTTP/2 can come beside it.
//!
//! A connection to a worker has no task of its own: the request that uses it polls it (see [`upstream`]), which
//! saves two wake-ups and a task switch per request. An unused one is polled by nobody; the pool looks at it
//! once a second.

pub(crate) mod body;
pub(crate) mod kept;
pub(crate) mod serve;
pub(crate) mod socket;
pub(crate) mod upstream;

pub(crate) use body::RequestBody;
pub use body::{AnswerBody, AnswerError};
pub(crate) use kept::Kept;
pub(crate) use upstream::{Broken, Upstream};
