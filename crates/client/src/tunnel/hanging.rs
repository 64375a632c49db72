//! One connection of a tunnel, as long as it lives.
//!
//! The node asks and this side answers: `CONNECT` for each stream, and a word when it lets go. A node that is gone
//! without one is found by PINGs.

use super::{carry, unanswered::Teller};
use crate::tasks;
use bytes::Bytes;
use h2::{
    Ping, PingPong, RecvStream,
    server::{Builder, SendResponse},
};
use http::{Method, Request, Response, StatusCode};
use quorate_api::tunnel::{GOODBYE, REASON};
use reqwest::Upgraded;
use std::time::Duration;
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};

/// How often it is asked whether the node is still there.
const PING_EVERY: Duration = Duration::from_secs(5);
/// It has so long to answer.
const PING_WITHIN: Duration = Duration::from_secs(10);
/// Streams at once. The node opens no more.
const STREAMS_MAX: u32 = 512;
/// What may come on one stream before what came before was passed on.
const STREAM_WINDOW: u32 = 128 << 10;
/// Room for all streams: else some that nobody reads would hold up all the others.
const WINDOW: u32 = STREAM_WINDOW * STREAMS_MAX;
/// Most bytes of a request's headers: the node sends a handful.
const HEADER_BYTES_MAX: u32 = 16 << 10;
/// Most bytes of one stream that wait to be written.
const SEND_BUFFER: usize = 64 << 10;

/// A connection. Dropped, it ends at once.
pub(super) struct Hanging {
    words: mpsc::Receiver<Parted>,
    finish: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// Why it is no longer what the tunnel hangs by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Parted {
    /// The node is about to end.
    Draining,
    /// Another one holds the name.
    Replaced,
    /// The node may hold nothing any more.
    Fenced,
    /// What it was let in by is not good any more.
    Revoked,
    /// It broke.
    Gone(String),
}

impl Parted {
    fn read(word: &str) -> Option<Self> {
        match word {
            "draining" => Some(Self::Draining),
            "replaced" => Some(Self::Replaced),
            "fenced" => Some(Self::Fenced),
            "revoked" => Some(Self::Revoked),
            // A newer node may have more reasons; the connection's end will tell.
            _ => None,
        }
    }
}

impl Hanging {
    /// Answers on a connection until it ends.
    pub fn start(socket: Upgraded, to: String, unanswered: Teller) -> Self {
        let (said, words) = mpsc::channel(4);
        let (finish, finishing) = watch::channel(false);
        let task = tasks::spawn(async move {
            let why = serve(socket, (to, unanswered), &said, finishing).await;
            // Nobody hears it where the tunnel is over, or hangs elsewhere: an end without words says the same.
            let _ = said.try_send(Parted::Gone(why));
        });
        Self { words, finish, task }
    }

    /// Resolves when the tunnel has to hang elsewhere.
    pub async fn parted(&mut self) -> Parted {
        self.words.recv().await.unwrap_or_else(|| Parted::Gone("it ended".into()))
    }

    /// Takes no more streams, and ends with the last one.
    pub fn finish(&self) {
        self.finish.send_replace(true);
    }

    /// The same, and resolves when it has ended.
    pub async fn finished(&mut self) {
        self.finish();
        // An error says that it had panicked; it is over either way.
        let _ = (&mut self.task).await;
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Why it ended.
async fn serve(
    socket: Upgraded,
    end: (String, Teller),
    said: &mpsc::Sender<Parted>,
    mut finishing: watch::Receiver<bool>,
) -> String {
    let greeted = Builder::new()
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(WINDOW)
        .max_concurrent_streams(STREAMS_MAX)
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEADER_BYTES_MAX)
        .handshake::<_, Bytes>(socket);
    let mut connection = match tasks::within(PING_WITHIN, greeted).await {
        Some(Ok(connection)) => connection,
        Some(Err(error)) => return error.to_string(),
        None => return "the node did not greet".into(),
    };
    let pings = connection.ping_pong();
    let beating = beat(pings);
    tokio::pin!(beating);
    let mut is_finishing = false;
    loop {
        tokio::select! {
            accepted = connection.accept() => match accepted {
                Some(Ok((request, respond))) => answer(request, respond, &end, said),
                Some(Err(error)) => return error.to_string(),
                None => return "the node closed it".into(),
            },
            why = &mut beating => return why,
            changed = finishing.changed(), if !is_finishing => {
                is_finishing = true;
                if changed.is_ok() {
                    connection.graceful_shutdown();
                }
            }
        }
    }
}

fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    (to, unanswered): &(String, Teller),
    said: &mpsc::Sender<Parted>,
) {
    if request.method() == Method::CONNECT {
        tasks::spawn(carry::carry(request.into_body(), respond, (to.clone(), unanswered.clone())));
        return;
    }
    let is_goodbye = request.method() == Method::POST && request.uri().path() == GOODBYE;
    let mut answer = Response::new(());
    *answer.status_mut() = if is_goodbye { StatusCode::NO_CONTENT } else { StatusCode::NOT_FOUND };
    // The node may be gone already.
    let _ = respond.send_response(answer, true);
    if is_goodbye {
        let word = request.headers().get(REASON).and_then(|word| word.to_str().ok());
        if let Some(parted) = word.and_then(Parted::read) {
            // Full: it was told before.
            let _ = said.try_send(parted);
        }
    }
}

/// Until a PING is not answered.
async fn beat(pings: Option<PingPong>) -> String {
    let Some(mut pings) = pings else { return std::future::pending().await };
    loop {
        tasks::sleep(PING_EVERY).await;
        match tasks::within(PING_WITHIN, pings.ping(Ping::opaque())).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return error.to_string(),
            None => return format!("the node did not answer within {PING_WITHIN:?}"),
        }
    }
}
