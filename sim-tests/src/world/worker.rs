//! Simulated workers' machines: HTTP servers that say who they are and when a request reached them.

use super::now_ms;
use http::{Request, Response};
use hyper::body::Incoming;
use madsim::{runtime::Handle, task::NodeId};
use quorate_rt::{
    http::{BoxBody, ServeLimits, full, serve},
    net, shutdown,
};
use std::{cell::Cell, convert::Infallible, time::Duration};

/// The simulated millisecond at which a request reached a worker.
pub const ARRIVED: &str = "x-arrived-ms";

/// Where worker `number` listens.
pub fn address(number: usize) -> String {
    format!("10.0.2.{number}:8081")
}

/// A worker's machine.
pub struct Worker {
    number: usize,
    id: NodeId,
    handle: Handle,
    up: Cell<bool>,
}

impl Worker {
    /// A new machine, switched on.
    pub fn new(handle: &Handle, number: usize) -> Self {
        let node = handle
            .create_node()
            .name(format!("w{number}"))
            .ip([10, 0, 2, u8::try_from(number).unwrap_or(1)].into())
            .init(move || answer(number))
            .build();
        Self { number, id: node.id(), handle: handle.clone(), up: Cell::new(true) }
    }

    /// Its worker's id.
    pub fn name(&self) -> String {
        format!("w{}", self.number)
    }

    /// Kills its process.
    pub fn kill(&self) {
        self.up.set(false);
        self.handle.kill(self.id);
    }

    /// Starts it again, unless it runs.
    pub fn start(&self) {
        if !self.up.replace(true) {
            self.handle.restart(self.id);
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.kill();
        }
    }
}

/// Answers each request with its name and the simulated millisecond.
async fn answer(number: usize) {
    let address = address(number).parse().expect("an address");
    let listener = net::bind(address).await.expect("a free port");
    let (_trigger, shutdown) = shutdown::channel();
    let answer = hyper::service::service_fn(move |_: Request<Incoming>| async move {
        let mut response = Response::new(full(format!("w{number}")));
        response.headers_mut().insert(ARRIVED, now_ms().to_string().parse().expect("digits"));
        Ok::<Response<BoxBody>, Infallible>(response)
    });
    // madsim tells nobody that a connection was closed, so a worker that closes idle ones would look like one that
    // never answers.
    let limits = ServeLimits { header_timeout: Duration::from_secs(3_600), ..ServeLimits::default() };
    serve(listener, answer, limits, shutdown).await;
}
