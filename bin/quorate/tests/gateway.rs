//! The gateway between programs that others have written: nginx and grpcio as workers; wrk, h2load, curl, and Python's
//! grpcio and websockets as clients. What they agree about is not what one mistake of ours could make true on both
//! sides.
//!
//! Debian's packages are installed by `.ci/run`, those of PyPI by the tests. What is missing is skipped, with the
//! reason printed; `QUORATE_GATEWAY=require` makes that a failure.
#![expect(
    clippy::disallowed_methods,
    reason = "tests outside of simulation: processes, threads and the clock are real"
)]

#[path = "gateway/bad_origins.rs"]
mod bad_origins;
#[path = "gateway/certificates.rs"]
mod certificates;
#[path = "gateway/files.rs"]
mod files;
#[path = "gateway/grpc.rs"]
mod grpc;
#[path = "gateway/health.rs"]
mod health;
#[path = "gateway/http2.rs"]
mod http2;
#[path = "gateway/kills.rs"]
mod kills;
#[path = "gateway/load.rs"]
mod load;
#[path = "gateway/origins.rs"]
mod origins;
#[path = "gateway/overload.rs"]
mod overload;
#[path = "gateway/router.rs"]
mod router;
#[path = "gateway/routes.rs"]
mod routes;
#[path = "gateway/sandboxes.rs"]
mod sandboxes;
#[path = "gateway/settings_file.rs"]
mod settings_file;
#[path = "gateway/sockets.rs"]
mod sockets;
#[expect(dead_code, reason = "shared with the other tests of real clusters, which use the rest")]
mod support;
#[path = "gateway/tools.rs"]
mod tools;
#[path = "gateway/websocket.rs"]
mod websocket;
