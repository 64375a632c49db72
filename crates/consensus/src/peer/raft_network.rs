//! openraft's calls over our peer protocol. Appends are pipelined: one HTTP/2 stream each way, frames both ways.

use super::{
    client::{self, CallError, Dialler},
    directory::Directory,
    path,
    snapshots::{Progress, SNAPSHOT_PROGRESS_WITHIN},
    under_way::{Answers, UnderWay},
    wire,
};
use crate::types::{AppendRequest, Config, Snapshot, StreamResult, Vote};
use bytes::Bytes;
use futures_util::{FutureExt, Stream, StreamExt, future::BoxFuture, stream::BoxStream};
use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use openraft::{
    AnyError, OptionalSend,
    errors::{RPCError, ReplicationClosed, StreamingError, Unreachable},
    network::{RPCOption, RaftNetworkFactory, v2::RaftNetworkV2},
    raft::{AppendEntriesResponse, SnapshotResponse, TransferLeaderRequest, VoteRequest, VoteResponse},
};
use quorate_model::NodeId;
use quorate_rt::{
    http::{BoxBody, H2Client, full},
    time,
};
use quorate_storage::{Member, SnapshotData, Snapshots};
use std::{
    convert::Infallible,
    future::Future,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::sync::oneshot;

/// An append stream on which nothing came back for this long is given up, plus the time that what is under way may
/// take at [`SLOWEST_BYTES_PER_MS`].
const STREAM_IDLE_MIN: Duration = Duration::from_millis(500);

/// The slowest network and disk that a follower is given time for: 4 MiB/s. One message has up to 32 entries of
/// 512 KiB.
const SLOWEST_BYTES_PER_MS: u64 = 4 << 10;

/// A dial is given at least this long, over several calls if they are shorter.
const DIAL_WITHIN_MIN: Duration = Duration::from_secs(1);

/// Between two tries to reach a follower that can't be reached.
const REDIAL_AFTER: Duration = Duration::from_millis(100);

/// Makes a [`Peer`] for each node that Raft talks to.
#[derive(Clone)]
pub struct Network {
    /// How they are dialled.
    pub dialler: Dialler,
    /// Where they are.
    pub directory: Directory,
    /// Which of its own snapshots this node sends.
    pub snapshots: Snapshots,
}

impl RaftNetworkFactory<Config> for Network {
    type Network = Peer;

    async fn new_client(&mut self, target: u64, member: &Member) -> Peer {
        let address = self.directory.learn(NodeId(target), &member.name, &member.peer);
        Peer {
            dialler: self.dialler.clone(),
            directory: self.directory.clone(),
            snapshots: self.snapshots.clone(),
            target: NodeId(target),
            address,
            connection: None,
            dial: Mutex::new(None),
            broken: Arc::default(),
        }
    }
}

/// One node that Raft talks to.
pub struct Peer {
    dialler: Dialler,
    directory: Directory,
    snapshots: Snapshots,
    target: NodeId,
    /// Where it was dialled last.
    address: String,
    connection: Option<H2Client>,
    /// A dial under way. It outlives the call that began it: resolving, dialling and the proof are three round
    /// trips and more, which together need not fit into the time of one heartbeat. The mutex is never contended;
    /// it only makes this type `Sync`.
    dial: Mutex<Option<BoxFuture<'static, Result<H2Client, CallError>>>>,
    /// Set by a response stream that found the connection dead.
    broken: Arc<AtomicBool>,
}

fn unreachable(e: &(impl std::error::Error + 'static)) -> RPCError<Config> {
    RPCError::Unreachable(Unreachable::new(e))
}

fn unreachable_text(text: &str) -> RPCError<Config> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(text)))
}

impl Peer {
    async fn connection(&mut self, deadline: Duration) -> Result<&mut H2Client, CallError> {
        let usable = !self.broken.swap(false, Ordering::Relaxed)
            && self.connection.as_ref().is_some_and(|c| !c.is_closed());
        if !usable {
            // Resolved and dialled anew: the address may have changed.
            self.connection = None;
            self.connection = Some(self.dialled(deadline).await?);
        }
        Ok(self.connection.as_mut().expect("was opened above"))
    }

    async fn dialled(&mut self, deadline: Duration) -> Result<H2Client, CallError> {
        let under_way = self.dial.get_mut().unwrap_or_else(PoisonError::into_inner).is_some();
        if !under_way && let Some(address) = self.directory.address(self.target) {
            self.address = address;
        }
        let (dialler, target, address) = (&self.dialler, self.target, &self.address);
        let dial = self.dial.get_mut().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| {
            let (dialler, address) = (dialler.clone(), address.clone());
            let within = deadline.max(DIAL_WITHIN_MIN);
            Box::pin(async move { dialler.connect(Some(target), &address, within).await })
        });
        let result = match time::timeout(deadline, dial).await {
            Ok(result) => result,
            Err(_) => return Err(CallError::Timeout { target: address.clone(), after: deadline }),
        };
        *self.dial.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        result.inspect_err(|_| self.directory.failed(target, &self.address))
    }

    async fn call(&mut self, path: &str, body: Bytes, deadline: Duration) -> Result<Bytes, CallError> {
        // Connected first: that decides where the request goes.
        self.connection(deadline).await?;
        let request = client::request(self.dialler.me(), Some(self.target), &self.address, path, full(body))?;
        let address = self.address.clone();
        let connection = self.connection(deadline).await?;
        let result = client::call(connection, request, &address, deadline).await;
        match &result {
            Err(CallError::Broken { .. } | CallError::Timeout { .. } | CallError::Unproven { .. }) => {
                self.connection = None;
            }
            Err(CallError::Refused { status, .. }) => self.refused(*status),
            Ok(_) | Err(CallError::Unreachable { .. }) => {}
        }
        result
    }

    /// Somebody else lives at the address now.
    fn refused(&mut self, status: StatusCode) {
        if status == StatusCode::MISDIRECTED_REQUEST {
            self.connection = None;
            self.directory.failed(self.target, &self.address);
        }
    }

    async fn exchange<T>(
        &mut self,
        path: &str,
        body: Vec<u8>,
        deadline: Duration,
        decode: impl FnOnce(&[u8]) -> Result<T, wire::WireError>,
    ) -> Result<T, RPCError<Config>> {
        let answer = self.call(path, body.into(), deadline).await.map_err(|e| unreachable(&e))?;
        decode(&answer).map_err(|e| unreachable(&e))
    }

    /// No deadline but that of the dial: see [`super::snapshots`].
    async fn send_snapshot(
        &mut self,
        vote: &Vote,
        data: SnapshotData,
        progress: &Progress,
        dial_within: Duration,
    ) -> Result<Bytes, CallError> {
        let body = super::snapshots::body(vote, data, progress.clone());
        let me = self.dialler.me();
        let request = client::request(me, Some(self.target), &self.address, path::SNAPSHOT, body)?;
        let address = self.address.clone();
        let connection = self.connection(dial_within).await?;
        let result = client::call_unbounded(connection, request, &address).await;
        if let Err(error) = &result {
            if matches!(error, CallError::Refused { status: StatusCode::BAD_REQUEST, .. }) {
                tracing::warn!(peer = %address, %error, "a snapshot was refused; it is checked before it is sent again");
                self.snapshots.doubt();
            }
            // Half of a body may be in it.
            self.connection = None;
        }
        result
    }

    async fn open_stream<S>(&mut self, input: S, deadline: Duration) -> Result<AppendStream, RPCError<Config>>
    where
        S: Stream<Item = AppendRequest> + OptionalSend + Unpin + 'static,
    {
        // `input` holds a mutex of openraft while it waits, and hyper owns it as the request's body. It must let
        // go when openraft drops the response stream, or the next session blocks on that mutex.
        let (alive, gone) = oneshot::channel::<()>();
        let under_way = Arc::new(UnderWay::default());
        let appends = under_way.clone().frames(input.take_until(gone));
        let frames = appends.map(|frame| Ok::<_, Infallible>(Frame::data(frame)));
        let body: BoxBody = StreamBody::new(frames).boxed_unsync();
        self.connection(deadline).await.map_err(|e| unreachable(&e))?;
        let request =
            client::request(self.dialler.me(), Some(self.target), &self.address, path::APPEND, body)
                .map_err(|e| unreachable(&e))?;
        let connection = self.connection(deadline).await.map_err(|e| unreachable(&e))?;
        match time::timeout(deadline, connection.send(request)).await {
            Ok(Ok(answer)) if answer.status().is_success() => {
                let frames = wire::frames(answer.into_body().into_data_stream());
                let idle = deadline.max(STREAM_IDLE_MIN);
                Ok(AppendStream {
                    frames,
                    _alive: alive,
                    broken: self.broken.clone(),
                    idle,
                    under_way: Answers(under_way),
                })
            }
            Ok(Ok(answer)) => {
                self.connection = None;
                self.refused(answer.status());
                Err(unreachable_text(&format!("the append stream was refused: {}", answer.status())))
            }
            Ok(Err(e)) => {
                self.connection = None;
                Err(unreachable(&e))
            }
            Err(_) => {
                self.connection = None;
                Err(unreachable_text("the append stream was not accepted in time"))
            }
        }
    }
}

/// The answers to a stream of appends. Silence means something only while an append is under way: between entries a
/// stream may rest for as long as it likes.
struct AppendStream {
    frames: BoxStream<'static, std::io::Result<Bytes>>,
    /// Dropping it ends the request's body.
    _alive: oneshot::Sender<()>,
    broken: Arc<AtomicBool>,
    idle: Duration,
    under_way: Answers,
}

impl AppendStream {
    async fn next_frame(&mut self) -> Result<Option<std::io::Result<Bytes>>, time::Elapsed> {
        loop {
            let under_way = self.under_way.0.bytes();
            let travel = Duration::from_millis(under_way.unwrap_or(0) / SLOWEST_BYTES_PER_MS);
            match time::timeout(self.idle + travel, self.frames.next()).await {
                // Nothing was under way when the wait began, so nothing is late.
                Err(_) if under_way.is_none() => {}
                answered_or_late => return answered_or_late,
            }
        }
    }

    /// The next answer; after an error the stream is over.
    async fn next(mut self) -> Option<(Result<StreamResult, RPCError<Config>>, Option<Self>)> {
        self.under_way.0.handled();
        let error = loop {
            match self.next_frame().await {
                Ok(None) => return None,
                Ok(Some(Ok(frame))) => match wire::decode_append_result(&frame) {
                    Ok(Ok(result)) if self.under_way.0.answered(&result) => {
                        return Some((Ok(result), Some(self)));
                    }
                    Ok(Ok(_)) => {}
                    Ok(Err(fatal)) => return Some((Err(unreachable_text(&fatal)), None)),
                    Err(e) => break unreachable(&e),
                },
                Ok(Some(Err(e))) => break unreachable(&e),
                Err(_) => break unreachable_text("an append was not answered in time"),
            }
        };
        self.broken.store(true, Ordering::Relaxed);
        Some((Err(error), None))
    }
}

impl RaftNetworkV2<Config> for Peer {
    type SnapshotData = quorate_storage::SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendRequest,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<Config>, RPCError<Config>> {
        // A stream of one.
        let once = Box::pin(futures_util::stream::iter([request]));
        let stream = self.open_stream(once, option.soft_ttl()).await?;
        match stream.next().await {
            Some((result, _)) => result.map(AppendEntriesResponse::from),
            None => Err(unreachable_text("the append stream ended without an answer")),
        }
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<BoxStream<'s, Result<StreamResult, RPCError<Config>>>, RPCError<Config>>>
    where
        S: Stream<Item = AppendRequest> + OptionalSend + Unpin + 'static,
    {
        async move {
            let stream = match self.open_stream(input, option.soft_ttl()).await {
                Ok(stream) => stream,
                Err(e) => {
                    // openraft paces itself only where it hands out entries, which a dial that fails never asks
                    // for: without this pause a leader would dial a dead follower with all of a core.
                    time::sleep(REDIAL_AFTER).await;
                    return Err(e);
                }
            };
            let answers = futures_util::stream::unfold(Some(stream), |stream| async { stream?.next().await });
            Ok(answers.boxed())
        }
        .boxed()
    }

    async fn vote(
        &mut self,
        request: VoteRequest<Config>,
        option: RPCOption,
    ) -> Result<VoteResponse<Config>, RPCError<Config>> {
        self.exchange(
            path::VOTE,
            wire::encode_vote_request(&request),
            option.soft_ttl(),
            wire::decode_vote_response,
        )
        .await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<Config>,
        option: RPCOption,
    ) -> Result<VoteResponse<Config>, RPCError<Config>> {
        self.exchange(
            path::PRE_VOTE,
            wire::encode_vote_request(&request),
            option.soft_ttl(),
            wire::decode_vote_response,
        )
        .await
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<Config>,
        option: RPCOption,
    ) -> Result<openraft::raft::TransferLeaderResponse<Config>, RPCError<Config>> {
        let body = wire::encode_transfer(&request);
        let answer =
            self.exchange(path::TRANSFER, body, option.soft_ttl(), wire::decode_transfer_response).await?;
        // Its reasons travel as words: the leader only needs to know that the other one will not take over now.
        answer.map(Ok).map_err(|why| unreachable_text(&why))
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: Snapshot,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        option: RPCOption,
    ) -> Result<SnapshotResponse<Config>, StreamingError<Config>> {
        let unreachable = |e: &CallError| StreamingError::Unreachable(Unreachable::new(e));
        let progress = Progress::default();
        let send = self.send_snapshot(&vote, snapshot.snapshot, &progress, option.soft_ttl());
        let answer = tokio::select! {
            biased;
            closed = cancel => return Err(StreamingError::Closed(closed)),
            answer = send => answer,
            () = progress.stalled() => {
                self.connection = None;
                let after = SNAPSHOT_PROGRESS_WITHIN;
                Err(CallError::Timeout { target: self.address.clone(), after })
            }
        };
        let answer = answer.map_err(|e| unreachable(&e))?;
        wire::decode_snapshot_response(&answer).map_err(|e| StreamingError::Unreachable(Unreachable::new(&e)))
    }
}
