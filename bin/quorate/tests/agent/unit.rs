//! The agent under systemd.

use crate::{
    process::Agent,
    service::Service,
    support::{
        eventually, machine_shared,
        node::{Node, quorate, ran},
    },
};
use std::{os::unix::net::UnixDatagram, process::Command, time::Duration};

const UNIT: &str = include_str!("../../../../deploy/systemd/quorate-agent.service");

#[test]
fn systemd_hears_when_it_has_registered_and_when_it_ends() {
    let _shared = machine_shared();
    let folder = tempfile::tempdir().expect("a folder");
    let mut node = Node::new("n1", folder.path());
    node.start();
    node.becomes("ready");
    let service = Service::start();
    let config = folder.path().join("agent.yaml");
    std::fs::write(&config, format!("services:\n- {{name: a, port: {}}}\n", service.address.port()))
        .expect("written");
    let socket = UnixDatagram::bind(folder.path().join("notify")).expect("a socket");
    socket.set_read_timeout(Some(Duration::from_millis(20))).expect("a time");
    let mut heard = String::new();
    let mut hears = |line: &str| {
        eventually(line, || {
            let mut buffer = [0; 4_096];
            while let Ok(length) = socket.recv(&mut buffer) {
                heard += &String::from_utf8_lossy(&buffer[..length]);
                heard.push('\n');
            }
            heard.lines().any(|heard| heard.starts_with(line)).then_some(())
        });
    };
    let server = format!("http://{}", node.management);
    let mut command = quorate(&["agent", "--id", "m1", "--server", &server, "--config"]);
    command.arg(&config).env("NOTIFY_SOCKET", folder.path().join("notify"));
    let mut agent = Agent::of("m1", folder.path(), command);
    hears("READY=1");
    assert!(crate::process::record(&node, "m1").is_some(), "ready means registered");
    agent.signal("TERM");
    hears("STOPPING=1");
    hears("EXTEND_TIMEOUT_USEC=50000000");
    assert_eq!(agent.ended(), 0);
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    let there = Command::new("systemd-analyze").arg("--version").output();
    if !there.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: there is no systemd-analyze on this machine");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let verify = |unit: &str| {
        let file = folder.path().join("quorate-agent.service");
        std::fs::write(&file, unit.replace("/usr/local/bin/quorate", env!("CARGO_BIN_EXE_quorate")))
            .expect("written");
        let mut command = Command::new("systemd-analyze");
        command.arg("verify").arg(file).env("LC_ALL", "C");
        ran(command)
    };
    assert!(UNIT.contains("ExecStart=/usr/local/bin/quorate agent "));
    let said = verify(UNIT);
    assert_eq!((said.code, said.err.as_str()), (Some(0), ""), "{}", said.out);
    let broken = verify(&UNIT.replace("NoNewPrivileges", "NoPrivileges"));
    assert!(broken.err.contains("NoPrivileges"), "a line that it does not know is told: {}", broken.err);
}
