//! Certificates that are renewed while the node runs, as curl sees them.

use crate::{
    router::{Router, certificate},
    support::{eventually, machine_shared, node::quorate},
    tools,
};
use std::{
    io::Write as _,
    path::Path,
    process::{Command, Output, Stdio},
};

/// Whether a new connection of the routing listener is shown a certificate that `trusted` vouches for.
fn is_shown(router: &Router, trusted: &Path) -> bool {
    is_shown_at(&format!("https://{}/api/service/none", router.https), trusted)
}

/// The same of a URL.
fn is_shown_at(url: &str, trusted: &Path) -> bool {
    let mut command = Command::new("curl");
    command.env_clear().args([
        "--disable",
        "--silent",
        "--max-time",
        "60",
        "--output",
        "/dev/null",
        "--cacert",
    ]);
    command.arg(trusted).arg(url);
    // 60: it can't be verified.
    match command.status().expect("there is curl").code() {
        Some(0) => true,
        Some(60) => false,
        other => panic!("curl ends with {other:?}"),
    }
}

#[test]
fn a_renewed_certificate_is_taken_up_at_a_hangup_and_a_broken_one_is_not() {
    if !tools::has(&["curl"]) {
        return;
    }
    let _shared = machine_shared();
    let mut router = Router::ready();
    let served = router.folder().join("tls.pem");
    let (old, new) = (router.folder().join("old.pem"), router.folder().join("new.pem"));
    std::fs::copy(&served, &old).expect("copied");
    assert!(is_shown(&router, &old));

    std::fs::write(&served, "no certificate").expect("written");
    router.node.signal("HUP");
    let refused = || router.node.log().contains("the certificate can't be used").then_some(());
    eventually("the log says that it can't be used", refused);
    assert!(router.node.log().contains(served.to_str().expect("UTF-8")), "and which file");
    assert!(is_shown(&router, &old), "it is still shown");

    certificate(router.folder());
    std::fs::copy(&served, &new).expect("copied");
    router.node.signal("HUP");
    eventually("the new one is shown", || is_shown(&router, &new).then_some(()));
    assert!(!is_shown(&router, &old));
    assert!(router.node.has_ended().is_none(), "SIGHUP ends no node");
}

/// Alice writes to herself through the gateway, which acknowledges it, and trusts whom `trusted` vouches for.
fn alice(gateway: &str, trusted: &Path) -> Output {
    let mut command = quorate(&["connect", "--user", "alice", "--to", "alice", "--gateway", gateway]);
    command.env("SSL_CERT_FILE", trusted).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    // One that is not let in may have gone.
    let _ = child.stdin.take().expect("piped").write_all(b"hello\n");
    child.wait_with_output().expect("it ends")
}

#[test]
fn the_gateway_shows_its_own_certificate_and_the_renewed_one_at_a_hangup() {
    if !tools::has(&["curl"]) {
        return;
    }
    let _shared = machine_shared();
    let own = tempfile::tempdir().expect("a folder");
    let [served, key] = certificate(own.path());
    let mut router = Router::ready_with(&["--gateway-tls-cert", &served, "--gateway-tls-key", &key]);
    let (old, new) = (own.path().join("old.pem"), own.path().join("new.pem"));
    std::fs::copy(&served, &old).expect("copied");
    let health = format!("https://{}/health", router.node.gateway);
    assert!(is_shown_at(&health, &old));
    assert!(!is_shown(&router, &old), "the routing listener has another one");

    let gateway = format!("wss://{}/ws", router.node.gateway);
    assert_eq!(router.node.get("/v1/cluster")["gateway"], *gateway);
    let talk = alice(&gateway, &old);
    assert_eq!(talk.status.code(), Some(0), "{}", String::from_utf8_lossy(&talk.stderr));
    let stranger = alice(&gateway, &router.folder().join("tls.pem"));
    let why = String::from_utf8_lossy(&stranger.stderr);
    assert_eq!(stranger.status.code(), Some(3), "{why}");
    assert!(why.contains("certificate"), "{why}");

    certificate(own.path());
    std::fs::copy(&served, &new).expect("copied");
    router.node.signal("HUP");
    eventually("the new one is shown", || is_shown_at(&health, &new).then_some(()));
    assert!(!is_shown_at(&health, &old));
    let talk = alice(&gateway, &new);
    assert_eq!(talk.status.code(), Some(0), "{}", String::from_utf8_lossy(&talk.stderr));
    assert!(router.node.has_ended().is_none());
}
