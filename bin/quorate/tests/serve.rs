//! `quorate serve` as a process: signals, exit codes, and the operator commands against a real node.
#![expect(
    clippy::disallowed_methods,
    reason = "a test outside of simulation: processes and threads are real"
)]

#[path = "support/ports.rs"]
mod ports;

use ports::free_address;
use serde_json::Value;
use std::{
    net::{SocketAddr, TcpListener},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    time::{Duration, Instant},
};

const PATIENCE: Duration = Duration::from_secs(30);

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

/// What is printed can be put again, and replaces nothing newer.
#[test]
fn what_is_declared_is_printed_and_put_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::start("n1", &folder.path().join("data"));
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let said = |output: Output| {
        (
            output.status.code(),
            String::from_utf8(output.stdout).expect("UTF-8"),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    };
    let policy = file("policy.yaml", "timeout: 5s\nhealth: {tcp: true}\n");
    // A new cluster takes policies once it has found out that all of its nodes can read them.
    let start = Instant::now();
    loop {
        let (code, _, err) = said(node.ask(&["services", "put", "upload", "-f", &policy]));
        if code == Some(0) {
            break;
        }
        assert!(start.elapsed() < PATIENCE, "{err}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (_, shown, _) = said(node.ask(&["services", "get", "upload", "-o", "yaml"]));
    let shown = file("shown.yaml", &shown);
    let (code, _, err) = said(node.ask(&["services", "put", "upload", "-f", &shown]));
    assert_eq!(code, Some(0), "{err}");
    let policy = &node.told(&["services", "get", "upload"])["policy"];
    assert_eq!((&policy["timeout"], &policy["health"]["tcp"]), (&"5s".into(), &true.into()));
    // What it shows is not the newest any more once another change stands.
    assert_eq!(node.ask(&["services", "set", "upload", "--timeout", "6s"]).status.code(), Some(0));
    let (code, _, err) = said(node.ask(&["services", "put", "upload", "-f", &shown]));
    assert!(code == Some(1) && err.contains("precondition_failed"), "{err}");
    let wrong = file("wrong.yaml", "name: upload\npolicy:\n  timeout: 5s\n  health:\n    tcp:\n");
    let (code, _, err) = said(node.ask(&["services", "put", "upload", "-f", &wrong]));
    assert!(code == Some(1) && err.contains("wrong.yaml:5:5: health.tcp: is null"), "{err}");

    let (code, all, err) = said(node.ask(&["config"]));
    assert!(code == Some(0) && all.contains("timeout: 6s"), "{all}");
    let index = err.trim().strip_prefix("last changed at index ").expect("an index").to_owned();
    let all = file("all.yaml", &all);
    let (code, out, err) = said(node.ask(&["apply", "-f", &all, "--replace", "--if-match", &index]));
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    assert_eq!(node.ask(&["services", "set", "upload", "--timeout", "7s"]).status.code(), Some(0));
    let (code, _, err) = said(node.ask(&["apply", "-f", &all, "--replace", "--if-match", &index]));
    assert!(code == Some(1) && err.contains("precondition_failed"), "{err}");
    assert_eq!(node.told(&["services", "get", "upload"])["policy"]["timeout"], "7s");
    assert_eq!(node.ends_by("-TERM").code(), Some(0));
}

#[test]
fn a_certificate_that_cannot_be_used_is_code_2_before_anything_is_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let data = folder.path().join("data");
    let bad = folder.path().join("bad.pem");
    std::fs::write(&bad, "no PEM").expect("written");
    for certificate in [bad.clone(), folder.path().join("none.pem")] {
        for (flags, of) in [(&["--https", "127.0.0.1:0"][..], "--tls"), (&[], "--gateway-tls")] {
            let mut command = serve("n1", &data, free_address());
            command
                .args(flags)
                .arg(format!("{of}-cert"))
                .arg(&certificate)
                .arg(format!("{of}-key"))
                .arg(&bad);
            let (code, why) = refused(command);
            assert_eq!(code, Some(2), "{why}");
            assert!(why.contains(&format!("{of}-cert {}: ", certificate.display())), "{why}");
            assert!(!data.exists(), "{why}");
        }
    }
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
