//! Tunnels: machines that nobody can dial hang on this node, or on another one.
//!
//! Who holds a tunnel is in the state, so every node knows the way: to a connection of its own ([`hall`]), or by a stream
//! of another node ([`quorate_consensus::tunnelling`]). A tunnel is opened in the log before its client is told so, and
//! closed there when its connection is gone; both name the epoch, so what comes late undoes nothing.
//!
//! Connections belong to the threads of control, which dialled or took them: a core asks by a channel ([`Roads`]) and gets
//! bytes. A node that has lost its lease lets go of all that hangs on it, because by then others may hold it.

mod door;
mod hall;
mod holding;
mod token_file;
mod tokens;

pub use tokens::{Tokens, Unusable};

pub(crate) use door::{Door, Say};
pub(crate) use holding::Holding;
pub(crate) use token_file::keep_up;
pub(crate) use tokens::Guard;

use hall::Hall;
use quorate_consensus::Consensus;
use quorate_model::{Epoch, NodeName, TunnelHolder};
use quorate_proxy::tunnel::{Opening, Stream, Tunnels, not_held};
use quorate_rt::shutdown::Shutdown;
use std::{io, path::PathBuf, sync::Arc};
use tokio::sync::{mpsc, oneshot};

/// Streams that wait to be opened. When full: refused, as if nobody listened.
const WAITING_MAX: usize = 1_024;

/// The way to what hangs on tunnels. Clones share it.
#[derive(Clone)]
pub(crate) struct Roads {
    consensus: Consensus,
    wanted: mpsc::Sender<Wanted>,
}

/// A stream that somebody wants.
struct Wanted {
    name: String,
    answer: oneshot::Sender<io::Result<Stream>>,
}

/// What the configuration's file of tokens says.
pub(crate) async fn tokens(file: Option<PathBuf>) -> Result<Option<Tokens>, Unusable> {
    match file {
        Some(file) => quorate_rt::blocking(move || Tokens::read(&file)).await.map(Some),
        None => Ok(None),
    }
}

/// Nothing hangs here yet.
pub(crate) fn hang(me: &NodeName, consensus: &Consensus, shutdown: &Shutdown) -> (Holding, Roads) {
    let holding = Holding::new(me, consensus);
    let roads = Roads::build(me, consensus, holding.hall(), shutdown.clone());
    (holding, roads)
}

/// Opens streams, on the runtime that it was made on.
#[derive(Clone)]
struct Opener {
    me: NodeName,
    consensus: Consensus,
    hall: Hall,
}

impl Roads {
    /// Opens streams until the node ends, for this node's cores and for other nodes.
    pub fn build(me: &NodeName, consensus: &Consensus, hall: &Hall, shutdown: Shutdown) -> Self {
        let opener = Opener { me: me.clone(), consensus: consensus.clone(), hall: hall.clone() };
        let here = opener.clone();
        consensus.carry_by(Arc::new(move |name, epoch| {
            let here = here.clone();
            Box::pin(async move { here.open_here(&name, epoch).await })
        }));
        let (wanted, waiting) = mpsc::channel(WAITING_MAX);
        quorate_rt::spawn(opener.run(waiting, shutdown));
        Self { consensus: consensus.clone(), wanted }
    }
}

impl Tunnels for Roads {
    fn open<'a>(&'a self, name: &'a str) -> Opening<'a> {
        Box::pin(async move {
            if self.consensus.view().get().tunnels().get(name).is_none() {
                return Err(not_held(name));
            }
            let (answer, answered) = oneshot::channel();
            let wanted = Wanted { name: name.to_owned(), answer };
            // It is there: nobody else is asked instead.
            let busy = |_| io::Error::new(io::ErrorKind::WouldBlock, "too many streams wait to be opened");
            self.wanted.try_send(wanted).map_err(busy)?;
            answered.await.unwrap_or_else(|_| Err(refused("this node is about to end".into())))
        })
    }
}

impl Opener {
    async fn run(self, mut waiting: mpsc::Receiver<Wanted>, mut shutdown: Shutdown) {
        loop {
            let wanted = tokio::select! {
                biased;
                () = shutdown.wait() => return,
                wanted = waiting.recv() => wanted,
            };
            let Some(Wanted { name, mut answer }) = wanted else { return };
            let opener = self.clone();
            quorate_rt::spawn(async move {
                tokio::select! {
                    biased;
                    // Whoever asked has given up.
                    () = answer.closed() => {}
                    opened = opener.open(&name) => drop(answer.send(opened)),
                }
            });
        }
    }

    /// Wherever it hangs. Where that fails it is looked again who holds it, once: it may have moved meanwhile.
    async fn open(&self, name: &str) -> io::Result<Stream> {
        let holder = self.holder(name).ok_or_else(|| not_held(name))?;
        let error = match self.open_at(name, &holder).await {
            Ok(stream) => return Ok(stream),
            Err(error) => error,
        };
        match self.holder(name).filter(|now| now.epoch != holder.epoch) {
            Some(now) => self.open_at(name, &now).await.map_err(as_refused),
            None => Err(as_refused(error)),
        }
    }

    fn holder(&self, name: &str) -> Option<TunnelHolder> {
        self.consensus.view().get().tunnels().get(name).cloned()
    }

    async fn open_at(&self, name: &str, holder: &TunnelHolder) -> io::Result<Stream> {
        if holder.node == self.me {
            self.open_here(name, holder.epoch).await
        } else {
            self.consensus.tunnel_at(&holder.node, name, holder.epoch).await
        }
    }

    async fn open_here(&self, name: &str, epoch: Epoch) -> io::Result<Stream> {
        match self.hall.find(name, epoch).await {
            Some(line) => line.open().await,
            None => Err(io::Error::new(io::ErrorKind::NotFound, format!("tunnel {name} does not hang here"))),
        }
    }
}

/// That it has too much to do stays what it is: it is there.
fn as_refused(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { error } else { refused(error.to_string()) }
}

fn refused(words: String) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionRefused, words)
}
