//! Every decision of the data plane, as pure functions of one View and one request head.
//!
//! Nothing here reads a clock, draws a random number or opens a socket: what a decision needs of those comes in as
//! an argument. So each decision is a value that a table test asserts and `explain` prints, and the proxy is a
//! `match` that performs it.
//!
//! | module | decides |
//! |---|---|
//! | [`workspace`] | which workspace a request is about |
//! | [`partition`] | which partition a workspace is in |
//! | [`route`] | which route a request is for, and what becomes of it |
//! | [`service`] | which service a request is about |
//! | [`mod@decide`] | which worker gets the request, or which answer it gets here |
//! | [`pick`] | which of a service's workers it is |
//! | [`vacancy`] | whether a request that finds nobody may wait |
//! | [`hops`] | whether a request goes in circles |
//! | [`explain`] | nothing: it tells why |
//! | [`retry`] | what next when a worker could not be reached |

pub mod decide;
pub mod explain;
pub mod hops;
pub mod partition;
pub mod pick;
pub mod retry;
pub mod route;
pub mod service;
pub mod vacancy;
pub mod workspace;

pub use decide::{Decision, Forward, RequestHead, decide};
pub use partition::partition_of;
