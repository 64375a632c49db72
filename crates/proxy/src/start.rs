//! One runtime per core, each with a listener of its own on one port; and the way to an orderly end.

use crate::{
    Breakers, Config, Freshness, Https, InFlight, Inlet, KeyTraces, Observations, Ramps,
    core::{Core, Questions, Shared},
    dial::Dialer,
    listen::{self, Door, Ends},
    tunnel::{NoTunnels, Tunnels},
};
use quorate_routing::local::Local;
use quorate_rt::{
    certificate::Certificate,
    cores::{self, Cores},
    net::{SharedPort, TcpListener},
    published::Published,
    shutdown::{self, Trigger},
    tls,
};
use quorate_state::{Loads, View};
use quorate_telemetry::Metrics;
use std::{io, net::SocketAddr, sync::Arc};
use tokio::sync::{Semaphore, mpsc};

/// What the data plane is told while it runs.
#[derive(Clone)]
pub struct Feeds {
    /// What the cluster has decided.
    pub view: Arc<Published<View>>,
    /// What workers say about their load.
    pub loads: Arc<Published<Loads>>,
    /// Which breakers opened at other nodes, and who tells those of this one's.
    pub breakers: Breakers,
    /// What this node alone was told.
    pub local: Arc<Published<Local>>,
    /// The way to workers that dial us.
    pub tunnels: Arc<dyn Tunnels>,
    /// How old the View may be.
    pub freshness: Arc<Freshness>,
    /// Where it is counted.
    pub metrics: Arc<Metrics>,
}

impl Feeds {
    /// A View, no loads, no tunnels, fresh, counters of its own.
    pub fn new(view: Arc<Published<View>>) -> Self {
        let loads = Published::new(Arc::new(Loads::default()));
        Self {
            view,
            loads,
            breakers: Breakers::default(),
            local: Published::new(Arc::default()),
            tunnels: Arc::new(NoTunnels),
            freshness: Arc::default(),
            metrics: Metrics::new(),
        }
    }
}

/// The running data plane. Dropping it drains it in the background.
pub struct Proxy {
    addr: SocketAddr,
    grpc_addr: Option<SocketAddr>,
    https_addr: Option<SocketAddr>,
    certificate: Option<Certificate>,
    cores: Cores,
    leave: Trigger,
    close: Trigger,
    in_flight: InFlight,
    observations: Observations,
    key_traces: KeyTraces,
    ramps: Ramps,
    inlet: Inlet,
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
    /// The certificate or its key can't be used, or the file of authorities for https workers.
    #[error(transparent)]
    Tls(#[from] tls::Error),
    /// A core has no thread or no runtime.
    #[error("start a core of the data plane: {source}")]
    Core {
        /// What the system said.
        source: io::Error,
    },
}

impl Proxy {
    /// Listens; returns when all cores do.
    pub async fn start(config: Config, feeds: Feeds) -> Result<Self, StartError> {
        let Feeds { view, loads, breakers, local, tunnels, freshness, metrics } = feeds;
        let certificate = match &config.https {
            Some(Https { certificate, key, .. }) => {
                Some(Certificate::read(certificate.clone(), key.clone(), tls::Alpn::Either).await?)
            }
            None => None,
        };
        let ports = Ports::claim(&config, certificate.as_ref())?;
        let (addr, https_addr) =
            (ports.plain.local_addr(), ports.tls.as_ref().map(|(port, _)| port.local_addr()));
        let grpc_addr = ports.grpc.as_ref().map(|port| port.local_addr());
        let threads = cores::actual(config.threads);
        let (leave, leaving) = shutdown::channel();
        let (close, closing) = shutdown::channel();
        let ends = Ends { leave: leaving, close: closing };
        let (started, mut starting) = mpsc::channel(threads);
        let limits = &config.limits;
        let dialer = Dialer::new(config.authorities.clone(), tunnels, *limits).await?;
        let places = Arc::new(Semaphore::new(limits.connections_max));
        let (waiting, in_flight, observations) = (Arc::default(), InFlight::new(), Observations::default());
        let key_traces = KeyTraces::default();
        let (config, ramps) = (Arc::new(config), Ramps::new(view.clone()));
        let shared = Shared {
            config,
            view,
            loads,
            breakers,
            local,
            freshness,
            dialer,
            waiting,
            in_flight: in_flight.clone(),
            observations: observations.clone(),
            key_traces: key_traces.clone(),
            ramps: ramps.clone(),
        };
        let inlet = Inlet::new(&shared, metrics.add_core());
        let cores = Cores::start(threads, "proxy", move |nth| {
            let core = Core::new(&shared, nth, metrics.add_core());
            let asked = shared.ask_core();
            run((core, asked), ports.clone(), places.clone(), ends.clone(), started.clone())
        })
        .map_err(|source| StartError::Core { source })?;
        for _ in 0..threads {
            match starting.recv().await {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(error),
                None => return Err(StartError::Core { source: io::Error::other("it ended at once") }),
            }
        }
        Ok(Self {
            addr,
            grpc_addr,
            https_addr,
            certificate,
            cores,
            leave,
            close,
            in_flight,
            observations,
            key_traces,
            ramps,
            inlet,
        })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where else it listens, if it does.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc_addr
    }

    /// Where it listens for TLS, if it does.
    pub fn https_addr(&self) -> Option<SocketAddr> {
        self.https_addr
    }

    /// What it shows to those who speak TLS; whoever holds this can have it read again.
    pub fn certificate(&self) -> Option<&Certificate> {
        self.certificate.as_ref()
    }

    /// How many requests workers have from this node.
    pub fn in_flight(&self) -> &InFlight {
        &self.in_flight
    }

    /// What its cores make of workers.
    pub fn observations(&self) -> &Observations {
        &self.observations
    }

    /// What its cores note of routing keys that somebody follows.
    pub fn key_traces(&self) -> &KeyTraces {
        &self.key_traces
    }

    /// What its cores count of the requests that ramps lead somewhere.
    pub fn ramps(&self) -> &Ramps {
        &self.ramps
    }

    /// For requests that come in by another listener of the node.
    pub fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    /// Takes requests as before, also on new connections, and closes each connection after its next answer.
    pub fn ask_to_leave(&self) {
        self.leave.fire();
    }

    /// Stops accepting, closes connections after their current answer, waits for open requests and tunnels for at
    /// most [`Config::drain`], cuts the rest.
    pub async fn drain(self) {
        self.close.fire();
        // Requests that came in by the other listener are open requests too.
        tokio::join!(self.cores.join(), self.inlet.drain());
    }
}

/// The addresses that all cores listen at.
#[derive(Clone)]
struct Ports {
    plain: Arc<SharedPort>,
    grpc: Option<Arc<SharedPort>>,
    tls: Option<(Arc<SharedPort>, Arc<Published<tls::Acceptor>>)>,
}

impl Ports {
    fn claim(config: &Config, certificate: Option<&Certificate>) -> Result<Self, StartError> {
        let claim = |addr| match SharedPort::claim(addr) {
            Ok(port) => Ok(Arc::new(port)),
            Err(source) => Err(StartError::Listen { addr, source }),
        };
        let plain = claim(config.listen)?;
        let grpc = config.grpc.map(claim).transpose()?;
        let tls = match (&config.https, certificate) {
            (Some(https), Some(certificate)) => Some((claim(https.listen)?, certificate.newest().clone())),
            (Some(_), None) | (None, _) => None,
        };
        Ok(Self { plain, grpc, tls })
    }

    /// One core's own listeners.
    async fn open(&self) -> Result<(Door, [Option<Door>; 2]), StartError> {
        let plain = Door { listener: listener(&self.plain).await?, tls: None };
        let grpc = match &self.grpc {
            Some(port) => Some(Door { listener: listener(port).await?, tls: None }),
            None => None,
        };
        let tls = match &self.tls {
            Some((port, tls)) => Some(Door { listener: listener(port).await?, tls: Some(tls.reader()) }),
            None => None,
        };
        Ok((plain, [grpc, tls]))
    }
}

async fn listener(port: &SharedPort) -> Result<TcpListener, StartError> {
    port.listener().await.map_err(|source| StartError::Listen { addr: port.local_addr(), source })
}

/// One core, from its listeners to its end.
async fn run(
    (core, asked): (Arc<Core>, Questions),
    ports: Ports,
    places: Arc<Semaphore>,
    ends: Ends,
    started: mpsc::Sender<Result<(), StartError>>,
) {
    let (plain, others) = match ports.open().await {
        Ok(doors) => doors,
        Err(error) => {
            // Nobody listens any more only if the start was given up.
            let _ = started.send(Err(error)).await;
            return;
        }
    };
    let _ = started.send(Ok(())).await;
    drop(started);
    quorate_rt::spawn(core.clone().sweep(asked));
    let [by_grpc, by_tls] = others.map(async |door| {
        if let Some(door) = door {
            listen::accept(&core, door, &places, ends.clone()).await;
        }
    });
    tokio::join!(listen::accept(&core, plain, &places, ends.clone()), by_grpc, by_tls);
    core.drain(core.config.drain).await;
}
