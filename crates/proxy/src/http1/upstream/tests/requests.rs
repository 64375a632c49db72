//! Requests: what is written, and what becomes of one that could not be.

use super::*;
use http::{HeaderName, HeaderValue, Uri};

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

fn fields(fields: &[(&'static str, &'static str)]) -> HeaderMap {
    let field = |(name, value): (&'static str, &'static str)| {
        (HeaderName::from_static(name), HeaderValue::from_static(value))
    };
    fields.iter().copied().map(field).collect()
}

/// What is written, to a socket that takes so much at once.
fn written(method: &Method, headers: &HeaderMap, body: Pieces, takes: usize) -> Result<String, String> {
    let mut wire = wire(Socket { takes: Some(takes), ..Socket::new(Vec::new(), Then::Stands) });
    let target: Uri = "http://elsewhere/a%20b?c".parse().unwrap();
    let more = (&HeaderName::from_static("x-more"), &HeaderValue::from_static("1"));
    wire.ask(&Ask { method, target: &target, headers, more: Some(more) }, body);
    if let Some(Err(NoHead::Died(error))) = finish_within(20_000, |cx| wire.poll_head(cx)) {
        return Err(chain(&error));
    }
    let text = String::from_utf8(wire.into_parts().0.written).unwrap();
    Ok(text)
}

#[test]
fn a_request_is_framed_by_what_is_known_of_its_body() {
    let large = "x".repeat(5_000);
    let head = |rest: &str| format!("POST /a%20b?c HTTP/1.1\r\nhost: h\r\nx-more: 1\r\n{rest}");
    let of = |pieces: &[Option<&str>], length| {
        let pieces: Vec<_> = pieces.iter().map(|piece| piece.map(str::as_bytes)).collect();
        Pieces::of(&pieces, length)
    };
    for takes in [1, 3, 4_000, usize::MAX] {
        let post = |more: &[(&'static str, &'static str)], body| {
            let mut headers = fields(&[("host", "h")]);
            headers.extend(fields(more));
            written(&Method::POST, &headers, body, takes)
        };
        assert_eq!(post(&[], of(&[], None)), Ok(head("\r\n")));
        assert_eq!(post(&[("content-length", "7")], of(&[], None)), Ok(head("content-length: 0\r\n\r\n")));
        let expected = head("content-length: 6\r\n\r\nabcdef");
        assert_eq!(
            post(&[("content-length", "7")], of(&[Some("abc"), None, Some("def")], Some(6))),
            Ok(expected)
        );
        let expected = head(&format!("content-length: 5003\r\n\r\nabc{large}"));
        assert_eq!(post(&[], of(&[Some("abc"), Some(&large)], Some(5_003))), Ok(expected));
        let expected = head(&format!(
            "transfer-encoding: chunked\r\n\r\n1\r\na\r\n1388\r\n{large}\r\n2\r\nbc\r\n0\r\n\r\n"
        ));
        let body = || of(&[Some("a"), Some(""), None, Some(&large), None, Some("bc")], None);
        assert_eq!(post(&[("transfer-encoding", "gzip")], body()), Ok(expected));
        let expected = head(&format!("transfer-encoding: chunked\r\n\r\n1388\r\n{large}\r\n0\r\n\r\n"));
        assert_eq!(post(&[], of(&[Some(&large)], None)), Ok(expected));
    }
}

#[test]
fn a_target_without_a_path_is_the_root() {
    for (target, line) in [
        ("http://elsewhere?c=d", "GET /?c=d HTTP/1.1\r\n\r\n"),
        ("http://elsewhere", "GET / HTTP/1.1\r\n\r\n"),
        ("*", "GET * HTTP/1.1\r\n\r\n"),
    ] {
        let mut wire = wire(Socket::new(Vec::new(), Then::Stands));
        let (method, target, headers) = (&Method::GET, &target.parse().unwrap(), &HeaderMap::new());
        wire.ask(&Ask { method, target, headers, more: None }, Pieces::default());
        assert!(finish(|cx| wire.poll_head(cx)).is_none());
        assert_eq!(wire.into_parts().0.written, line.as_bytes());
    }
}

#[test]
fn trailers_are_sent_that_were_announced_and_may_come_late() {
    let trailers = fields(&[("x-sum", "7"), ("x-secret", "8"), ("content-length", "9")]);
    let body = |length| Pieces {
        frames: [Some(Frame::data(Bytes::from_static(b"abc"))), Some(Frame::trailers(trailers.clone()))]
            .into(),
        length,
    };
    let headers = fields(&[("trailer", "X-Sum, content-length")]);
    let got = written(&Method::PUT, &headers, body(None), usize::MAX).unwrap();
    assert!(got.ends_with("\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n"), "{got}");
    let got = written(&Method::PUT, &HeaderMap::new(), body(None), usize::MAX).unwrap();
    assert!(got.ends_with("\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), "{got}");
    let got = written(&Method::PUT, &headers, body(Some(3)), usize::MAX).unwrap();
    assert!(got.ends_with("content-length: 3\r\n\r\nabc"), "{got}");
}

#[test]
fn a_body_of_another_length_than_was_said_ends_the_connection() {
    let post = |pieces: &[Option<&[u8]>]| {
        written(&Method::POST, &HeaderMap::new(), Pieces::of(pieces, Some(6)), usize::MAX)
    };
    let short = "the request's body is not as long as its Content-Length said: 1 bytes are missing";
    assert_eq!(post(&[Some(b"abc"), None, Some(b"de")]), Err(short.into()));
    let long = "the request's body is longer than its Content-Length said, by 1 bytes or more";
    assert_eq!(post(&[Some(b"abc"), Some(b"defg")]), Err(long.into()));
}

#[test]
fn only_what_was_not_written_is_unsent() {
    let unasked = |pieces: Vec<Vec<u8>>, then| {
        let mut wire = wire(Socket { answers: false, is_late: true, ..Socket::new(pieces, then) });
        let went = ask(&mut wire, &Method::POST, Pieces::of(&[Some(b"abc")], Some(3))).unwrap_err();
        let body = wire.take_body().expect("it was not touched");
        assert_eq!(body.frames.len(), 1);
        assert!(wire.into_parts().0.written.is_empty());
        went
    };
    assert_eq!(unasked(Vec::new(), Then::Ends), "unsent");
    assert_eq!(unasked(Vec::new(), Then::Breaks), "unsent");
    assert_eq!(unasked(vec![OK.to_vec()], Then::Stands), "unsent", "an answer that nobody asked for");
    let asked = |then| ask(&mut wire(Socket::new(Vec::new(), then)), &Method::GET, Pieces::default());
    let closed = "the connection was closed before the head of an answer was complete";
    assert_eq!(asked(Then::Ends).unwrap_err(), closed);
    assert_eq!(asked(Then::Breaks).unwrap_err(), "reading the answer failed: connection reset");
    let mut deaf = wire(Socket { takes: None, ..Socket::new(Vec::new(), Then::Stands) });
    let went = ask(&mut deaf, &Method::GET, Pieces::default());
    assert_eq!(went.unwrap_err(), "writing the request failed: broken pipe", "some of it may be written");
}

#[test]
fn an_answer_that_came_before_the_worker_stopped_listening_is_read() {
    let mut wire =
        wire(Socket { takes: None, is_late: true, answers: false, ..Socket::new(Vec::new(), Then::Ends) });
    // The first look finds nothing; then it has answered and closed.
    wire.ask(
        &Ask { method: &Method::PUT, target: &"/".parse().unwrap(), headers: &HeaderMap::new(), more: None },
        Pieces::of(&[Some(b"abc")], Some(3)),
    );
    let mut cx = Context::from_waker(Waker::noop());
    wire.socket_mut().is_late = false;
    wire.socket_mut().pieces.push_back(OK.to_vec());
    let Poll::Ready(Ok(response)) = wire.poll_head(&mut cx) else { panic!("it had answered") };
    assert_eq!((response.status().as_u16(), wire.take_whole()), (200, Some(Bytes::from_static(b"ok"))));
    assert!(wire.is_over() && !wire.is_idle(), "not all of the request was written");
}

#[test]
fn an_answer_before_the_request_is_written_does_not_give_the_connection_back() {
    let mut wire = wire(Socket::new(vec![OK.to_vec()], Then::Stands));
    let waiting: Vec<Option<&[u8]>> = std::iter::repeat_n(None, 50).chain([Some(&b"abc"[..])]).collect();
    assert_eq!(ask(&mut wire, &Method::PUT, Pieces::of(&waiting, Some(3))).unwrap().status().as_u16(), 200);
    assert_eq!(wire.take_whole(), Some(Bytes::from_static(b"ok")));
    assert!(wire.is_over() && !wire.is_idle());
}

/// The client has sent all of it, and the worker's answer is whole: what the socket did not take yet is sent all the same.
#[test]
fn the_rest_of_a_request_is_sent_after_its_answer() {
    let large = vec![b'x'; 50_000];
    let mut wire = wire(Socket { takes: Some(100), ..Socket::new(vec![OK.to_vec()], Then::Stands) });
    ask(&mut wire, &Method::PUT, Pieces::of(&[Some(&large)], Some(50_000))).unwrap();
    assert_eq!(wire.take_whole(), Some(Bytes::from_static(b"ok")));
    assert!(wire.is_sending() && !wire.is_idle());
    assert!(matches!(finish(|cx| wire.poll_send(cx)), Some(Ok(()))));
    assert!(!wire.is_sending() && !wire.is_idle());
    assert!(wire.into_parts().0.written.ends_with(&large));
}

#[test]
fn a_connection_at_rest_holds_no_memory_and_takes_the_next_request() {
    let large = [b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n".as_slice(), &[b'x'; 100_000]].concat();
    let mut wire = wire(Socket::new(vec![OK.to_vec(), large], Then::Stands));
    for length in [2, 100_000] {
        ask(&mut wire, &Method::POST, Pieces::of(&[Some(b"abc")], Some(3))).unwrap();
        let mut got = 0;
        while let Some(Some(Ok(frame))) = finish(|cx| wire.poll_frame(cx)) {
            got += frame.data_ref().map_or(0, Bytes::len);
        }
        assert_eq!(got, length);
        assert!(wire.is_idle());
        assert_eq!(wire.held(), 0);
    }
}
