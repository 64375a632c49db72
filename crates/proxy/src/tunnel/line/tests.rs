use super::*;
use h2::server;
use http::Response;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

async fn hung() -> (Line, DuplexStream) {
    hung_with(&Room::default()).await
}

async fn hung_with(room: &Room) -> (Line, DuplexStream) {
    let (near, far) = tokio::io::duplex(64 << 10);
    let (line, hanging) = Line::hang(Box::new(near), room).await.expect("it greets");
    quorate_rt::spawn(hanging.ended());
    (line, far)
}

/// A far end that takes every stream and says nothing more; it counts them.
async fn take_all(far: DuplexStream, taken: Arc<AtomicUsize>, most: u32) {
    let mut builder = server::Builder::new();
    builder.max_concurrent_streams(most);
    let mut connection = builder.handshake::<_, Bytes>(far).await.expect("it is greeted");
    let mut kept = Vec::new();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let send = respond.send_response(Response::new(()), false).expect("it is heard");
        kept.push((request, send));
        taken.fetch_add(1, Ordering::Relaxed);
    }
}

/// A stream, if it is opened before nobody has anything to do any more.
async fn opens(line: &Line) -> Option<Stream> {
    let idle = async {
        // All is in one thread and in memory: each turn lets everybody go on as far as he can.
        for _ in 0..1_000 {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        opened = line.open() => Some(opened.expect("it is there")),
        () = idle => None,
    }
}

/// Scenario: the other end says in its SETTINGS that it takes a million streams. Cause: what the node said to bound
/// itself held only until the other end had said anything.
#[tokio::test]
async fn the_other_end_can_not_lift_the_bound_of_streams() {
    let (line, far) = hung().await;
    let taken = Arc::<AtomicUsize>::default();
    quorate_rt::spawn(take_all(far, taken.clone(), 1_000_000));
    let mut open = Vec::new();
    for _ in 0..STREAMS_MAX {
        open.push(opens(&line).await.expect("there is room"));
    }
    assert!(opens(&line).await.is_none(), "the next one waits");
    assert_eq!(taken.load(Ordering::Relaxed), STREAMS_MAX as usize);
    open.pop();
    assert!(opens(&line).await.is_some(), "for the end of another one");
}

#[tokio::test]
async fn tunnels_share_the_room_of_their_node_and_a_full_one_keeps_none_from_others() {
    let room = Room::of(3);
    let ((one, far_of_one), (two, far_of_two)) = (hung_with(&room).await, hung_with(&room).await);
    let taken = Arc::<AtomicUsize>::default();
    for far in [far_of_one, far_of_two] {
        quorate_rt::spawn(take_all(far, taken.clone(), 100));
    }
    let mut open = [opens(&one).await, opens(&one).await, opens(&two).await];
    assert!(open.iter().all(Option::is_some), "there is room");
    assert!(opens(&one).await.is_none() && opens(&two).await.is_none(), "it is full");
    open[0] = None;
    assert!(opens(&two).await.is_some(), "what one leaves another one takes");
}

/// Nobody is taken for gone because others are busy: requests that are meant for a sandbox would go to everybody's
/// version.
#[tokio::test]
async fn whoever_finds_no_room_is_told_that_it_is_busy() {
    let room = Room::of(1);
    let (line, far) = hung_with(&room).await;
    quorate_rt::spawn(take_all(far, Arc::default(), 100));
    let _open = opens(&line).await.expect("there is room");
    let error = line.open().await.err().expect("there is none");
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
}

/// Scenario: the other end answers with more headers than anybody has use for. It costs the stream, not memory.
#[tokio::test]
async fn an_answer_with_too_many_headers_is_refused() {
    let (line, far) = hung().await;
    quorate_rt::spawn(async move {
        let mut connection = server::handshake(far).await.expect("it is greeted");
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            let long = "x".repeat(HEADER_BYTES_MAX as usize);
            let answer = Response::builder().header("long", long).body(()).expect("an answer");
            // Whether it is heard is what is asked.
            let _ = respond.send_response(answer, true);
        }
    });
    let error = line.open().await.err().expect("refused");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
    assert_eq!(line.streams(), 0);
}

/// A far end that says everything again, or resets after the first piece.
async fn echo(far: DuplexStream, is_reset: bool) {
    let mut connection = server::handshake(far).await.expect("it is greeted");
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let mut body = request.into_body();
        let mut send = respond.send_response(Response::new(()), false).expect("it is heard");
        quorate_rt::spawn(async move {
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
                send.send_data(piece, false).expect("it is heard");
                if is_reset {
                    return send.send_reset(h2::Reason::CANCEL);
                }
            }
            send.send_data(Bytes::new(), true).expect("it is heard");
        });
    }
}

#[tokio::test]
async fn bytes_pass_both_ways_and_an_end_is_an_end() {
    let (line, far) = hung().await;
    quorate_rt::spawn(echo(far, false));
    let mut stream = line.open().await.expect("it is there");
    assert_eq!(line.streams(), 1);
    stream.write_all(b"hello").await.expect("taken");
    stream.shutdown().await.expect("an end");
    let mut said = Vec::new();
    stream.read_to_end(&mut said).await.expect("an end");
    assert_eq!(said, b"hello");
    drop(stream);
    assert_eq!(line.streams(), 0);
}

#[tokio::test]
async fn a_reset_is_no_end() {
    let (line, far) = hung().await;
    quorate_rt::spawn(echo(far, true));
    let mut stream = line.open().await.expect("it is there");
    stream.write_all(b"hello").await.expect("taken");
    let error = stream.read_to_end(&mut Vec::new()).await.expect_err("it was cut");
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn where_nothing_is_the_connection_is_refused_with_the_reason() {
    let (line, far) = hung().await;
    quorate_rt::spawn(async move {
        let mut connection = server::handshake(far).await.expect("it is greeted");
        while let Some(Ok((request, mut respond))) = connection.accept().await {
            assert_eq!(request.method(), Method::CONNECT);
            let answer = Response::builder().status(502).header(REASON, "nobody listens").body(());
            respond.send_response(answer.expect("an answer"), true).expect("it is heard");
        }
    });
    let error = line.open().await.err().expect("refused");
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (io::ErrorKind::ConnectionRefused, "nobody listens")
    );
    assert_eq!(line.streams(), 0);
}

#[tokio::test]
async fn a_parting_word_says_why() {
    let (line, far) = hung().await;
    let hearing = quorate_rt::spawn(async move {
        let mut connection = server::handshake(far).await.expect("it is greeted");
        let (request, mut respond) = connection.accept().await.expect("a word").expect("whole");
        respond
            .send_response(Response::builder().status(204).body(()).expect("an answer"), true)
            .expect("heard");
        let driving = quorate_rt::spawn(async move { while connection.accept().await.is_some() {} });
        drop(driving);
        (request.method().clone(), request.uri().path().to_owned(), request.headers().get(REASON).cloned())
    });
    line.say(Parting::Draining).await;
    let (method, path, reason) = hearing.await.expect("heard");
    let reason = reason.expect("a reason");
    assert_eq!((method, path.as_str(), reason.as_bytes()), (Method::POST, "/goodbye", &b"draining"[..]));
}
