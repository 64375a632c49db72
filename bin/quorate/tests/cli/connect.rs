//! `quorate connect` where nobody answers, and where it is told nonsense.

use crate::run;

#[test]
fn what_connect_is_told_is_checked_before_it_dials() {
    let refused = [
        (&["--user", ""][..], "--user"),
        (&["--user", "a", "--gateway", "127.0.0.1:8082"], "ws://127.0.0.1:8082/ws"),
        (&["--user", "a", "--gateway", "ftp://a/ws"], "is neither ws nor wss"),
        (&["--user", "a", "--token-file", "/no/such/file"], "--token-file /no/such/file"),
        (&["--user", "a", "--server", "n1:9090"], "--server (or QUORATE_SERVER)"),
        (&[], "--user"),
    ];
    for (args, expected) in refused {
        let ran = run(&[&["connect"], args].concat());
        assert_eq!(ran.code, 2, "{args:?} {}", ran.err);
        assert!(ran.err.contains(expected), "{args:?} {}", ran.err);
    }
}

#[test]
fn a_gateway_that_does_not_answer_is_not_reachable() {
    // Nothing listens on port 1.
    let ran = run(&["connect", "--user", "a", "--gateway", "ws://127.0.0.1:1/ws"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("ws://127.0.0.1:1/ws"), "{}", ran.err);
    assert_eq!(ran.out, "");
    let ran = run(&["connect", "--user", "a", "--server", "http://127.0.0.1:1"]);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.err.contains("http://127.0.0.1:1"), "{}", ran.err);
}
