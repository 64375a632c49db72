//! Streams to what hangs on a tunnel at another node.
//!
//! Each stream has a connection of its own, proved like every other one: on a shared one some clients that don't take
//! their answers would hold up all the others. `CONNECT` names the tunnel, and a header its epoch: who holds another one
//! of that name says so, and whoever asks looks again who holds it.

use crate::{
    consensus::{Consensus, Shared},
    delivering::Deliveries,
    membership::Picture,
    peer::{client, header, wire::Found},
};
use futures_util::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use quorate_model::{Epoch, NodeId, NodeName};
use quorate_rt::{
    duplex::{Stream, upgraded},
    http::{full, read_body},
    time::{self, Duration},
};
use quorate_state::View;
use std::{
    collections::BTreeSet,
    io,
    sync::{Arc, OnceLock},
};
use tokio::sync::Semaphore;

/// Opens a stream to what hangs on this node by a tunnel of this name and epoch; an error of the kind `NotFound` says that
/// it is not this node that holds it.
pub type Carrier = Arc<dyn Fn(String, Epoch) -> BoxFuture<'static, io::Result<Stream>> + Send + Sync>;

/// The connection to the other node is there by then, or there is none.
const DIALLED_WITHIN: Duration = Duration::from_secs(3);
/// What hangs on the tunnel is reached by then, or not at all.
const OPENED_WITHIN: Duration = Duration::from_secs(10);
/// Streams for other nodes at once. When full: refused, as if nobody listened.
const STREAMS_MAX: usize = 1_024;
/// Most of an error's words that are read.
const WORDS_BYTES_MAX: usize = 1 << 10;

/// What opens streams of tunnels for other nodes.
pub(crate) struct Carriage {
    carrier: OnceLock<Carrier>,
    places: Arc<Semaphore>,
    /// The same for what gateways say to each other.
    pub(crate) deliveries: Deliveries,
}

impl Default for Carriage {
    fn default() -> Self {
        Self {
            carrier: OnceLock::new(),
            places: Arc::new(Semaphore::new(STREAMS_MAX)),
            deliveries: Deliveries::default(),
        }
    }
}

impl Consensus {
    /// From now on `carrier` opens streams for other nodes. Once: a second one is not heard.
    pub fn carry_by(&self, carrier: Carrier) {
        let _ = self.shared().carriage.carrier.set(carrier);
    }

    /// A stream to what hangs on `node` by the tunnel `name` of this epoch. An error of the kind `NotFound`: another one,
    /// or nobody, holds it. Its connection belongs to the runtime that this is called on.
    pub async fn tunnel_at(&self, node: &NodeName, name: &str, epoch: Epoch) -> io::Result<Stream> {
        let shared = self.shared();
        let members = Picture::of(shared).members;
        let known = members.iter().find(|(_, member)| member.name == *node.as_str());
        let Some((id, member)) = known else {
            return Err(refused(format!("{node} does not belong to the cluster")));
        };
        let (id, directory) = (NodeId(*id), &shared.forwarder.directory);
        let address = directory.learn(id, &member.name, &member.peer);
        let dialler = shared.waiting.dialler();
        let connected = dialler.connect(Some(id), &address, DIALLED_WITHIN).await;
        let mut connection = connected.map_err(|error| {
            directory.failed(id, &address);
            refused(error.to_string())
        })?;
        let named = |request: Request<_>| with_tunnel(request, name, epoch);
        let request = client::request(dialler.me(), Some(id), &address, "/", full(""))
            .map_err(|error| refused(error.to_string()))
            .and_then(named)?;
        let asked = async {
            let mut answer = connection.send(request).await.map_err(|error| refused(error.to_string()))?;
            match answer.status() {
                StatusCode::OK => upgraded(hyper::upgrade::on(&mut answer)).await,
                status => Err(declined(answer, status).await),
            }
        };
        let late = |_| Err(refused(format!("{node} did not reach it within {OPENED_WITHIN:?}")));
        time::timeout(OPENED_WITHIN, asked).await.unwrap_or_else(late)
    }
}

fn with_tunnel<B>(mut request: Request<B>, name: &str, epoch: Epoch) -> io::Result<Request<B>> {
    *request.method_mut() = Method::CONNECT;
    *request.uri_mut() = name.parse::<Uri>().map_err(|error| refused(error.to_string()))?;
    request.headers_mut().insert(header::TUNNEL_EPOCH, epoch.0.into());
    Ok(request)
}

async fn declined(answer: Response<Incoming>, status: StatusCode) -> io::Error {
    let words = read_body(answer.into_body(), WORDS_BYTES_MAX).await.unwrap_or_default();
    let words: String = String::from_utf8_lossy(&words).chars().filter(|c| !c.is_control()).collect();
    match status {
        StatusCode::NOT_FOUND => io::Error::new(io::ErrorKind::NotFound, words),
        StatusCode::SERVICE_UNAVAILABLE => busy(words),
        _ => refused(words),
    }
}

/// It is there, and has too much to do.
fn busy(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::WouldBlock, words)
}

fn refused(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, words)
}

/// The asked node's part: from here on the request's connection carries the stream's bytes. The request was let in.
pub(crate) async fn carry(shared: &Shared, mut request: Request<Incoming>) -> io::Result<()> {
    let epoch = request.headers().get(header::TUNNEL_EPOCH).and_then(|epoch| epoch.to_str().ok());
    let epoch = epoch.and_then(|epoch| epoch.parse().ok()).map(Epoch);
    let asked = request.uri().authority().map(|name| name.as_str().to_owned());
    let (Some(name), Some(epoch), Some(carrier)) = (asked, epoch, shared.carriage.carrier.get()) else {
        return Err(io::Error::new(io::ErrorKind::NotFound, "no such tunnel hangs here"));
    };
    let Ok(place) = shared.carriage.places.clone().try_acquire_owned() else {
        return Err(busy(format!("{STREAMS_MAX} streams for other nodes are open")));
    };
    let late = |_| Err(refused(format!("it was not reached within {OPENED_WITHIN:?}")));
    let opened = time::timeout(OPENED_WITHIN, carrier(name, epoch)).await.unwrap_or_else(late);
    let mut far = opened?;
    let agreed = hyper::upgrade::on(&mut request);
    quorate_rt::spawn(async move {
        if let Ok(mut near) = upgraded(agreed).await {
            // An error on either side resets the other one: both are dropped.
            let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
        }
        drop(place);
    });
    Ok(())
}

/// What is known of addresses that are tunnels' names: a tunnel is asked for signs of life by whoever holds it. Those that
/// have to be dialled are given back, where no tunnel is held.
pub(crate) fn look(view: &View, addresses: BTreeSet<String>) -> Result<Found, BTreeSet<String>> {
    let (by_tunnel, dialled): (BTreeSet<_>, BTreeSet<_>) =
        addresses.into_iter().partition(|address| address.starts_with(TUNNEL));
    let holder = |address: &String| {
        let name = address.strip_prefix(TUNNEL)?;
        Some(format!("{address} hangs on {}", view.tunnels().get(name)?.node))
    };
    match by_tunnel.iter().find_map(holder) {
        Some(words) => Ok(Found::Connected(words)),
        None if dialled.is_empty() => {
            let all: Vec<_> = by_tunnel.into_iter().collect();
            Ok(Found::Unconnected(format!("{} hangs on no node", all.join(", "))))
        }
        None => Err(dialled),
    }
}

/// What is known, or comes of dialling the rest.
pub(crate) async fn or_dialled<F: Future<Output = Found>>(
    known: Result<Found, BTreeSet<String>>,
    dial: impl FnOnce(BTreeSet<String>) -> F,
) -> Found {
    match known {
        Ok(found) => found,
        Err(dialled) => dial(dialled).await,
    }
}

/// How the authority of an address begins that is a tunnel's name.
const TUNNEL: &str = "tunnel://";
