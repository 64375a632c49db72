//! Certificates that are renewed while the node runs, as curl sees them.

use crate::{
    router::{Router, certificate},
    support::{eventually, machine_shared},
    tools,
};
use std::{path::Path, process::Command};

/// Whether a new connection is shown a certificate that `trusted` vouches for.
fn is_shown(router: &Router, trusted: &Path) -> bool {
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
    command.arg(trusted).arg(format!("https://{}/api/service/none", router.https));
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
