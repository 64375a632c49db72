//! `quorate connect` where nobody answers, and where it is told nonsense.

use crate::{quorate, ran, run, server};
use serde_json::json;
use std::{
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener},
};

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

fn dialled(gateway: &str) -> crate::Ran {
    run(&["connect", "--user", "a", "--gateway", gateway])
}

/// Where everybody hears these bytes, whatever they say first.
fn saying(bytes: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("bound");
    std::thread::spawn(move || {
        for tcp in listener.incoming() {
            let mut tcp = tcp.expect("a connection");
            // A client that went away is the test's business.
            let _ = tcp.read(&mut [0; 4_096]);
            let _ = tcp.write_all(bytes);
            // Until it has gone: a reset would take what was written along.
            let _ = std::io::copy(&mut tcp, &mut std::io::sink());
        }
    });
    address
}

#[test]
fn what_is_no_gateway_is_called_so() {
    let address = server(|_| (404, json!({"code": "not_found", "detail": "no such page", "status": 404})));
    let ran = dialled(&format!("ws://{address}/"));
    assert_eq!(ran.code, 1, "{}", ran.err);
    for part in [&format!("ws://{address}/"), "no such page", "this is no gateway", "ws://HOST:PORT/ws"] {
        assert!(ran.err.contains(part), "{part} in {}", ran.err);
    }
}

#[test]
fn a_wrong_scheme_is_guessed() {
    // A fatal alert, as servers answer cleartext.
    let tls = saying(b"\x15\x03\x03\x00\x02\x02\x46");
    let ran = dialled(&format!("ws://{tls}/ws"));
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(
        ran.err.contains(&format!("perhaps it speaks TLS, then its address is wss://{tls}/ws")),
        "{}",
        ran.err
    );

    let clear = saying(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("ca.pem");
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    std::fs::write(&authority, signed.cert.pem()).expect("written");
    let mut command = quorate(&["connect", "--user", "a", "--gateway", &format!("wss://{clear}/ws")]);
    command.env("SSL_CERT_FILE", &authority);
    let secure = crate::ran(command);
    assert_eq!(secure.code, 3, "{}", secure.err);
    assert!(
        secure.err.contains(&format!("perhaps it speaks no TLS, then its address is ws://{clear}/ws")),
        "{}",
        secure.err
    );
}

#[test]
fn a_file_of_authorities_that_is_not_there_is_named() {
    let mut command = quorate(&["connect", "--user", "a", "--gateway", "wss://127.0.0.1:1/ws"]);
    command.env("SSL_CERT_FILE", "/no/such/file");
    let ran = ran(command);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(
        ran.err.contains("SSL_CERT_FILE=/no/such/file names no certificate that can be read"),
        "{}",
        ran.err
    );
}
