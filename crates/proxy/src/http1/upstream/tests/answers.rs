//! Answers: good ones, bad ones, and all of them in pieces.

use super::*;

/// An answer, to which method, with what status and body, and whether the connection rests after it.
type Good = (&'static str, &'static str, u16, &'static str, bool);

const GOOD: &[Good] = &[
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", true),
    ("GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", 200, "", true),
    ("GET", "HTTP/1.1 299 Made Up\r\nA:b\r\nContent-Length:\t2 \r\n\r\nok", 299, "ok", true),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 2, 2\r\n\r\nok", 200, "ok", true),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: x, Close\r\n\r\nok", 200, "ok", false),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", 200, "ok", false),
    ("GET", "HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end", false),
    ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false),
    ("GET", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\nConnection: keep-alive\r\n\r\nok", 200, "ok", true),
    ("GET", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok", 200, "ok", false),
    ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", 200, "", true),
    ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", 200, "", true),
    ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "", false),
    ("GET", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", true),
    ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, "", true),
    (
        "GET",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        204,
        "",
        true,
    ),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "", true),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=\"y\";z\r\n0123456789\r\n000\r\n\r\n",
        200,
        "abc0123456789",
        true,
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3 \t ;x\r\nabc\r\n2  \r\nde\r\n0\r\nX-Sum: 7\r\nY:\r\n\r\n",
        200,
        "abcde",
        true,
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 99\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        200,
        "ok",
        false,
    ),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nX", 200, "ok", false),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        200,
        "ok",
        false,
    ),
    ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", 204, "", true),
    ("GET", "HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n", 204, "", false),
    ("GET", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 204, "", false),
];

fn whole((method, bytes, ..): &Good, then: Then) -> Went {
    exchange(&method.parse().unwrap(), vec![bytes.as_bytes().to_vec()], then)
}

/// What becomes of the connection is known only while it stands, the end of some bodies only when it ends.
fn then((_, _, _, body, _): &Good, bytes: &str) -> Then {
    let says_its_end = ["Length", "Encoding", " 204 ", " 304 "].iter().any(|how| bytes.contains(how));
    if says_its_end || body.is_empty() { Then::Stands } else { Then::Ends }
}

#[test]
fn good_answers_are_read_to_their_end_and_no_further() {
    for good in GOOD {
        let (_, bytes, status, body, rests) = good;
        let went = whole(good, then(good, bytes));
        assert!(went.head.ends_with(&format!(" {status}")), "{bytes:?}: {went:?}");
        assert_eq!((went.broke, String::from_utf8(went.body).unwrap().as_str()), (None, *body), "{bytes:?}");
        assert_eq!(went.rests, *rests, "{bytes:?}");
    }
    let went = whole(&GOOD[3], Then::Stands);
    assert_eq!(went.fields.get_all("content-length").iter().collect::<Vec<_>>(), ["2"], "said once");
    let went = whole(&GOOD[18], Then::Stands);
    assert_eq!(format!("{:?}", went.trailers), r#"{"x-sum": "7", "y": ""}"#);
}

#[test]
fn it_makes_no_difference_in_which_pieces_an_answer_comes() {
    let mut draws = Draws(1);
    for good in GOOD {
        let (method, bytes, ..) = good;
        let (method, then) = (method.parse().unwrap(), then(good, bytes));
        let expected = whole(good, then);
        let bytes = bytes.as_bytes();
        for at in 0..=bytes.len() {
            let pieces = vec![bytes[..at].to_vec(), bytes[at..].to_vec()];
            assert_eq!(exchange(&method, pieces, then), expected, "{good:?} cut at {at}");
        }
        let single = bytes.iter().map(|byte| vec![*byte]).collect();
        assert_eq!(exchange(&method, single, then), expected, "{good:?} byte by byte");
        for _ in 0..50 {
            let pieces = draws.cut(bytes);
            assert_eq!(exchange(&method, pieces.clone(), then), expected, "{good:?} in {pieces:?}");
        }
    }
}

#[test]
fn what_breaks_off_is_never_taken_for_whole() {
    for good in GOOD.iter().filter(|good| then(good, good.1) == Then::Stands) {
        let (method, bytes, _, body, _) = good;
        // Less what nobody asked for.
        let expected = whole(good, Then::Stands);
        let end = (0..=bytes.len()).find(|end| {
            let pieces = vec![bytes.as_bytes()[..*end].to_vec()];
            let went = exchange(&method.parse().unwrap(), pieces, Then::Stands);
            went.broke.is_none() && went.head == expected.head && went.body == body.as_bytes()
        });
        for at in 0..end.expect("the whole of it") {
            for then in [Then::Ends, Then::Breaks] {
                let went = exchange(&method.parse().unwrap(), vec![bytes.as_bytes()[..at].to_vec()], then);
                let failed = went.broke.unwrap_or(went.head);
                let expected = match then {
                    Then::Breaks => "reading the answer failed: connection reset",
                    _ => "the connection was closed",
                };
                assert!(failed.starts_with(expected), "{bytes:?} up to {at}: {failed}");
                assert!(!went.rests);
            }
        }
    }
}

#[test]
fn heads_that_could_be_read_in_two_ways_are_refused() {
    let long = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(HEADER_BYTES_MAX));
    let many = format!("HTTP/1.1 200 OK\r\n{}\r\n", "a:b\r\n".repeat(101));
    let interim = "HTTP/1.1 102 Wait\r\n\r\n".repeat(40);
    let codings = "the answer's Transfer-Encoding is not `chunked` alone";
    let length = "the answer's `Content-Length` is not valid";
    let line = "the answer has a line that CR LF does not end";
    let http = "the answer is not HTTP/1.1: ";
    for (bytes, expected) in [
        ("HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", line),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n", line),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n", line),
        ("\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", line),
        ("\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", line),
        ("\r\nHTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n", line),
        ("HTTP/1.1 200 OK\r\nX: a\rb\r\n\r\n", http),
        ("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n", http),
        ("HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", http),
        ("HTTP/1.1 200 OK\r\n X: a\r\n\r\n", http),
        ("HTTP/1.1 200 OK\r\nContent-Length : 0\r\n\r\n", http),
        ("HTTP/1.1 200 OK\r\nno colon\r\n\r\n", http),
        ("HTTP/1.1 200 OK\r\nX\u{e4}: a\r\n\r\n", http),
        ("HTTP/1.1 2000 OK\r\n\r\n", http),
        ("HTTP/1.1 nonsense\r\n\r\n", http),
        ("HTTP/2.0 200 OK\r\n\r\n", http),
        ("SSH-2.0-x\r\n", http),
        ("HTTP/1.1 099 Low\r\n\r\n", "the answer's `status` is not valid"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok!", length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nok!", length),
        ("HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok", length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 0x2\r\n\r\nok", length),
        ("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2,\r\n\r\nok", length),
        ("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok", length),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", codings),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", codings),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            codings,
        ),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok", codings),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\nok", codings),
        ("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", codings),
        (long.as_str(), "the answer's head has more than 2000 bytes"),
        (many.as_str(), http),
        (interim.as_str(), "more than 32 interim answers came before the final one"),
    ] {
        let bytes = bytes.as_bytes();
        let whole = exchange(&Method::GET, vec![bytes.to_vec()], Then::Ends);
        assert!(whole.head.starts_with(expected), "{:?}: {whole:?}", String::from_utf8_lossy(bytes));
        for at in 1..bytes.len().min(100) {
            let pieces = vec![bytes[..at].to_vec(), bytes[at..].to_vec()];
            let went = exchange(&Method::GET, pieces, Then::Ends);
            assert_eq!(went.head, whole.head, "{:?} cut at {at}", String::from_utf8_lossy(bytes));
        }
    }
}

#[test]
fn chunks_that_could_be_read_in_two_ways_are_refused() {
    let extension = format!("3;{}\r\nabc\r\n0\r\n\r\n", "x".repeat(17_000));
    let trailers = format!("0\r\nX: {}\r\n\r\n", "x".repeat(17_000));
    let (size, end) = (
        "a chunk of the answer has no valid size",
        "a chunk of the answer is longer or shorter than its size",
    );
    for (chunks, expected) in [
        ("zz\r\n", size),
        ("\r\n", size),
        (";x\r\n", size),
        (" 3\r\nabc\r\n0\r\n\r\n", size),
        ("-3\r\nabc\r\n0\r\n\r\n", size),
        ("0x3\r\nabc\r\n0\r\n\r\n", size),
        ("3\nabc\r\n0\r\n\r\n", size),
        ("3\r\rabc\r\n0\r\n\r\n", size),
        ("3 4\r\nabc\r\n0\r\n\r\n", size),
        ("3;a\nb\r\nabc\r\n0\r\n\r\n", size),
        ("3;a\rb\r\nabc\r\n0\r\n\r\n", size),
        ("10000000000000000\r\n", size),
        ("00000000000000003\r\nabc\r\n0\r\n\r\n", size),
        ("3\r\nabcXX0\r\n\r\n", end),
        ("3\r\nabc\n0\r\n\r\n", end),
        ("3\r\nabc\r0\r\n\r\n", end),
        ("0\r\nX : a\r\n\r\n", "the answer is not HTTP/1.1: "),
        ("0\r\nX: a\n\r\n", "the answer has a line that CR LF does not end"),
        (extension.as_str(), "the extensions of the answer's chunks have more than 16384 bytes"),
        (trailers.as_str(), "the answer's trailers have more than 16384 bytes"),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}").into_bytes();
        for at in 0..bytes.len().min(80) {
            let pieces = vec![bytes[..at].to_vec(), bytes[at..].to_vec()];
            let went = exchange(&Method::GET, pieces, Then::Ends);
            let broke = went.broke.unwrap_or_default();
            assert!(broke.starts_with(expected), "{chunks:?} cut at {at}: {broke}");
            assert!(!went.rests);
        }
    }
}

#[test]
fn a_switch_hands_out_what_came_with_it() {
    let bytes = b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nearly".to_vec();
    let mut wire = wire(Socket::new(vec![bytes], Then::Stands));
    let response = ask(&mut wire, &Method::GET, Pieces::default()).unwrap();
    assert_eq!(response.status().as_u16(), 101);
    assert!(!wire.is_idle() && !wire.is_over());
    assert_eq!(wire.into_parts().1, "early");
}

#[test]
fn a_large_body_comes_in_pieces_that_hold_little_more_than_themselves() {
    let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
    for says in [format!("Content-Length: {}\r\n", body.len()), String::new()] {
        let mut bytes = format!("HTTP/1.1 200 OK\r\n{says}\r\n").into_bytes();
        bytes.extend_from_slice(&body);
        for size in [1_000, 50_000, bytes.len()] {
            let pieces = bytes.chunks(size).map(<[u8]>::to_vec).collect();
            let went = exchange(&Method::GET, pieces, Then::Ends);
            assert!(
                went.body == body && went.broke.is_none(),
                "in pieces of {size}: {} bytes",
                went.body.len()
            );
        }
    }
}
