//! The peer listener's answers.

use super::{
    MESSAGE_BYTES_MAX, PROOF_BYTES_MAX,
    gate::{Denied, Gate, Gates},
    header, path, snapshots, wire,
};
use crate::{
    consensus::Shared, delivering, handing_over, in_flight, joining, key_tracing, liveness, looking,
    membership, observing, options::TRY_WITHIN, probing, proposer, reads, tunnelling, visible,
};
use bytes::Bytes;
use futures_util::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use openraft::errors::{Fatal, RaftError};
use quorate_model::{ClusterId, NodeId};
use quorate_rt::http::{BoxBody, Serve, Session, full, read_body};
use std::{convert::Infallible, future::Future, net::SocketAddr, pin::Pin, sync::Arc};

/// What is served on the peer listener. Not a service that could be cloned: each connection has a gate of its own,
/// and one that another connection opened would stand open for everybody.
pub struct PeerService {
    shared: Arc<Shared>,
    gates: Gates,
}

impl PeerService {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, gates: Gates::default() }
    }
}

impl Serve for PeerService {
    type Service = PeerConnection;

    fn connected(&self, remote: SocketAddr) -> Session<PeerConnection> {
        let Session { service: gate, dismissed } = self.gates.connected(&self.shared.me, remote);
        let service = PeerConnection { shared: self.shared.clone(), gate: Arc::new(gate) };
        Session { service, dismissed }
    }
}

/// hyper's service over one node's consensus, for one connection.
pub struct PeerConnection {
    shared: Arc<Shared>,
    gate: Arc<Gate>,
}

/// Why a request was not answered.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Denied(#[from] Denied),
    #[error("this node belongs to cluster {ours}, the request is from {theirs}")]
    OtherCluster { ours: ClusterId, theirs: String },
    #[error("this is node {ours}; the request is for {theirs}")]
    OtherNode { ours: u64, theirs: String },
    #[error("the request does not say which node it is from")]
    Unnamed,
    #[error("no such path")]
    UnknownPath,
    #[error("the disk is full: this node takes no records")]
    NoRoom,
    #[error("{0}")]
    Body(std::io::Error),
    #[error("another snapshot is being received")]
    Receiving,
    #[error("{0}")]
    Snapshot(std::io::Error),
    #[error("{0}")]
    Message(#[from] wire::WireError),
    #[error("{0}")]
    Tunnel(std::io::Error),
    #[error("{0}")]
    Gateway(#[from] delivering::NotTaken),
    #[error("{0}")]
    Raft(Box<Fatal<crate::types::Config>>),
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::Denied(_) => StatusCode::UNAUTHORIZED,
            Self::OtherCluster { .. } | Self::OtherNode { .. } => StatusCode::MISDIRECTED_REQUEST,
            Self::UnknownPath | Self::Gateway(delivering::NotTaken::NoGateway) => StatusCode::NOT_FOUND,
            Self::Gateway(delivering::NotTaken::TooLong { .. }) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Body(e) if e.kind() == std::io::ErrorKind::FileTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Snapshot(e) => match e.kind() {
                std::io::ErrorKind::InvalidData => StatusCode::BAD_REQUEST,
                std::io::ErrorKind::FileTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
                // This node's disk, or the connection: the same bytes may do next time.
                _ => StatusCode::SERVICE_UNAVAILABLE,
            },
            Self::Tunnel(e) if e.kind() == std::io::ErrorKind::NotFound => StatusCode::NOT_FOUND,
            Self::Tunnel(e) if e.kind() == std::io::ErrorKind::WouldBlock => StatusCode::SERVICE_UNAVAILABLE,
            Self::Tunnel(_) => StatusCode::BAD_GATEWAY,
            Self::Unnamed | Self::Body(_) | Self::Message(_) => StatusCode::BAD_REQUEST,
            Self::NoRoom => StatusCode::INSUFFICIENT_STORAGE,
            Self::Raft(_) | Self::Receiving => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

type Answer = Result<Vec<u8>, Refusal>;

impl hyper::service::Service<Request<Incoming>> for PeerConnection {
    type Response = Response<BoxBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let (shared, gate) = (self.shared.clone(), self.gate.clone());
        Box::pin(async move {
            Ok(match answer(&shared, &gate, request).await {
                Ok(body) => Response::new(body),
                Err(refusal) => {
                    if let Refusal::Denied(denied) = &refusal {
                        gate.complain(denied);
                    }
                    refused(&refusal)
                }
            })
        })
    }
}

fn refused(refusal: &Refusal) -> Response<BoxBody> {
    tracing::debug!(%refusal, "a peer request was refused");
    let mut response = Response::new(full(refusal.to_string()));
    *response.status_mut() = refusal.status();
    response
}

async fn answer(shared: &Arc<Shared>, gate: &Gate, request: Request<Incoming>) -> Result<BoxBody, Refusal> {
    match request.uri().path() {
        path::CHALLENGE => return challenge(shared, gate, request.into_body()).await.map(full),
        path::PROOF => return prove(gate, request.into_body()).await.map(full),
        _ => gate.pass(sender(&request))?,
    }
    check_cluster(shared, &request)?;
    if request.uri().path() == path::HELLO {
        return Ok(full(wire::encode_hello(&shared.hello().await)));
    }
    if request.uri().path() == path::FEATURE_LEVEL && !request.headers().contains_key(header::TO) {
        return Ok(full(wire::encode_levels(&shared.node_levels())));
    }
    check_recipient(shared, &request)?;
    if request.method() == Method::CONNECT {
        return tunnelling::carry(shared, request).await.map(|()| full("")).map_err(Refusal::Tunnel);
    }
    if [path::APPEND, path::SNAPSHOT].contains(&request.uri().path()) && !shared.forwarder.room.may_follow() {
        return Err(Refusal::NoRoom);
    }
    if request.uri().path() == path::APPEND {
        return Ok(append(shared, request.into_body()));
    }
    if request.uri().path() == path::DELIVERY {
        return Ok(delivering::take(shared, sender(&request).ok_or(Refusal::Unnamed)?, request.into_body())?);
    }
    message(shared, request).await.map(full)
}

async fn challenge(shared: &Shared, gate: &Gate, body: Incoming) -> Answer {
    let body = read_body(body, PROOF_BYTES_MAX).await.map_err(Refusal::Body)?;
    let introduction = wire::decode_introduction(&body)?;
    if let Some(to) = introduction.to.filter(|to| *to != shared.me.id) {
        return Err(Refusal::OtherNode { ours: shared.me.id.0, theirs: to.to_string() });
    }
    let challenge = gate.challenge(&shared.me, introduction)?;
    if let (Some(ours), Some(theirs)) = (challenge.cluster, introduction.cluster)
        && ours != theirs
    {
        return Err(Refusal::OtherCluster { ours, theirs: theirs.to_string() });
    }
    Ok(wire::encode_challenge(&challenge))
}

async fn prove(gate: &Gate, body: Incoming) -> Answer {
    let body = read_body(body, PROOF_BYTES_MAX).await.map_err(Refusal::Body)?;
    Ok(wire::encode_proof(&gate.prove(&wire::decode_proof(&body)?)?))
}

fn sender(request: &Request<Incoming>) -> Option<NodeId> {
    let from = request.headers().get(header::FROM)?.to_str().ok()?;
    from.parse().ok().map(NodeId)
}

/// A request of another cluster changes nothing here, nor does one that does not say which it is of: it may ask who
/// we are, no more. A node without a cluster yet takes any: it has nothing to lose, and learns its cluster from its
/// first leader. Where it stands for election before, a node that knows the cluster does so too, and has its vote.
fn check_cluster(shared: &Shared, request: &Request<Incoming>) -> Result<(), Refusal> {
    let theirs = request.headers().get(header::CLUSTER).and_then(|v| v.to_str().ok());
    match (shared.cluster(), theirs) {
        (Some(ours), Some(theirs)) if theirs.parse() != Ok(ours) => {
            Err(Refusal::OtherCluster { ours, theirs: theirs.chars().take(64).collect() })
        }
        (Some(ours), None) if !matches!(request.uri().path(), path::HELLO | path::FEATURE_LEVEL) => {
            Err(Refusal::OtherCluster { ours, theirs: "none".into() })
        }
        (Some(_) | None, _) => Ok(()),
    }
}

fn check_recipient(shared: &Shared, request: &Request<Incoming>) -> Result<(), Refusal> {
    let theirs = request.headers().get(header::TO).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if theirs == shared.me.id.0.to_string() {
        Ok(())
    } else {
        Err(Refusal::OtherNode { ours: shared.me.id.0, theirs: theirs.chars().take(64).collect() })
    }
}

async fn message(shared: &Arc<Shared>, request: Request<Incoming>) -> Answer {
    let via = sender(&request);
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    if path == path::SNAPSHOT {
        return install(shared, body).await;
    }
    let body = read_body(body, MESSAGE_BYTES_MAX).await.map_err(Refusal::Body)?;
    match path {
        path::VOTE | path::PRE_VOTE | path::TRANSFER => raft(shared, path, body).await,
        path::PROPOSE => {
            let proposals = wire::decode_proposals(&body)?;
            Ok(wire::encode_proposed(&propose(shared, &proposals).await))
        }
        path::READ_INDEX => {
            let index = reads::read_index(&shared.raft, TRY_WITHIN).await;
            Ok(wire::encode_index(&index.into()))
        }
        path::HEARTBEATS => {
            let beats = wire::decode_heartbeats(&body)?;
            let via = via.ok_or(Refusal::Unnamed)?;
            Ok(wire::encode_outcomes(&liveness::hear(&beats, via, &shared.vessel).await.into()))
        }
        path::HAND_OVER => {
            let to = wire::decode_hand_over(&body)?;
            Ok(wire::encode_index(&handing_over::hand_over(shared, to).await.into()))
        }
        path::ROOM => Ok(wire::encode_has_room(shared.forwarder.room.may_lead())),
        path::FEATURE_LEVEL => Ok(wire::encode_levels(&shared.node_levels())),
        path::JOIN => {
            let join = wire::decode_join(&body)?;
            Ok(wire::encode_member_outcome(&joining::join_here(shared, &join, TRY_WITHIN).await.into()))
        }
        path::LEAVE => {
            let leave = wire::decode_leave(&body)?;
            Ok(wire::encode_member_outcome(&joining::leave_here(shared, &leave, TRY_WITHIN).await.into()))
        }
        path::MEMBERS => Ok(wire::encode_members(membership::members_here(shared).as_ref())),
        path::APPLIED => {
            let asked = wire::decode_applied_asked(&body)?;
            Ok(wire::encode_applied(visible::tell(shared, asked).await))
        }
        path::IN_FLIGHT => {
            let asked = wire::decode_in_flight_asked(&body)?;
            Ok(wire::encode_in_flight(&in_flight::tell(shared, &asked).await))
        }
        path::OBSERVATION => Ok(observing::answer(shared, &body).await?),
        path::KEY_TRACE => Ok(key_tracing::answer(shared, &body).await?),
        path::LOOK => {
            let asked = wire::decode_look_asked(&body)?;
            Ok(wire::encode_found(&looking::look_for_another(shared, &asked).await))
        }
        path::DOWN => Ok(wire::encode_believed(&looking::believe(shared, &wire::decode_down(&body)?).into())),
        path::PROBE => {
            let asked = wire::decode_probe_asked(&body)?;
            Ok(wire::encode_found(&probing::probe_for_another(shared, asked).await))
        }
        path::LOADS => {
            shared.loads.learn(wire::decode_loads(&body)?, shared.applied.now());
            Ok(Vec::new())
        }
        path::OPENINGS => {
            let told = wire::decode_openings(&body)?;
            Ok(wire::encode_openings(&shared.openings.hear_peer(told, shared.applied.now())))
        }
        path::RAMPS => hear_ramps(shared, via, &body),
        path::LEASES => Ok(wire::encode_leases(&liveness::leases_here(&shared.vessel).into())),
        other => delivering::answer(shared, other, body).await?.ok_or(Refusal::UnknownPath),
    }
}

fn hear_ramps(shared: &Shared, via: Option<NodeId>, body: &[u8]) -> Answer {
    let via = via.ok_or(Refusal::Unnamed)?;
    shared.ramps.learn(via, wire::decode_ramps(body)?, shared.applied.now());
    Ok(Vec::new())
}

async fn propose(shared: &Shared, proposals: &[quorate_model::Proposal]) -> wire::Forwarded<wire::Proposed> {
    if !proposer::leads(&shared.raft) {
        return wire::Forwarded::NotLeader;
    }
    let Ok(_place) = shared.places.try_acquire() else { return wire::Forwarded::Busy };
    let limit = crate::options::ANSWER_WITHIN;
    proposer::write((&shared.raft, &shared.forwarder.room), proposals, limit).await.into()
}

async fn raft(shared: &Shared, path: &str, body: Bytes) -> Answer {
    let raft = &shared.raft;
    let fatal = |e: RaftError<crate::types::Config>| match e {
        RaftError::Fatal(fatal) => Refusal::Raft(Box::new(fatal)),
        RaftError::APIError(never) => match never {},
    };
    match path {
        path::VOTE => {
            let mut request = wire::decode_vote_request(&body)?;
            // Only a leader may let somebody stand against itself, and it names a voter. In anybody else's mouth
            // (a node that was removed) the word would get around the rule that nobody stands while one leads.
            request.leadership_transfer &= membership::may_lead(shared, request.vote.leader_id.voted_for);
            let vote = raft.vote(request).await.map_err(fatal)?;
            Ok(wire::encode_vote_response(&vote))
        }
        path::PRE_VOTE => {
            let vote = raft.pre_vote(wire::decode_vote_request(&body)?).await.map_err(fatal)?;
            Ok(wire::encode_vote_response(&vote))
        }
        path::TRANSFER => {
            let request = wire::decode_transfer(&body)?;
            let response =
                raft.handle_transfer_leader(request).await.map_err(|e| Refusal::Raft(Box::new(e)))?;
            Ok(wire::encode_transfer_response(&response))
        }
        _ => Err(Refusal::UnknownPath),
    }
}

/// A snapshot: into a file, then into Raft. One at a time: a leader that lost its connection begins anew while the rest
/// of the old transfer is still being written.
async fn install(shared: &Arc<Shared>, body: Incoming) -> Answer {
    let Ok(_place) = shared.receiving.try_acquire() else { return Err(Refusal::Receiving) };
    let received = snapshots::receive(&shared.snapshots, body.into_data_stream()).await;
    let (vote, snapshot) = received.map_err(Refusal::Snapshot)?;
    let installed = shared.raft.install_full_snapshot(vote, snapshot).await;
    let response = installed.map_err(|e| Refusal::Raft(Box::new(e)))?;
    shared.heard_leader();
    Ok(wire::encode_snapshot_response(&response))
}

/// Appends: frames in, frames out, pipelined. A frame that can't be read ends the stream.
fn append(shared: &Arc<Shared>, body: Incoming) -> BoxBody {
    let (heard, room) = (shared.clone(), shared.forwarder.room.clone());
    let requests = wire::frames(body.into_data_stream())
        .map(|frame| frame.ok().and_then(|bytes| wire::decode_append(&bytes).ok()))
        .take_while(move |request| std::future::ready(request.is_some() && room.may_follow()))
        .filter_map(std::future::ready)
        .inspect(move |_| heard.heard_leader());
    let results = shared.raft.stream_append(requests);
    let frames =
        results.map(|r| Ok::<_, Infallible>(Frame::data(wire::frame(&wire::encode_append_result(&r)))));
    StreamBody::new(frames).boxed_unsync()
}
