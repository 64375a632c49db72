//! A client that says what it is told to.

use super::PATIENCE;
use futures_util::{SinkExt, StreamExt};
use quorate_rt::{
    net::TcpStream,
    time::{self, Duration},
};
use std::net::SocketAddr;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Error, Message, protocol::Role},
};

/// A WebSocket of a client.
pub struct Client<S = TcpStream> {
    socket: WebSocketStream<S>,
    /// The head of the answer to its handshake.
    pub head: String,
}

impl Client<TcpStream> {
    /// Shakes hands.
    pub async fn connect(gateway: SocketAddr) -> Self {
        Self::connect_with(gateway, "/ws", "").await.expect("hands are shaken")
    }

    /// The same, with more lines in its request's head. Where it is refused: the head and the body of the answer.
    pub async fn connect_with(gateway: SocketAddr, path: &str, lines: &str) -> Result<Self, String> {
        let tcp = TcpStream::connect(gateway).await.expect("it listens");
        Self::over(tcp, path, lines).await
    }

    /// Connects and registers.
    pub async fn register(gateway: SocketAddr, user: &str) -> Self {
        let mut client = Self::connect(gateway).await;
        client.become_user(user).await;
        client
    }

    /// The socket itself.
    pub fn tcp(&mut self) -> &mut TcpStream {
        self.socket.get_mut()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Client<S> {
    /// Shakes hands over a connection. Where it is refused: the head and the body of the answer.
    pub async fn over(mut io: S, path: &str, lines: &str) -> Result<Self, String> {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: gateway\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{lines}\r\n"
        );
        io.write_all(request.as_bytes()).await.expect("it reads");
        io.flush().await.expect("it reads");
        let mut head = Vec::new();
        let read = async {
            while !head.ends_with(b"\r\n\r\n") {
                let Ok(byte) = io.read_u8().await else { return };
                head.push(byte);
            }
        };
        time::timeout(PATIENCE, read).await.expect("an answer");
        let head = String::from_utf8(head).expect("text");
        if !head.starts_with("HTTP/1.1 101 ") {
            return Err(head);
        }
        let socket = WebSocketStream::from_raw_socket(io, Role::Client, None).await;
        Ok(Self { socket, head })
    }

    /// Registers.
    pub async fn become_user(&mut self, user: &str) {
        self.say(&format!(r#"{{"type":"register","userId":"{user}"}}"#)).await;
        assert_eq!(self.hear().await, r#"{"type":"registered","content":"Successfully registered"}"#);
    }

    /// Says something.
    pub async fn say(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    /// Says something to somebody.
    pub async fn tell(&mut self, to: &str, content: &str) {
        self.say(&format!(r#"{{"type":"message","to":"{to}","content":"{content}"}}"#)).await;
    }

    /// Sends a frame.
    pub async fn send(&mut self, message: Message) {
        self.socket.send(message).await.expect("it is open");
    }

    /// Whether a frame could be sent.
    pub async fn try_send(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message).await
    }

    /// What it is told next.
    pub async fn hear(&mut self) -> String {
        match self.next().await {
            Some(Ok(Message::Text(text))) => text.as_str().to_owned(),
            other => panic!("no text: {other:?}"),
        }
    }

    /// Waits until all that was said before is decided, and says what it was told until then.
    pub async fn settle(&mut self) -> Vec<String> {
        self.say(r#"{"type":"ping"}"#).await;
        let mut told = Vec::new();
        loop {
            let text = self.hear().await;
            if text == r#"{"type":"pong"}"# {
                return told;
            }
            told.push(text);
        }
    }

    /// Reads until the other side closes; with which code, and why.
    pub async fn closed(&mut self) -> Option<(u16, String)> {
        let mut told = None;
        loop {
            match self.next().await {
                Some(Ok(Message::Close(frame))) => {
                    told = frame.map(|frame| (frame.code.into(), frame.reason.as_str().to_owned()));
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return told,
            }
        }
    }

    /// The next frame.
    pub async fn next(&mut self) -> Option<Result<Message, Error>> {
        time::timeout(PATIENCE, self.socket.next()).await.expect("something in time")
    }

    /// Whether nothing is told for a while.
    pub async fn hears_nothing(&mut self, within: Duration) -> bool {
        time::timeout(within, self.socket.next()).await.is_err()
    }

    /// What the socket travelled on.
    pub fn into_io(self) -> S {
        self.socket.into_inner()
    }
}
