//! A snapshot on its way to a node that is far behind: in pieces, from file to file, while everything else goes on.
//!
//! The message is the vote as a frame, then the file as it lies on the leader's disk. HTTP/2's flow control paces it:
//! the sender reads a piece when there is room for one, the receiver asks for more once a piece is in its file. So
//! neither holds more than a few pieces, however large the state is. Raft sends it on a connection of its own, and
//! heartbeats and appends never stand behind it.
//!
//! There is no deadline for the whole: what counts is that it moves. The receiver believes nothing before the last
//! byte: each section's checksum and the end are verified in the file, then it is installed. What breaks off before
//! leaves a draft that is removed at once, or, after a crash, at the next start.

use super::{SNAPSHOT_BYTES_MAX, wire};
use crate::types::{Snapshot, Vote};
use bytes::{Bytes, BytesMut};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use quorate_rt::{http::BoxBody, time};
use quorate_storage::{Draft, SnapshotData, Snapshots, convert::snapshot_of};
use std::{
    convert::Infallible,
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

/// Read and sent at once, in bytes.
const PIECE_BYTES: usize = 256 << 10;
/// A transfer of which nothing moved for so long is given up, at both ends. Also how long the receiver has to verify
/// and install what arrived: a million workers take a few seconds.
pub const SNAPSHOT_PROGRESS_WITHIN: Duration = Duration::from_secs(30);

/// Counts what a transfer has moved, so that silence can be told from slowness.
#[derive(Clone, Debug, Default)]
pub struct Progress(Arc<AtomicU64>);

impl Progress {
    /// Resolves when nothing has moved for [`SNAPSHOT_PROGRESS_WITHIN`].
    pub async fn stalled(&self) {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            time::sleep(SNAPSHOT_PROGRESS_WITHIN).await;
            let now = self.0.load(Ordering::Relaxed);
            if now == seen {
                return;
            }
            seen = now;
        }
    }
}

/// The message. Its body ends early where the file can't be read: the receiver then misses the end, and refuses.
pub fn body(vote: &Vote, data: SnapshotData, progress: Progress) -> BoxBody {
    let head = wire::frame(&wire::encode_vote(&quorate_storage::convert::vote_of(vote)));
    let pieces = stream::unfold((data, 0), |(data, at)| async move {
        let read = quorate_rt::blocking(move || (data.piece(at, PIECE_BYTES), data)).await;
        match read {
            (Ok(piece), _) if piece.is_empty() => None,
            (Ok(piece), data) => {
                let next = at + piece.len() as u64;
                Some((Bytes::from(piece), (data, next)))
            }
            (Err(error), _) => {
                tracing::error!(%error, "a snapshot can't be read for a peer");
                None
            }
        }
    });
    let counted = stream::once(std::future::ready(head)).chain(pieces).map(move |piece| {
        progress.0.fetch_add(1, Ordering::Relaxed);
        Ok::<_, Infallible>(Frame::data(piece))
    });
    StreamBody::new(counted).boxed_unsync()
}

/// Takes a message in, into a file. What it gives back is verified wholly.
pub async fn receive<S, E>(snapshots: &Snapshots, body: S) -> io::Result<(Vote, Snapshot)>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let mut pieces = Pieces { body, bytes: 0 };
    let mut first = BytesMut::new();
    let head = loop {
        if let Some(head) = wire::take_frame(&mut first)? {
            break head;
        }
        let Some(more) = pieces.next().await? else { return Err(cut_short()) };
        first.extend_from_slice(&more);
    };
    let vote = wire::decode_vote(&head).map_err(invalid)?;
    let draft = pieces.into_file(snapshots, first).await?;
    let verified =
        quorate_rt::blocking(move || snapshot_of(SnapshotData::received(draft)?).map_err(io::Error::from));
    Ok((quorate_storage::convert::vote_from(vote), verified.await?))
}

/// Takes a file in that is nothing but a snapshot. It is not looked at.
pub async fn receive_file<S, E>(snapshots: &Snapshots, body: S) -> io::Result<SnapshotData>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    let draft = Pieces { body, bytes: 0 }.into_file(snapshots, BytesMut::new()).await?;
    quorate_rt::blocking(move || SnapshotData::received(draft)).await
}

async fn written(mut draft: Box<dyn Draft>, bytes: Bytes) -> io::Result<Box<dyn Draft>> {
    quorate_rt::blocking(move || draft.write_all(&bytes).map(|()| draft)).await
}

/// What arrives, with a deadline for each piece and a bound for all.
struct Pieces<S> {
    body: S,
    bytes: u64,
}

impl<S, E> Pieces<S>
where
    S: Stream<Item = Result<Bytes, E>> + Unpin + Send,
    E: std::error::Error + Send + Sync + 'static,
{
    /// All the rest, `first` before it.
    async fn into_file(mut self, snapshots: &Snapshots, first: BytesMut) -> io::Result<Box<dyn Draft>> {
        let files = snapshots.clone();
        let mut draft = quorate_rt::blocking(move || files.begin()).await?;
        // Small pieces are gathered: each write goes to another thread and back.
        let mut gathered = first;
        loop {
            let more = self.next().await?;
            let ended = more.is_none();
            gathered.extend_from_slice(&more.unwrap_or_default());
            if gathered.len() >= PIECE_BYTES || (ended && !gathered.is_empty()) {
                draft = written(draft, gathered.split().freeze()).await?;
            }
            if ended {
                return Ok(draft);
            }
        }
    }

    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let late =
            |_| io::Error::new(io::ErrorKind::TimedOut, "the rest of the snapshot did not arrive in time");
        let next = time::timeout(SNAPSHOT_PROGRESS_WITHIN, self.body.next()).await.map_err(late)?;
        let Some(piece) = next.transpose().map_err(io::Error::other)? else { return Ok(None) };
        self.bytes += piece.len() as u64;
        if self.bytes > SNAPSHOT_BYTES_MAX {
            let problem = format!("the snapshot is larger than {SNAPSHOT_BYTES_MAX} bytes");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, problem));
        }
        Ok(Some(piece))
    }
}

fn invalid(error: wire::WireError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn cut_short() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the snapshot is cut short")
}
