//! The library for those who live outside of a cluster: workers, and the people who operate one.
//!
//! | module | for |
//! |---|---|
//! | [`worker`] | a process that serves partitions: registers, heartbeats, says goodbye |
//! | [`operator`] | reading and changing a cluster through any of its nodes |
//! | [`probe`] | asking one node how it is |
//! | [`socket`] | talking to others through the WebSocket gateway |
//! | [`tunnel`] | being reached by a connection that this machine opens |
//! | [`nodes`] | how one call finds a node that answers |
//! | [`detect`] | whether a service of this machine is there |
//! | [`local_address`] | where the routers find this machine |
//! | [`error`] | what a caller can do about a failure |
//!
//! ```no_run
//! # async fn serve() -> Result<(), quorate_client::Error> {
//! let routers = quorate_client::routers("http://10.0.0.1:9090,http://10.0.0.2:9090")?;
//! let worker = quorate_client::WorkerClient::builder(routers, "worker-1", "http://10.0.0.7:8081")
//!     .partitions([0, 1, 2])
//!     .start()
//!     .await?;
//! // ... serve, and at the end:
//! worker.stop().await;
//! # Ok(()) }
//! ```
//!
//! Workers with the same label `group` can share a delegate for their heartbeats: [`WorkerBuilder::labels`] and
//! [`WorkerBuilder::delegate`] switch it on, [`WorkerHandle::heartbeat_ways`] tells which way they go.
//!
//! [`WorkerBuilder::labels`]: worker::WorkerBuilder::labels
//! [`WorkerBuilder::delegate`]: worker::WorkerBuilder::delegate
//!
//! The library runs on tokio itself and not on the router's own seam to time and sockets: it never runs inside a
//! node, so it is never simulated.

pub mod detect;
pub mod error;
pub mod local_address;
pub mod nodes;
pub mod operator;
pub mod probe;
pub mod socket;
pub mod tunnel;
pub mod worker;

mod backoff;
mod delegate;
mod tasks;
mod tls;
mod upgrading;

pub use delegate::{DelegateOffer, HeartbeatWay, WhenSilent};
pub use error::{Error, Problem};
pub use nodes::routers;
pub use operator::Operator;
pub use reqwest::Url;
pub use worker::{DrawnBack, Duty, OwnDrain, ServiceOffer, WorkerClient, WorkerHandle, WorkerState};
