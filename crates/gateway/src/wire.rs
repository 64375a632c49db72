//! One WebSocket: frames, limits, pings, closing.
//!
//! One task reads and writes it, so two writers never meet on it. What the library below does not bound is bounded here:
//! frames in a second, parts of a message, how long a client may be silent, how long a write may stand still, how long a
//! farewell may take.

mod end;
mod meter;

pub use end::{Closing, End};

use crate::{
    rate::Bucket,
    settings::{Flood, Settings},
};
use futures_util::{SinkExt, StreamExt};
use meter::{Metered, Scanner};
use quorate_rt::{
    duplex,
    time::{self, Duration, Instant, Sleep},
};
use quorate_telemetry::gateway::GatewayCounters;
use std::{pin::Pin, sync::Arc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Bytes, Message, Utf8Bytes,
        protocol::{CloseFrame, Role, WebSocketConfig},
    },
};

/// Read at once, and held by a connection at rest.
const READ_BYTES: usize = 2 << 10;
/// Written at once.
const WRITE_BYTES: usize = 8 << 10;
/// A client has this long to say goodbye in turn.
const CLOSE_WITHIN: Duration = Duration::from_secs(2);
/// What is read and thrown away so that the last frame arrives: a connection that is closed with unread bytes is reset,
/// and a reset overtakes what was sent.
const LINGER_BYTES_MAX: usize = 4 << 20;
const LINGER: Duration = Duration::from_secs(1);

/// What a client has said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Text.
    Text(Utf8Bytes),
    /// Bytes.
    Binary(Bytes),
}

impl Heard {
    /// As bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_ref(),
            Self::Binary(bytes) => bytes,
        }
    }
}

/// A WebSocket whose hands are shaken.
pub struct Wire {
    socket: WebSocketStream<Metered<duplex::Stream>>,
    bucket: Bucket,
    registers: Bucket,
    flood: Flood,
    pinged_at: Instant,
    ping_timeout: Duration,
    ping_check: Duration,
    check: Pin<Box<Sleep>>,
    counters: Arc<GatewayCounters>,
}

impl Wire {
    /// Over a connection that has left HTTP; `read` has come already.
    pub async fn new(
        io: duplex::Stream,
        read: Bytes,
        settings: &Settings,
        counters: Arc<GatewayCounters>,
    ) -> Self {
        let now = Instant::now();
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BYTES)
            .write_buffer_size(WRITE_BYTES)
            .max_frame_size(Some(settings.frame_bytes_max))
            .max_message_size(Some(settings.message_bytes_max));
        let mut scanner = Scanner::new(settings.fragments_max);
        scanner.see(&read);
        let io = Metered::new(io, scanner);
        // Copied: else the socket would keep the buffer of its handshake, 8 KiB of which nothing is left.
        let read = read.to_vec();
        let socket = WebSocketStream::from_partially_read(io, read, Role::Server, Some(config)).await;
        Self {
            socket,
            bucket: Bucket::new(settings.frames, now),
            registers: Bucket::new(settings.registers, now),
            flood: settings.flood,
            pinged_at: now,
            ping_timeout: settings.ping_timeout,
            ping_check: settings.ping_check,
            check: Box::pin(time::sleep(settings.ping_check)),
            counters,
        }
    }

    /// The client has shown that it lives, by a ping of its dialect.
    pub fn pinged(&mut self) {
        self.pinged_at = Instant::now();
    }

    /// Waits for what the client says next. Nothing is lost if nobody waits any more.
    pub async fn hear(&mut self) -> Result<Heard, End> {
        loop {
            let now = Instant::now();
            if let Some(wait) = self.bucket.wait(now).max(self.registers.wait(now)) {
                if self.flood == Flood::Close {
                    return Err(End::Flood);
                }
                time::sleep(wait).await;
            }
            tokio::select! {
                biased;
                // First: what has come before the look at the clock counts.
                message = self.socket.next() => {
                    self.charge();
                    match message {
                        Some(Ok(Message::Text(text))) => return Ok(Heard::Text(text)),
                        Some(Ok(Message::Binary(bytes))) => return Ok(Heard::Binary(bytes)),
                        // Answered below.
                        Some(Ok(Message::Ping(_))) => self.pinged(),
                        Some(Ok(Message::Pong(_) | Message::Frame(_))) => {}
                        Some(Ok(Message::Close(_))) | None => return Err(End::Left),
                        Some(Err(error)) => {
                            let scanner = &self.socket.get_ref().scanner;
                            return Err(if scanner.is_exceeded() { End::Fragments } else { error.into() });
                        }
                    }
                }
                () = self.check.as_mut() => {
                    if self.pinged_at.elapsed() > self.ping_timeout {
                        return Err(End::NoPing(self.ping_timeout));
                    }
                    self.check = Box::pin(time::sleep(self.ping_check));
                }
            }
        }
    }

    /// The cluster is asked who the client may be. One that asks too often is not heard for as long as it takes, or is sent
    /// away: the frames in which it asks are small, and what follows from them is not.
    pub fn charge_registration(&mut self) {
        let now = Instant::now();
        self.registers.charge(1, now);
        if self.registers.wait(now).is_some() {
            self.counters.count_throttled();
        }
    }

    fn charge(&mut self) {
        let frames = self.socket.get_mut().scanner.take_frames();
        if frames == 0 {
            return;
        }
        let now = Instant::now();
        self.bucket.charge(frames, now);
        self.counters.count_frames(frames);
        if self.bucket.wait(now).is_some() {
            self.counters.count_throttled();
        }
    }

    /// Says something, after all that was said before.
    pub async fn say(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), End> {
        self.add(text).await?;
        self.flush().await
    }

    /// The same, and leaves it to the next [`Self::flush`] to send it on its way.
    pub async fn add(&mut self, text: impl Into<Utf8Bytes>) -> Result<(), End> {
        let added = self.socket.feed(Message::Text(text.into()));
        time::timeout(self.ping_timeout, added).await.map_err(|_| End::Stalled)?.map_err(End::from)
    }

    /// Sends what was said on its way.
    pub async fn flush(&mut self) -> Result<(), End> {
        let flushed = self.socket.flush();
        time::timeout(self.ping_timeout, flushed).await.map_err(|_| End::Stalled)?.map_err(End::from)
    }

    /// Says goodbye, and waits for a moment that the other side does so too.
    pub async fn finish(self, end: &End) {
        // Apart: else each connection would hold room for its end from the beginning.
        Box::pin(self.farewell(end)).await;
    }

    async fn farewell(mut self, end: &End) {
        let closing = end.closing();
        let is_orderly = end.leaves_frames_whole();
        let farewell = async {
            if let Some(Closing { code, reason }) = closing {
                let frame = CloseFrame { code: code.into(), reason: reason.into() };
                self.socket.send(Message::Close(Some(frame))).await.map_err(drop)?;
            }
            // After an error it ends at once.
            while let Some(Ok(_)) = self.socket.next().await {}
            Ok::<(), ()>(())
        };
        let is_done = time::timeout(CLOSE_WITHIN, farewell).await.is_ok_and(|done| done.is_ok());
        let mut socket = self.socket;
        let ended = async {
            if is_done && is_orderly {
                // By TLS an end that is not announced looks like a break. Nobody waits for what becomes of it.
                let _ = socket.get_mut().shutdown().await;
            } else {
                linger(socket).await;
            }
        };
        let _ = time::timeout(LINGER, ended).await;
    }
}

async fn linger(socket: WebSocketStream<Metered<duplex::Stream>>) {
    let mut io = socket.into_inner();
    if io.shutdown().await.is_err() {
        return;
    }
    let mut buffer = vec![0; READ_BYTES];
    let mut left = LINGER_BYTES_MAX;
    while let Ok(read @ 1..) = io.read(&mut buffer).await {
        left = left.saturating_sub(read);
        if left == 0 {
            return;
        }
    }
}
