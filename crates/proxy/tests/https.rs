//! Clients that come by TLS.

#![expect(clippy::unwrap_used, reason = "a test that can not be set up has to stop")]

mod rig;

use quorate_proxy::{Config, Feeds, Https, Proxy};
use quorate_rt::{
    certificate::Look,
    published::Published,
    time::{sleep, timeout},
};
use rig::{
    PATIENCE, Rig, Worker, config, get,
    http2::{Http2, get2},
    ok,
};
use rustls::{ClientConfig, RootCertStore, pki_types::ServerName};
use std::{io::Write, net::SocketAddr, sync::Arc, time::Duration};
use tempfile::NamedTempFile;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// A certificate that vouches for itself, and its key.
struct Identity {
    der: rustls::pki_types::CertificateDer<'static>,
    certificate: NamedTempFile,
    key: NamedTempFile,
}

fn file(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

impl Identity {
    fn new() -> Self {
        let made = rcgen::generate_simple_self_signed(["r.example".to_owned()]).unwrap();

        let (certificate, key) = (file(&made.cert.pem()), file(&made.signing_key.serialize_pem()));
        Self { der: made.cert.der().clone(), certificate, key }
    }

    /// In the place of another one's files.
    fn replace(&self, other: &Self) {
        for (from, to) in [(&self.certificate, &other.certificate), (&self.key, &other.key)] {
            std::fs::copy(from.path(), to.path()).unwrap();
        }
    }

    fn https(&self) -> Https {
        let listen = "127.0.0.1:0".parse().unwrap();
        Https { listen, certificate: self.certificate.path().into(), key: self.key.path().into() }
    }

    async fn connect(&self, addr: SocketAddr, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        self.shake_hands(TcpStream::connect(addr).await.unwrap(), protocols).await
    }

    async fn shake_hands(&self, tcp: TcpStream, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        timeout(PATIENCE, self.try_shake_hands(tcp, protocols)).await.expect("in time").expect("a handshake")
    }

    async fn try_shake_hands(
        &self,
        tcp: TcpStream,
        protocols: &[&[u8]],
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        client.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        TlsConnector::from(Arc::new(client)).connect(ServerName::try_from("r.example").unwrap(), tcp).await
    }
}

async fn rig(worker: &Worker, identity: &Identity) -> (Rig, SocketAddr) {
    rig_with(worker, identity, config()).await
}

async fn rig_with(worker: &Worker, identity: &Identity, mut config: Config) -> (Rig, SocketAddr) {
    config.https = Some(identity.https());
    config.limits.header_timeout = Duration::from_millis(500);
    let rig = Rig::start(config, Some(12)).await;
    rig.register("w1", &worker.url(), 0..12);
    let addr = rig.proxy.as_ref().unwrap().https_addr().unwrap();
    (rig, addr)
}

/// One HTTP/1.1 request whose answer is `ok`.
async fn ask(tls: &mut TlsStream<TcpStream>) {
    tls.write_all(get("/", "").as_bytes()).await.unwrap();
    tls.flush().await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok") {
        assert_ne!(timeout(PATIENCE, tls.read_buf(&mut answer)).await.expect("in time").unwrap(), 0);
    }
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn the_handshake_decides_what_is_spoken() {
    let (worker, identity) = (Worker::ok().await, Identity::new());
    let (rig, addr) = rig(&worker, &identity).await;
    let tls = identity.connect(addr, &[b"h2", b"http/1.1"]).await;
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    assert_eq!(Http2::over(tls).await.ask(get2("/")).await.body, "ok");
    assert_eq!(worker.last().header("x-forwarded-proto"), Some("https"));
    let mut tls = identity.connect(addr, &[b"http/1.1"]).await;
    assert_eq!(tls.get_ref().1.alpn_protocol(), Some(&b"http/1.1"[..]));
    for _ in 0..2 {
        ask(&mut tls).await;
    }
    assert_eq!(worker.last().header("x-forwarded-proto"), Some("https"));
    // Who takes no part in it says so with the first bytes.
    ask(&mut identity.connect(addr, &[]).await).await;
    let tls = identity.connect(addr, &[]).await;
    assert_eq!(Http2::over(tls).await.ask(get2("/")).await.body, "ok");
    // The other listener is in the clear as before.
    assert_eq!(rig.ask(&get("/", "")).await.body, "ok");
    assert_eq!(worker.last().header("x-forwarded-proto"), Some("http"));
}

#[tokio::test]
async fn who_speaks_no_tls_there_is_not_routed() {
    let (worker, identity) = (Worker::ok().await, Identity::new());
    let (rig, addr) = rig(&worker, &identity).await;
    let mut plain = rig::Client::connect(addr).await;
    plain.send(get("/", "").as_bytes()).await.unwrap();
    // An alert, at most, and the end.
    let mut rest = Vec::new();
    let _ = timeout(PATIENCE, plain.tcp.read_to_end(&mut rest)).await.expect("closed in time");
    assert!(!rest.starts_with(b"HTTP"), "{rest:?}");
    // Nor who says nothing.
    let mut silent = rig::Client::connect(addr).await;
    assert!(silent.is_closed().await);
    // Nor who wants another protocol.
    rig.until_metric("quorate_proxy_connections_open", 0).await;
    assert!(worker.heard().is_empty());
}

#[tokio::test]
async fn a_drain_ends_both_listeners() {
    let (worker, identity) = (Worker::ok().await, Identity::new());
    let (mut rig, addr) = rig(&worker, &identity).await;
    let mut tls = identity.connect(addr, &[b"http/1.1"]).await;
    ask(&mut tls).await;
    let mut two = Http2::over(identity.connect(addr, &[b"h2"]).await).await;
    assert_eq!(two.ask(get2("/")).await.body, "ok");
    let proxy = rig.proxy.take().unwrap();
    timeout(PATIENCE, proxy.drain()).await.expect("drained in time");
    assert_eq!(timeout(PATIENCE, tls.read(&mut [0; 8])).await.expect("closed in time").unwrap_or(0), 0);
    assert!(two.ended().await.is_ok());
    for closed in [addr, rig.addr] {
        assert!(TcpStream::connect(closed).await.is_err(), "{closed}");
    }
}

#[tokio::test]
async fn a_certificate_that_can_not_be_used_is_told_at_the_start() {
    let (ours, theirs) = (Identity::new(), Identity::new());
    let start = |https: Https| async {
        let mut config = config();
        config.https = Some(https);
        let started = Proxy::start(config, Feeds::new(Published::new(Arc::default()))).await;
        started.err().expect("not started").to_string()
    };
    let gone = start(Https { certificate: "/nonexistent/c.pem".into(), ..ours.https() }).await;
    assert!(gone.starts_with("the certificate in /nonexistent/c.pem: "), "{gone}");
    let other = start(Https { key: theirs.key.path().into(), ..ours.https() }).await;
    let expected = format!("the certificate in {} and the key in ", ours.certificate.path().display());
    assert!(other.starts_with(&expected), "{other}");
    let no_key = start(Https { key: ours.certificate.path().into(), ..ours.https() }).await;
    assert!(no_key.starts_with("the key in "), "{no_key}");
    let empty = file("nothing");
    let empty = start(Https { certificate: empty.path().into(), ..ours.https() }).await;
    assert!(empty.ends_with(": holds no certificate"), "{empty}");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap();
    let taken = start(Https { listen, ..ours.https() }).await;
    assert!(taken.starts_with(&format!("listen on {listen}: ")), "{taken}");
}

/// A connection rests as soon as its answer is written, and here that is into the buffers of TLS: they hold the end of the
/// answer while the client takes it bit by bit.
#[tokio::test]
async fn a_client_that_reads_slowly_gets_all_of_it_before_its_connection_rests() {
    let body: String = (0..600 << 10).map(|n: u32| char::from(b'a' + (n % 23) as u8)).collect();
    let answer = body.clone();
    let worker =
        Worker::answering(move |heard| ok(if heard.line().contains("/large") { &answer } else { "ok" }));
    let (worker, identity) = (worker.await, Identity::new());
    let mut config = config();
    config.limits.client_rest = Duration::ZERO;
    let (_rig, addr) = rig_with(&worker, &identity, config).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4 << 10).unwrap();
    let mut tls = identity.shake_hands(socket.connect(addr).await.unwrap(), &[b"http/1.1"]).await;
    tls.write_all(get("/large", "").as_bytes()).await.unwrap();
    tls.flush().await.unwrap();
    let mut got = Vec::new();
    let ends = |got: &[u8]| got.windows(4).position(|w| w == b"\r\n\r\n").map(|head| head + 4);
    let is_whole = |got: &[u8]| ends(got).is_some_and(|at| got.len() >= at + body.len());
    while !is_whole(&got) {
        sleep(Duration::from_millis(120)).await;
        // Less than the buffers of TLS hold at a time: at some point only they have the rest.
        let upto = got.len() + (32 << 10);
        while got.len() < upto && !is_whole(&got) {
            let read = timeout(PATIENCE, tls.read_buf(&mut got)).await.expect("in time").unwrap();
            assert_ne!(read, 0, "it ends after {} bytes", got.len());
        }
    }
    let head = ends(&got).unwrap();
    assert!(got[head..] == *body.as_bytes(), "{} bytes of {}", got.len() - head, body.len());
    // The same connection, after its rest.
    sleep(Duration::from_millis(600)).await;
    ask(&mut tls).await;
}

/// Whom the listener shows itself as, to whoever connects now.
async fn is_shown(identity: &Identity, other: &Identity, addr: SocketAddr) {
    ask(&mut identity.connect(addr, &[b"http/1.1"]).await).await;
    let tcp = TcpStream::connect(addr).await.unwrap();
    let refused = timeout(PATIENCE, other.try_shake_hands(tcp, &[b"http/1.1"])).await.expect("in time");
    assert!(refused.is_err(), "the other certificate is shown");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_to_new_connections_and_a_broken_one_to_nobody() {
    let (worker, old, new) = (Worker::ok().await, Identity::new(), Identity::new());
    let (at, third) = (Identity::new(), Identity::new());
    old.replace(&at);
    let (rig, addr) = rig(&worker, &at).await;
    let mut certificate = rig.proxy.as_ref().unwrap().certificate().unwrap().clone();
    is_shown(&old, &new, addr).await;
    let mut kept = old.connect(addr, &[b"http/1.1"]).await;
    assert!(matches!(certificate.look().await, Look::Same));

    let key = std::fs::read(at.key.path()).unwrap();
    let broken = [
        (at.certificate.path(), b"no PEM at all".to_vec(), "holds no certificate"),
        (at.key.path(), key[..key.len() / 2].to_vec(), "has no end"),
        (at.key.path(), [b"-----BEGIN PRIVATE KEY----- 5ec2e7\n", &key[..]].concat(), "is not as in PEM"),
        (at.key.path(), std::fs::read(third.key.path()).unwrap(), "the key in"),
    ];
    for (path, bytes, said) in broken {
        std::fs::write(path, bytes).unwrap();
        let Look::Refused(why) = certificate.look().await else { panic!("{said}: it was taken") };
        let why = why.to_string();
        assert!(why.contains(said) && why.contains(path.to_str().unwrap()), "{why}");
        // As text, and as the list of numbers that a library might print it as.
        assert!(!why.contains("5ec2e7") && !why.contains("53, 101"), "{why}");
        assert!(matches!(certificate.look().await, Look::Same), "{said}: it is said once");
        is_shown(&old, &new, addr).await;
        old.replace(&at);
        assert!(matches!(certificate.look().await, Look::Taken), "{said}");
    }
    std::fs::remove_file(at.key.path()).unwrap();
    assert!(matches!(certificate.look().await, Look::Refused(_)), "a file is missing");
    is_shown(&old, &new, addr).await;

    new.replace(&at);
    assert!(matches!(certificate.look().await, Look::Taken));
    is_shown(&new, &old, addr).await;
    // Whoever was connected before notices nothing.
    ask(&mut kept).await;
    certificate.forget();
    assert!(matches!(certificate.look().await, Look::Taken), "whoever asks is told");
}
