//! `quorate dev`: soon ready, and one node less is no matter.

#[path = "../support/offset.rs"]
mod offset;

use crate::support::{PATIENCE, eventually, figure, http::Ask, machine_to_itself, node::quorate, within};
use offset::free_offset;
use std::{
    fs::File,
    net::SocketAddr,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

/// Three seconds is what a release build promises; this one is not optimised.
const READY_WITHIN: Duration = Duration::from_secs(if cfg!(debug_assertions) { 10 } else { 3 });

struct Dev(Child);

impl Drop for Dev {
    fn drop(&mut self) {
        // Already gone, where the test went well. Its children see it go.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn send(signal: &str, pid: u32) {
    let sent = Command::new("kill").args(["-s", signal, &pid.to_string()]).status();
    assert!(sent.expect("there is a kill").success());
}

/// A zombie has ended too: nobody here waits for grandchildren.
fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn dev_is_ready_soon_survives_the_loss_of_a_node_and_leaves_nothing_behind() {
    let _alone = machine_to_itself();
    let offset = free_offset();
    let folder = tempfile::tempdir().expect("a folder");
    let said = folder.path().join("said");
    let start = Instant::now();
    let mut command = quorate(&["dev", "--base-port-offset", &offset.to_string()]);
    command.stdout(File::create(&said).expect("a file")).stderr(Stdio::null());
    let mut dev = Dev(command.spawn().expect("it starts"));
    let words = || std::fs::read_to_string(&said).expect("text");
    eventually("it is ready", || words().contains("Ctrl-C ends it all").then_some(()));
    let took = start.elapsed();
    figure(&format!("quorate dev: ready after {took:?}"));
    assert!(took < READY_WITHIN, "{took:?}");

    let pid = |line: &str| line.split_once("  pid ")?.1.split_whitespace().next()?.parse().ok();
    let pids: Vec<u32> = words().lines().filter_map(pid).collect();
    assert_eq!(pids.len(), 6, "{}", words());
    send("KILL", pids[0]);
    let at = |port: u16| SocketAddr::from(([127, 0, 0, 1], port + offset));
    for (routing, management) in [(8_082, 9_092), (8_083, 9_093)] {
        for (workspace, worker) in
            [("workspace-1", "demo-1"), ("test-workspace", "demo-2"), ("my-workspace", "demo-3")]
        {
            let answer = Ask::workspace(workspace).send(at(routing)).expect("it routes");
            assert_eq!(answer.worker(), worker);
        }
        let body =
            serde_json::json!({"workerId": "mine", "httpAddress": "http://127.0.0.1:1", "partitions": []});
        let ask = Ask::json("POST", "/register", &body);
        eventually("writes go on", || (ask.send(at(management)).ok()?.status == 200).then_some(()));
    }
    send("INT", dev.0.id());
    let status = within(PATIENCE, || dev.0.try_wait().expect("it is ours")).expect("it ends");
    assert_eq!(status.code(), Some(0));
    eventually("all children end", || (!pids.iter().any(|pid| lives(*pid))).then_some(()));
}
