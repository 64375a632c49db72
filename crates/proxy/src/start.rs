//! One runtime per core, each with a listener of its own on one port; and the way to an orderly end.

use crate::{
    Config, Freshness,
    core::{Core, Shared},
    dial::Dialer,
    listen::{self, Ends},
};
use quorate_rt::{
    cores::{self, Cores},
    net::SharedPort,
    published::Published,
    shutdown::{self, Trigger},
};
use quorate_state::View;
use quorate_telemetry::Metrics;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::sync::{Semaphore, mpsc};

/// The running data plane. Dropping it drains it in the background.
pub struct Proxy {
    addr: SocketAddr,
    cores: Cores,
    leave: Trigger,
    close: Trigger,
}

/// Why it did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken, or not ours.
    #[error("listen on {addr}: {source}")]
    Listen {
        /// Which.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The file of authorities for https workers can't be used.
    #[error(transparent)]
    Authorities(#[from] quorate_rt::tls::Error),
    /// A core has no thread or no runtime.
    #[error("start a core of the data plane: {source}")]
    Core {
        /// What the system said.
        source: io::Error,
    },
}

impl Proxy {
    /// Listens; returns when all cores do.
    pub async fn start(
        config: Config,
        view: Arc<Published<View>>,
        freshness: Arc<Freshness>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StartError> {
        let listen_error = |source| StartError::Listen { addr: config.listen, source };
        let port = Arc::new(SharedPort::claim(config.listen).map_err(listen_error)?);
        let addr = port.local_addr();
        let threads = cores::actual(config.threads);
        let (leave, leaving) = shutdown::channel();
        let (close, closing) = shutdown::channel();
        let ends = Ends { leave: leaving, close: closing };
        let (started, mut starting) = mpsc::channel(threads);
        let limits = &config.limits;
        let dialer =
            Dialer::new(config.authorities.clone(), limits.header_bytes_max, limits.dial_timeout).await?;
        let places = Arc::new(Semaphore::new(limits.connections_max));
        let shared = Shared { config: Arc::new(config), view, freshness, dialer };
        let cores = Cores::start(threads, "proxy", move |_| {
            let core = Core::new(&shared, metrics.add_core());
            run(core, port.clone(), places.clone(), ends.clone(), started.clone())
        })
        .map_err(|source| StartError::Core { source })?;
        for _ in 0..threads {
            match starting.recv().await {
                Some(Ok(())) => {}
                Some(Err(source)) => return Err(StartError::Listen { addr, source }),
                None => return Err(StartError::Core { source: io::Error::other("it ended at once") }),
            }
        }
        Ok(Self { addr, cores, leave, close })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes requests as before, also on new connections, and closes each connection after its next answer.
    pub fn ask_to_leave(&self) {
        self.leave.fire();
    }

    /// Stops accepting, closes connections after their current answer, waits for open requests and tunnels for at
    /// most [`Config::drain`], cuts the rest.
    pub async fn drain(self) {
        self.close.fire();
        self.cores.join().await;
    }
}

/// One core, from its listener to its end.
async fn run(
    core: Arc<Core>,
    port: Arc<SharedPort>,
    places: Arc<Semaphore>,
    mut ends: Ends,
    started: mpsc::Sender<io::Result<()>>,
) {
    let listener = match port.listener().await {
        Ok(listener) => listener,
        Err(error) => {
            // Nobody listens any more only if the start was given up.
            let _ = started.send(Err(error)).await;
            return;
        }
    };
    let _ = started.send(Ok(())).await;
    drop(started);
    quorate_rt::spawn(core.clone().sweep());
    listen::accept(&core, listener, &places, &mut ends).await;
    core.drain(core.config.drain).await;
}
