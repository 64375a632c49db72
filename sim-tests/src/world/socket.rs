//! A client of the WebSocket gateway, on simulated sockets. Its library is the server's: that frames are right is tested
//! elsewhere, with another one.

use super::node::ip;
use futures_util::{SinkExt as _, StreamExt as _};
use http::{HeaderValue, header::SEC_WEBSOCKET_PROTOCOL};
use quorate_rt::{
    net::TcpStream,
    time::{Duration, timeout},
};
use serde_json::Value;
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Message, client::IntoClientRequest as _, protocol::frame::coding::CloseCode},
};

/// Connecting and shaking hands take at most this long.
const OPENED_WITHIN: Duration = Duration::from_secs(5);

/// A connection.
pub struct Socket {
    stream: WebSocketStream<TcpStream>,
    /// What the gateway calls it.
    pub connection: String,
}

/// What comes from a gateway.
#[derive(Debug)]
pub enum Heard {
    /// A text: JSON.
    Text(Value),
    /// Only that it is there.
    Alive,
    /// It is over; the code, if there was one.
    Over(Option<u16>),
}

impl Socket {
    /// To machine `i`, in the dialect of the original; `None`: it could not be had.
    pub async fn open(i: usize) -> Option<Self> {
        Self::open_as(i, None).await
    }

    /// The same in the dialect of this name.
    pub async fn open_as(i: usize, dialect: Option<&'static str>) -> Option<Self> {
        let authority = format!("{}:8082", ip(i + 1));
        let mut request = format!("ws://{authority}/ws").into_client_request().ok()?;
        if let Some(dialect) = dialect {
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(dialect));
        }
        let opening = async {
            let stream = TcpStream::connect(&authority).await.ok()?;
            let (stream, answer) = client_async(request, stream).await.ok()?;
            let connection = answer.headers().get("x-connection-id")?.to_str().ok()?.to_owned();
            Some(Self { stream, connection })
        };
        timeout(OPENED_WITHIN, opening).await.ok()?
    }

    /// False: it is over.
    pub async fn send(&mut self, message: &Value) -> bool {
        let sending = self.stream.send(Message::text(message.to_string()));
        matches!(timeout(OPENED_WITHIN, sending).await, Ok(Ok(())))
    }

    /// What comes next.
    pub async fn hear(&mut self) -> Heard {
        match self.stream.next().await {
            Some(Ok(Message::Text(text))) => {
                serde_json::from_str(text.as_str()).map_or(Heard::Over(None), Heard::Text)
            }
            Some(Ok(Message::Close(frame))) => Heard::Over(frame.map(|frame| u16::from(frame.code))),
            Some(Ok(_)) => Heard::Alive,
            Some(Err(_)) | None => Heard::Over(None),
        }
    }

    /// In order.
    pub async fn close(mut self) {
        let frame = tokio_tungstenite::tungstenite::protocol::CloseFrame {
            code: CloseCode::Normal,
            reason: "".into(),
        };
        // One that is over already is as good as closed.
        let _ = timeout(OPENED_WITHIN, self.stream.close(Some(frame))).await;
    }
}
