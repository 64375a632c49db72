use super::*;
use crate::tunnel::NoTunnels;
use http_body_util::StreamBody;
use hyper::{
    Response,
    body::{Bytes, Frame, Incoming},
    header::HeaderMap,
    service::service_fn,
};
use quorate_rt::{http::Exec, net};
use std::convert::Infallible;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

#[test]
fn the_question_is_one_protobuf_message_in_a_frame() {
    assert_eq!(question(""), [0, 0, 0, 0, 0]);
    assert_eq!(question("a.B"), [0, 0, 0, 0, 5, 0x0a, 3, b'a', b'.', b'B']);
    let long = question(&"x".repeat(200));
    assert_eq!(long[..8], [0, 0, 0, 0, 203, 0x0a, 0xc8, 0x01]);
}

async fn listen() -> (net::TcpListener, String) {
    let listener = net::bind("127.0.0.1:0".parse().expect("an address")).await.expect("bound");
    let address = listener.local_addr().expect("bound").to_string();
    (listener, address)
}

fn target(address: &str, probe: HealthProbe, timeout_ms: u32) -> Target {
    let check = HealthCheck { probe, timeout_ms, ..HealthCheck::default() };
    let address = Address::parse(&format!("http://{address}/base")).expect("an address");
    Target { address, protocol: None, check }
}

/// Answers each connection with these bytes once a head is there.
async fn answering(answer: &'static str) -> String {
    let (listener, address) = listen().await;
    quorate_rt::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = socket.read_u8().await else { return };
                head.push(byte);
            }
            let head = String::from_utf8_lossy(&head).to_lowercase();
            assert!(
                head.starts_with("get /healthz http/1.1\r\n") && head.contains("\r\nhost: 127.0.0.1:"),
                "{head}"
            );
            let _ = socket.write_all(answer.as_bytes()).await;
        }
    });
    address
}

fn http() -> HealthProbe {
    HealthProbe::Http { path: "/healthz".into() }
}

#[tokio::test]
async fn an_answer_of_two_or_three_hundred_is_well() {
    for (answer, expected) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", Ok(())),
        ("HTTP/1.1 204 No Content\r\n\r\n", Ok(())),
        ("HTTP/1.1 302 Found\r\ncontent-length: 0\r\n\r\n", Ok(())),
        ("HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", Err("it answered 404 Not Found")),
        (
            "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n",
            Err("it answered 503 Service Unavailable"),
        ),
    ] {
        let address = answering(answer).await;
        let found = Prober::new(Arc::new(NoTunnels)).probe(&target(&address, http(), 5_000)).await;
        assert_eq!(
            found.map_err(|failure| failure.to_string()),
            expected.map_err(ToOwned::to_owned),
            "{answer}"
        );
    }
    let garbled = answering("SSH-2.0-OpenSSH_9.2\r\n").await;
    assert!(matches!(
        Prober::new(Arc::new(NoTunnels)).probe(&target(&garbled, http(), 5_000)).await,
        Err(Failure::Io(_))
    ));
}

#[tokio::test]
async fn who_hangs_or_is_gone_is_not_well_and_a_connection_is_enough_for_tcp() {
    let (listener, address) = listen().await;
    let prober = Prober::new(Arc::new(NoTunnels));
    assert!(prober.probe(&target(&address, HealthProbe::Tcp, 5_000)).await.is_ok());
    // The kernel accepts, and nobody reads.
    let hangs = prober.probe(&target(&address, http(), 50)).await;
    assert!(matches!(hangs, Err(Failure::TooSlow(_))), "{hangs:?}");
    drop(listener);
    for probe in [HealthProbe::Tcp, http()] {
        let gone = prober.probe(&target(&address, probe, 5_000)).await;
        assert!(matches!(gone, Err(Failure::Io(_))), "{gone:?}");
    }
}

/// A gRPC server whose health service answers with `message` and `status`.
async fn grpc(message: &'static [u8], status: &'static str) -> String {
    let (listener, address) = listen().await;
    let answer = move |request: hyper::Request<Incoming>| async move {
        assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
        assert_eq!(request.headers()["te"], "trailers");
        let asked = request.into_body().collect().await.expect("a body").to_bytes();
        assert_eq!(&*asked, question("pkg.S"));
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", status.parse().expect("a number"));
        let frames = [Frame::data(Bytes::from_static(message)), Frame::trailers(trailers)];
        let body = StreamBody::new(futures_util::stream::iter(frames.map(Ok::<_, Infallible>)));
        Ok::<_, Infallible>(Response::new(body))
    };
    quorate_rt::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let serving = hyper::server::conn::http2::Builder::new(Exec)
                .serve_connection(quorate_rt::http::hyper_io(socket), service_fn(answer));
            quorate_rt::spawn(async move { drop(serving.await) });
        }
    });
    address
}

#[tokio::test]
async fn a_grpc_service_is_well_when_it_says_serving() {
    for (message, status, expected) in [
        (&[0, 0, 0, 0, 2, 8, 1][..], "0", Ok(())),
        (&[0, 0, 0, 0, 2, 8, 2], "0", Err("its gRPC answer is not SERVING")),
        (&[0, 0, 0, 0, 0], "0", Err("its gRPC answer is not SERVING")),
        (&[], "5", Err("grpc-status 5")),
    ] {
        let address = grpc(message, status).await;
        let probe = HealthProbe::Grpc { service: "pkg.S".into() };
        let found = Prober::new(Arc::new(NoTunnels)).probe(&target(&address, probe, 5_000)).await;
        assert_eq!(
            found.map_err(|failure| failure.to_string()),
            expected.map_err(ToOwned::to_owned),
            "{message:?}"
        );
    }
}
