//! One stream of a tunnel: bytes between the node and what is at the tunnel's end.
//!
//! No more is taken from either side than the other one takes: the node gets room for what was passed on, and what is
//! read here waits for the node's room. A side that resets resets the other one; an end is passed on as an end.

use super::unanswered::Teller;
use crate::tasks;
use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use http::{HeaderValue, Response, StatusCode};
use quorate_api::tunnel::REASON;
use std::{future::poll_fn, io, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// A connection is there by then, or nobody listens.
const DIALLED_WITHIN: Duration = Duration::from_secs(5);
/// Most bytes that are read at once.
const PIECE_MAX: usize = 16 << 10;

/// Carries one stream to its end.
pub(super) async fn carry(
    from_node: RecvStream,
    mut respond: SendResponse<Bytes>,
    (to, unanswered): (String, Teller),
) {
    let tcp = match dial(&to).await {
        Ok(tcp) => tcp,
        Err(error) => {
            let why = format!("{to}: {error}");
            decline(respond, &why);
            return unanswered.tell(why);
        }
    };
    // The node may have given up meanwhile: the connection is dropped.
    let Ok(mut to_node) = respond.send_response(Response::new(()), false) else { return };
    let _ = tcp.set_nodelay(true);
    let (read, write) = tcp.into_split();
    let carried = tokio::try_join!(up(from_node, write), down(read, &mut to_node));
    if carried.is_err() {
        to_node.send_reset(Reason::CANCEL);
    }
}

/// Whether something takes connections at `to`, as a tunnel's end would make them.
pub async fn answers(to: &str) -> io::Result<()> {
    dial(to).await.map(drop)
}

async fn dial(to: &str) -> io::Result<TcpStream> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no connection within {DIALLED_WITHIN:?}"));
    tasks::within(DIALLED_WITHIN, TcpStream::connect(to)).await.ok_or_else(late)?
}

/// Nothing is there: to the node that is a refused connection.
fn decline(mut respond: SendResponse<Bytes>, why: &str) {
    let mut answer = Response::new(());
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    if let Ok(why) = HeaderValue::from_str(why) {
        answer.headers_mut().insert(REASON, why);
    }
    // The node may have given up.
    let _ = respond.send_response(answer, true);
}

async fn up(mut from_node: RecvStream, mut write: OwnedWriteHalf) -> io::Result<()> {
    while let Some(piece) = from_node.data().await {
        let piece = piece.map_err(io::Error::other)?;
        write.write_all(&piece).await?;
        // Fails for a stream that is over.
        let _ = from_node.flow_control().release_capacity(piece.len());
    }
    write.shutdown().await
}

async fn down(mut read: OwnedReadHalf, to_node: &mut SendStream<Bytes>) -> io::Result<()> {
    let mut buffer = vec![0; PIECE_MAX];
    loop {
        let length = tokio::select! {
            biased;
            // What comes from the node may be over long before it gives up what goes there.
            reset = poll_fn(|cx| to_node.poll_reset(cx)) => return Err(of_reset(reset)),
            length = read.read(&mut buffer) => length?,
        };
        if length == 0 {
            return to_node.send_data(Bytes::new(), true).map_err(io::Error::other);
        }
        room(to_node).await?;
        to_node.send_data(Bytes::copy_from_slice(&buffer[..length]), false).map_err(io::Error::other)?;
    }
}

fn of_reset(reset: Result<Reason, h2::Error>) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, reset.map_or_else(|error| error, h2::Error::from))
}

/// Waits until the node takes more. Room for one byte: what does not fit yet waits in the stream, and is no more than was
/// read at once.
async fn room(to_node: &mut SendStream<Bytes>) -> io::Result<()> {
    to_node.reserve_capacity(1);
    while to_node.capacity() == 0 {
        match poll_fn(|cx| to_node.poll_capacity(cx)).await {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(io::Error::other(error)),
            None => return Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
    Ok(())
}
