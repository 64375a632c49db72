//! What a user at rest holds on a whole node, counted at the allocator.
#![cfg(not(madsim))]

use quorate_model::FeatureLevel;
use quorate_node::{
    Node, Platform,
    config::{Config, Sources},
};
use quorate_rt::time::{sleep, timeout};
use quorate_storage::SimDisk;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::{alloc::System, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Whatever is waited for comes sooner, also on a machine that is busy.
const PATIENCE: Duration = Duration::from_secs(60);
const USERS: usize = 500;
/// Of each, the client's end, the log's record and the disk's, which is in memory here. A buffer that the handshake left
/// behind alone has 8 KiB, and a task that has room for its own end and for the other dialect has as much.
const BYTES_MAX: usize = 13 << 10;
const REQUEST: &str = "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
     Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[tokio::test]
async fn a_user_at_rest_holds_little() {
    let node = node().await;
    let at = node.gateway_addr().expect("it serves one");
    // What the first ones make for all.
    let _first: Vec<_> = registered(at, "first", 50).await;
    let before = Region::new(COUNTED);
    let each = || {
        let counted = before.change();
        counted.bytes_allocated.saturating_sub(counted.bytes_deallocated) / USERS
    };
    let _users: Vec<_> = registered(at, "user", USERS).await;
    let rests = async {
        while each() > BYTES_MAX {
            sleep(Duration::from_millis(50)).await;
        }
    };
    assert!(timeout(PATIENCE, rests).await.is_ok(), "each holds {} bytes", each());
}

async fn node() -> Node {
    let flags = [
        ("routing", "127.0.0.1:0"),
        ("management", "127.0.0.1:0"),
        ("peer", "127.0.0.1:0"),
        ("gateway", "127.0.0.1:0"),
        ("node-name", "n1"),
        ("threads", "1"),
    ];
    let flags = flags.map(|(key, value)| (key.to_owned(), value.to_owned()));
    let config = Config::load(&Sources { flags: flags.into(), ..Sources::default() }).expect("valid");
    let disk = Arc::new(SimDisk::new().open(&config.node_name).expect("an empty disk"));
    let platform = Platform { disk, partition_source: None, secret: None, detour: None };
    let node = Node::start(config, platform).await.expect("it starts");
    let is_ready = async {
        while node.consensus().feature_level() < FeatureLevel::SEVENTH {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, is_ready).await.expect("in time");
    node
}

/// So many users that the cluster knows.
async fn registered(at: SocketAddr, name: &str, count: usize) -> Vec<TcpStream> {
    let mut users = Vec::with_capacity(count);
    for nth in 0..count {
        let mut tcp = TcpStream::connect(at).await.expect("it listens");
        tcp.write_all(REQUEST.as_bytes()).await.expect("it reads");
        let said = format!(r#"{{"type":"register","userId":"{name}-{nth}"}}"#);
        let length = 0x80 | u8::try_from(said.len()).expect("short");
        // A mask of zeros changes nothing.
        tcp.write_all(&[&[0x81, length, 0, 0, 0, 0], said.as_bytes()].concat()).await.expect("it reads");
        let mut heard = Vec::new();
        let answered = async {
            while !heard.ends_with(b"Successfully registered\"}") {
                assert!(tcp.read_buf(&mut heard).await.expect("it answers") > 0, "it ended");
            }
        };
        timeout(PATIENCE, answered).await.expect("in time");
        users.push(tcp);
    }
    users
}
