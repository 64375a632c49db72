//! Messages of users between the gateways of nodes: the way there. What travels on it is the gateways' affair.
//!
//! Each ordered pair of nodes has a stream of its own, on a connection of its own: a burst of messages stands in nobody's
//! way, and one order of what was sent is one order of what arrives. Questions, which may be large, go beside it.
//!
//! A node of a version without a gateway answers a stream only when it ends, which it never does. So it is first asked
//! whether it has a gateway, which it answers at once: no.

use crate::{
    consensus::{Consensus, Shared},
    membership::Picture,
    peer::{
        client::{self, CallError},
        path, wire,
    },
};
use bytes::Bytes;
use futures_util::{StreamExt, future::BoxFuture, stream::BoxStream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use quorate_model::{NodeId, NodeName};
use quorate_rt::{
    http::{BoxBody, full},
    time,
};
use std::{
    convert::Infallible,
    io,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The stream is open by then, or there is none.
const OPENED_WITHIN: Duration = Duration::from_secs(3);
/// Longest question and longest answer, in bytes.
const ASK_BYTES_MAX: usize = 17 << 20;

/// Pieces of a stream, each of one or more frames.
pub type Chunks = BoxStream<'static, Bytes>;
/// The frames of a stream, without their lengths. After an error it is over.
pub type Frames = BoxStream<'static, io::Result<Bytes>>;

pub use wire::frame;

/// A node's gateway, as other nodes reach it.
pub trait Door: Send + Sync + 'static {
    /// Takes what `from` sends; the answers go back. The stream is over when either ends.
    fn converse(self: Arc<Self>, from: NodeId, frames: Frames) -> Chunks;

    /// Answers a question.
    fn asked(&self, question: Bytes) -> BoxFuture<'static, Vec<u8>>;
}

/// Why a node does not take what was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotTaken {
    #[error("no gateway runs here")]
    NoGateway,
    #[error("a question of {bytes} bytes; at most {ASK_BYTES_MAX}")]
    TooLong { bytes: usize },
}

/// This node's gateway, once it has one.
#[derive(Default)]
pub(crate) struct Deliveries(OnceLock<Arc<dyn Door>>);

impl Deliveries {
    fn door(&self) -> Result<&Arc<dyn Door>, NotTaken> {
        self.0.get().ok_or(NotTaken::NoGateway)
    }
}

impl Consensus {
    /// From now on `door` takes what other nodes' gateways send. Once: a second one is not heard.
    pub fn deliver_by(&self, door: Arc<dyn Door>) {
        let _ = self.shared().carriage.deliveries.0.set(door);
    }

    /// The other members of the cluster. Whether each has a gateway is not known.
    pub fn other_nodes(&self) -> Vec<NodeName> {
        let shared = self.shared();
        let members = Picture::of(shared).members;
        let others = members.iter().filter(|(id, _)| **id != shared.me.id.0);
        others.filter_map(|(_, member)| NodeName::parse(&member.name).ok()).collect()
    }

    /// The other nodes whose gateway's lease stands, as this node knows: those that can have users.
    pub fn other_gateways(&self) -> Vec<NodeName> {
        let (view, me) = (self.view().get(), &self.shared().me.name);
        let others = view.tunnels().gateways().filter(|gateway| gateway.node != *me);
        others.map(|gateway| gateway.node.clone()).collect()
    }

    /// A stream to the gateway of `node`; `chunks` are sent once it is open, and nothing before. Its connection belongs to
    /// the runtime that this is called on.
    pub async fn gateway_stream(&self, node: &NodeName, chunks: Chunks) -> Result<Frames, CallError> {
        let (id, address) = self.gateway_at(node)?;
        let opened = time::timeout(OPENED_WITHIN, self.open_stream(id, &address, chunks)).await;
        let opened = opened
            .unwrap_or_else(|_| Err(CallError::Timeout { target: address.clone(), after: OPENED_WITHIN }));
        opened.inspect_err(|_| self.shared().forwarder.directory.failed(id, &address))
    }

    /// Asks the gateway of `node`.
    pub async fn ask_gateway(
        &self,
        node: &NodeName,
        question: Vec<u8>,
        within: Duration,
    ) -> Result<Bytes, CallError> {
        let (id, address) = self.gateway_at(node)?;
        let answered =
            self.shared().waiting.call(Some(id), &address, (path::GATEWAY_ASK, question), within).await;
        if matches!(answered, Err(CallError::Unreachable { .. })) {
            self.shared().forwarder.directory.failed(id, &address);
        }
        answered
    }

    fn gateway_at(&self, node: &NodeName) -> Result<(NodeId, String), CallError> {
        let shared = self.shared();
        // Learnt by asking, and every request says it: without it the other node takes us for a stranger.
        if shared.cluster().is_none() {
            let source = io::Error::new(io::ErrorKind::NotConnected, "this node is in no cluster yet");
            return Err(CallError::Unreachable { target: node.to_string(), source });
        }
        let picture = Picture::of(shared);
        let known = picture.ids(node.as_str()).first().copied();
        let member = known.and_then(|id| picture.members.get(&id.0).map(|member| (id, member)));
        let Some((id, member)) = member else {
            let source = io::Error::new(io::ErrorKind::NotFound, "it does not belong to the cluster");
            return Err(CallError::Unreachable { target: node.to_string(), source });
        };
        Ok((id, shared.forwarder.directory.learn(id, &member.name, &member.peer)))
    }

    async fn open_stream(&self, id: NodeId, address: &str, chunks: Chunks) -> Result<Frames, CallError> {
        let dialler = self.shared().waiting.dialler();
        let mut connection = dialler.connect(Some(id), address, OPENED_WITHIN).await?;
        let greeting = client::request(dialler.me(), Some(id), address, path::GATEWAY, full(""))?;
        client::call_unbounded(&mut connection, greeting, address).await?;
        let chunks = chunks.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)));
        let body: BoxBody = StreamBody::new(chunks).boxed_unsync();
        let request = client::request(dialler.me(), Some(id), address, path::DELIVERY, body)?;
        let broken = |source| CallError::Broken { target: address.into(), source };
        let answer = connection.send(request).await.map_err(broken)?;
        let status = answer.status();
        if !status.is_success() {
            let why = "the stream was refused".into();
            return Err(CallError::Refused { target: address.into(), status, why });
        }
        Ok(wire::frames(answer.into_body().into_data_stream()))
    }
}

/// The other node's part of a stream.
pub(crate) fn take(shared: &Shared, from: NodeId, body: Incoming) -> Result<BoxBody, NotTaken> {
    let answers =
        shared.carriage.deliveries.door()?.clone().converse(from, wire::frames(body.into_data_stream()));
    Ok(StreamBody::new(answers.map(|chunk| Ok::<_, Infallible>(Frame::data(chunk)))).boxed_unsync())
}

/// The other node's part of a question: whether a gateway runs there, or one for it. `None`: it is none of these.
pub(crate) async fn answer(
    shared: &Shared,
    path: &str,
    question: Bytes,
) -> Result<Option<Vec<u8>>, NotTaken> {
    match path {
        path::GATEWAY => shared.carriage.deliveries.door().map(|_| Some(Vec::new())),
        path::GATEWAY_ASK if question.len() > ASK_BYTES_MAX => {
            Err(NotTaken::TooLong { bytes: question.len() })
        }
        path::GATEWAY_ASK => Ok(Some(shared.carriage.deliveries.door()?.asked(question).await)),
        _ => Ok(None),
    }
}
