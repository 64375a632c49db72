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
//! | [`sandbox`] | whether a routing key leads it elsewhere |
//! | [`local`] | what one node was told besides: rules of its own, and a default target |
//! | [`service`] | which service a request is about |
//! | [`mod@decide`] | which worker gets the request, or which answer it gets here |
//! | [`pick`] | which of a service's workers it is |
//! | [`balance`] | the same, by a strategy that an operator names |
//! | [`admission`] | whether a service's request is taken on |
//! | [`breaker`] | whether an endpoint that fails is left alone |
//! | [`outlier`] | whether an endpoint is worse than it may be |
//! | [`health`] | what active checks say of an endpoint, and who does them |
//! | [`vacancy`] | whether a request that finds nobody may wait |
//! | [`malformed`] | whether anything is decided on a request |
//! | [`hops`], [`grpc`] | whether a request goes in circles; whether it is a call, and how long that may take |
//! | [`explain`] | nothing: it tells why |
//! | [`retry`] | what next when a worker could not be reached |
//! | [`budget`], [`backoff`] | whether there is a retry left, and when |

pub mod admission;
pub mod backoff;
pub mod balance;
pub mod breaker;
pub mod budget;
pub mod decide;
pub mod explain;
pub mod grpc;
pub mod health;
pub mod hops;
pub mod local;
pub mod malformed;
pub mod outlier;
pub mod partition;
pub mod pick;
pub mod retry;
pub mod route;
pub mod sandbox;
pub mod service;
pub mod vacancy;
pub mod workspace;

pub use decide::{Decision, Forward, RequestHead, decide};
pub use partition::partition_of;
