use crate::{
    gateway::Gateway,
    rig::{Client, PATIENCE, Table, certified, until, user},
    settings::Settings,
};
use quorate_rt::{
    certificate::{Certificate, Look},
    net::TcpStream,
    time,
    tls::{Alpn, Connector, Stream},
};
use quorate_telemetry::gateway::TurnedAway;
use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::Message;

/// The files of a certificate that vouches for itself.
struct Files(tempfile::TempDir);

impl Files {
    fn new() -> Self {
        let files = Self(tempfile::tempdir().expect("a folder"));
        files.renew();
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn renew(&self) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        fs::write(self.path("cert.pem"), made.cert.pem()).expect("written");
        fs::write(self.path("key.pem"), made.signing_key.serialize_pem()).expect("written");
    }

    async fn read(&self) -> Certificate {
        let read = Certificate::read(self.path("cert.pem"), self.path("key.pem"), Alpn::Http1).await;
        read.expect("both are good")
    }
}

async fn shake_hands(gateway: &Gateway, trusted: &Path, alpn: Alpn) -> io::Result<Stream<TcpStream>> {
    let tcp = TcpStream::connect(gateway.local_addr()).await.expect("it listens");
    let connector = Connector::new(Some(trusted)).expect("an authority");
    time::timeout(PATIENCE, connector.connect("localhost", tcp, alpn)).await.expect("in time")
}

async fn connect(gateway: &Gateway, trusted: &Path) -> Client<Stream<TcpStream>> {
    let io = shake_hands(gateway, trusted, Alpn::Http1).await.expect("it is trusted");
    Client::over(io, "/ws", "").await.expect("hands are shaken")
}

#[tokio::test]
async fn clients_by_tls_speak_as_those_in_the_clear_do() {
    let (table, files) = (Arc::new(Table::default()), Files::new());
    let gateway = certified(&table, "n1", Settings::default(), files.read().await).await;
    let trusted = files.path("cert.pem");
    let (mut alice, mut bob) = (connect(&gateway, &trusted).await, connect(&gateway, &trusted).await);
    alice.become_user("alice").await;
    bob.become_user("bob").await;
    alice.tell("bob", "hello").await;
    assert_eq!(bob.hear().await, r#"{"type":"message","from":"alice","content":"hello"}"#);
    let long = "x".repeat(500_000);
    bob.tell("alice", &long).await;
    assert!(alice.hear().await.contains(&long));

    alice.send(Message::Close(None)).await;
    assert!(matches!(alice.next().await, Some(Ok(Message::Close(None)))));
    // An end that nobody announces would be an error of this read.
    let mut rest = Vec::new();
    let read = time::timeout(PATIENCE, alice.into_io().read_to_end(&mut rest)).await.expect("in time");
    assert_eq!(read.expect("it is announced"), 0, "{rest:?}");
    until("it is out of presence", || table.places(&user("alice")).is_empty()).await;
}

/// A client that offers both must not be given HTTP/2: WebSockets are not spoken on it here.
#[tokio::test]
async fn only_http_1_is_agreed_on() {
    let (table, files) = (Arc::new(Table::default()), Files::new());
    let gateway = certified(&table, "n1", Settings::default(), files.read().await).await;
    let trusted = files.path("cert.pem");
    let mut io = shake_hands(&gateway, &trusted, Alpn::Either).await.expect("it is trusted");
    assert_eq!(io.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    io.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.expect("it reads");
    io.flush().await.expect("it reads");
    let mut told = String::new();
    io.read_to_string(&mut told).await.expect("an answer, and an end that is announced");
    assert!(told.starts_with("HTTP/1.1 200 OK\r\n") && told.ends_with("\r\n\r\nOK"), "{told}");
    shake_hands(&gateway, &trusted, Alpn::Http2).await.expect_err("nothing that both speak");
}

#[tokio::test]
async fn whoever_speaks_no_tls_is_told_nothing_and_counted() {
    let (table, files) = (Arc::new(Table::default()), Files::new());
    let gateway = certified(&table, "n1", Settings::default(), files.read().await).await;
    let away = || gateway.desk().counters.turned_away_for(TurnedAway::Tls);
    // Whoever looks whether the port is open is nobody who was turned away.
    drop(TcpStream::connect(gateway.local_addr()).await.expect("it listens"));
    let mut tcp = TcpStream::connect(gateway.local_addr()).await.expect("it listens");
    tcp.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").await.expect("it reads");
    let mut told = Vec::new();
    // An alert at most. Whether the end is a reset depends on what was read.
    let _ = time::timeout(PATIENCE, tcp.read_to_end(&mut told)).await.expect("in time");
    assert!(!told.starts_with(b"HTTP"), "{told:?}");
    until("it is counted", || away() == 1).await;
    let other = Files::new();
    shake_hands(&gateway, &other.path("cert.pem"), Alpn::Http1).await.expect_err("nobody vouches for it");
    until("and whoever does not trust it", || away() == 2).await;
}

/// It takes the ten seconds that such a client has.
#[tokio::test]
async fn a_handshake_that_never_ends_is_ended() {
    let (table, files) = (Arc::new(Table::default()), Files::new());
    let gateway = certified(&table, "n1", Settings::default(), files.read().await).await;
    let mut tcp = TcpStream::connect(gateway.local_addr()).await.expect("it listens");
    // The head of a record that does not come.
    tcp.write_all(&[0x16, 0x03, 0x01, 0x01, 0x00]).await.expect("it reads");
    let closed = time::timeout(PATIENCE, tcp.read_u8()).await.expect("in time");
    assert!(closed.is_err(), "nothing is said");
    until("it is counted", || gateway.desk().counters.turned_away_for(TurnedAway::Tls) == 1).await;
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_whoever_comes_and_nobody_has_to_leave() {
    let (table, files) = (Arc::new(Table::default()), Files::new());
    let mut certificate = files.read().await;
    let gateway = certified(&table, "n1", Settings::default(), certificate.clone()).await;
    let (old, new) = (files.path("old.pem"), files.path("cert.pem"));
    fs::copy(&new, &old).expect("copied");
    let mut alice = connect(&gateway, &old).await;
    alice.become_user("alice").await;
    fs::write(files.path("key.pem"), "no key").expect("written");
    assert!(matches!(certificate.look().await, Look::Refused(_)));
    connect(&gateway, &old).await;
    files.renew();
    assert!(matches!(certificate.look().await, Look::Taken));
    let mut bob = connect(&gateway, &new).await;
    bob.become_user("bob").await;
    shake_hands(&gateway, &old, Alpn::Http1).await.expect_err("it is not shown any more");
    bob.tell("alice", "still here?").await;
    assert_eq!(alice.hear().await, r#"{"type":"message","from":"bob","content":"still here?"}"#);
}
