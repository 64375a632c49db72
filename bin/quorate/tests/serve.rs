//! `quorate serve` as a process: signals, exit codes, and the operator commands against a real node.
#![expect(
    clippy::disallowed_methods,
    reason = "a test outside of simulation: processes and threads are real"
)]

use serde_json::Value;
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(30);

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").expect("a free port").local_addr().expect("bound")
}

struct Node {
    child: Child,
    management: SocketAddr,
}

impl Drop for Node {
    fn drop(&mut self) {
        // Already gone, where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn serve(name: &str, folder: &Path, management: SocketAddr) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.env_clear().args(["serve", "--node-name", name, "--data-dir"]).arg(folder);
    command.args([
        "--management",
        &management.to_string(),
        "--routing",
        "127.0.0.1:0",
        "--peer",
        "127.0.0.1:0",
    ]);
    command.args(["--threads", "1"]).stdin(Stdio::null());
    command
}

impl Node {
    fn start(name: &str, folder: &Path) -> Self {
        let management = free_address();
        let child = serve(name, folder, management).stderr(Stdio::null()).spawn().expect("it starts");
        let node = Self { child, management };
        let start = Instant::now();
        while !node.ask(&["keyspaces", "get", "default"]).status.success() {
            assert!(start.elapsed() < PATIENCE, "it does not get ready");
            std::thread::sleep(Duration::from_millis(20));
        }
        node
    }

    fn ask(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
        command.env_clear().env("QUORATE_SERVER", format!("http://{}", self.management)).args(args);
        command.output().expect("it runs")
    }

    fn told(&self, args: &[&str]) -> Value {
        let output = self.ask(&[args, &["--output", "json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).expect("JSON")
    }

    fn ends_by(&mut self, signal: &str) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().expect("a kill").success());
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("ours") {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "it goes on after {signal}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn refused(mut command: Command) -> (Option<i32>, String) {
    let output = command.output().expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[test]
fn operator_commands_work_on_a_real_node_and_what_they_wrote_is_there_after_a_restart() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start("n1", &folder.path().join("data"));
    assert_eq!(node.told(&["cluster", "list"])["leader"], "n1");
    assert_eq!(node.told(&["status"])["workers"]["live"], 0);
    assert_eq!(node.told(&["workers", "list"])["items"], serde_json::json!([]));
    assert_eq!(node.told(&["leases", "list"])["items"], serde_json::json!([]));
    assert_eq!(node.ask(&["workers", "get", "nobody"]).status.code(), Some(4));
    assert_eq!(node.ask(&["workers", "remove", "nobody"]).status.code(), Some(4));
    assert_eq!(node.ask(&["keyspaces", "get", "none"]).status.code(), Some(4));
    assert_eq!(node.ask(&["keyspaces", "set", "default", "--partitions", "0"]).status.code(), Some(1));
    assert!(node.told(&["keyspaces", "set", "default", "--partitions", "24"])["index"].is_u64());
    assert_eq!(node.told(&["keyspaces", "partitions"])["items"].as_array().map(Vec::len), Some(24));
    assert_eq!(node.ends_by("-TERM").code(), Some(0));

    let mut node = Node::start("n1", &folder.path().join("data"));
    assert_eq!(node.told(&["keyspaces", "get", "default"])["partitions"], 24);
    assert_eq!(node.ends_by("-INT").code(), Some(0));
}

#[test]
fn another_nodes_data_folder_is_refused_with_code_2() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start("n1", folder.path());
    let (code, why) = refused(serve("n1", folder.path(), free_address()));
    assert_eq!(code, Some(2), "{why}");
    assert!(why.contains("in use by another process"), "{why}");
    assert_eq!(node.ends_by("-TERM").code(), Some(0));
    let (code, why) = refused(serve("n2", folder.path(), free_address()));
    assert_eq!(code, Some(2), "{why}");
    assert!(why.contains("belongs to node `n1`, this node is `n2`"), "{why}");
}

#[test]
fn a_port_that_is_taken_is_code_1() {
    let folder = tempfile::tempdir().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("bound");
    let (code, why) = refused(serve("n1", folder.path(), address));
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains(&format!("--management {address} can't be listened on")), "{why}");
}

#[test]
fn a_node_that_waits_for_its_peers_ends_on_a_signal_all_the_same() {
    let folder = tempfile::tempdir().expect("a folder");
    let (own, other, management) = (free_address(), free_address(), free_address());
    let mut command = serve("n1", folder.path(), management);
    command.args(["--peers", &format!("n1={own},n2={other}")]);
    let child = command.stderr(Stdio::null()).spawn().expect("it starts");
    let mut node = Node { child, management };
    let start = Instant::now();
    while node.ask(&["cluster", "list"]).status.code() == Some(3) {
        assert!(start.elapsed() < PATIENCE, "it does not even listen");
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = node.ask(&["keyspaces", "set", "default", "--partitions", "3"]);
    assert_eq!(output.status.code(), Some(1), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(node.ends_by("-TERM").code(), Some(0));
}
