use crate::{
    rig::{Client, Table, gateway, until, user},
    settings::Settings,
};
use quorate_rt::time::Duration;
use std::sync::Arc;
use tokio_tungstenite::tungstenite::Message;

const REGISTERED: &str = r#"{"type":"registered","content":"Successfully registered"}"#;

fn error(words: &str) -> String {
    format!(r#"{{"type":"error","error":"{words}"}}"#)
}

#[tokio::test]
async fn each_frame_is_answered_as_the_contract_has_it_and_errors_close_nothing() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    let mut client = Client::connect(gateway.local_addr()).await;
    let exchanges = [
        (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#.to_owned()),
        ("not json", error("Invalid message format")),
        (r#"{"type":7}"#, error("Invalid message format")),
        (r#"{"type":"dance"}"#, error("Unknown message type")),
        ("{}", error("Unknown message type")),
        (r#"{"type":"pong"}"#, error("Unknown message type")),
        // Whoever is not registered is told that before anything else about the message.
        (r#"{"type":"message"}"#, error("Not registered")),
        (r#"{"type":"message","to":"bob","content":"x"}"#, error("Not registered")),
        (r#"{"type":"register"}"#, error("UserID is required for registration")),
        (r#"{"type":"register","userId":""}"#, error("UserID is required for registration")),
        (r#"{"type":"register","userId":"a\u0000b"}"#, error("Failed to register")),
        (r#"{"type":"register","userId":"alice"}"#, REGISTERED.to_owned()),
        (r#"{"type":"register","userId":"alice"}"#, REGISTERED.to_owned()),
        (r#"{"type":"message","content":"x"}"#, error("Recipient is required")),
        (r#"{"type":"message","to":"nobody","content":"x"}"#, error("Failed to send message")),
        (r#"{"type":"message","to":"a\u0000b","content":"x"}"#, error("Failed to send message")),
        (
            r#"{"type":"message","to":"alice","content":"to myself"}"#,
            r#"{"type":"message","from":"alice","content":"to myself"}"#.to_owned(),
        ),
        (r#"{"type":"message","to":"alice"}"#, r#"{"type":"message","from":"alice"}"#.to_owned()),
        (r#"{"type":"ping"}"#, r#"{"type":"pong"}"#.to_owned()),
    ];
    for (said, told) in exchanges {
        client.say(said).await;
        assert_eq!(client.hear().await, told, "{said}");
    }
    client.send(Message::binary(br#"{"type":"ping"}"#.to_vec())).await;
    assert_eq!(client.hear().await, r#"{"type":"pong"}"#, "the original reads bytes like text");
}

#[tokio::test]
async fn messages_cross_gateways_in_order_and_success_is_silence() {
    let table = Arc::new(Table::default());
    let (one, two) =
        (gateway(&table, "n1", Settings::default()).await, gateway(&table, "n2", Settings::default()).await);
    let mut alice = Client::register(one.local_addr(), "alice").await;
    let mut bob = Client::register(two.local_addr(), "bob").await;
    for nth in 0..500 {
        alice.tell("bob", &nth.to_string()).await;
    }
    for nth in 0..500 {
        assert_eq!(bob.hear().await, format!(r#"{{"type":"message","from":"alice","content":"{nth}"}}"#));
    }
    assert_eq!(alice.settle().await, Vec::<String>::new());
    bob.tell("alice", "back").await;
    assert_eq!(alice.hear().await, r#"{"type":"message","from":"bob","content":"back"}"#);
}

#[tokio::test]
async fn a_pong_says_that_all_before_its_ping_is_decided() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    let mut alice = Client::register(gateway.local_addr(), "alice").await;
    for _ in 0..20 {
        alice.tell("nobody", "x").await;
        alice.say("?").await;
    }
    let told = alice.settle().await;
    let expected = [error("Failed to send message"), error("Invalid message format")];
    assert_eq!(
        told,
        expected.iter().cycle().take(40).cloned().collect::<Vec<_>>(),
        "in the order of the frames"
    );
}

#[tokio::test]
async fn whoever_says_something_and_leaves_has_said_it() {
    let table = Arc::new(Table::default());
    let (one, two) =
        (gateway(&table, "n1", Settings::default()).await, gateway(&table, "n2", Settings::default()).await);
    let mut bob = Client::register(two.local_addr(), "bob").await;
    let mut alice = Client::register(one.local_addr(), "alice").await;
    for nth in 0..100 {
        alice.tell("bob", &nth.to_string()).await;
    }
    alice.send(Message::Close(None)).await;
    for nth in 0..100 {
        assert_eq!(bob.hear().await, format!(r#"{{"type":"message","from":"alice","content":"{nth}"}}"#));
    }
    until("alice has left", || table.places(&user("alice")).is_empty()).await;
}

#[tokio::test]
async fn a_socket_that_registers_as_somebody_else_is_that_one_from_then_on() {
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    let mut client = Client::register(gateway.local_addr(), "alice").await;
    client.say(r#"{"type":"register","userId":"bob"}"#).await;
    assert_eq!(client.hear().await, REGISTERED);
    assert!(table.places(&user("alice")).is_empty(), "the original leaves her there until her time is over");
    client.tell("alice", "x").await;
    assert_eq!(client.hear().await, error("Failed to send message"));
    client.tell("bob", "x").await;
    assert_eq!(client.hear().await, r#"{"type":"message","from":"bob","content":"x"}"#);
}

#[tokio::test]
async fn a_socket_without_pings_is_closed_and_either_kind_of_ping_keeps_it() {
    let table = Arc::new(Table::default());
    let settings = Settings {
        ping_timeout: Duration::from_secs(4),
        ping_check: Duration::from_millis(200),
        ..Settings::default()
    };
    let gateway = gateway(&table, "n1", settings).await;
    let mut silent = Client::register(gateway.local_addr(), "silent").await;
    let (mut json, mut frames) = (
        Client::register(gateway.local_addr(), "json").await,
        Client::register(gateway.local_addr(), "frames").await,
    );
    let pinging = quorate_rt::spawn(async move {
        for _ in 0..60 {
            json.settle().await;
            frames.send(Message::Ping(vec![1].into())).await;
            assert!(matches!(frames.next().await, Some(Ok(Message::Pong(_)))));
            quorate_rt::time::sleep(Duration::from_millis(100)).await;
        }
        (json, frames)
    });
    // Messages are no pings: the contract looks at pings alone.
    silent.tell("silent", "x").await;
    let (code, reason) = silent.closed().await.expect("a close frame");
    assert_eq!((code, reason.as_str()), (1008, "no ping for 4s"));
    until("presence is gone", || table.places(&user("silent")).is_empty()).await;
    let (mut json, mut frames) = pinging.await.expect("both live");
    assert_eq!(json.settle().await.len() + frames.settle().await.len(), 0);
}

#[tokio::test]
async fn a_second_request_is_answered_on_the_same_connection_and_the_upgrade_names_its_connection() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let table = Arc::new(Table::default());
    let gateway = gateway(&table, "n1", Settings::default()).await;
    let mut tcp = quorate_rt::net::TcpStream::connect(gateway.local_addr()).await.expect("it listens");
    tcp.write_all(
        b"GET /health HTTP/1.1\r\nHost: x\r\n\r\nGET /stats HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    )
    .await
    .expect("it reads");
    let mut told = String::new();
    tcp.read_to_string(&mut told).await.expect("two answers");
    assert!(told.contains("\r\n\r\nOKHTTP/1.1 200 OK\r\n"), "{told}");
    assert!(told.ends_with("\r\n\r\n{\"gatewayId\":\"n1\",\"connections\":0}"), "{told}");
    let client = Client::register(gateway.local_addr(), "alice").await;
    let id = table.places(&user("alice"))[0].connection.to_string();
    assert!(client.head.contains(&format!("\r\nx-connection-id: {id}\r\n")), "{}", client.head);
    assert!(
        client.head.contains("\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"),
        "{}",
        client.head
    );
    assert!(!client.head.contains("sec-websocket-protocol"), "{}", client.head);
}
