//! What systemd hears of a node, and the unit that it is given.

use crate::support::{
    PATIENCE, eventually, machine_shared,
    node::{Node, Ran, ran},
};
use std::{
    os::unix::{fs::PermissionsExt as _, net::UnixDatagram},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

const UNIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/systemd/quorate.service");
const SETTINGS: &str = include_str!("../../../../deploy/systemd/quorate.env");
/// The worst that systemd's own judgement may say of the unit, in tenths.
const EXPOSURE_MAX: u32 = 15;

/// The test in systemd's place.
struct Systemd {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Systemd {
    fn for_node(node: &mut Node, folder: &Path) -> Self {
        let path = folder.join("notify");
        let socket = UnixDatagram::bind(&path).expect("a socket");
        socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time");
        node.environment.push(("NOTIFY_SOCKET".into(), path.display().to_string()));
        Self { socket, heard: Vec::new() }
    }

    /// All lines so far.
    fn hears(&mut self) -> &[String] {
        let mut buffer = [0; 4_096];
        while let Ok(length) = self.socket.recv(&mut buffer) {
            let message = String::from_utf8(buffer[..length].to_vec()).expect("UTF-8");
            self.heard.extend(message.lines().map(str::to_owned));
        }
        &self.heard
    }

    /// Waits for a line that begins so, and returns it.
    fn waits_for(&mut self, begin: &str) -> String {
        eventually(begin, || self.hears().iter().find(|line| line.starts_with(begin)).cloned())
    }

    fn count(&mut self, line: &str) -> usize {
        self.hears().iter().filter(|heard| *heard == line).count()
    }
}

#[test]
fn systemd_hears_of_readiness_when_there_is_some_and_of_the_end_when_it_begins() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let (mut first, mut second) = (Node::new("n1", folder.path()), Node::new("n2", folder.path()));
    let mut systemd = Systemd::for_node(&mut first, folder.path());
    let peers = format!("n1={},n2={}", first.peer, second.peer);
    first.args = vec!["--peers".into(), peers.clone()];
    second.args = vec!["--peers".into(), peers];
    first.start();
    let status = systemd.waits_for("STATUS=starting");
    assert!(status.contains("the cluster is not formed yet"), "{status}");
    assert_eq!(systemd.count("READY=1"), 0, "nobody is ready alone");

    second.start();
    first.becomes("ready");
    systemd.waits_for("READY=1");
    systemd.waits_for("STATUS=ready, ");
    assert_eq!((systemd.count("READY=1"), systemd.count("STOPPING=1")), (1, 0));
    assert_eq!(systemd.count("WATCHDOG=1"), 0, "nobody asked for it");

    first.signal("TERM");
    systemd.waits_for("STOPPING=1");
    systemd.waits_for("EXTEND_TIMEOUT_USEC=");
    assert_eq!(first.ended().0.code(), Some(0));
    assert_eq!(systemd.count("READY=1"), 1, "ready is said once");
}

#[test]
fn a_long_drain_asks_systemd_for_more_time_and_a_second_signal_still_ends_it() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    let mut systemd = Systemd::for_node(&mut node, folder.path());
    node.args = vec!["--drain-delay".into(), "1h".into()];
    node.start();
    systemd.waits_for("READY=1");
    node.signal("TERM");
    let extension = systemd.waits_for("EXTEND_TIMEOUT_USEC=");
    eventually("it asks again", || (systemd.count(&extension) >= 2).then_some(()));
    node.signal("TERM");
    assert_eq!(node.ended().0.code(), Some(143));
}

#[test]
fn the_watchdog_is_fed_as_long_as_the_node_answers() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    let mut systemd = Systemd::for_node(&mut node, folder.path());
    node.environment.push(("WATCHDOG_USEC".into(), "400000".into()));
    node.start();
    eventually("it is fed", || (systemd.count("WATCHDOG=1") > 5).then_some(()));
    // One whose control threads stand still.
    node.signal("STOP");
    let mut fed = systemd.count("WATCHDOG=1");
    eventually("it hungers", || {
        std::thread::sleep(Duration::from_millis(400));
        let now = systemd.count("WATCHDOG=1");
        let hungers = now == fed;
        fed = now;
        hungers.then_some(())
    });
    node.signal("CONT");
    eventually("it is fed again", || (systemd.count("WATCHDOG=1") > fed).then_some(()));
}

#[test]
fn a_systemd_that_is_gone_changes_nothing() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.environment.push(("NOTIFY_SOCKET".into(), folder.path().join("none").display().to_string()));
    node.start();
    node.becomes("ready");
    let asked = Instant::now();
    node.signal("TERM");
    assert_eq!(node.ended().0.code(), Some(0));
    assert!(asked.elapsed() < PATIENCE);
}

#[test]
fn a_secret_from_systemd_is_not_complained_about_whatever_its_mode() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("cluster-secret");
    std::fs::write(&secret, "s".repeat(40)).expect("written");
    std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(0o440)).expect("ours");
    let mut node = Node::new("n1", folder.path());
    node.args = vec!["--cluster-secret-file".into(), secret.display().to_string()];
    node.start();
    node.becomes("ready");
    assert!(node.log().contains("chmod 600"), "anybody's file is");
    node.kill();
    let before = node.log().len();
    node.environment.push(("CREDENTIALS_DIRECTORY".into(), folder.path().display().to_string()));
    node.start();
    node.becomes("ready");
    assert!(!node.log()[before..].contains("chmod 600"));
}

/// systemd's own tool, where there is one.
fn analyze(args: &[&str]) -> Option<Ran> {
    let there = Command::new("systemd-analyze").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no systemd-analyze on this machine");
        return None;
    }
    let mut command = Command::new("systemd-analyze");
    command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("LC_ALL", "C");
    Some(ran(command))
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let folder = tempfile::tempdir().expect("a folder");
    // As installed: where the program is.
    let unit = std::fs::read_to_string(UNIT).expect("the unit");
    let program = env!("CARGO_BIN_EXE_quorate");
    assert!(unit.contains("ExecStart=/usr/local/bin/quorate serve\n"));
    let installed = folder.path().join("quorate.service");
    std::fs::write(&installed, unit.replace("/usr/local/bin/quorate", program)).expect("written");
    let Some(ran) = analyze(&["verify", &installed.display().to_string()]) else { return };
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{}", ran.out);

    let broken = folder.path().join("broken.service");
    std::fs::write(
        &broken,
        unit.replace("/usr/local/bin/quorate", program).replace("NoNewPrivileges", "NoPrivileges"),
    )
    .expect("written");
    let ran = analyze(&["verify", &broken.display().to_string()]).expect("it is there");
    assert!(ran.err.contains("NoPrivileges"), "a line that it does not know is told: {}", ran.err);
}

#[test]
fn the_unit_gives_the_node_no_more_rights_than_it_needs() {
    let Some(ran) = analyze(&["security", "--offline=true", UNIT]) else { return };
    if ran.err.contains("unrecognized option") {
        eprintln!("skipped: this systemd-analyze can't judge a file");
        return;
    }
    let words = ran.out.split("Overall exposure level for quorate.service: ").nth(1);
    let level = words.and_then(|rest| rest.split_whitespace().next()).expect("a level");
    let tenths: u32 = level.replace('.', "").parse().expect("a number such as 1.2");
    assert!(tenths <= EXPOSURE_MAX, "{}", ran.out);
}

/// The number of seconds behind a key of the unit, or a variable of the settings.
fn seconds(text: &str, key: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('=')).expect("it is set");
    value.strip_suffix('s').and_then(|number| number.parse().ok()).expect("whole seconds")
}

#[test]
fn systemd_waits_for_longer_than_a_drain_takes() {
    const DRAIN_LIMIT: u64 = 30;
    let unit = std::fs::read_to_string(UNIT).expect("the unit");
    let stop = seconds(&unit, "TimeoutStopSec");
    assert!(stop >= seconds(SETTINGS, "QUORATE_DRAIN_DELAY") + DRAIN_LIMIT + 10, "{stop} s");
    assert!(!SETTINGS.contains("\nQUORATE_DRAIN_LIMIT="), "the default holds");
}

#[test]
fn the_example_of_the_settings_is_taken_by_serve() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    // Where the unit puts them; the secret is not there, which is all that may be wrong with the example.
    node.args = vec!["--cluster-secret-file".into(), folder.path().join("none").display().to_string()];
    for line in SETTINGS.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        let (name, value) = line.split_once('=').expect("a variable");
        node.environment.push((name.into(), value.into()));
    }
    assert!(node.environment.len() >= 4, "{:?}", node.environment);
    let ran = ran(node.command());
    assert_eq!(ran.code, Some(2), "{}", ran.err);
    assert!(ran.err.starts_with("error: --cluster-secret-file "), "{}", ran.err);
}
