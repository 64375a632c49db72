//! The public JSON contract of Quorate, and nothing that serves it.
//!
//! Bodies come in through [`fields`], which lists every wrong field and names unknown ones; a derived
//! deserialiser stops at the first and can't say where it was. They go out as plain structs, which the OpenAPI
//! document is derived from. A test ties the two: the fields that a reader takes are the fields that the
//! document shows. The crate is pure: what the time is, and who answers, is said by the caller.
//!
//! | module | what |
//! |---|---|
//! | [`problem`] | error codes and RFC 9457 documents |
//! | [`query`] | query parameters of the native API |
//! | [`fields`] | JSON objects, read field by field |
//! | [`nearest`] | which name was meant by one that nobody knows |
//! | [`duration`], [`timestamp`] | how spans and points of time are written |
//! | [`worker`], [`heartbeat`], [`lease`], [`keyspace`], [`service`], [`cluster`] | bodies of the native API |
//! | [`route`], [`policy`], [`config`] | routes, how traffic is treated, all that is declared as one document |
//! | [`explain`] | why a request goes where it goes |
//! | [`key_trace`] | where a routing key was on its way |
//! | [`observation`] | what each node makes of a service's endpoints |
//! | [`intent`], [`delegate`] | what operators decide about workers; workers that speak for a group |
//! | [`presence`] | who holds which long-lived connection |
//! | [`answer`] | bodies that several resources share |
//! | [`watch`] | what watchers are told, as Server-Sent Events |
//! | [`original`] | the two dialects of the workspace router that Quorate replaces |
//! | [`coordinator`] | the dialect of the service coordinator that it replaces |
//! | [`sandbox_api`] | the objects of the sandbox API of the routing proxy that it replaces |

pub mod answer;
pub mod cluster;
pub mod config;
pub mod coordinator;
pub mod delegate;
pub mod duration;
pub mod explain;
pub mod fields;
pub mod heartbeat;
pub mod intent;
pub mod key_trace;
pub mod keyspace;
pub mod lease;
pub mod nearest;
pub mod observation;
pub mod original;
pub mod policy;
pub mod presence;
pub mod problem;
pub mod query;
pub mod ramp;
pub mod route;
pub mod sandbox;
pub mod sandbox_api;
pub mod service;
pub mod timestamp;
pub mod tunnel;
pub mod watch;
pub mod worker;

pub use problem::{Code, Problem};
pub use query::{Param, Query};

/// What is wrong with a request: each field.
pub type Wrong = Vec<quorate_model::Invalid>;
