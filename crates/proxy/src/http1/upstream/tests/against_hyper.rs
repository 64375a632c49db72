//! What hyper's client makes of the same bytes. Ours is stricter, but what it takes it must take for the same.

use super::*;
use http_body_util::{BodyExt, Empty};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;

const ROUNDS: usize = 2_000;

/// An answer, good or nearly so.
fn answer(draws: &mut Draws) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..draws.below(3) {
        bytes.extend_from_slice(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    }
    let version = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"][draws.below(3)];
    let status = ["200 OK", "404 Not Found", "500", "204 No Content", "304 Not Modified"][draws.below(5)];
    bytes.extend_from_slice(format!("{version} {status}\r\n").as_bytes());
    for _ in 0..draws.below(4) {
        let field = ["Server: w", "X-Empty:", "X: \t a b ", "Connection: close", "Set-Cookie: a=1", "x: 2"];
        bytes.extend_from_slice(field[draws.below(6)].as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    let body: Vec<u8> = (0..draws.below(300)).map(|_| draws.below(256) as u8).collect();
    match draws.below(3) {
        0 => bytes.extend_from_slice(format!("Content-Length: {}\r\n\r\n", body.len()).as_bytes()),
        1 => bytes.extend_from_slice(b"\r\n"),
        _ => {
            bytes.extend_from_slice(b"Transfer-Encoding: chunked\r\n\r\n");
            for piece in draws.cut(&body) {
                let extension = ["", "", " ", ";a=b", ";a=\"b c\""][draws.below(5)];
                bytes.extend_from_slice(format!("{:X}{extension}\r\n", piece.len()).as_bytes());
                bytes.extend_from_slice(&piece);
                bytes.extend_from_slice(b"\r\n");
            }
            let trailers = ["", "", "X-Sum: 7\r\n", "a: 1\r\nb: 2\r\n"][draws.below(4)];
            bytes.extend_from_slice(format!("0\r\n{trailers}\r\n").as_bytes());
            return mutated(bytes, draws);
        }
    }
    bytes.extend_from_slice(&body);
    mutated(bytes, draws)
}

/// Half of them with a few bytes changed, left out or put in.
fn mutated(mut bytes: Vec<u8>, draws: &mut Draws) -> Vec<u8> {
    let changes = draws.below(2) * (1 + draws.below(3));
    for _ in 0..changes {
        let (at, byte) = (draws.below(bytes.len()), b"\r\n :;,0a9\0\xff\t"[draws.below(12)]);
        match draws.below(3) {
            0 => bytes[at] = byte,
            1 => bytes.insert(at, byte),
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

/// What hyper makes of it; `None`: nothing.
async fn by_hyper(method: &Method, bytes: &[u8]) -> Option<Went> {
    let (near, mut far) = tokio::io::duplex(16 << 10);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(near)).await.ok()?;
    let request = hyper::Request::builder().method(method).uri("/x?y").body(Empty::<Bytes>::new()).unwrap();
    let exchange = async {
        let response = sender.send_request(request).await.ok()?;
        let (head, body) = response.into_parts();
        let collected = body.collect().await.ok()?;
        let trailers = collected.trailers().cloned().unwrap_or_default();
        Some(Went {
            head: format!("{:?} {}", head.version, head.status.as_u16()),
            fields: head.headers,
            body: collected.to_bytes().to_vec(),
            trailers,
            ..Went::default()
        })
    };
    let worker = async {
        // After the request, or hyper takes it for an answer to nothing.
        tokio::io::AsyncReadExt::read(&mut far, &mut [0; 1_024]).await.ok();
        far.write_all(bytes).await.ok();
        drop(far);
    };
    let (went, _, ()) = tokio::join!(exchange, connection, worker);
    went
}

#[tokio::test]
async fn what_both_take_they_take_for_the_same() {
    let mut draws = Draws(7);
    let mut taken = 0;
    for round in 0..ROUNDS {
        let bytes = answer(&mut draws);
        let method = if draws.below(5) == 0 { Method::HEAD } else { Method::GET };
        let ours = exchange(&method, draws.cut(&bytes), Then::Ends);
        if ours.broke.is_some() || !ours.head.starts_with("HTTP/") {
            continue;
        }
        taken += 1;
        let text = String::from_utf8_lossy(&bytes);
        let hypers = by_hyper(&method, &bytes).await;
        let hypers =
            hypers.unwrap_or_else(|| panic!("round {round}: hyper refuses {method} {text:?}: {ours:?}"));
        assert_eq!(Went { rests: false, ..ours }, hypers, "round {round}: {method} {text:?}");
    }
    assert!(taken > ROUNDS / 3, "only {taken} were good");
}
