//! `quorate connect` among three nodes: who is written to hears it on whichever node, and misses nothing when that node
//! ends.

use crate::support::{
    cluster::Cluster,
    eventually, machine_shared,
    node::{Node, quorate},
};
use serde_json::{Value, json};
use std::{
    fs::File,
    io::Write as _,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
};

pub fn gateways(nodes: &[&Node]) -> String {
    let all: Vec<_> = nodes.iter().map(|node| format!("ws://{}/ws", node.gateway)).collect();
    all.join(",")
}

fn connect(user: &str, gateways: &str) -> Command {
    quorate(&["connect", "--user", user, "--gateway", gateways])
}

/// What one says, line by line; how that ends, and what stood on stderr.
pub fn said(user: &str, gateways: &str, lines: &str) -> (Option<i32>, String) {
    let mut command = connect(user, gateways);
    let mut child = command.stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut stdin = child.stdin.take().expect("piped");
    stdin.write_all(lines.as_bytes()).expect("it reads");
    drop(stdin);
    let output = child.wait_with_output().expect("it ends");
    (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
}

/// Somebody who listens. Dropping it ends it.
pub struct Ear {
    child: Child,
    stdin: Option<ChildStdin>,
    out: PathBuf,
    err: PathBuf,
    _folder: tempfile::TempDir,
}

impl Ear {
    pub fn open(user: &str, gateways: &str) -> Self {
        Self::of(&mut connect(user, gateways))
    }

    fn of(command: &mut Command) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let [out, err] = ["out", "err"].map(|name| folder.path().join(name));
        let file = |path: &PathBuf| File::create(path).expect("a file");
        command.arg("--json").stdin(Stdio::piped()).stdout(file(&out)).stderr(file(&err));
        let mut child = command.spawn().expect("it starts");
        let stdin = child.stdin.take();
        let ear = Self { child, stdin, out, err, _folder: folder };
        ear.told("connected to ");
        ear
    }

    /// Waits until it was told so on stderr.
    pub fn told(&self, what: &str) {
        eventually(what, || std::fs::read_to_string(&self.err).expect("a file").contains(what).then_some(()));
    }

    /// Waits until so many lines were heard.
    pub fn heard(&self, count: usize) -> Vec<Value> {
        eventually("what is said to be heard", || {
            let text = std::fs::read_to_string(&self.out).expect("a file");
            let whole = &text[..text.rfind('\n').map_or(0, |end| end + 1)];
            let lines: Vec<_> = whole.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
            (lines.len() >= count).then_some(lines)
        })
    }

    /// Says lines.
    pub fn says(&mut self, lines: &str) {
        self.stdin.as_mut().expect("it listens").write_all(lines.as_bytes()).expect("it reads");
    }

    /// Ends its input.
    pub fn hangs_up(&mut self) {
        drop(self.stdin.take());
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.expect("there is a kill").success());
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("it is ours").is_none()
    }

    /// How it has ended, and what it has said on stderr.
    pub fn ended(&mut self) -> (Option<i32>, String) {
        let status = eventually("it ends", || self.child.try_wait().expect("it is ours"));
        (status.code(), std::fs::read_to_string(&self.err).expect("a file"))
    }

    /// Ends it by the end of its input.
    fn end(mut self) -> Option<i32> {
        self.hangs_up();
        self.ended().0
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn message(from: &str, content: &str) -> Value {
    json!({"type": "message", "from": from, "content": content})
}

#[test]
fn a_message_arrives_on_another_node_and_behind_the_end_of_a_node() {
    let _machine = machine_shared();
    let mut cluster = Cluster::formed();
    cluster.ready();
    let all = |from: usize| gateways(&[0, 1, 2].map(|nth| &cluster.nodes[(from + nth) % 3]));
    let (first, second) = (all(0), all(1));
    let bob = Ear::open("bob", &first);
    assert_eq!(said("alice", &second, "bob: 1\n"), (Some(0), told_of(&cluster.nodes[1])));
    assert_eq!(bob.heard(1), [message("alice", "1")]);

    let (code, err) = said("alice", &second, "nobody: x\nbob: 2\n");
    assert_eq!(code, Some(1), "{err}");
    assert!(err.contains("Failed to send message: nobody: x"), "{err}");
    assert_eq!(bob.heard(2)[1], message("alice", "2"));

    // The node of bob's socket ends in order, and another one takes the session.
    cluster.nodes[0].signal("TERM");
    assert!(cluster.nodes[0].ended().0.success());
    let (code, err) = said("alice", &second, "bob: 3\n");
    assert_eq!(code, Some(0), "{err}");
    bob.told("again");
    assert_eq!(bob.heard(3)[2], message("alice", "3"));
    assert_eq!(bob.heard(3).len(), 3, "nothing comes twice");
    assert_eq!(bob.end(), Some(0));
}

#[test]
fn any_node_tells_where_the_gateways_are() {
    let _machine = machine_shared();
    let mut cluster = Cluster::formed();
    cluster.ready();
    for node in &cluster.nodes {
        assert_eq!(node.get("/v1/cluster")["gateway"], format!("ws://{}/ws", node.gateway));
    }
    eventually("all have said where they are", || {
        let told = cluster.nodes[1].get("/v1/cluster");
        let nodes = told["nodes"].as_array().expect("a list");
        (nodes.len() == 3 && nodes.iter().all(|node| node["management"] != "")).then_some(())
    });
    let server = format!("http://{}", cluster.nodes[1].management);
    let alone = |args: &[&str]| {
        let mut command = quorate(&[&["connect", "--user", "alice"], args].concat());
        command.stdin(Stdio::null()).output().expect("it ends")
    };
    let told = alone(&["--server", &server]);
    assert_eq!(
        (told.status.code(), String::from_utf8_lossy(&told.stderr).as_ref()),
        (Some(0), &*told_of(&cluster.nodes[1]))
    );
    // Whoever names gateways is not sent elsewhere.
    let named = alone(&["--server", &server, "--gateway", &gateways(&[&cluster.nodes[0]])]);
    assert_eq!(String::from_utf8_lossy(&named.stderr), told_of(&cluster.nodes[0]));

    // The others are known as well: a session goes on there when its node ends.
    let ear = Ear::of(&mut quorate(&["connect", "--user", "bob", "--server", &server]));
    cluster.nodes[1].signal("TERM");
    assert!(cluster.nodes[1].ended().0.success());
    ear.told("again");
    assert_eq!(ear.end(), Some(0));
}

fn told_of(node: &Node) -> String {
    format!("connected to ws://{}/ws\n", node.gateway)
}
