use crate::{
    origin::Origins,
    rig::{Client, PATIENCE, Table, gateway, guarded, user},
    settings::{Rate, Settings},
    token::{Signature, Verifier},
};
use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use quorate_rt::time;
use quorate_telemetry::gateway::TurnedAway;
use std::{net::SocketAddr, sync::Arc};
use tokio_tungstenite::tungstenite::Message;

const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// A token made by hand, so that what is tested is not tested by itself.
fn token(head: &str, claims: &str, secret: &[u8]) -> String {
    let signed = format!("{}.{}", BASE64_URL_SAFE_NO_PAD.encode(head), BASE64_URL_SAFE_NO_PAD.encode(claims));
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
    format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(tag))
}

const HEAD: &str = r#"{"alg":"HS256","typ":"JWT"}"#;

fn claims(more: &str) -> String {
    let later = time::wall_ms() / 1_000 + 3_600;
    format!(r#"{{"sub":"alice","exp":{later}{more}}}"#)
}

fn verifier() -> Option<Verifier> {
    let verifier = Verifier::new(Signature::Hs256, SECRET).expect("long enough");
    Some(verifier.from_issuer(Some("us".into())).for_audience(Some("chat".into())))
}

const GOOD: &str = r#","iss":"us","aud":["mail","chat"]"#;

#[tokio::test]
async fn a_token_fixes_who_somebody_is_wherever_it_stands() {
    let table = Arc::new(Table::default());
    let gateway = guarded(&table, "n1", Settings::default(), verifier()).await;
    let token = token(HEAD, &claims(GOOD), SECRET);
    let ways = [
        ("/ws".to_owned(), format!("Authorization: Bearer {token}\r\n"), None),
        (format!("/ws?a=b&token={token}"), String::new(), None),
        (
            "/ws".to_owned(),
            format!("Sec-WebSocket-Protocol: quorate.v0, quorate.bearer.{token}\r\n"),
            Some("quorate.v0"),
        ),
    ];
    for (path, lines, protocol) in ways {
        let mut client = Client::connect_with(gateway.local_addr(), &path, &lines).await.expect("let in");
        assert!(!client.head.contains(&token), "a token is never told again");
        let told =
            protocol.map(|name| client.head.contains(&format!("\r\nsec-websocket-protocol: {name}\r\n")));
        assert_ne!(told, Some(false), "{}", client.head);
        client.say(r#"{"type":"register","userId":"bob"}"#).await;
        assert_eq!(client.hear().await, r#"{"type":"error","error":"Failed to register"}"#);
        client.say(r#"{"type":"register","userId":"alice"}"#).await;
        assert_eq!(client.hear().await, r#"{"type":"registered","content":"Successfully registered"}"#);
    }
}

#[tokio::test]
async fn whoever_proves_nothing_stays_outside() {
    let table = Arc::new(Table::default());
    let gateway = guarded(&table, "n1", Settings::default(), verifier()).await;
    let past = time::wall_ms() / 1_000 - 60;
    let later = time::wall_ms() / 1_000 + 3_600;
    let good = token(HEAD, &claims(GOOD), SECRET);
    let (signed, _) = good.rsplit_once('.').expect("three parts");
    let bad = [
        ("none", String::new()),
        ("another key", token(HEAD, &claims(GOOD), b"another secret of thirty-two byte")),
        ("no algorithm", token(r#"{"alg":"none"}"#, &claims(GOOD), SECRET)),
        ("another algorithm", token(r#"{"alg":"HS512"}"#, &claims(GOOD), SECRET)),
        ("no signature", format!("{signed}.")),
        ("over", token(HEAD, &format!(r#"{{"sub":"alice","exp":{past}{GOOD}}}"#), SECRET)),
        ("for ever", token(HEAD, &format!(r#"{{"sub":"alice"{GOOD}}}"#), SECRET)),
        ("too early", token(HEAD, &claims(&format!(r#","nbf":{later}{GOOD}"#)), SECRET)),
        ("another issuer", token(HEAD, &claims(r#","iss":"them","aud":"chat""#), SECRET)),
        ("another audience", token(HEAD, &claims(r#","iss":"us","aud":"mail""#), SECRET)),
        ("nobody", token(HEAD, &format!(r#"{{"exp":{later}{GOOD}}}"#), SECRET)),
        ("nobody's name", token(HEAD, &format!(r#"{{"sub":"","exp":{later}{GOOD}}}"#), SECRET)),
        ("words", "words".into()),
    ];
    for (what, token) in bad {
        let lines =
            if token.is_empty() { String::new() } else { format!("Authorization: Bearer {token}\r\n") };
        let refused =
            Client::connect_with(gateway.local_addr(), "/ws", &lines).await.err().unwrap_or_default();
        assert!(refused.starts_with("HTTP/1.1 401 "), "{what}: {refused}");
        assert!(refused.contains("\r\nwww-authenticate: Bearer\r\n"), "{refused}");
    }
}

#[tokio::test]
async fn pages_of_others_stay_outside() {
    let table = Arc::new(Table::default());
    let origins = Origins::parse(["https://*.example.com"].into_iter()).expect("good");
    let gateway = gateway(&table, "n1", Settings { origins: Some(origins), ..Settings::default() }).await;
    let at = gateway.local_addr();
    assert!(Client::connect_with(at, "/ws", "Origin: https://www.example.com\r\n").await.is_ok());
    assert!(Client::connect_with(at, "/ws", "").await.is_ok(), "not a browser");
    let refused =
        Client::connect_with(at, "/ws", "Origin: https://example.org\r\n").await.err().unwrap_or_default();
    assert!(refused.starts_with("HTTP/1.1 403 "), "{refused}");
}

#[tokio::test]
async fn places_are_bounded_and_those_outside_are_told_when_to_come_back() {
    let table = Arc::new(Table::default());
    for (settings, code) in [
        (Settings { connections_max: 2, ..Settings::default() }, 503),
        (Settings { connections_per_address_max: Some(2), ..Settings::default() }, 429),
    ] {
        let gateway = gateway(&table, "n1", settings).await;
        let at = gateway.local_addr();
        let mut first = Client::connect(at).await;
        let _second = Client::connect(at).await;
        let refused = Client::connect_with(at, "/ws", "").await.err().unwrap_or_default();
        assert!(refused.starts_with(&format!("HTTP/1.1 {code} ")), "{refused}");
        assert!(refused.contains("\r\nretry-after: "), "{refused}");
        first.send(Message::Close(None)).await;
        assert_eq!(first.closed().await, None);
        let mut third = None;
        for _ in 0..1_000 {
            third = Client::connect_with(at, "/ws", "").await.ok();
            if third.is_some() {
                break;
            }
            time::sleep(time::Duration::from_millis(5)).await;
        }
        assert!(third.is_some(), "a place was given back");
    }
}

#[tokio::test]
async fn a_storm_is_let_in_at_its_rate() {
    let table = Arc::new(Table::default());
    let accept = Rate { per_second: 1, burst: 3 };
    let gateway = gateway(&table, "n1", Settings { accept, ..Settings::default() }).await;
    let mut kept = Vec::new();
    let mut refused = 0;
    for _ in 0..30 {
        match Client::connect_with(gateway.local_addr(), "/ws", "").await {
            Ok(client) => kept.push(client),
            Err(head) => {
                assert!(head.starts_with("HTTP/1.1 503 "), "{head}");
                refused += 1;
            }
        }
    }
    assert!((3..30).contains(&kept.len()) && refused > 0, "{} of 30", kept.len());
}

#[tokio::test]
async fn what_is_no_handshake_is_said_to_be_none() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    let whole = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    ];
    let cases = [
        ("GET /ws HTTP/1.1", 0, "Connection: close", 400),
        ("GET /ws HTTP/1.1", 1, "Upgrade: h2c", 400),
        ("GET /ws HTTP/1.1", 2, "Sec-WebSocket-Version: 8", 426),
        ("GET /ws HTTP/1.1", 3, "Sec-WebSocket-Key: c2hvcnQ=", 400),
        ("GET /ws HTTP/1.1", 3, "X: y", 400),
        ("GET /ws HTTP/1.0", 0, whole[0], 400),
        ("POST /ws HTTP/1.1", 0, whole[0], 405),
        ("GET /other HTTP/1.1", 0, whole[0], 404),
    ];
    for (line, changed, to, code) in cases {
        let mut lines = whole;
        lines[changed] = to;
        let request = format!("{line}\r\nHost: x\r\n{}\r\n\r\n", lines.join("\r\n"));
        let mut tcp = quorate_rt::net::TcpStream::connect(gateway.local_addr()).await.expect("it listens");
        tcp.write_all(request.as_bytes()).await.expect("it reads");
        let mut told = [0; 12];
        tcp.read_exact(&mut told).await.expect("an answer");
        let told = String::from_utf8_lossy(&told).into_owned();
        assert!(told.ends_with(&format!(" {code}")), "{line} with {to}: {told}");
    }
    assert!(table.places(&user("alice")).is_empty());
}

/// Strangers without a token used up what those with one are let in by.
#[tokio::test]
async fn whoever_proves_nothing_takes_nothing_of_the_rate() {
    let table = Arc::new(Table::default());
    let accept = Rate { per_second: 1, burst: 2 };
    let origins = Origins::parse(["https://example.com"].into_iter()).expect("good");
    let settings = Settings { accept, origins: Some(origins), ..Settings::default() };
    let gateway = guarded(&table, "n1", settings, verifier()).await;
    let at = gateway.local_addr();
    let good = token(HEAD, &claims(GOOD), SECRET);
    let forged = token(HEAD, &claims(GOOD), b"another secret of thirty-two byte");
    for _ in 0..20 {
        for (lines, code) in [
            (format!("Authorization: Bearer {forged}\r\n"), 401),
            (format!("Authorization: Bearer {good}\r\nOrigin: https://example.org\r\n"), 403),
        ] {
            let refused = Client::connect_with(at, "/ws", &lines).await.err().unwrap_or_default();
            assert!(refused.starts_with(&format!("HTTP/1.1 {code} ")), "{refused}");
            assert!(
                refused.contains("\r\nconnection: close\r\n"),
                "no second try on one connection: {refused}"
            );
        }
    }
    let lines = format!("Authorization: Bearer {good}\r\n");
    let _first = Client::connect_with(at, "/ws", &lines).await.expect("there is room in the burst");
    let _second = Client::connect_with(at, "/ws", &lines).await.expect("there is room in the burst");
}

/// Whoever opened connections and asked for nothing held as many as it liked.
#[tokio::test]
async fn connections_that_ask_for_nothing_count_for_their_address() {
    use quorate_rt::net::TcpStream;
    use tokio::io::AsyncReadExt;
    let table = Arc::new(Table::default());
    let settings = Settings { connections_per_address_max: Some(2), ..Settings::default() };
    let gateway = gateway(&table, "n1", settings).await;
    let at = gateway.local_addr();
    let mut silent = Vec::new();
    // They are accepted in their order, by one thread: two have the places, two would be told that there is none.
    for _ in 0..4 {
        silent.push(TcpStream::connect(at).await.expect("it listens"));
    }
    let mut beyond = TcpStream::connect(at).await.expect("it listens");
    let mut nothing = [0; 1];
    let read = time::timeout(PATIENCE, beyond.read(&mut nothing)).await.expect("it does not wait");
    assert!(!matches!(read, Ok(1)), "it is not even heard");
    assert_eq!(gateway.desk().counters.turned_away_for(TurnedAway::Address), 1);
    silent.pop();
    let told = |answer: &Result<Client, String>| {
        answer.as_ref().is_err_and(|head| head.starts_with("HTTP/1.1 429 "))
    };
    connect_until(at, "it is told that there is no place", told).await;
    drop(silent);
    connect_until(at, "the places were given back", Result::is_ok).await;
}

async fn connect_until(at: SocketAddr, what: &str, is_so: impl Fn(&Result<Client, String>) -> bool) {
    let end = time::Instant::now() + PATIENCE;
    while !is_so(&Client::connect_with(at, "/ws", "").await) {
        assert!(time::Instant::now() < end, "never: {what}");
        time::sleep(time::Duration::from_millis(5)).await;
    }
}
