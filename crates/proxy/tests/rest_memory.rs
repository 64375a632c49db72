//! What a connection at rest holds, counted at the allocator.

mod rig;

use quorate_proxy::{Config, Limits};
use quorate_rt::time::{sleep, timeout};
use rig::{PATIENCE, Rig, Worker, config, get};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const CONNECTIONS: usize = 200;
/// Of each, the client's end and what the worker remembers of its request included. hyper's buffer for reading alone has
/// 8 KiB.
const BYTES_MAX: usize = 3 << 10;

/// An empty rest of what hyper had read kept the whole buffer.
#[tokio::test]
async fn a_connection_at_rest_holds_no_buffers() {
    let worker = Worker::ok().await;
    let limits = Limits { client_rest: Duration::ZERO, ..Limits::default() };
    let rig = Rig::start(Config { limits, ..config() }, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let before = Region::new(COUNTED);
    let each = || {
        let counted = before.change();
        counted.bytes_allocated.saturating_sub(counted.bytes_deallocated) / CONNECTIONS
    };
    let mut clients = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut client = TcpStream::connect(rig.addr).await.unwrap();
        client.write_all(get("/", "").as_bytes()).await.unwrap();
        let mut answer = [0; 4096];
        let length = timeout(PATIENCE, client.read(&mut answer)).await.expect("in time").unwrap();
        assert!(answer[..length].starts_with(b"HTTP/1.1 200"));
        clients.push(client);
    }
    let rests = async {
        while each() > BYTES_MAX {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(PATIENCE, rests).await.is_ok(), "each holds {} bytes", each());
}
