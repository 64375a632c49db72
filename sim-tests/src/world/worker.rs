//! Simulated workers: HTTP servers that say who they are.

use http::{Request, Response};
use hyper::body::Incoming;
use madsim::runtime::Handle;
use quorate_rt::{
    http::{BoxBody, ServeLimits, full, serve},
    net, shutdown,
};
use std::{convert::Infallible, time::Duration};

/// Where worker `number` listens.
pub fn address(number: usize) -> String {
    format!("10.0.2.{number}:8081")
}

/// Starts `count` workers, each on a machine of its own.
pub fn start(handle: &Handle, count: usize) {
    for number in 1..=count {
        let node = handle
            .create_node()
            .name(format!("w{number}"))
            .ip([10, 0, 2, u8::try_from(number).unwrap_or(1)].into())
            .build();
        node.spawn(async move {
            let listener =
                net::bind(address(number).parse().expect("an address")).await.expect("a free port");
            let (_trigger, shutdown) = shutdown::channel();
            let answer = hyper::service::service_fn(move |_: Request<Incoming>| async move {
                Ok::<Response<BoxBody>, Infallible>(Response::new(full(format!("w{number}"))))
            });
            // madsim tells nobody that a connection was closed, so a worker that closes idle ones would look like one
            // that never answers.
            let limits = ServeLimits { header_timeout: Duration::from_secs(3_600), ..ServeLimits::default() };
            serve(listener, answer, limits, shutdown).await;
        });
    }
}
