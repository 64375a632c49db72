//! `quorate dev` as a newcomer meets it: ready soon, every printed `curl` line works, killing a node changes
//! nothing for the others, and nothing is left behind, however it ends.
#![expect(
    clippy::disallowed_methods,
    reason = "a test outside of simulation: processes and threads are real"
)]

#[path = "support/offset.rs"]
mod offset;

use offset::free_offset;
use std::{
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

/// Far more than the three seconds of a quiet machine: tests share theirs.
const PATIENCE: Duration = Duration::from_secs(40);

struct Dev {
    child: Child,
    /// All that it printed up to the last line of the introduction.
    words: String,
}

impl Drop for Dev {
    fn drop(&mut self) {
        // Already gone, where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Dev {
    fn start(offset: u16) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_quorate"))
            .args(["dev", "--base-port-offset", &offset.to_string()])
            .stdout(Stdio::piped())
            .spawn()
            .expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let (tell, lines) = mpsc::sync_channel(1_000);
        std::thread::spawn(move || out.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
        let (start, mut words) = (Instant::now(), String::new());
        while !words.contains("Ctrl-C ends it all") {
            let left = PATIENCE.saturating_sub(start.elapsed());
            words += &(lines.recv_timeout(left).expect("ready in time") + "\n");
        }
        Self { child, words }
    }

    /// Of its children, nodes first.
    fn pids(&self) -> Vec<u32> {
        let pid = |line: &str| line.split_once("  pid ")?.1.split_whitespace().next()?.parse().ok();
        self.words.lines().filter_map(pid).collect()
    }

    fn folder(&self) -> PathBuf {
        let line = self.words.lines().find_map(|line| line.strip_prefix("Data and logs: ")).expect("named");
        line.split(" (").next().expect("a path").into()
    }
}

fn shell(command: &str) -> String {
    let output = Command::new("sh").args(["-c", command]).output().expect("a shell");
    assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A printed `quorate` line, running. Its parent's end is its end too: its input is over then.
fn connected(words: &str, user: &str) -> Child {
    let line = words.lines().find(|line| line.contains(&format!("--user {user} "))).expect("it is printed");
    let args = line.strip_prefix("quorate ").expect("a command").split_whitespace();
    let mut command = Command::new(env!("CARGO_BIN_EXE_quorate"));
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let said = BufReader::new(child.stderr.take().expect("piped")).lines().next();
    let said = said.expect("it says something").expect("text");
    assert!(said.starts_with("connected to ws://127.0.0.1:"), "{line}: {said}");
    child
}

/// A zombie has ended too: nobody here waits for grandchildren.
fn lives(pid: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// As the last printed lines have it.
fn users_speak(words: &str) {
    let cluster = words.lines().find(|line| line.ends_with("/v1/cluster")).expect("it is printed");
    let level = format!("\"feature_level\":{}", quorate_model::FeatureLevel::NEWEST.get());
    // Members say what they can a moment after they have formed a cluster.
    eventually("users can register", || shell(cluster).contains(&level));
    let (mut bob, mut alice) = (connected(words, "bob"), connected(words, "alice"));
    alice.stdin.take().expect("piped").write_all(b"hello\n").expect("it reads");
    assert!(alice.wait().expect("ours").success(), "it is acknowledged");
    let heard = BufReader::new(bob.stdout.take().expect("piped")).lines().next();
    assert_eq!(heard.expect("it hears something").expect("text"), "alice: hello");
    drop(bob.stdin.take());
    assert!(bob.wait().expect("ours").success());
}

#[test]
fn every_printed_line_works_a_node_can_be_killed_and_ctrl_c_leaves_nothing_behind() {
    let mut dev = Dev::start(free_offset());
    let (pids, folder) = (dev.pids(), dev.folder());
    assert_eq!(pids.len(), 6, "{}", dev.words);
    assert!(pids.iter().all(|pid| lives(*pid)) && Path::new(&folder).is_dir());
    users_speak(&dev.words);
    let tries: Vec<_> =
        dev.words.lines().filter(|line| line.starts_with("curl") || line.starts_with("kill")).collect();
    assert!(tries.len() >= 5, "{}", dev.words);
    for line in tries {
        let said = shell(&line.replacen("curl", "curl -fsS --max-time 10", 1));
        if line.contains("my-workspace") {
            // Partition 9 of 12 by Kafka's partitioner: the third worker's.
            assert!(said.contains("\"worker\":\"demo-3\""), "{line}: {said}");
        } else if line.contains("test-workspace") {
            assert!(said.contains("\"worker\":\"demo-2\"") && said.contains("some text"), "{line}: {said}");
        }
    }
    assert!(!lives(pids[0]), "the printed kill was meant for the first node");
    assert!(pids[1..].iter().all(|pid| lives(*pid)), "the others go on");

    shell(&format!("kill -INT {}", dev.child.id()));
    assert!(dev.child.wait().expect("ours").success());
    eventually("all children end", || !pids.iter().any(|pid| lives(*pid)));
    assert!(!folder.exists(), "the data is removed");
}

#[test]
fn children_end_even_when_their_parent_is_killed() {
    let mut dev = Dev::start(free_offset());
    let (pids, folder) = (dev.pids(), dev.folder());
    dev.child.kill().expect("ours");
    dev.child.wait().expect("ours");
    eventually("all children end", || !pids.iter().any(|pid| lives(*pid)));
    // Nobody was left to remove it, unless another `dev` has started since: it removes what nobody uses.
    match std::fs::remove_dir_all(folder) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
        removed => removed.expect("ours to remove"),
    }
}
