//! Calls to peers.

use super::{
    MESSAGE_BYTES_MAX, PROOF_BYTES_MAX,
    address_book::SelfId,
    complaints::Complaints,
    header, path,
    proof::{self, Exchange, Secret, Side},
    wire::{self, Introduction},
};
use bytes::Bytes;
use http::{Request, StatusCode};
use hyper::body::Incoming;
use quorate_model::NodeId;
use quorate_rt::{
    http::{BoxBody, H2Client, full, read_body},
    time,
};
use std::{
    collections::BTreeMap,
    io,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Why a call brought no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The peer can't be reached: nothing was sent.
    #[error("{target} is not reachable: {source}")]
    Unreachable {
        /// Where.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// The connection broke. What was sent may or may not have been carried out.
    #[error("the connection to {target} broke: {source}")]
    Broken {
        /// Where.
        target: String,
        /// Why.
        source: io::Error,
    },
    /// No answer in time. It may or may not have been carried out.
    #[error("{target} did not answer within {} ms", .after.as_millis())]
    Timeout {
        /// Where.
        target: String,
        /// After how long.
        after: Duration,
    },
    /// One of the two ends has not the cluster's secret, or not the same one. Nothing was carried out.
    #[error("{target} is not proven: {why}")]
    Unproven {
        /// Where.
        target: String,
        /// Its words, or ours.
        why: String,
    },
    /// The peer answered that it won't.
    #[error("{target} refused: {status} {why}")]
    Refused {
        /// Where.
        target: String,
        /// Its status.
        status: StatusCode,
        /// Its words.
        why: String,
    },
}

/// Opens connections, and proves both ends where the cluster has a secret. Clones share their complaints.
#[derive(Clone, Debug)]
pub struct Dialler {
    me: SelfId,
    complaints: Complaints,
}

impl Dialler {
    /// For this node.
    pub fn new(me: SelfId) -> Self {
        Self { me, complaints: Complaints::default() }
    }

    /// Who dials.
    pub fn me(&self) -> &SelfId {
        &self.me
    }

    /// The same without telling our cluster.
    fn anonymous(&self) -> Self {
        Self {
            me: SelfId { cluster: Arc::default(), ..self.me.clone() },
            complaints: self.complaints.clone(),
        }
    }

    /// Opens a connection to the node `to` (`None`: whoever answers there); the deadline covers resolving,
    /// dialling, the handshake and the proof. After an error nothing but the proof was sent.
    pub async fn connect(
        &self,
        to: Option<NodeId>,
        address: &str,
        deadline: Duration,
    ) -> Result<H2Client, CallError> {
        let dial = async {
            let unreachable = |source| CallError::Unreachable { target: address.into(), source };
            let mut connection = H2Client::connect(address).await.map_err(unreachable)?;
            if let Some(secret) = &self.me.secret {
                self.prove(secret, to, address, &mut connection).await?;
            }
            Ok(connection)
        };
        let late = |_| Err(CallError::Timeout { target: address.into(), after: deadline });
        let opened = time::timeout(deadline, dial).await.unwrap_or_else(late);
        opened.inspect_err(|error| self.complain(address, error))
    }

    /// The dialler's side of the proof; see [`proof`].
    async fn prove(
        &self,
        secret: &Secret,
        to: Option<NodeId>,
        address: &str,
        connection: &mut H2Client,
    ) -> Result<(), CallError> {
        let unproven = |why: String| CallError::Unproven { target: address.into(), why };
        let cluster = self.me.cluster.get().copied();
        let introduction = Introduction { from: self.me.id, to, cluster, nonce: proof::nonce() };
        let said = wire::encode_introduction(&introduction);
        let answer = self.exchange(connection, address, (path::CHALLENGE, said)).await?;
        let challenge = wire::decode_challenge(&answer).map_err(|e| unproven(e.to_string()))?;
        if to.is_some_and(|to| to != challenge.id) || challenge.id == self.me.id {
            return Err(unproven(format!("it is node {}", challenge.id)));
        }
        if proof::clusters_differ(cluster, challenge.cluster) {
            return Err(unproven("it belongs to another cluster".into()));
        }
        let exchange = Exchange { introduction, challenge };
        let ours = wire::encode_proof(&secret.prove(Side::Dialler, &exchange));
        let answer = self.exchange(connection, address, (path::PROOF, ours)).await?;
        let theirs = wire::decode_proof(&answer).map_err(|e| unproven(e.to_string()))?;
        secret.verify(Side::Listener, &exchange, &theirs).map_err(|e| unproven(e.to_string()))
    }

    /// One message of the proof. Whatever goes wrong, nothing was carried out.
    async fn exchange(
        &self,
        connection: &mut H2Client,
        address: &str,
        (path, body): (&str, Vec<u8>),
    ) -> Result<Bytes, CallError> {
        let unreachable = |source| CallError::Unreachable { target: address.into(), source };
        let request = request(&self.me, None, address, path, full(body))?;
        let answer = connection.send(request).await.map_err(unreachable)?;
        let status = answer.status();
        let said = read_body(answer.into_body(), PROOF_BYTES_MAX).await.map_err(unreachable)?;
        match status {
            StatusCode::OK => Ok(said),
            // Another node or another cluster lives there now; it says so without a proof.
            StatusCode::MISDIRECTED_REQUEST => Err(refused(address, status, &said)),
            _ => Err(CallError::Unproven { target: address.into(), why: words(&said) }),
        }
    }

    /// Tells the operator, now and then, where it is about the secret.
    pub(super) fn complain(&self, address: &str, error: &CallError) {
        if matches!(error, CallError::Unproven { .. }) && self.complaints.due(address) {
            tracing::warn!(peer = address, %error, "a peer is not proven; is the cluster secret the same on both nodes?");
        }
    }
}

/// A request with the headers of the protocol. `to` is `None` only for hello.
pub fn request(
    me: &SelfId,
    to: Option<NodeId>,
    address: &str,
    path: &str,
    body: BoxBody,
) -> Result<Request<BoxBody>, CallError> {
    let mut builder = Request::post(format!("http://{address}{path}")).header(header::FROM, me.id.0);
    if let Some(cluster) = me.cluster.get() {
        builder = builder.header(header::CLUSTER, cluster.to_string());
    }
    if let Some(to) = to {
        builder = builder.header(header::TO, to.0);
    }
    let unusable =
        |e: http::Error| CallError::Unreachable { target: address.into(), source: io::Error::other(e) };
    builder.body(body).map_err(unusable)
}

/// Sends one message and reads the whole answer.
pub async fn call(
    connection: &mut H2Client,
    request: Request<BoxBody>,
    address: &str,
    deadline: Duration,
) -> Result<Bytes, CallError> {
    time::timeout(deadline, call_unbounded(connection, request, address))
        .await
        .unwrap_or_else(|_| Err(CallError::Timeout { target: address.into(), after: deadline }))
}

/// The same for a caller that sees to the deadline itself.
pub async fn call_unbounded(
    connection: &mut H2Client,
    request: Request<BoxBody>,
    address: &str,
) -> Result<Bytes, CallError> {
    let broken = |source| CallError::Broken { target: address.into(), source };
    let answer = connection.send(request).await.map_err(broken)?;
    accept(answer, address).await
}

async fn accept(answer: http::Response<Incoming>, address: &str) -> Result<Bytes, CallError> {
    let status = answer.status();
    let body = read_body(answer.into_body(), MESSAGE_BYTES_MAX)
        .await
        .map_err(|source| CallError::Broken { target: address.into(), source })?;
    if status.is_success() {
        return Ok(body);
    }
    if status == StatusCode::UNAUTHORIZED {
        return Err(CallError::Unproven { target: address.into(), why: words(&body) });
    }
    Err(refused(address, status, &body))
}

fn refused(address: &str, status: StatusCode, body: &[u8]) -> CallError {
    CallError::Refused { target: address.into(), status, why: words(body) }
}

/// What a peer said, for people: bounded, and without what would break a line of the log.
fn words(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().filter(|c| !c.is_control()).take(200).collect()
}

/// Connections for everything but Raft itself, one to each address. Raft has its own, so that a burst of
/// forwarded commands never stands in front of a heartbeat.
#[derive(Clone)]
pub struct Links {
    dialler: Dialler,
    open: Arc<Mutex<BTreeMap<String, H2Client>>>,
}

impl Links {
    /// No connections yet.
    pub fn new(dialler: Dialler) -> Self {
        Self { dialler, open: Arc::default() }
    }

    /// Who opens them.
    pub fn dialler(&self) -> &Dialler {
        &self.dialler
    }

    /// The same without telling our cluster, to ask strangers who they are.
    #[must_use]
    pub fn anonymous(&self) -> Self {
        Self::new(self.dialler.anonymous())
    }

    /// The same for a look at our own address, where it is ourselves who refuse us.
    #[must_use]
    pub fn to_ourselves(&self) -> Self {
        Self::new(Dialler { complaints: Complaints::muted(), ..self.dialler.anonymous() })
    }

    /// One call. A connection whose call failed or timed out is dropped, never reused: after a network
    /// partition heals, what is queued on it can arrive long after its time.
    pub async fn call(
        &self,
        to: Option<NodeId>,
        address: &str,
        (path, body): (&str, Vec<u8>),
        deadline: Duration,
    ) -> Result<Bytes, CallError> {
        let request = request(self.dialler.me(), to, address, path, full(body))?;
        let begun = time::Instant::now();
        let mut connection = match self.take_open(address) {
            Some(connection) => connection,
            None => {
                let connection = self.dialler.connect(to, address, deadline).await?;
                self.lock().insert(address.into(), connection.clone());
                connection
            }
        };
        let left = deadline.saturating_sub(begun.elapsed());
        let result = call(&mut connection, request, address, left).await;
        match &result {
            Ok(_) | Err(CallError::Refused { .. }) => {}
            Err(
                error @ (CallError::Unreachable { .. }
                | CallError::Broken { .. }
                | CallError::Timeout { .. }
                | CallError::Unproven { .. }),
            ) => {
                self.dialler.complain(address, error);
                self.lock().remove(address);
            }
        }
        result
    }

    fn take_open(&self, address: &str) -> Option<H2Client> {
        self.lock().get(address).filter(|c| !c.is_closed()).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, H2Client>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
