//! The HTTP APIs of a node, over a [`Cluster`] trait of its own.
//!
//! A request's way, by file: [`frame`] (headers that every answer carries, CORS, `OPTIONS`, unknown paths) →
//! a handler under [`native`], [`original`] or [`probes`] → [`request`] (body, query, conditions) → for reads
//! `native::reads` picks the View, for writes `native::writes` proposes the command → [`answer`].
//! Nothing here decides what a registration means: that is `state`'s. What is decided here is how a question is
//! put and how an answer is told.
//!
//! | module | what |
//! |---|---|
//! | [`cluster`] | what this crate needs of the cluster; implemented by the node |
//! | [`server`] | the router, and serving it |
//! | [`frame`] | around every request |
//! | [`front`] | requests that are not for these APIs |
//! | [`request`], [`answer`] | bodies, parameters and conditions in; JSON and problems out |
//! | [`native`] | `/v1` |
//! | [`original`] | `/register` and the others, plain and under `/api` |
//! | [`coordinator`] | `/health`, `/api/worker/*`, `/api/admin/*` |
//! | [`sandbox_api`] | `/api/v1alpha1/namespaces/*` |
//! | [`heard`] | when the leader heard whom, for the dialects |
//! | [`own`] | addresses at which nobody may register |
//! | [`probes`] | `/livez`, `/readyz`, `/metrics`, `/openapi.json` |
//! | [`watching`], [`places`] | one watcher; how many may wait at once |
//! | [`tunnel`] | who takes tunnels |
//! | [`document`] | what the OpenAPI document says beside the paths |

pub(crate) mod answer;
pub mod cluster;
pub(crate) mod coordinator;
pub(crate) mod document;
pub(crate) mod frame;
pub mod front;
pub(crate) mod heard;
pub(crate) mod native;
pub(crate) mod original;
pub(crate) mod own;
pub(crate) mod places;
pub(crate) mod probes;
pub(crate) mod request;
pub(crate) mod sandbox_api;
pub mod server;
pub mod tunnel;
pub(crate) mod watching;

pub use cluster::{
    Cluster, Committed, InFlightAt, KeyTraceAt, LeaderHint, Look, MemberError, MemberInfo, Pieces, ProbedBy,
    Readiness, Reason, RestoreError, Restored, Role, Standing, TransferError, Unavailable, Verdict,
};
pub use front::{Caller, Front};
pub use quorate_api::query::Mode;
pub use server::{Config, KEEP_ALIVE, RenderMetrics, openapi, original_router, router, serve, serve_behind};
